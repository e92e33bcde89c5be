"""Kite as a source of bars: the real client against a local server that speaks Kite's protocol."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from algo_py.clock import FrozenClock, monotonic_s
from algo_py.credentials import Credentials
from algo_py.errors import AlgoPyError, AuthFailed, InvalidInput, NotFound, RateLimited, VenueDown
from algo_py.finstore import COLUMNS
from algo_py.finstore.sources.kite import KiteSource, kite_source
from algo_py.finstore.sources.limits import SharedLimit
from algo_py.market import Timeframe, get_market
from algo_py.market.derivatives import SHIPPED
from algo_py.market.own_facts import use_files
from tests.finstore.making import bars_at
from tests.venues.kite import DAYS_MOST, INDIA, KiteServer, Share, error
from tests.venues.server import Fault, Reply

NSE = get_market("indian_equity")
NOW = datetime(2025, 6, 2, 6, 0, tzinfo=UTC)
INTERVALS = {
    "1m": "minute",
    "3m": "3minute",
    "5m": "5minute",
    "15m": "15minute",
    "30m": "30minute",
    "1h": "60minute",
    "1d": "day",
}
# The first candles of Kite's own sample answer (kiteconnect-mocks, historical_minute.json).
MINUTES = {
    "2017-12-15T09:15:00+0530": (1704.5, 1705.0, 1699.25, 1702.8, 2499.0),
    "2017-12-15T09:16:00+0530": (1702.0, 1702.0, 1698.15, 1698.15, 1271.0),
    "2017-12-15T09:17:00+0530": (1698.15, 1700.25, 1698.0, 1699.25, 831.0),
}


def ist(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=INDIA)


def soon() -> float:
    return monotonic_s() + 10


def bars_of(timeframe: Timeframe, start: datetime, end: datetime) -> pd.DataFrame:
    """Make every bar that NSE has in a period, with whole volumes as Kite gives them."""
    frame = bars_at(pd.DatetimeIndex(list(NSE.calendar.bar_opens(timeframe, start, end))).as_unit("us"))
    return frame.assign(volume=frame["volume"].round())


@pytest.fixture
def server() -> Iterator[KiteServer]:
    with KiteServer() as server:
        minutes = pd.DataFrame.from_dict(
            MINUTES, orient="index", columns=["open", "high", "low", "close", "volume"], dtype="float64"
        )
        minutes.index = pd.to_datetime(minutes.index, utc=True)
        days = bars_of(Timeframe.D1, ist("2025-01-01"), ist("2025-05-31"))
        hours = bars_of(Timeframe.H1, ist("2025-05-01"), ist("2025-05-31"))
        server.shares = {
            "RELIANCE": Share(token=738561, tick_size="0.1", candles={"minute": minutes, "day": days, "60minute": hours}),
            "M&M": Share(token=519937, candles={"day": days}),
            "NIFTY 50": Share(token=256265, segment="INDICES"),
        }
        yield server


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(NOW)


def source_of(
    server: KiteServer, folder: Path, clock: FrozenClock, *, per_s: float = 1_000.0, token: str = "today"
) -> KiteSource:
    return KiteSource(
        Credentials({"ZERODHA_API_KEY": "key", "ZERODHA_ACCESS_TOKEN": token}),
        folder=folder / "cache",
        base_url=server.url,
        limit=SharedLimit("kite", per_s=per_s, burst=1, folder=folder / "limits"),
        clock=clock,
    )


@pytest.fixture
def source(server: KiteServer, tmp_path: Path, clock: FrozenClock) -> KiteSource:
    return source_of(server, tmp_path, clock)


def test_candles_come_as_bars(source: KiteSource, server: KiteServer) -> None:
    server.clock_offset_s = -3_600
    answer = source.fetch(Timeframe.M1, "RELIANCE", ist("2017-12-15T09:15"), ist("2017-12-15T09:17"), deadline_s=soon())
    assert list(answer.frame.index) == [datetime(2017, 12, 15, 3, 45, tzinfo=UTC), datetime(2017, 12, 15, 3, 46, tzinfo=UTC)]
    assert [tuple(row) for row in answer.frame.to_numpy()] == list(MINUTES.values())[:2]
    assert answer.as_of is not None
    assert abs((datetime.now(UTC) - answer.as_of).total_seconds() - 3_600) < 5
    (request,) = server.asked("/historical/")
    assert request.path == "/instruments/historical/738561/minute"
    assert (request.values["from"], request.values["to"]) == ("2017-12-15 09:15:00", "2017-12-15 09:16:59")
    assert (request.values["continuous"], request.values["oi"]) == ("0", "0")


def test_the_end_of_a_range_is_exclusive_to_the_microsecond(source: KiteSource) -> None:
    def opens(start: datetime, end: datetime) -> list[str]:
        frame = source.fetch(Timeframe.M1, "RELIANCE", start, end, deadline_s=soon()).frame
        return [f"{moment.tz_convert(INDIA):%H:%M}" for moment in frame.index]

    tiny = timedelta(microseconds=1)
    at = ist("2017-12-15T09:16")
    assert opens(at, at + tiny) == ["09:16"]
    assert opens(at - tiny, at + tiny) == ["09:16"]
    assert opens(at + tiny, at + timedelta(minutes=1) + tiny) == ["09:17"]
    assert opens(at + tiny, at + timedelta(minutes=1)) == []
    assert opens(at - tiny, at) == opens(at + tiny, at + 2 * tiny) == []


def test_daily_bars_open_at_indian_midnight(source: KiteSource) -> None:
    frame = source.fetch(Timeframe.D1, "M&M", ist("2025-01-31"), ist("2025-02-04"), deadline_s=soon()).frame
    # A Saturday on which NSE traded (the Union Budget), a Sunday without.
    assert [f"{moment:%m-%d %H:%M}" for moment in frame.index] == ["01-30 18:30", "01-31 18:30", "02-02 18:30"]


@pytest.mark.parametrize("timeframe", INTERVALS)
def test_a_page_fits_what_kite_takes_at_once(source: KiteSource, server: KiteServer, timeframe: str) -> None:
    page = source.page(Timeframe(timeframe))
    long_weekend = timedelta(days=5)
    most = timedelta(days=DAYS_MOST[INTERVALS[timeframe]])
    assert page + long_weekend <= most
    start = ist("2020-01-01")
    source.fetch(Timeframe(timeframe), "RELIANCE", start - long_weekend, start + page, deadline_s=soon())
    source.fetch(Timeframe(timeframe), "RELIANCE", start, start + most, deadline_s=soon())
    asked = len(server.requests)
    with pytest.raises(InvalidInput, match="covers at most"):
        source.fetch(Timeframe(timeframe), "RELIANCE", start, start + most + timedelta(seconds=1), deadline_s=soon())
    assert len(server.requests) == asked


@pytest.mark.parametrize("timeframe", ["2h", "4h", "1w"])
def test_what_kite_does_not_have_is_to_be_made_of_shorter_bars(source: KiteSource, server: KiteServer, timeframe: str) -> None:
    for ask in (
        lambda: source.page(Timeframe(timeframe)),
        lambda: source.fetch(Timeframe(timeframe), "RELIANCE", ist("2025-05-01"), ist("2025-05-02"), deadline_s=soon()),
    ):
        with pytest.raises(InvalidInput, match="Make them of shorter ones; it has 1m, 3m, 5m, 15m, 30m, 1h, 1d"):
            ask()
    assert not server.requests


def test_rules_come_from_the_list(source: KiteSource) -> None:
    rules = source.instruments(["RELIANCE", "M&M", "NIFTY 50", "NOBODY"], deadline_s=soon())
    assert {symbol: (str(one.tick_size), str(one.lot_size), str(one.quantity_min)) for symbol, one in rules.items()} == {
        "RELIANCE": ("0.1", "1", "1"),
        "M&M": ("0.05", "1", "1"),
    }


def test_the_list_is_read_once_a_day_for_all_processes(
    source: KiteSource, server: KiteServer, tmp_path: Path, clock: FrozenClock
) -> None:
    other = source_of(server, tmp_path, clock)
    for one in (source, other, source):
        one.instruments(["RELIANCE"], deadline_s=soon())
    assert len(server.asked("/instruments/NSE")) == 1
    clock.sleep(86_400)
    server.shares["NEWCOMER"] = Share(token=1)
    for one in (source, other):
        assert one.instruments(["NEWCOMER"], deadline_s=soon())
    assert len(server.asked("/instruments/NSE")) == 2
    for content in ("", "{}", '{"read_at":"2025-06-03T06:00:00","shares":{}}', '{"read_at":1,"shares":[]}', "\x00"):
        (tmp_path / "cache" / "kite-NSE.json").write_text(content, encoding="utf-8")
        assert source_of(server, tmp_path, clock).instruments(["NEWCOMER"], deadline_s=soon())
    assert len(server.asked("/instruments/NSE")) == 7


def test_threads_ask_for_the_list_once(source: KiteSource, server: KiteServer) -> None:
    server.fail(Fault(applies=lambda request: request.path == "/instruments/NSE", delay_s=0.2))
    found: list[int] = []

    def ask() -> None:
        found.append(len(source.fetch(Timeframe.D1, "RELIANCE", ist("2025-05-05"), ist("2025-05-06"), deadline_s=soon()).frame))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1] * 4
    assert len(server.asked("/instruments/NSE")) == 1


def test_an_unknown_symbol_and_an_empty_range(source: KiteSource) -> None:
    for symbol in ("NOBODY", "NIFTY 50"):
        with pytest.raises(NotFound, match="lists no share"):
            source.fetch(Timeframe.D1, symbol, ist("2025-05-01"), ist("2025-05-02"), deadline_s=soon())
    empty = source.fetch(Timeframe.D1, "RELIANCE", ist("2012-05-01"), ist("2012-05-20"), deadline_s=soon()).frame
    assert (len(empty), list(empty.columns), str(empty.index.dtype)) == (0, list(COLUMNS), "datetime64[us, UTC]")


def html(status: int) -> Reply:
    return Reply(status=status, content_type="text/html", body=b"<html>" + b"gateway " * 100 + b"</html>")


def json_of(text: str) -> Reply:
    return Reply(body=text.encode())


@pytest.mark.parametrize(
    ("fault", "kind", "message"),
    [
        (Fault(reply=error(403, "TokenException", "Token is invalid or has expired.")), AuthFailed, "algo-py login zerodha"),
        (Fault(reply=error(403, "UserException", "Account blocked")), AuthFailed, "Account blocked"),
        (Fault(reply=error(403, "PermissionException", "Insufficient permission for that call.")), AuthFailed, "developers.kite"),
        (Fault(reply=error(400, "InputException", "invalid token")), InvalidInput, "Kite says for RELIANCE: invalid token"),
        (Fault(reply=error(405, "GeneralException", "Method not allowed")), InvalidInput, "Method not allowed"),
        (Fault(reply=error(500, "GeneralException", "Something")), VenueDown, "Something"),
        (Fault(reply=error(503, "NetworkException", "Gateway timed out")), VenueDown, "Gateway timed out"),
        (Fault(reply=error(502, "DataException", "No answer from the OMS")), VenueDown, "No answer"),
        (Fault(reply=html(502)), VenueDown, "text/html"),
        (Fault(reply=html(404)), VenueDown, "text/html"),
        (Fault(drop=True), VenueDown, r"cannot be reached for RELIANCE \(ConnectionError\)"),
        (Fault(change=lambda reply: Reply(body=reply.body, truncated=True)), VenueDown, "cannot be reached"),
        (Fault(change=lambda reply: json_of(reply.body.decode()[:-9])), VenueDown, "parse the JSON"),
        (Fault(reply=json_of("[]")), VenueDown, "makes no sense"),
        (Fault(reply=json_of('{"status":"success"}')), VenueDown, "makes no sense"),
        (
            Fault(reply=json_of('{"status":"success","data":{"candles":[["2025-05-05T00:00:00+0530",1,2]]}}')),
            VenueDown,
            "no sense",
        ),
        (
            Fault(reply=json_of('{"status":"success","data":{"candles":[["2025-05-05T00:00:00",1,2,1,2,3]]}}')),
            VenueDown,
            "no offset",
        ),
        (Fault(reply=json_of('{"status":"success","data":{"candles":[["then",1,2,1,2,3]]}}')), VenueDown, "makes no sense"),
    ],
)
def test_what_goes_wrong_says_what_to_do(
    source: KiteSource, server: KiteServer, fault: Fault, kind: type[AlgoPyError], message: str
) -> None:
    def ask() -> int:
        return len(source.fetch(Timeframe.D1, "RELIANCE", ist("2025-05-05"), ist("2025-05-06"), deadline_s=soon()).frame)

    source.instruments(["RELIANCE"], deadline_s=soon())
    server.forget()
    server.fail(fault)
    with pytest.raises(AlgoPyError, match=message) as caught:
        ask()
    assert type(caught.value) is kind
    assert "today" not in str(caught.value).replace("for today's access token", "")
    assert len(str(caught.value)) < 400
    assert len(server.requests) == 1  # never asked again by itself
    assert ask() == 1


@pytest.mark.parametrize(
    "reply", [html(200), json_of('{"status":"success","data":{}}'), Reply(content_type="text/csv", body=b"a,b\n1,2\n")]
)
def test_a_list_that_makes_no_sense_is_not_kept(source: KiteSource, server: KiteServer, tmp_path: Path, reply: Reply) -> None:
    server.fail(Fault(reply=reply))
    with pytest.raises(VenueDown):
        source.instruments(["RELIANCE"], deadline_s=soon())
    assert not list((tmp_path / "cache").glob("*.json"))
    assert source.instruments(["RELIANCE"], deadline_s=soon())


def test_a_list_without_shares_is_not_believed(source: KiteSource, server: KiteServer) -> None:
    server.shares = {}
    with pytest.raises(VenueDown, match="has no shares"):
        source.instruments(["RELIANCE"], deadline_s=soon())


@pytest.mark.parametrize(("header", "wait_s"), [({"Retry-After": "7"}, 7.0), ({}, None)])
def test_when_kite_says_wait_everybody_waits(
    source: KiteSource, server: KiteServer, tmp_path: Path, clock: FrozenClock, header: dict[str, str], wait_s: float | None
) -> None:
    source.instruments(["RELIANCE"], deadline_s=soon())
    reply = error(429, "NetworkException", "Too many requests")
    server.fail(Fault(reply=Reply(status=429, body=reply.body, headers=header)))
    with pytest.raises(RateLimited) as caught:
        source.fetch(Timeframe.D1, "RELIANCE", ist("2025-05-05"), ist("2025-05-06"), deadline_s=soon())
    assert caught.value.retry_after_s == wait_s
    server.forget()
    with pytest.raises(RateLimited, match="left alone"):
        source_of(server, tmp_path, clock).fetch(
            Timeframe.D1, "RELIANCE", ist("2025-05-05"), ist("2025-05-06"), deadline_s=monotonic_s() + 5
        )
    assert not server.requests


def test_requests_keep_to_the_limit_and_to_the_deadline(server: KiteServer, tmp_path: Path, clock: FrozenClock) -> None:
    def ask(source: KiteSource, deadline_s: float) -> None:
        source.fetch(Timeframe.D1, "RELIANCE", ist("2025-05-05"), ist("2025-05-06"), deadline_s=deadline_s)

    server.per_s = 3
    hasty = source_of(server, tmp_path / "hasty", clock)
    for _ in range(3):
        ask(hasty, soon())
    with pytest.raises(RateLimited):
        ask(hasty, soon())
    time.sleep(1)
    source = source_of(server, tmp_path, clock, per_s=2.8)
    began = monotonic_s()
    for _ in range(4):  # and the list makes five
        ask(source, soon())
    assert monotonic_s() - began > 4 / 2.8 - 0.1
    with pytest.raises(RateLimited):
        ask(source, monotonic_s() + 0.05)
    server.fail(Fault(delay_s=5))
    began = monotonic_s()
    with pytest.raises(VenueDown, match="ReadTimeout"):
        ask(source, began + 0.8)
    assert monotonic_s() - began < 1.5
    with pytest.raises(AlgoPyError):
        ask(source, monotonic_s() - 1)


def test_the_token_of_a_new_day_is_used_without_building_it_anew(server: KiteServer, tmp_path: Path, clock: FrozenClock) -> None:
    file = {"ZERODHA_API_KEY": "key", "ZERODHA_ACCESS_TOKEN": "today", "ZERODHA_BASE_URL": server.url}
    source = kite_source(lambda: Credentials(file), folder=tmp_path)
    source.instruments(["RELIANCE"], deadline_s=soon())
    server.access_token = "tomorrow"

    def ask() -> int:
        return len(source.fetch(Timeframe.D1, "RELIANCE", ist("2025-05-05"), ist("2025-05-06"), deadline_s=soon()).frame)

    with pytest.raises(AuthFailed, match="algo-py login zerodha"):
        ask()
    file["ZERODHA_ACCESS_TOKEN"] = "tomorrow"
    assert ask() == 1


def test_without_credentials_it_can_be_built_and_not_asked(server: KiteServer, tmp_path: Path, clock: FrozenClock) -> None:
    for values, message in (({}, "ZERODHA_API_KEY is missing"), ({"ZERODHA_API_KEY": "key"}, "algo-py login zerodha")):
        source = kite_source(Credentials({**values, "ZERODHA_BASE_URL": server.url}), folder=tmp_path)
        assert source.page(Timeframe.D1) > timedelta(days=1_000)
        with pytest.raises(AuthFailed, match=message):
            source.instruments(["RELIANCE"], deadline_s=soon())
    with pytest.raises(AuthFailed, match="Incorrect `api_key` or `access_token`"):
        source_of(server, tmp_path, clock, token="yesterday").instruments(["RELIANCE"], deadline_s=soon())


def derivatives_source(server: KiteServer, tmp_path: Path, clock: FrozenClock) -> KiteSource:
    return KiteSource(
        Credentials({"ZERODHA_API_KEY": "key", "ZERODHA_ACCESS_TOKEN": "today"}),
        folder=tmp_path / "cache",
        base_url=server.url,
        limit=SharedLimit("kite", per_s=1_000.0, burst=10, folder=tmp_path / "limits"),
        clock=clock,
        derivatives=tmp_path / "nse_derivatives.json",
    )


def test_the_list_of_derivatives_is_renewed_once_a_day(server: KiteServer, tmp_path: Path) -> None:
    clock = FrozenClock(datetime(2026, 11, 30, 4, tzinfo=UTC))
    server.derivatives = [name for name in SHIPPED if name != "TCS"] + ["NEWSHARE", "L&T"]
    for _ in range(3):
        derivatives_source(server, tmp_path, clock).instruments(["RELIANCE"], deadline_s=soon())
    source = derivatives_source(server, tmp_path, clock)
    source.instruments(["RELIANCE"], deadline_s=soon())
    assert len(server.asked("/instruments/NFO")) == 1
    content = json.loads((tmp_path / "nse_derivatives.json").read_text(encoding="utf-8"))
    assert (content["seen_on"], content["source"]) == ("2026-11-30", "Kite instruments, NFO")
    assert content["listings"]["NEWSHARE"] == content["listings"]["L&T"] == [["2026-11-30", None]]
    assert content["listings"]["TCS"] == [[None, "2026-11-29"]]
    assert content["listings"]["INFY"] == [[None, None]]
    assert not {"NIFTY", "BANKNIFTY", "011NSETEST", "ONLYOPTION"}.intersection(content["listings"])
    clock.sleep(86_400)
    source.instruments(["RELIANCE"], deadline_s=soon())
    assert len(server.asked("/instruments/NFO")) == 2


def test_shares_close_by_auction_as_the_renewed_list_says(server: KiteServer, tmp_path: Path) -> None:
    clock = FrozenClock(datetime(2026, 11, 30, 4, tzinfo=UTC))
    server.derivatives = [*SHIPPED, "NEWSHARE"]
    derivatives_source(server, tmp_path, clock).instruments(["RELIANCE"], deadline_s=soon())
    before, after = ist("2026-11-27T12:00"), ist("2026-11-30T12:00")
    use_files(None, tmp_path / "nse_derivatives.json")
    try:
        sessions = [NSE.calendar_of("NEWSHARE").day(moment.date()).session for moment in (before, after)]
    finally:
        use_files(None, None)
    assert [session is not None and session.auction is not None for session in sessions] == [False, True]


@pytest.mark.parametrize("kind", ["fails", "cut short", "hangs", "no sense", "empty"])
def test_a_list_of_derivatives_that_does_not_come_keeps_no_bar_from_coming(server: KiteServer, tmp_path: Path, kind: str) -> None:
    clock = FrozenClock(NOW)
    source = derivatives_source(server, tmp_path, clock)
    is_asked = lambda request: request.path == "/instruments/NFO"  # noqa: E731
    match kind:
        case "fails":
            server.fail(Fault(applies=is_asked, reply=error(500, "GeneralException", "Down")))
        case "hangs":
            server.fail(Fault(applies=is_asked, delay_s=4.0))
        case "no sense":
            server.fail(Fault(applies=is_asked, reply=Reply(body=b"<html>", content_type="text/csv")))
        case "cut short":
            server.derivatives = [*SHIPPED][:100]
        case _:
            server.derivatives = []
    start, end = ist("2025-05-05"), ist("2025-05-08")
    began_s = monotonic_s()
    answer = source.fetch(Timeframe.D1, "RELIANCE", start, end, deadline_s=monotonic_s() + 5)
    assert len(answer.frame) == 3
    assert monotonic_s() - began_s < 4
    assert not (tmp_path / "nse_derivatives.json").exists()
    server.derivatives = [*SHIPPED]
    source.fetch(Timeframe.D1, "RELIANCE", start, end, deadline_s=soon())
    assert len(server.asked("/instruments/NFO")) == 1  # not at each request
    clock.sleep(3_601)
    source.fetch(Timeframe.D1, "RELIANCE", start, end, deadline_s=soon())
    assert (tmp_path / "nse_derivatives.json").exists()
