"""What the data page says of a store: freshness, revisions, what is lost, and the order of the table."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from algo_py.clock import parse_time
from algo_py.dashboard.components.table import Order
from algo_py.dashboard.screens.data.file_rows import finding_row, set_aside_row
from algo_py.dashboard.screens.data.rows import COLUMNS, first_order, freshness, in_order, series_row
from algo_py.dashboard.screens.data.stored import Series, Stored, gather, places, waiting_by_symbol
from algo_py.dashboard.screens.data.symbol_rows import gap_row, revision_rows
from algo_py.errors import NoData
from algo_py.finstore import FinStore, Gap
from algo_py.finstore.absences import Absence, AbsenceLog
from algo_py.finstore.frames import to_us
from algo_py.finstore.layout import Layout
from algo_py.market import Timeframe, get_market

CRYPTO, NSE = get_market("crypto_binance"), get_market("indian_equity")
KEY = ("crypto_binance", "1h")
START = parse_time("2025-01-01")
NOW = parse_time("2025-01-02T12:30")


def bars(count: int, *, start: datetime = START, freq: str = "h", close: float = 100.0) -> pd.DataFrame:
    index = pd.date_range(start, periods=count, freq=freq, unit="us", name="open_time")
    values = {"open": close, "high": close + 1, "low": close - 1, "close": close, "volume": 5.0}
    return pd.DataFrame(values, index=index)


@pytest.fixture
def store(tmp_path: Path) -> FinStore:
    """A is up to date, B has a hole and two revisions, C ends early."""
    store = FinStore(tmp_path / "finstore")
    b = bars(36).drop(pd.DatetimeIndex([START + timedelta(hours=n) for n in (5, 6, 20)]))
    store.append(*KEY, {"AA/USDT": bars(36), "BB/USDT": b, "CC/USDT": bars(30)}, now=NOW)
    store.append(*KEY, {"BB/USDT": bars(2, close=101.0)}, now=NOW, source="binance")
    return store


def look(store: FinStore, *, now: datetime = NOW) -> Stored:
    return gather(store, CRYPTO, Timeframe.H1, now=now)


def by_symbol(stored: Stored) -> dict[str, Series]:
    return {one.symbol: one for one in stored.series}


def cells(one: Series, *, age: timedelta | None = None) -> dict[str, tuple[str, str]]:
    row = series_row(one, age, is_open=None)
    return {column.label: (cell.text, cell.note) for column, cell in zip(COLUMNS, row.cells, strict=True)}


def test_each_symbol_has_its_line(store: FinStore) -> None:
    found = look(store)
    series = by_symbol(found)
    assert [(one.behind, one.missing, one.waiting) for one in found.series] == [(0, 0, 0), (0, 3, 2), (6, 0, 0)]
    assert cells(series["BB/USDT"], age=timedelta(hours=3)) == {
        "Symbol": ("BB/USDT", ""),
        "First bar": ("2025-01-01 00:00", ""),
        "Last bar": ("2025-01-02 11:00", ""),
        "Bars": ("33", ""),
        "Freshness": ("up to date", ""),
        "Gaps": ("2", "3 bars"),
        "Revisions": ("2", ""),
        "Order rules": ("3 h 0 min old", ""),
    }
    assert cells(series["CC/USDT"])["Freshness"] == ("6 bars behind", "")
    assert cells(series["CC/USDT"])["Order rules"] == ("–", "")
    assert cells(series["CC/USDT"], age=timedelta(seconds=4))["Order rules"] == ("1 min old", "")
    assert found.problems == ()


def test_gaps_are_those_of_the_store_with_their_reasons(store: FinStore) -> None:
    log = AbsenceLog(Layout.of(store.folder, KEY[0], Timeframe.H1))
    log.add("BB/USDT", "binance", [Absence(to_us(START + timedelta(hours=20)), to_us(START + timedelta(hours=20)), 0, True)])
    one = by_symbol(look(store))["BB/USDT"]
    assert one.coverage == store.coverage(*KEY, "BB/USDT")
    texts = [[cell.text for cell in gap_row(gap).cells] for gap in one.coverage.gaps]
    assert texts == [
        ["2025-01-01 05:00", "2025-01-01 06:00", "2", "missing"],
        ["2025-01-01 20:00", "2025-01-01 20:00", "1", "not at binance"],
    ]
    assert one.strip is not None
    assert sum(sum(reasons.values()) for reasons in one.strip.lacking) == 3


@pytest.mark.parametrize(
    ("reason", "text", "tone", "note"),
    [
        ("", "missing", "bad", ""),
        ("not at kite", "not at kite", "quiet", ""),
        ("not at kite (so far)", "not at kite (so far)", "busy", ""),
        ("set aside: it is empty", "set aside", "bad", "it is empty"),
    ],
)
def test_each_reason_has_its_look(reason: str, text: str, tone: str, note: str) -> None:
    cell = gap_row(Gap(first=START, last=START, bars=1, reason=reason)).cells[-1]
    assert (cell.text, cell.tone, cell.note) == (text, tone, note)


def test_the_market_closed_is_said_of_one_with_sessions_only(tmp_path: Path) -> None:
    store = FinStore(tmp_path)
    friday = parse_time("2025-09-26T03:45")
    store.append("indian_equity", "1h", {"INFY": bars(7, start=friday)}, now=parse_time("2025-09-26T10:00"))

    def at(moment: str) -> tuple[int | None, bool | None]:
        found = gather(store, NSE, Timeframe.H1, now=parse_time(moment))
        return found.series[0].behind, found.is_open

    assert at("2025-09-26T09:59") == (0, True)
    assert at("2025-09-26T10:00") == (0, False)
    assert at("2025-09-28T06:00") == (0, False)
    assert at("2025-09-29T03:44") == (0, False)
    assert at("2025-09-29T03:45") == (0, True)
    assert at("2025-09-29T05:50") == (2, True)
    assert at("2025-09-30T00:00") == (7, False)
    closed = freshness(7, is_open=False)
    assert (closed.text, closed.note, closed.tone) == ("7 bars behind", "market closed", "busy")
    assert freshness(0, is_open=False).note == "market closed"
    assert freshness(1, is_open=None).text == "1 bar behind"
    assert freshness(None, is_open=True).text == "–"


def test_days_that_the_calendar_does_not_know_are_said_and_hide_nothing(tmp_path: Path) -> None:
    store = FinStore(tmp_path)
    store.append("indian_equity", "1h", {"INFY": bars(7, start=parse_time("2025-09-26T03:45"))}, now=parse_time("2025-09-27"))
    found = gather(store, NSE, Timeframe.H1, now=parse_time("2014-06-01"))
    assert (found.series[0].behind, found.is_open, found.series[0].missing) == (None, None, 0)
    assert "How fresh the bars are is not known: no bar of 1h is final" in found.problems[0]


def test_only_the_latest_offer_for_a_bar_waits(store: FinStore) -> None:
    assert waiting_by_symbol(store.revisions(*KEY)) == {"BB/USDT": 2}
    store.append(*KEY, {"BB/USDT": bars(1, close=102.0)}, now=NOW + timedelta(hours=1), source="binance")
    store.append(*KEY, {"BB/USDT": bars(2).tail(1)}, now=NOW + timedelta(hours=1), source="binance")
    assert waiting_by_symbol(store.revisions(*KEY)) == {"BB/USDT": 1}
    rows = revision_rows(store.revisions(*KEY, "BB/USDT"))
    assert [[cell.text for cell in row.cells] for row in rows] == [
        ["2025-01-01 01:00", "–", "–", "2025-01-02 13:30", "binance", "taken back"],
        ["2025-01-01 00:00", "open 100", "open 102", "2025-01-02 13:30", "binance", "waiting"],
        ["2025-01-01 01:00", "open 100", "open 101", "2025-01-02 12:30", "binance", "replaced"],
        ["2025-01-01 00:00", "open 100", "open 101", "2025-01-02 12:30", "binance", "replaced"],
    ]
    assert rows[1].cells[2].note == "high 103, low 101, close 102"
    assert store.adopt_revisions(*KEY, "BB/USDT", now=NOW + timedelta(hours=2)) == 1
    states = [row.cells[-1].text for row in revision_rows(store.revisions(*KEY, "BB/USDT"))]
    assert states == ["taken back", "adopted", "replaced", "replaced"]
    assert by_symbol(look(store))["BB/USDT"].waiting == 0


def test_a_file_that_cannot_be_read_hides_its_symbol_only(store: FinStore) -> None:
    store.compact(*KEY)
    [file] = (store.folder / "market=crypto_binance").rglob("symbol=B*/*.parquet")
    spoil(file)
    fresh = FinStore(store.folder)
    series = by_symbol(look(fresh))
    assert series["AA/USDT"].missing == 0
    assert cells(series["BB/USDT"])["Freshness"] == ("not readable", "row group 0 does not have the checksum that was written")
    [finding] = fresh.check()
    assert [cell.text for cell in finding_row(finding, str(store.folder)).cells] == [
        str(file.relative_to(store.folder)),
        "row group 0 does not have the checksum that was written",
    ]

    fresh.set_aside(now=NOW)
    series = by_symbol(look(fresh))
    assert isinstance(series["BB/USDT"].problem, NoData)
    assert cells(series["BB/USDT"])["Freshness"] == ("lost", "its file was damaged and set aside")
    [row] = [set_aside_row(one) for one in fresh.damaged_files()]
    assert [(cell.text, cell.note) for cell in row.cells][:2] == [
        ("crypto_binance 1h", "symbol=BB%2FUSDT/bars.parquet"),
        ("not back", "BB/USDT 2025-01-01 00:00 to 2025-01-02 11:00"),
    ]
    fresh.append(*KEY, {"BB/USDT": bars(36)}, now=NOW)
    assert cells(by_symbol(look(fresh))["BB/USDT"])["Freshness"] == ("up to date", "")
    assert [set_aside_row(one).cells[1].text for one in fresh.damaged_files()] == ["all back"]


def test_a_log_of_revisions_that_cannot_be_read_is_said(store: FinStore) -> None:
    [log] = store.folder.rglob("_revisions/*.parquet")
    spoil(log)
    found = look(FinStore(store.folder))
    assert [one.waiting for one in found.series] == [None, None, None]
    assert found.problems[0].startswith("Revisions cannot be read: the stored bars in ")


def test_a_market_of_which_everything_was_lost_can_still_be_looked_at(tmp_path: Path) -> None:
    store = FinStore(tmp_path)
    store.append(*KEY, {"AA/USDT": bars(36)}, now=NOW)
    store.compact(*KEY)
    store.append("indian_equity", "1h", {"INFY": bars(7, start=parse_time("2025-01-01T03:45"))}, now=NOW)
    [file] = store.folder.rglob("symbol=A*/*.parquet")
    spoil(file)
    store = FinStore(tmp_path)
    store.set_aside(now=NOW)
    assert store.keys() == [("indian_equity", "1h", "INFY")]
    assert places(store) == {"crypto_binance": ["1h"], "indian_equity": ["1h"]}
    found = look(store)
    assert [one.symbol for one in found.series] == ["AA/USDT"]
    assert len(found.buckets) == 0


def test_a_heading_sorts_and_what_is_not_known_comes_last(store: FinStore) -> None:
    series = [*look(store).series, Series(symbol="00/USDT", coverage=None)]
    ages = {"AA/USDT": timedelta(hours=1), "BB/USDT": None, "CC/USDT": timedelta(hours=2), "00/USDT": None}

    def sorted_by(order: Order) -> str:
        return "".join(one.symbol[0] for one in in_order(series, ages, order))

    labels = [column.label for column in COLUMNS]
    assert sorted_by(first_order(labels.index("Symbol"))) == "0ABC"
    assert sorted_by(first_order(labels.index("Gaps"))) == "BAC0"
    assert sorted_by(Order(labels.index("Gaps"), is_ascending=True)) == "ACB0"
    assert sorted_by(first_order(labels.index("Freshness"))) == "CAB0"
    assert sorted_by(first_order(labels.index("Bars"))) == "CBA0"
    assert sorted_by(first_order(labels.index("Order rules"))) == "CAB0"


def spoil(file: Path) -> None:
    """Change a byte in the middle of the first row group."""
    content = bytearray(file.read_bytes())
    content[40] ^= 0xFF
    file.write_bytes(bytes(content))
