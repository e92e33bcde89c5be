"""Yahoo as a source of bars: the real yfinance against a local server that answers as Yahoo does."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from algo_py.clock import FrozenClock, monotonic_s
from algo_py.errors import AlgoPyError, InvalidInput, NotFound, RateLimited, Refused, VenueDown
from algo_py.finstore import COLUMNS, FinStore
from algo_py.finstore.gaps import fill_gap
from algo_py.finstore.sources.limits import SharedLimit
from algo_py.finstore.sources.yahoo import YahooSource, yahoo_source
from algo_py.market import Timeframe, get_market
from tests.finstore.making import bars_at
from tests.venues.server import Fault, Reply
from tests.venues.yahoo import INDIA, Chart, YahooServer

NSE = get_market("indian_equity")
D1, W1 = Timeframe.D1, Timeframe.W1
MIDNIGHT = datetime(2025, 6, 3, tzinfo=INDIA)  # a Tuesday
NOW = MIDNIGHT + timedelta(hours=20)
DAY = timedelta(days=1)
NAMES = {"1m": "1m", "5m": "5m", "15m": "15m", "1h": "1h", "1d": "1d", "1w": "1wk"}


def bars_of(timeframe: Timeframe, start: datetime, end: datetime) -> pd.DataFrame:
    """Make every bar that NSE has in a period, with whole volumes."""
    frame = bars_at(pd.DatetimeIndex(list(NSE.calendar.bar_opens(timeframe, start, end))).as_unit("us"))
    return frame.assign(volume=frame["volume"].round())


CHART = Chart(
    first_trade=datetime(1996, 1, 1, tzinfo=INDIA),
    bars={
        NAMES[name]: bars_of(Timeframe(name), NOW - days * DAY, NOW)
        for name, days in {"1m": 8, "5m": 30, "15m": 30, "1h": 60, "1d": 400, "1w": 400}.items()
    },
)


@pytest.fixture
def server() -> Iterator[YahooServer]:
    with YahooServer() as server:
        server.clock_offset_s = (NOW - datetime.now(UTC)).total_seconds()
        server.charts = {"RELIANCE": CHART, "M&M": CHART}
        yield server


def source_of(server: YahooServer, folder: Path, *, burst: float = 1_000) -> YahooSource:
    return YahooSource(base_url=server.url, limit=SharedLimit("yahoo", per_s=1.0, burst=burst, folder=folder))


@pytest.fixture
def source(server: YahooServer, tmp_path: Path) -> YahooSource:
    return source_of(server, tmp_path)


def soon() -> float:
    return monotonic_s() + 10


def fetch(source: YahooSource, timeframe: Timeframe, start: datetime, end: datetime, symbol: str = "RELIANCE") -> pd.DataFrame:
    return source.fetch(timeframe, symbol, start, end, deadline_s=soon()).frame


@pytest.mark.parametrize("name", NAMES)
def test_bars_come_as_nse_has_them(source: YahooSource, name: str) -> None:
    timeframe = Timeframe(name)
    start = NOW - 7 * DAY if name == "1m" else NOW - 20 * DAY
    answer = source.fetch(timeframe, "M&M", start, NOW, deadline_s=soon())
    expected = CHART.bars[NAMES[name]]
    expected = expected[expected.index >= start]
    assert len(expected) > 1
    pd.testing.assert_frame_equal(answer.frame, expected, rtol=1e-12)
    assert list(answer.frame.index) == list(NSE.calendar.bar_opens(timeframe, start, NOW))
    assert answer.as_of is not None
    assert abs(answer.as_of - NOW) < timedelta(seconds=60)


def test_prices_are_not_adjusted_for_dividends(source: YahooSource) -> None:
    frame = fetch(source, D1, NOW - 9 * DAY, NOW)
    assert np.array_equal(frame["close"], CHART.bars["1d"]["close"].loc[frame.index])  # the server's adjusted close is 10 % less


@pytest.mark.parametrize("name", ["1h", "1d", "1w"])
def test_the_end_of_a_range_is_exclusive_to_the_microsecond(source: YahooSource, name: str) -> None:
    tiny = timedelta(microseconds=1)
    at, after = (moment.to_pydatetime() for moment in CHART.bars[NAMES[name]].index[-3:-1])

    def opens(start: datetime, end: datetime) -> list[datetime]:
        return list(fetch(source, Timeframe(name), start, end).index)

    assert opens(at, at + tiny) == opens(at - tiny, at + tiny) == opens(at, after) == [at]
    assert opens(at + tiny, after) == opens(at - tiny, at) == []
    assert opens(at + tiny, after + tiny) == [after]


def test_rows_without_prices_are_no_bars(source: YahooSource, server: YahooServer) -> None:
    bars = CHART.bars["15m"].copy()
    holed = bars.index[-5:-3]
    bars.loc[holed[0], COLUMNS] = np.nan
    bars.loc[holed[1], "open"] = np.nan
    server.charts["HOLED"] = Chart(first_trade=CHART.first_trade, bars={"15m": bars})
    frame = fetch(source, Timeframe.M15, NOW - DAY, NOW, "HOLED")
    assert len(frame) == 23
    assert not frame.index.isin(holed).any()


def test_a_range_without_bars_is_empty_and_an_unknown_symbol_is_not(source: YahooSource, server: YahooServer) -> None:
    weekend = (datetime(2025, 5, 31, tzinfo=INDIA), datetime(2025, 6, 2, tzinfo=INDIA))
    before_it_was_listed = (datetime(1990, 1, 1, tzinfo=INDIA), datetime(1990, 2, 1, tzinfo=INDIA))
    for start, end in (weekend, before_it_was_listed):
        frame = fetch(source, D1, start, end)
        assert (len(frame), list(frame.columns), str(frame.index.dtype)) == (0, list(COLUMNS), "datetime64[us, UTC]")
    server.forget()
    with pytest.raises(NotFound, match="No data found"):
        fetch(source, D1, *weekend, symbol="NOBODY")
    assert len(server.asked("chart")) == 1


@pytest.mark.parametrize("name", ["1m", "5m", "15m", "1h"])
def test_how_far_back_it_goes(source: YahooSource, name: str) -> None:
    timeframe = Timeframe(name)
    first = source.earliest(timeframe, "RELIANCE", deadline_s=soon())
    assert first is not None
    assert first.astimezone(INDIA).time() == time()
    fetch(source, timeframe, first, first + source.page(timeframe))
    with pytest.raises(InvalidInput, match="The requested range must be within the last"):
        fetch(source, timeframe, first - 2 * DAY, first - DAY)


def test_the_first_day_and_the_first_week(source: YahooSource, server: YahooServer) -> None:
    server.charts["NEW"] = Chart(first_trade=datetime(2025, 5, 22, 9, 15, tzinfo=INDIA), bars=CHART.bars)
    assert source.earliest(D1, "NEW", deadline_s=soon()) == datetime(2025, 5, 22, tzinfo=INDIA)
    assert source.earliest(W1, "NEW", deadline_s=soon()) == datetime(2025, 5, 19, tzinfo=INDIA)
    assert source.earliest(Timeframe.H1, "NEW", deadline_s=soon()) == datetime(2025, 5, 22, tzinfo=INDIA)
    with pytest.raises(NotFound):
        source.earliest(D1, "NOBODY", deadline_s=soon())


def test_a_page_leaves_room_for_a_bar_before_a_long_weekend(source: YahooSource) -> None:
    page = source.page(Timeframe.M1)
    fetch(source, Timeframe.M1, NOW - page - 5 * DAY, NOW)
    with pytest.raises(InvalidInput, match="covers at most"):
        fetch(source, Timeframe.M1, NOW - 9 * DAY, NOW)


@pytest.mark.parametrize("name", ["3m", "30m", "2h", "4h"])
def test_what_it_does_not_have_is_to_be_made_of_shorter_bars(source: YahooSource, server: YahooServer, name: str) -> None:
    with pytest.raises(InvalidInput, match="Make them of shorter ones; it has 1m, 5m, 15m, 1h, 1d, 1w"):
        fetch(source, Timeframe(name), NOW - DAY, NOW)
    assert not server.requests


def test_the_past_is_asked_for_anew(source: YahooSource, server: YahooServer) -> None:
    start, end = NOW - 30 * DAY, NOW - 20 * DAY
    before = fetch(source, D1, start, end)
    halved = CHART.bars["1d"] * [0.5, 0.5, 0.5, 0.5, 2.0]
    server.charts["RELIANCE"] = Chart(first_trade=CHART.first_trade, bars={"1d": halved})
    np.testing.assert_allclose(fetch(source, D1, start, end)["close"], before["close"] / 2)


def test_a_store_is_filled_with_days(source: YahooSource, store: FinStore) -> None:
    report = fill_gap(store, source, "indian_equity", "1d", ["RELIANCE"], since=NOW - 400 * DAY, clock=FrozenClock(NOW))
    assert (report.is_complete, report.fetched) == (True, len(CHART.bars["1d"]))
    assert report.by_symbol["RELIANCE"].unexpected == report.by_symbol["RELIANCE"].absent == 0
    stored = store.read("indian_equity", "1d", "RELIANCE")
    pd.testing.assert_frame_equal(stored, CHART.bars["1d"], rtol=1e-12, check_freq=False)


def chart_of(text: str) -> Reply:
    return Reply(body=text.encode())


def problem(status: int, code: str, description: str) -> Reply:
    return Reply(
        status=status, body=f'{{"chart":{{"result":null,"error":{{"code":"{code}","description":"{description}"}}}}}}'.encode()
    )


@pytest.mark.parametrize(
    ("fault", "times", "kind", "message"),
    [
        (Fault(reply=Reply(status=500, body=b"oops", content_type="text/plain")), 1, VenueDown, "status 500"),
        (Fault(reply=problem(502, "Bad Gateway", "")), 1, VenueDown, "status 502"),
        (Fault(reply=Reply(status=404, body=b"<html>gone</html>", content_type="text/html")), 1, VenueDown, "status 404"),
        (Fault(reply=problem(400, "Bad Request", "Invalid input - interval")), 1, InvalidInput, "Invalid input"),
        (Fault(reply=problem(401, "Unauthorized", "Invalid Crumb")), 2, VenueDown, "Invalid Crumb"),
        (Fault(drop=True), 1, VenueDown, "cannot be reached"),
        (Fault(change=lambda reply: Reply(body=reply.body, truncated=True)), 1, VenueDown, "cannot be reached"),
        (Fault(change=lambda reply: chart_of(reply.body.decode()[:-9])), 1, VenueDown, "makes no sense"),
        (Fault(reply=chart_of("Will be right back")), 1, VenueDown, "CURRENTLY DOWN"),
        (Fault(reply=chart_of("{}")), 1, VenueDown, "makes no sense"),
        (Fault(reply=chart_of('{"chart":{"result":[{"timestamp":[1]}],"error":null}}')), 1, VenueDown, "makes no sense"),
    ],
)
def test_what_goes_wrong_says_what_to_do(
    source: YahooSource, server: YahooServer, fault: Fault, times: int, kind: type[AlgoPyError], message: str
) -> None:
    start, end = MIDNIGHT - DAY, MIDNIGHT
    fetch(source, D1, start, end)
    server.forget()
    server.fail(
        Fault(applies=lambda request: "chart" in request.path, drop=fault.drop, reply=fault.reply, change=fault.change),
        times=times,
    )
    with pytest.raises(AlgoPyError, match=message) as caught:
        fetch(source, D1, start, end)
    assert type(caught.value) is kind
    assert len(server.asked("chart")) == times
    assert len(fetch(source, D1, start, end)) == 1


def test_an_old_crumb_is_replaced(source: YahooSource, server: YahooServer) -> None:
    fetch(source, D1, NOW - 5 * DAY, NOW)
    server.fail(Fault(applies=lambda request: "chart" in request.path, reply=problem(401, "Unauthorized", "Invalid Crumb")))
    assert len(fetch(source, D1, NOW - 6 * DAY, NOW)) > 2


def test_it_can_do_without_cookies(source: YahooSource, server: YahooServer) -> None:
    server.fail(Fault(applies=lambda request: "chart" not in request.path, drop=True), times=20)
    assert len(fetch(source, D1, NOW - 5 * DAY, NOW)) > 1


@pytest.mark.parametrize(("header", "wait_s"), [({"Retry-After": "7"}, 7.0), ({}, None)])
def test_when_yahoo_says_wait_everybody_waits(
    source: YahooSource, server: YahooServer, tmp_path: Path, header: dict[str, str], wait_s: float | None
) -> None:
    server.fail(Fault(applies=lambda request: "chart" in request.path, reply=Reply(status=429, headers=header)))
    with pytest.raises(RateLimited) as caught:
        fetch(source, D1, NOW - 5 * DAY, NOW)
    assert caught.value.retry_after_s == wait_s
    assert len(server.asked("chart")) == 1
    with pytest.raises(RateLimited, match="left alone"):
        source_of(server, tmp_path).fetch(D1, "RELIANCE", NOW - 5 * DAY, NOW, deadline_s=monotonic_s() + 5)
    assert len(server.asked("chart")) == 1


def test_nothing_waits_beyond_the_deadline(server: YahooServer, tmp_path: Path) -> None:
    source = source_of(server, tmp_path, burst=2)
    server.fail(Fault(applies=lambda request: "chart" in request.path, delay_s=5))
    began = monotonic_s()
    with pytest.raises(VenueDown, match="Timeout"):
        source.fetch(D1, "RELIANCE", NOW - 5 * DAY, NOW, deadline_s=began + 0.8)
    fetch(source, D1, NOW - 5 * DAY, NOW)
    with pytest.raises(RateLimited):
        source.fetch(D1, "RELIANCE", NOW - 5 * DAY, NOW, deadline_s=monotonic_s() + 0.1)
    with pytest.raises(AlgoPyError):
        source.fetch(D1, "RELIANCE", NOW - 5 * DAY, NOW, deadline_s=monotonic_s() - 1)
    assert monotonic_s() - began < 3


def test_threads_take_turns(source: YahooSource) -> None:
    found: dict[int, list[datetime]] = {}

    def ask(days: int) -> None:
        found[days] = list(fetch(source, D1, NOW - days * DAY, NOW).index)

    threads = [threading.Thread(target=ask, args=(days,)) for days in range(5, 11)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {days: list(NSE.calendar.bar_opens(D1, NOW - days * DAY, NOW)) for days in range(5, 11)}


def test_without_yfinance_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    source = yahoo_source(base_url="http://127.0.0.1:9")
    assert source.page(D1) > DAY
    monkeypatch.setitem(sys.modules, "yfinance", None)
    with pytest.raises(Refused, match=r"pip install 'algo-py\[yahoo\]'"):
        fetch(source, D1, NOW - 5 * DAY, NOW)


def test_it_leaves_nothing_on_disk(source: YahooSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fetch(source, D1, NOW - 5 * DAY, NOW)
    import yfinance

    assert yfinance.cache._CookieDBManager._cache_dir == "/dev/null"
    assert {file.name for file in tmp_path.rglob("*")} == {"yahoo.json", "yahoo.lock"}
    assert source.instruments(["RELIANCE"], deadline_s=soon()) == {}
