"""`algo-py data`: list, check, import."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from .conftest import Invoke

TARGET = ("--market", "crypto_binance", "--timeframe", "1h", "--symbol", "DOGE/USDT")
ROWS = "2025-01-01T00:00:00Z,1,2,0.5,1.5,10\n2025-01-01T01:00:00Z,1.5,2,1,1.2,20\n"


def csv(folder: Path, text: str, *, header: str = "timestamp,open,high,low,close,volume") -> Path:
    file = folder / "bars.csv"
    file.write_text(f"{header}\n{text}", encoding="utf-8")
    return file


def rows_of(invoke: Invoke, symbol: str) -> tuple[int, str, str]:
    (one,) = [one for one in invoke("data", "list", "--json").json() if one["symbol"] == symbol]
    return one["rows"], one["first"], one["last"]


def test_list_and_check(invoke: Invoke, workspace: Path) -> None:
    assert "RELIANCE" in invoke("data", "list").out
    assert invoke("data", "check").out == "All stored bars are as they were written.\n"
    assert invoke("data", "check", "--json").json() == []
    file = next((workspace / "database" / "finstore").rglob("symbol=TCS/*.parquet"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    found = invoke("data", "check", "--json")
    assert found.code == 1
    assert [Path(one["file"]).parent.name for one in found.json()] == ["symbol=TCS"]
    assert invoke("data", "check").code == 1


def test_an_empty_workspace_says_what_to_do(invoke: Invoke, tmp_path: Path) -> None:
    outcome = invoke("data", "list", "--workspace", tmp_path)
    assert (outcome.code, outcome.out.split(".")[0]) == (0, "No bars are stored here")
    assert invoke("data", "list", "--json", "--workspace", tmp_path).json() == []


def test_a_csv_is_imported_once(invoke: Invoke, workspace: Path, tmp_path: Path) -> None:
    file = csv(tmp_path, ROWS)
    assert invoke("data", "import", file, *TARGET).out == "DOGE/USDT 1h on crypto_binance: 2 new bars, 0 were stored already.\n"
    assert invoke("data", "import", file, *TARGET).out == "DOGE/USDT 1h on crypto_binance: 0 new bars, 2 were stored already.\n"
    revised = invoke("data", "import", csv(tmp_path, ROWS.replace(",20", ",21")), *TARGET)
    assert revised.out.splitlines()[1] == "1 bars differ from those stored, which were kept."
    forming = invoke("data", "import", csv(tmp_path, "2999-01-01T00:00:00Z,1,2,0.5,1.5,10\n"), *TARGET)
    assert forming.out.splitlines()[1] == "1 bars have not closed yet and were left out."
    assert rows_of(invoke, "DOGE/USDT") == (2, "2025-01-01T00:00:00Z", "2025-01-01T01:00:00Z")


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        ("2025-01-01 00:00:00", "2025-01-01 01:00:00", "timestamp"),
        ("2025-01-01T05:30:00+05:30", "2025-01-01T06:30:00+05:30", "Open_Time"),
        ("1735689600", "1735693200", "time"),
        ("1735689600000", "1735693200000", "timestamp"),
        ("1735689600000000", "1735693200000000", "date"),
    ],
)
def test_timestamps_in_every_usual_spelling(
    invoke: Invoke, workspace: Path, tmp_path: Path, first: str, second: str, name: str
) -> None:
    header = f"Volume,Close,{name},Open,High,Low,extra"
    file = csv(tmp_path, f"20,1.2,{second},1.5,2,1,x\n10,1.5,{first},1,2,0.5,y\n", header=header)
    assert invoke("data", "import", file, *TARGET).code == 0
    assert rows_of(invoke, "DOGE/USDT") == (2, "2025-01-01T00:00:00Z", "2025-01-01T01:00:00Z")


def test_daily_dates_are_days_of_the_market(invoke: Invoke, workspace: Path, tmp_path: Path) -> None:
    file = csv(tmp_path, "2025-01-01,1,2,0.5,1.5,10\n2025-01-02,1,2,0.5,1.5,10\n")
    assert invoke("data", "import", file, "--market", "indian_equity", "--timeframe", "1d", "--symbol", "WIPRO").code == 0
    assert rows_of(invoke, "WIPRO") == (2, "2024-12-31T18:30:00Z", "2025-01-01T18:30:00Z")


def test_parquet_with_the_times_as_column_or_index(invoke: Invoke, workspace: Path, tmp_path: Path) -> None:
    table = pd.read_csv(csv(tmp_path, ROWS))
    table["timestamp"] = pd.to_datetime(table["timestamp"])
    table.to_parquet(tmp_path / "column.parquet")
    table.set_index("timestamp").to_parquet(tmp_path / "index.parquet")
    assert "2 new" in invoke("data", "import", tmp_path / "column.parquet", *TARGET).out
    assert "2 were stored already" in invoke("data", "import", tmp_path / "index.parquet", *TARGET).out


@pytest.mark.parametrize(
    ("text", "header", "code", "message"),
    [
        (ROWS, "when,open,high,low,close,volume", 2, "has no column 'timestamp' (has when, open, high, low, close, volume)"),
        (ROWS, "timestamp,open,high,low,close,amount", 2, "has no column 'volume'"),
        (ROWS.replace("1.2", "dear"), None, 2, "column 'close' of"),
        (ROWS.replace("2025-01-01T01", "01/02/2025T01"), None, 2, "the timestamps of"),
        (ROWS.replace("T01", "T00"), None, 2, "are there twice"),
        (
            ROWS.replace(",2,1,1.2", ",1.1,1,1.2"),
            None,
            2,
            "the high of DOGE/USDT at 2025-01-01T01:00:00+00:00 is below its open or close",
        ),
        (ROWS.replace("T01:00", "T01:20"), None, 2, "has no 1h bar that opens at 2025-01-01T01:20:00+00:00"),
        ("", None, 2, "there are no bars in "),
    ],
)
def test_a_bad_file_is_refused_whole(
    invoke: Invoke, workspace: Path, tmp_path: Path, text: str, header: str | None, code: int, message: str
) -> None:
    file = csv(tmp_path, text, **({"header": header} if header else {}))
    outcome = invoke("data", "import", file, *TARGET)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (code, "", 1)
    assert message in outcome.err
    assert not [one for one in invoke("data", "list", "--json").json() if one["symbol"] == "DOGE/USDT"]


def test_a_file_that_is_not_there_or_no_parquet(invoke: Invoke, workspace: Path, tmp_path: Path) -> None:
    assert invoke("data", "import", tmp_path / "none.csv", *TARGET).code == 4
    (tmp_path / "fake.parquet").write_text("no", encoding="utf-8")
    outcome = invoke("data", "import", tmp_path / "fake.parquet", *TARGET)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "cannot be read as CSV or parquet" in outcome.err
