"""Questions in SQL: every bar once, nothing else within reach."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from algo_py.errors import Damaged, InvalidInput, NotFound
from algo_py.finstore import FinStore
from algo_py.finstore.parquet import read_info

from .making import DELTAS_BEFORE_A_MERGE, LATE, MARKET, START, SYMBOL, bars, bars_at
from .processes import forked

OTHER = "1000SATS/USDT"
ALL = "SELECT * FROM bars ORDER BY market, timeframe, symbol, open_time"


def _append(store: FinStore, frame: pd.DataFrame, *symbols: str, timeframe: str = "1h") -> None:
    store.append(MARKET, timeframe, dict.fromkeys(symbols or (SYMBOL,), frame), now=LATE)


def _bars_of(store: FinStore, symbol: str = SYMBOL, *, timeframe: str = "1h") -> pd.DataFrame:
    query = f"SELECT * FROM bars WHERE symbol = '{symbol}' AND timeframe = '{timeframe}' ORDER BY open_time"
    answer = store.sql(query).set_index("open_time")
    assert set(answer.pop("market")) <= {MARKET}
    assert set(answer.pop("timeframe")) <= {timeframe}
    assert set(answer.pop("symbol")) <= {symbol}
    return answer


def _assert_same(answer: pd.DataFrame, frame: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(answer, frame, check_freq=False, check_exact=True)


def test_an_empty_store(store: FinStore) -> None:
    answer = store.sql(ALL)
    assert list(answer.columns) == ["market", "timeframe", "symbol", "open_time", "open", "high", "low", "close", "volume"]
    assert str(answer["open_time"].dtype) == "datetime64[us, UTC]"
    assert len(answer) == 0
    assert store.sql("SELECT count(*) FROM bars").iloc[0, 0] == 0
    assert not store.folder.exists()


@pytest.mark.parametrize(("rows", "pending"), [(600, 0), (0, 7), (600, 7), (5_000, DELTAS_BEFORE_A_MERGE + 3)])
def test_every_bar_once(store: FinStore, rows: int, pending: int) -> None:
    frame = bars(rows + pending)
    if rows:
        _append(store, frame[:rows], SYMBOL, OTHER)
    for row in range(rows, rows + pending):
        _append(store, frame[row : row + 1], SYMBOL, OTHER)
    for _ in range(2):
        for one in (store, FinStore(store.folder)):
            _assert_same(_bars_of(one), frame)
            _assert_same(_bars_of(one, OTHER), frame)
            assert one.sql("SELECT count(*) AS n, count(DISTINCT (symbol, open_time)) AS m FROM bars").to_numpy().tolist() == [
                [2 * len(frame)] * 2
            ]
        store.compact(MARKET, "1h")


def test_files_by_year_other_timeframes_and_markets(store: FinStore) -> None:
    minutes = bars(3_000, start=START - timedelta(minutes=1_000), freq="1min")
    _append(store, minutes[:2_000], timeframe="1m")
    _append(store, minutes[2_000:2_010], timeframe="1m")
    _append(store, bars(700))
    days = pd.date_range("2024-01-01T18:30Z", periods=3, freq="1D", unit="us")
    store.append("indian_equity", "1d", {"M&M": bars_at(days)}, now=LATE)
    _assert_same(_bars_of(store, timeframe="1m"), minutes[:2_010])
    _assert_same(_bars_of(store), bars(700))
    counts = "SELECT market, timeframe, symbol, count(*) AS n FROM bars GROUP BY ALL ORDER BY ALL"
    expected = [[MARKET, "1h", SYMBOL, 700], [MARKET, "1m", SYMBOL, 2_010], ["indian_equity", "1d", "M&M", 3]]
    assert store.sql(counts).to_numpy().tolist() == expected
    assert store.sql(counts, market=MARKET).to_numpy().tolist() == expected[:2]
    assert store.sql(counts, timeframe="1d").to_numpy().tolist() == expected[2:]
    assert store.sql(counts, market=MARKET, timeframe="1d").to_numpy().tolist() == []
    with pytest.raises(NotFound, match="no market"):
        store.sql(counts, market="nyse")
    with pytest.raises(InvalidInput, match="no timeframe"):
        store.sql(counts, timeframe="7m")


def test_bars_that_stand_in_a_file_and_above_it(store: FinStore) -> None:
    """While a fold is under way they are in both; and after an adoption the file has the newer values."""
    frame = bars(1_000)
    _append(store, frame[:600])
    for first in range(600, 620):
        _append(store, frame[first : first + 1])
    kept = {path: path.read_bytes() for path in store.folder.rglob("_*/*.parquet")}
    store.compact(MARKET, "1h")
    for path, content in kept.items():
        path.write_bytes(content)
    _append(store, frame[10:11] * 2)
    _append(store, frame[610:611] * 2)
    _append(store, frame[990:])
    store.adopt_revisions(MARKET, "1h", SYMBOL, now=LATE)
    expected = pd.concat([frame[:620], frame[990:]])
    expected.iloc[[10, 610]] *= 2
    _assert_same(store.read(MARKET, "1h", SYMBOL), expected)
    _assert_same(_bars_of(store), expected)
    _assert_same(_bars_of(FinStore(store.folder)), expected)


def test_types_of_answers(store: FinStore) -> None:
    _append(store, bars(600))
    answer = store.sql(
        "SELECT sum(1) AS s, count(*) AS n, max(open_time) AS t, true AS b, min(symbol) AS y, sum(volume) AS v FROM bars"
    )
    assert {name: str(dtype) for name, dtype in answer.dtypes.items()} == {
        "s": "float64",
        "n": "int64",
        "t": "datetime64[us, UTC]",
        "b": "bool",
        "y": "str",
        "v": "float64",
    }
    assert answer["t"][0] == START + timedelta(hours=599)
    days = store.sql("SELECT date_trunc('day', open_time) AS day, count(*) AS n FROM bars GROUP BY day ORDER BY day")
    assert list(days["n"]) == [24] * 25
    assert days["day"][0] == START
    assert (
        len(store.sql("SELECT * FROM bars WHERE open_time >= '2024-01-02' AND open_time < TIMESTAMPTZ '2024-01-03 00:00Z'")) == 24
    )


@pytest.mark.parametrize("name", ["we[i]rd *?", "it's", "a=b %2F {x,y}"])
def test_folders_of_any_name(tmp_path: Path, name: str) -> None:
    store = FinStore(tmp_path / name / "finstore")
    _append(store, bars(600))
    _append(store, bars(603)[600:])
    _assert_same(_bars_of(store), bars(603))


def test_a_relative_folder_and_a_linked_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _append(FinStore(tmp_path / "finstore"), bars(600))
    monkeypatch.chdir(tmp_path)
    _assert_same(_bars_of(FinStore(Path("finstore"))), bars(600))
    (tmp_path / "link").symlink_to(tmp_path / "finstore")
    _assert_same(_bars_of(FinStore(tmp_path / "link")), bars(600))


class TestWhatIsRefused:
    """One line; no file is read, written or made."""

    @pytest.mark.parametrize(
        ("query", "line"),
        [
            ("SELEC 1", r'DuckDB refuses the query: Parser Error: syntax error at or near "SELEC"'),
            (
                "SELECT nosuch FROM bars",
                r"Binder Error: Referenced column \"nosuch\" not found in FROM clause! Candidate bindings",
            ),
            ("SELECT * FROM nothing", r"Table with name nothing does not exist!.*There is one table, bars\(market, timeframe"),
            ("SELECT 'x'::INT", "Could not convert string 'x' to INT32"),
            ("", "one SELECT statement"),
            ("-- nothing", "one SELECT statement"),
            ("SELECT 1; SELECT 2", "one SELECT statement"),
        ],
    )
    def test_mistakes(self, store: FinStore, query: str, line: str) -> None:
        _append(store, bars(600))
        with pytest.raises(InvalidInput, match=line) as caught:
            store.sql(query)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        "query",
        [
            "SELECT * FROM read_csv('{outside}')",
            "SELECT * FROM '{outside}'",
            "SELECT * FROM read_text('{outside}')",
            "SELECT * FROM read_blob('{outside}')",
            "SELECT * FROM glob('{folder}/*')",
            "SELECT * FROM read_parquet('{outside}')",
            "SELECT * FROM read_parquet('{log}')",
            "SELECT * FROM read_parquet('http://127.0.0.1:9/bars.parquet')",
            "SELECT * FROM read_parquet('s3://bucket/bars.parquet')",
            "SELECT * FROM secret",
            "COPY bars TO '{folder}/out.csv'",
            "COPY bars TO '{file}'",
            "COPY (SELECT 1 AS x) TO '{file}' (FORMAT parquet, USE_TMP_FILE false)",
            "EXPLAIN ANALYZE COPY (SELECT 1 AS x) TO '{file}' (FORMAT parquet, USE_TMP_FILE false)",
            "WITH x AS (COPY (SELECT 1) TO '{file}' (USE_TMP_FILE false)) SELECT * FROM x",
            "WITH x AS (COPY (SELECT 1) TO '{folder}/out.csv') SELECT * FROM x",
            "SELECT * FROM query('WITH x AS (COPY (SELECT 1) TO ''{file}'' (USE_TMP_FILE false)) SELECT * FROM x')",
            "SELECT * FROM query('COPY (SELECT 1) TO ''{file}'' (USE_TMP_FILE false)')",
            "SELECT * FROM read_parquet('{file}')",
            "SELECT 1; COPY (SELECT 1 AS x) TO '{file}' (USE_TMP_FILE false)",
            "EXPORT DATABASE '{folder}/out'",
            "ATTACH '{folder}/out.db'",
            "INSTALL httpfs",
            "LOAD httpfs",
            "SET enable_external_access = true",
            "SET allowed_directories = ['/']",
            "PRAGMA database_list",
            "CREATE TABLE t AS SELECT 1",
            "DROP VIEW bars",
            "SELECT * FROM disable_logging()",
            "SELECT * FROM enable_logging('FileSystem', storage = 'file', storage_path = '{folder}/out')",
            "SELECT getenv('HOME')",
        ],
    )
    def test_the_world_outside(self, store: FinStore, tmp_path: Path, query: str) -> None:
        secret = pd.DataFrame({"x": [1]})
        assert len(secret) == 1  # a name that DuckDB could find
        _append(store, bars(600))
        _append(store, bars(1) * 2)
        outside = tmp_path / "outside.csv"
        outside.write_text("a,b\n1,2\n")
        (file,) = store.folder.rglob("bars.parquet")
        (log,) = store.folder.rglob("_revisions/*.parquet")
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        with pytest.raises(InvalidInput) as caught:
            store.sql(query.format(outside=outside, folder=tmp_path, file=file, log=log))
        assert "\n" not in str(caught.value)
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
        _assert_same(_bars_of(store), bars(600))

    def test_nothing_is_left_in_the_working_folder(
        self, store: FinStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "here").mkdir()
        monkeypatch.chdir(tmp_path / "here")
        _append(store, bars(600))
        store.sql(ALL)
        assert list((tmp_path / "here").iterdir()) == []


class TestDamage:
    """DuckDB does not know our checksums: what it has read is verified afterwards."""

    @staticmethod
    def _flip(file: Path, group: int) -> None:
        content = bytearray(file.read_bytes())
        content[read_info(file).groups[group].end - 30] ^= 1
        file.write_bytes(content)

    def test_a_flipped_bit_in_what_was_read_is_named(self, store: FinStore) -> None:
        _append(store, bars(12_000), SYMBOL, OTHER)
        (file,) = store.folder.rglob("symbol=BTC%2FUSDT/bars.parquet")
        self._flip(file, 0)
        for one in (store, FinStore(store.folder)):
            for query in (ALL, "SELECT avg(volume) FROM bars", f"SELECT max(volume) FROM bars WHERE symbol = '{SYMBOL}'"):
                with pytest.raises(Damaged, match=r"symbol=BTC%2FUSDT/bars\.parquet are damaged: row group 0 does not have"):
                    one.sql(query)
            _assert_same(_bars_of(one, OTHER), bars(12_000))
            late = f"symbol = '{SYMBOL}' AND open_time >= '{START + timedelta(hours=11_500)}'"
            assert one.sql(f"SELECT count(volume) FROM bars WHERE {late}").iloc[0, 0] == 500
        store.set_aside(now=LATE)
        assert len(_bars_of(store)) == 12_000 - 4_096

    @pytest.mark.parametrize("size", [0, 1_000, -1])
    def test_a_file_without_its_end(self, store: FinStore, size: int) -> None:
        _append(store, bars(600), SYMBOL, OTHER)
        file = min(store.folder.rglob("bars.parquet"))
        file.write_bytes(file.read_bytes()[:size])
        symbol = OTHER if "1000SATS" in str(file) else SYMBOL
        fresh = FinStore(store.folder)
        with pytest.raises(Damaged, match="are damaged: it"):
            fresh.sql(ALL)
        _assert_same(_bars_of(fresh, SYMBOL if symbol == OTHER else OTHER), bars(600))
        with pytest.raises(Damaged):
            _bars_of(fresh, symbol)

    def test_nothing_but_damaged_files(self, store: FinStore) -> None:
        _append(store, bars(600))
        (file,) = store.folder.rglob("bars.parquet")
        file.write_bytes(b"PAR1" * 100)
        with pytest.raises(Damaged):
            FinStore(store.folder).sql(ALL)

    def test_a_damaged_delta(self, store: FinStore) -> None:
        _append(store, bars(5))
        (file,) = store.folder.rglob("_delta/*.parquet")
        file.write_bytes(file.read_bytes()[:-9])
        with pytest.raises(Damaged, match=file.name):
            FinStore(store.folder).sql(ALL)


def test_a_writer_process_at_work(store: FinStore, tmp_path: Path) -> None:
    """Whatever moves: each symbol's bars are a gapless beginning of all, never fewer than before, each once."""
    names = [f"{letter}{letter}/USDT" for letter in "ABCD"]
    frames = {
        name: bars(20_000, start=START - timedelta(minutes=700), freq="1min", seed=number) for number, name in enumerate(names)
    }
    values = {name: frame.to_numpy() for name, frame in frames.items()}
    stop, parent = tmp_path / "stop", os.getpid()

    def write() -> None:
        writer, done, round_ = FinStore(store.folder), 0, 0
        while not stop.exists() and os.getppid() == parent and done < 19_000:
            round_ += 1
            rows = 520 if round_ % 15 == 0 else 3
            chunk = {name: frame[done : done + rows] for name, frame in frames.items()}
            writer.append(MARKET, "1m", chunk, now=LATE)
            done += rows
            if round_ % 20 == 0:
                writer.compact(MARKET, "1m")

    store.append(MARKET, "1m", {name: frame[:3] for name, frame in frames.items()}, now=LATE)
    pid = forked(write)
    seen, questions_asked = dict.fromkeys(names, 0), 0
    deadline = time.monotonic() + 2.0
    try:
        while time.monotonic() < deadline:
            answer = store.sql(ALL)
            questions_asked += 1
            for name in names:
                read = answer[answer["symbol"] == name][list(frames[name])].to_numpy()
                assert np.array_equal(read, values[name][: len(read)])
                assert len(read) >= seen[name]
                seen[name] = len(read)
    finally:
        stop.touch()
        _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert questions_asked > 2
    assert min(seen.values()) > 30


def test_a_process_that_asked_ends_quietly(store: FinStore) -> None:
    _append(store, bars(600))
    lines = ["import pathlib, sys", "from algo_py.finstore import FinStore", "store = FinStore(pathlib.Path(sys.argv[1]))"]
    code = "\n".join([*lines, "print(len(store.sql('SELECT * FROM bars')))"])
    done = subprocess.run([sys.executable, "-c", code, str(store.folder)], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("600\n", "")
