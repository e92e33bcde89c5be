"""What a person typed on the data page becomes a fetch, or bars of a file, or one line that says what is wrong."""

from __future__ import annotations

import io
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest

from algo_py.backtest import SnapshotStore
from algo_py.clock import FrozenClock, parse_time
from algo_py.dashboard.clients import Clients
from algo_py.dashboard.fetches.fetch import FetchOrder
from algo_py.dashboard.screens.data.fetch_form import FetchForm, size, symbols_in, usual_source
from algo_py.dashboard.screens.data.fetched import cancelled_in_words, fill_rows
from algo_py.dashboard.screens.data.fetched import in_words as fetch_in_words
from algo_py.dashboard.screens.data.upload_form import bars_in, in_words
from algo_py.dashboard.screens.data.work import progress_text
from algo_py.deployment import DeploymentManager
from algo_py.errors import InvalidInput
from algo_py.finstore import AppendCounts, AppendReport, FinStore
from algo_py.finstore.fill_report import FillProgress, FillReport, SymbolFill
from algo_py.finstore.instruments import InstrumentCache
from algo_py.market import Market, Timeframe, get_market
from algo_py.settings import Workspace

CRYPTO, NSE = get_market("crypto_binance"), get_market("indian_equity")
NOW = parse_time("2025-06-01")
NAME_ONE = "Choose one (kite, yahoo, sample), or name one in config/algo.toml under [data.sources]."


@pytest.fixture
def clients(tmp_path: Path) -> Clients:
    workspace, clock = Workspace(tmp_path), FrozenClock(NOW)
    return Clients(
        workspace=workspace,
        clock=clock,
        bars=FinStore(workspace.finstore),
        rules=InstrumentCache(workspace.instruments, clock),
        backtests=SnapshotStore(workspace, clock=clock),
        deployments=DeploymentManager(workspace, clock=clock),
    )


def form(
    symbols: str = "BTC/USDT",
    *,
    market: Market = CRYPTO,
    timeframe: str = "1h",
    since: datetime | None = None,
    until: datetime | None = None,
    source: str | None = "binance",
) -> FetchForm:
    length = Timeframe.parse(timeframe)
    return FetchForm(market=market, timeframe=length, symbols=symbols, since=since, until=until, source=source, again=False)


def test_a_form_becomes_a_fetch(clients: Clients) -> None:
    since, until = parse_time("2025-01-01"), parse_time("2025-02-01")
    assert form(" BTC/USDT, ETH/USDT ,BTC/USDT,", since=since, until=until).order(clients) == FetchOrder(
        root=clients.workspace.root,
        market="crypto_binance",
        timeframe="1h",
        symbols=("BTC/USDT", "ETH/USDT"),
        source="binance",
        since=since,
        until=until,
        again=False,
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (form(" , "), "symbols must name at least one symbol. Write them like BTC/USDT."),
        (form("BTC/USDT, eth"), "'eth' is not spelled like a symbol of crypto_binance. Write it like BTC/USDT."),
        (form(since=NOW), "start must be before today: no bar of it has closed"),
        (
            form(since=parse_time("2025-02-01"), until=parse_time("2025-02-01")),
            "start must be before until. Until is the day after the last one.",
        ),
        (
            form("INFY", market=NSE, source=None),
            f"the bars of Indian equities (NSE) have no source. {NAME_ONE}",
        ),
    ],
)
def test_what_cannot_be_fetched_is_refused_by_name(clients: Clients, wrong: FetchForm, message: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        wrong.order(clients)
    assert str(refusal.value) == message


def test_the_usual_source_is_that_of_the_settings(clients: Clients) -> None:
    assert (usual_source(clients, CRYPTO), usual_source(clients, NSE)) == ("binance", "kite")
    file = clients.workspace.settings_file
    file.parent.mkdir()
    file.write_text('[data.sources]\ncrypto_binance = "none"\nindian_equity = "files:/bars"\n')
    assert (usual_source(clients, CRYPTO), usual_source(clients, NSE)) == (None, "files:/bars")


def test_the_size_of_a_fetch_is_told_beforehand() -> None:
    since = parse_time("2024-06-01")
    rest = "a symbol. Only what is not stored yet is asked for."
    assert size(form(since=since), NOW) == f"About 8,760 bars {rest}"
    assert size(form(since=since, until=parse_time("2024-06-02"), timeframe="1m"), NOW) == f"About 1,440 bars {rest}"
    assert size(form(market=NSE, since=since, timeframe="1d"), NOW) == f"About 248 bars {rest}"
    assert size(form(since=parse_time("2026-01-01")), NOW) == f"About 0 bars {rest}"
    assert size(form(), NOW) == "Only what is not stored yet is asked for."


def test_symbols_of_each_market_have_their_own_spelling() -> None:
    assert symbols_in("M&M, BAJAJ-AUTO", NSE) == ("M&M", "BAJAJ-AUTO")
    with pytest.raises(InvalidInput, match="Write it like RELIANCE"):
        symbols_in("BTC/USDT", NSE)


ORDER = FetchOrder(root=Path(), market="crypto_binance", timeframe="1h", symbols=("BTC/USDT",), source="binance")


@pytest.mark.parametrize(
    ("now", "is_cancelled", "expected"),
    [
        (None, False, (0.0, "Asking for 1h bars of BTC/USDT from binance")),
        (FillProgress(done=0, total=0, requests=0), False, (0.0, "Asking for 1h bars of BTC/USDT from binance")),
        (
            FillProgress(done=24_000, total=40_000, requests=1),
            False,
            (0.6, "1h bars of BTC/USDT from binance: 24,000 of 40,000 bars, 1 request"),
        ),
        (FillProgress(done=20, total=40, requests=1), True, (0.5, "Cancelling; what was fetched is kept")),
    ],
)
def test_progress_in_words(now: FillProgress | None, is_cancelled: bool, expected: tuple[float, str]) -> None:
    assert progress_text(ORDER, now, is_cancelled=is_cancelled) == expected


def test_what_was_fetched_in_words() -> None:
    report = FillReport(
        {
            "BTC/USDT": SymbolFill(missing=12, fetched=10, absent=2, revised=1, unexpected=3, requests=4),
            "ETH/USDT": SymbolFill(missing=1, awaited=1, requests=1),
            "XXX/USDT": SymbolFill(problem="binance does not know XXX/USDT", requests=1),
        }
    )
    assert fetch_in_words(report) == (
        "10 bars fetched with 6 requests, 2 not at the source, 1 with other values than stored, which were kept (see Revisions), "
        "3 at times that the market's calendar does not have, left out."
    )
    assert [[cell.text for cell in row.cells] for row in fill_rows(report)] == [
        ["BTC/USDT", "12", "10", "2", "1", "4", "complete"],
        ["ETH/USDT", "1", "0", "0", "0", "1", "not complete"],
        ["XXX/USDT", "0", "0", "0", "0", "1", "not complete"],
    ]
    assert [row.cells[-1].note for row in fill_rows(report)] == [
        "",
        "the newest bar is not there yet",
        "binance does not know XXX/USDT",
    ]
    assert cancelled_in_words(None) == "Cancelled before anything was stored."
    assert cancelled_in_words(FillProgress(done=5, total=10, requests=2)).startswith("Cancelled: 5 of 10 missing bars are done")


CSV = b"timestamp,open,high,low,close,volume\n2025-01-01T00:00:00Z,1,2,1,2,5\n2025-01-01T01:00:00Z,2,3,2,3,0\n"


def test_a_csv_and_a_parquet_file_give_the_same_bars() -> None:
    from_csv = bars_in(CSV, "My bars.CSV", CRYPTO, Timeframe.H1)
    assert from_csv["close"].tolist() == [2.0, 3.0]
    file = io.BytesIO()
    pd.read_csv(io.BytesIO(CSV)).to_parquet(file)
    pd.testing.assert_frame_equal(bars_in(file.getvalue(), "b.parquet", CRYPTO, Timeframe.H1), from_csv)


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (CSV.replace(b"volume", b"size"), "coins.csv", "coins.csv has no column 'volume' (has timestamp, open"),
        (CSV.replace(b",1,2,1,2", b",x,2,1,2"), "coins.csv", "column 'open' of coins.csv holds something else than numbers"),
        (CSV.splitlines()[0], "coins.csv", "there are no bars in coins.csv"),
        (b"", "coins.csv", "coins.csv cannot be read as CSV or parquet"),
        (b"PAR1 no", "coins.parquet", "coins.parquet cannot be read as CSV or parquet"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_by_its_own_name(content: bytes, name: str, message: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        bars_in(content, name, CRYPTO, Timeframe.H1)
    assert str(refusal.value).startswith(message)
    assert "/" not in refusal.value.message.partition(" (has")[0].replace("CSV or parquet", "")


def test_what_became_of_a_file_in_words() -> None:
    def told(**counts: int) -> str:
        return in_words(AppendReport({"BTC/USDT": AppendCounts(**counts)}), "BTC/USDT 1h")

    assert told(new=1) == "BTC/USDT 1h: 1 new bar."
    assert told(new=1_200, repeated=3, revised=2, forming=1) == (
        "BTC/USDT 1h: 1,200 new bars, 3 stored already, 2 with other values than stored, which were kept (see Revisions), 1 not "
        "closed yet and left out."
    )
