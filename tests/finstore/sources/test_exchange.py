"""What is particular to exchanges: Binance's klines, weights and filters, and others through ccxt's unified methods."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from algo_py.clock import monotonic_s
from algo_py.errors import AlgoPyError, AuthFailed, InvalidInput, NotFound, RateLimited, VenueDown
from algo_py.finstore.sources.binance_spot import binance_limit
from algo_py.finstore.sources.bounded_http import Pool
from algo_py.finstore.sources.exchange import ExchangeSource, exchange_source
from algo_py.finstore.sources.exchange_client import build
from algo_py.finstore.sources.limits import SharedLimit
from algo_py.market import Instrument, Timeframe
from tests.finstore.making import START, bars, bars_at
from tests.finstore.processes import in_a_child
from tests.venues.binance import (
    EXCHANGE_INFO,
    KLINES,
    BinanceServer,
    as_quoted,
    contradicting,
    empty_page,
    error,
    out_of_order,
    repeated,
)
from tests.venues.binance_rules import Rules
from tests.venues.server import Fault, Reply, distorted

HOUR = timedelta(hours=1)
BARS = as_quoted(bars(1_200))


@pytest.fixture
def server() -> Iterator[BinanceServer]:
    with BinanceServer() as server:
        server.set_bars("BTC/USDT", "1h", BARS)
        yield server


@pytest.fixture
def source(server: BinanceServer, tmp_path: Path) -> ExchangeSource:
    return ExchangeSource(base_url=server.url, limit=binance_limit("here", folder=tmp_path))


def soon() -> float:
    return monotonic_s() + 10


def fetched(source: ExchangeSource, start: datetime = START, end: datetime = START + 5 * HOUR) -> pd.DataFrame:
    return source.fetch(Timeframe.H1, "BTC/USDT", start, end, deadline_s=soon()).frame


def test_one_request_for_klines_and_nothing_else(server: BinanceServer, source: ExchangeSource) -> None:
    assert len(fetched(source, START, START + 1_000 * HOUR)) == 1_000
    (request,) = server.asked()
    assert request.path == KLINES
    assert request.values == {
        "symbol": "BTCUSDT",
        "interval": "1h",
        "limit": "1000",
        "startTime": str(int(START.timestamp() * 1_000)),
        "endTime": str(int(START.timestamp() * 1_000) + 1_000 * 3_600_000 - 1),
    }


@pytest.mark.parametrize("timeframe", Timeframe)
def test_every_timeframe_is_asked_as_binance_calls_it(
    server: BinanceServer, source: ExchangeSource, timeframe: Timeframe
) -> None:
    start = timeframe.floor(START)
    index = pd.date_range(start, periods=3, freq=timeframe.delta, unit="us")
    server.set_bars("BTC/USDT", timeframe.value, as_quoted(bars_at(index)))
    assert source.page(timeframe) == 1_000 * timeframe.delta
    answer = source.fetch(timeframe, "BTC/USDT", start, start + 2 * timeframe.delta, deadline_s=soon())
    assert list(answer.frame.index) == list(index[:2])


def test_deadline_that_is_over_says_so(server: BinanceServer, source: ExchangeSource) -> None:
    with pytest.raises(VenueDown, match="binance was not asked for BTC/USDT: no time was left"):
        source.fetch(Timeframe.H1, "BTC/USDT", START, START + HOUR, deadline_s=monotonic_s())
    assert not server.asked()


def test_longer_range_than_a_page_is_refused(server: BinanceServer, source: ExchangeSource) -> None:
    with pytest.raises(InvalidInput, match="one request covers at most"):
        fetched(source, START, START + 1_001 * HOUR)
    assert not server.asked()


def test_forming_bar_is_given_as_it_stands(server: BinanceServer, source: ExchangeSource) -> None:
    server.clock_offset_s = (START + 10.5 * HOUR - datetime.now(UTC)).total_seconds()
    answer = source.fetch(Timeframe.H1, "BTC/USDT", START, START + 20 * HOUR, deadline_s=soon())
    assert len(answer.frame) == 11
    assert answer.as_of is not None
    assert answer.frame.index[-1] + HOUR > answer.as_of
    pd.testing.assert_frame_equal(answer.frame[:10], BARS[:10], check_exact=True, check_freq=False)
    assert answer.frame["volume"].iloc[-1] < BARS["volume"].iloc[10]


def test_flat_bars_without_volume_are_kept(server: BinanceServer, source: ExchangeSource) -> None:
    flat = BARS[:5].assign(open=7.0, high=7.0, low=7.0, close=7.0, volume=0.0)
    server.set_bars("BTC/USDT", "1h", flat)
    pd.testing.assert_frame_equal(fetched(source), flat, check_exact=True, check_freq=False)


@pytest.mark.parametrize(
    ("fault", "hours"),
    [
        (out_of_order(), [4, 3, 2, 1, 0]),
        (repeated(), [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]),
        (contradicting(), [0, 1, 2, 3, 4, 0]),
        (empty_page(), []),
    ],
    ids=["out of order", "repeated", "contradicting", "empty"],
)
def test_bars_are_given_as_they_come(server: BinanceServer, source: ExchangeSource, fault: Fault, hours: list[int]) -> None:
    server.fail(fault)
    frame = fetched(source)
    assert [int((moment - START) / HOUR) for moment in frame.index] == hours
    if fault.change is not None and hours[-1:] == [0] and len(hours) == 6:
        assert frame["close"].iloc[-1] == pytest.approx(frame["close"].iloc[0] * 1.01)


OPEN_MS = int(START.timestamp() * 1_000)
ROW = [OPEN_MS, "1", "2", "0.5", "1.5", "10"]


@pytest.mark.parametrize(
    "content",
    [
        {},
        "bars",
        None,
        [None],
        [[]],
        [{"open": 1}],
        [ROW[:5]],
        [ROW, ROW[:5]],
        [[*ROW[:4], "x", "1"]],
        [[*ROW[:4], None, "1"]],
        [[*ROW[:4], "nan", "1"]],
        [[*ROW[:4], "inf", "1"]],
        [["soon", *ROW[1:]]],
        [[OPEN_MS * 1_000, *ROW[1:]]],
        [[OPEN_MS - 1, *ROW[1:]]],
        [[OPEN_MS + 5 * 3_600_000, *ROW[1:]]],
    ],
    ids=str,
)
def test_answer_without_sense_is_no_absence_of_bars(server: BinanceServer, source: ExchangeSource, content: object) -> None:
    server.fail(Fault(reply=Reply(body=json.dumps(content).encode())))
    with pytest.raises(VenueDown, match="the answer of binance for BTC/USDT makes no sense"):
        fetched(source)
    assert len(server.asked()) == 1
    assert len(fetched(source)) == 5


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (error(-1100, "Illegal characters found in parameter 'x'."), InvalidInput, "Illegal characters"),
        (error(-2015, "Invalid API-key, IP, or permissions for action.", status=401), AuthFailed, "Invalid API-key"),
        (error(0, "Service unavailable from a restricted location.", status=451), VenueDown, "restricted location"),
        (error(-1008, "Server is currently overloaded.", status=503), VenueDown, "overloaded"),
        (Reply(status=403, body=b"<html><h1>Forbidden</h1></html>"), VenueDown, "403 Forbidden"),
        (Reply(status=404, body=b"<html>not here</html>"), VenueDown, "404"),
    ],
    ids=["-1100", "-2015", "451", "-1008", "403", "404"],
)
def test_refusals_say_what_to_do(
    server: BinanceServer, source: ExchangeSource, reply: Reply, kind: type[AlgoPyError], words: str
) -> None:
    server.fail(Fault(reply=reply))
    with pytest.raises(kind) as caught:
        fetched(source)
    assert words in caught.value.message
    assert "http" not in str(caught.value)
    assert "<" not in str(caught.value)


@pytest.mark.parametrize("symbol", ["btc/usdt", "BTCUSDT", "BTC/USDT:USDT", "BTC/", "../time"])
def test_symbol_of_another_spelling_is_not_asked_for(server: BinanceServer, source: ExchangeSource, symbol: str) -> None:
    with pytest.raises(NotFound, match="binance does not know"):
        source.fetch(Timeframe.H1, symbol, START, START + HOUR, deadline_s=soon())
    assert not server.asked()


def packed(reply: Reply) -> Reply:
    return replace(reply, body=gzip.compress(reply.body), headers={**reply.headers, "Content-Encoding": "gzip"})


def chunked(reply: Reply) -> Reply:
    return replace(reply, is_chunked=True)


@pytest.mark.parametrize("change", [packed, chunked, lambda reply: chunked(packed(reply))], ids=["packed", "chunked", "both"])
def test_answers_may_be_packed_and_come_in_chunks(
    server: BinanceServer, source: ExchangeSource, change: Callable[[Reply], Reply]
) -> None:
    server.fail(Fault(change=change))
    assert len(fetched(source, START, START + 1_000 * HOUR)) == 1_000
    server.fail(Fault(change=lambda reply: replace(change(reply), truncated=True)))
    with pytest.raises(VenueDown, match="the connection failed"):
        fetched(source, START, START + 1_000 * HOUR)
    assert len(fetched(source)) == 5


def test_first_bar_is_one_request(server: BinanceServer, source: ExchangeSource) -> None:
    assert source.earliest(Timeframe.H1, "BTC/USDT", deadline_s=soon()) == START
    (request,) = server.asked()
    assert request.values == {"symbol": "BTCUSDT", "interval": "1h", "startTime": "0", "limit": "1"}
    assert source.earliest(Timeframe.D1, "BTC/USDT", deadline_s=soon()) is None


# Weights


def test_cost_is_what_binance_counts(server: BinanceServer, source: ExchangeSource) -> None:
    for _ in range(3):
        fetched(source)
    source.instruments(["BTC/USDT"], deadline_s=soon())
    assert server.used_weight == 3 * 2 + 20


def test_bars_take_at_most_half_of_the_weight_of_a_minute(tmp_path: Path) -> None:
    limit = binance_limit("here", folder=tmp_path)
    limit.acquire(300, deadline_s=monotonic_s() + 0.3)
    with pytest.raises(RateLimited) as caught:
        limit.acquire(2_700, deadline_s=monotonic_s() + 30)
    assert caught.value.retry_after_s == pytest.approx(60, abs=0.5)


@pytest.mark.parametrize(("used", "is_held_back"), [(4_790, False), (4_800, True)])
def test_bars_wait_for_the_next_minute_when_others_use_much(
    server: BinanceServer, source: ExchangeSource, used: int, is_held_back: bool
) -> None:
    at_20_s = datetime.now(UTC).replace(second=20)
    server.clock_offset_s = (at_20_s - datetime.now(UTC)).total_seconds()
    fetched(source)
    server.used_weight = used - 2
    assert len(fetched(source)) == 5
    if not is_held_back:
        assert len(fetched(source)) == 5
        return
    with pytest.raises(RateLimited) as caught:
        fetched(source)
    assert 35 < (caught.value.retry_after_s or 0) <= 41


def test_addresses_have_limits_of_their_own(server: BinanceServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with BinanceServer() as other:
        other.set_bars("BTC/USDT", "1h", BARS)
        sources = [exchange_source("binance", base_url=each.url) for each in (server, other)]
        server.fail(Fault(reply=error(-1003, "Too much.", status=429, headers={"Retry-After": "30"})))
        for _ in range(2):
            with pytest.raises(RateLimited):
                fetched(sources[0])
        assert len(fetched(sources[1])) == 5
    assert len(server.asked()) == 1
    assert [source.name for source in sources] == ["binance", "binance"]


# Order rules


def test_order_rules_are_the_filters(server: BinanceServer, source: ExchangeSource) -> None:
    server.market.list_symbol(
        Rules(
            base="DOGE",
            quote="USDT",
            tick_size="0.00001000",
            step_size="1.00000000",
            quantity_min="10.00000000",
            market_step_size="5.00000000",
            notional_min="1.00000000",
        )
    )
    rules = source.instruments(["DOGE/USDT", "BTC/USDT"], deadline_s=soon())
    assert rules == {
        "DOGE/USDT": Instrument(
            symbol="DOGE/USDT",
            tick_size=Decimal("0.00001"),
            lot_size=Decimal(5),
            quantity_min=Decimal(10),
            notional_min=Decimal(1),
            quantity_max=Decimal(9000),
            market_quantity_max=Decimal(120),
        ),
        "BTC/USDT": Instrument(
            symbol="BTC/USDT",
            tick_size=Decimal("0.01"),
            lot_size=Decimal("0.00001"),
            quantity_min=Decimal("0.00001"),
            notional_min=Decimal(5),
            quantity_max=Decimal(9000),
            market_quantity_max=Decimal(120),
        ),
    }
    assert [str(rule.quantity_min) for rule in rules.values()] == ["10", "0.00001"]
    (request,) = server.asked()
    assert request.path == EXCHANGE_INFO
    assert request.values == {"symbols": '["DOGEUSDT","BTCUSDT"]'}


@pytest.mark.parametrize(
    ("rules", "lot_size", "smallest", "at_market"),
    [
        # Neither step is a multiple of the other: only whole lots of both pass as a market order and as a stop.
        ({"step_size": "0.00400000", "market_step_size": "0.00600000"}, "0.012", "0.012", "120"),
        ({"step_size": "1.00000000", "quantity_min": "1.00000000", "market_quantity_min": "2.50000000"}, "1", "3", "120"),
        ({"step_size": "0.00000000", "quantity_min": "0.00050000"}, "0", "0.0005", "120"),
        ({"market_quantity_max": "0.00000000"}, "0.00001", "0.00001", "9000"),
        ({"quantity_max": "50.00000000"}, "0.00001", "0.00001", "50"),
    ],
)
def test_what_is_bought_can_be_sold_at_the_market_and_by_a_stop(
    server: BinanceServer,
    source: ExchangeSource,
    rules: dict[str, str],
    lot_size: str,
    smallest: str,
    at_market: str,
) -> None:
    server.market.list_symbol(Rules(base="ODD", quote="USDT", **rules))  # type: ignore[arg-type]
    odd = source.instruments(["ODD/USDT"], deadline_s=soon())["ODD/USDT"]
    assert (str(odd.lot_size), str(odd.quantity_min), str(odd.market_quantity_max)) == (lot_size, smallest, at_market)


@pytest.mark.parametrize("value", ["NaN", "-1", "Infinity", "soon"])
def test_rules_that_make_no_sense_are_none(server: BinanceServer, source: ExchangeSource, value: str) -> None:
    server.fail(distorted(lambda _request: True, stepSize=value))
    with pytest.raises(VenueDown, match="makes no sense"):
        source.instruments(["BTC/USDT"], deadline_s=soon())


def test_older_name_of_the_notional_filter(server: BinanceServer, source: ExchangeSource) -> None:
    def older(reply: Reply) -> Reply:
        return replace(reply, body=reply.body.replace(b'"filterType":"NOTIONAL"', b'"filterType":"MIN_NOTIONAL"'))

    server.fail(Fault(change=older))
    assert source.instruments(["BTC/USDT"], deadline_s=soon())["BTC/USDT"].notional_min == 5


def test_unknown_symbols_have_no_rules(server: BinanceServer, source: ExchangeSource) -> None:
    for base in "ABCDEF":
        server.market.list_symbol(Rules(base=base, quote="USDT"))
    wanted = ["A/USDT", "B/USDT", "NO/USDT", "C/USDT", "D/USDT", "E/USDT", "F/USDT", "NEITHER/USDT"]
    rules = source.instruments(wanted, deadline_s=soon())
    assert list(rules) == ["A/USDT", "B/USDT", "C/USDT", "D/USDT", "E/USDT", "F/USDT"]
    assert source.instruments([], deadline_s=soon()) == {}
    assert source.instruments(["NO/USDT"], deadline_s=soon()) == {}


def test_rules_of_many_symbols_take_few_requests(server: BinanceServer, source: ExchangeSource) -> None:
    symbols = [f"C{number}/USDT" for number in range(150)]
    for symbol in symbols:
        server.market.list_symbol(Rules(base=symbol.split("/")[0], quote="USDT"))
    assert list(source.instruments([*symbols, symbols[0]], deadline_s=soon())) == symbols
    assert len(server.asked()) == 2


def test_filters_without_sense_are_no_absence_of_rules(server: BinanceServer, source: ExchangeSource) -> None:
    server.fail(Fault(change=lambda reply: replace(reply, body=reply.body.replace(b'"0.01000000"', b'"cheap"'))))
    with pytest.raises(VenueDown, match="makes no sense"):
        source.instruments(["BTC/USDT"], deadline_s=soon())


# Processes and memory


def test_connections_are_not_shared_with_a_forked_process(source: ExchangeSource) -> None:
    assert len(fetched(source)) == 5
    told = in_a_child(lambda: str([len(fetched(source)) for _ in range(3)]))
    assert told == "[5, 5, 5]"
    assert len(fetched(source)) == 5


def test_pool_lends_a_client_to_one_at_a_time() -> None:
    pool = Pool(object)
    with pool.one() as first, pool.one() as second:
        assert first is not second
    with pool.one() as third, pool.one() as fourth:
        assert {id(third), id(fourth)} == {id(first), id(second)}

    def lent_here() -> str:
        with pool.one() as client:
            return str(client in (first, second))

    assert lent_here() == "True"
    assert in_a_child(lent_here) == "False"


def test_building_a_source_loads_nothing() -> None:
    program = (
        "import sys\n"
        "from algo_py.finstore.sources.exchange import exchange_source\n"
        "from algo_py.finstore.sources.archive import archive_source\n"
        "from algo_py.market import Timeframe\n"
        "exchange_source('binance').page(Timeframe.H1), exchange_source('kraken'), archive_source().page(Timeframe.H1)\n"
        "print([name for name in ('ccxt', 'requests') if name in sys.modules])\n"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_address_that_is_none_is_refused() -> None:
    for base_url in ("api.binance.com", "ftp://api.binance.com", "https://", ""):
        with pytest.raises(InvalidInput, match="base URL"):
            ExchangeSource(base_url=base_url)


# Other exchanges


@pytest.fixture
def other(server: BinanceServer, tmp_path: Path) -> ExchangeSource:
    """An exchange that is asked by ccxt's unified methods; it happens to speak Binance's protocol."""
    limit = SharedLimit("other", per_s=1_000, burst=100, folder=tmp_path)
    return ExchangeSource("binanceus", name="ccxt:binanceus", base_url=server.url, limit=limit)


def test_markets_of_another_exchange_are_asked_once(server: BinanceServer, other: ExchangeSource) -> None:
    symbols = [f"C{number}/USDT" for number in range(5)]
    for symbol in symbols:
        server.set_bars(symbol, "1h", BARS)
    for symbol in symbols:
        answer = other.fetch(Timeframe.H1, symbol, START, START + 3 * HOUR, deadline_s=soon())
        pd.testing.assert_frame_equal(answer.frame, BARS[:3], check_exact=True, check_freq=False)
    assert [request.path for request in server.asked()] == [EXCHANGE_INFO, *[KLINES] * 5]
    with pytest.raises(NotFound, match="ccxt:binanceus does not know NO/USDT"):
        other.fetch(Timeframe.H1, "NO/USDT", START, START + HOUR, deadline_s=soon())
    assert len(server.asked()) == 6


def test_other_exchange_counts_bars_from_the_start(server: BinanceServer, other: ExchangeSource) -> None:
    """A hole in the range makes it give bars beyond the end; these are left out."""
    server.set_bars("BTC/USDT", "1h", BARS.drop(BARS.index[1:3]))
    assert list(fetched(other).index) == [START, START + 3 * HOUR, START + 4 * HOUR]
    assert server.asked(KLINES)[0].values["limit"] == "5"


def test_rules_of_another_exchange(other: ExchangeSource) -> None:
    assert other.instruments(["BTC/USDT", "NO/USDT"], deadline_s=soon()) == {
        "BTC/USDT": Instrument(
            symbol="BTC/USDT",
            tick_size=Decimal("0.01"),
            lot_size=Decimal("0.00001"),
            quantity_min=Decimal("0.00001"),
            notional_min=Decimal(5),
        )
    }
    assert other.earliest(Timeframe.H1, "BTC/USDT", deadline_s=soon()) is None


@pytest.mark.parametrize(
    ("exchange_id", "bars_at_once"), [("binanceus", 1_000), ("kraken", 720), ("bitget", 200), ("coinmate", 100)]
)
def test_page_of_another_exchange_is_what_ccxt_knows_of_it(exchange_id: str, bars_at_once: int) -> None:
    assert ExchangeSource(exchange_id).page(Timeframe.H1) == bars_at_once * HOUR


def test_timeframe_that_an_exchange_lacks(tmp_path: Path) -> None:
    kraken = ExchangeSource("kraken", base_url="http://127.0.0.1:9", limit=SharedLimit("k", per_s=9, burst=9, folder=tmp_path))
    with pytest.raises(InvalidInput, match=r"kraken has no bars of 3m\. It has 1m, 5m, 15m, 30m, 1h, 4h, 1d, 1w"):
        kraken.fetch(Timeframe.M3, "BTC/USD", START, START + HOUR, deadline_s=soon())


def test_exchange_that_ccxt_lacks() -> None:
    source = exchange_source("krakken")
    for ask in (lambda: source.page(Timeframe.H1), lambda: source.instruments(["BTC/USD"], deadline_s=soon())):
        with pytest.raises(InvalidInput, match=r"ccxt knows no exchange 'krakken'\. Did you mean 'kraken'\?"):
            ask()


def test_pace_of_another_exchange_is_ccxts(server: BinanceServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """50 ms between two requests, for all who ask that address."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    sources = [exchange_source("binanceus", base_url=server.url) for _ in range(2)]
    fetched(sources[0])
    fetched(sources[1])
    server.forget()
    began_s = monotonic_s()
    for number in range(6):
        fetched(sources[number % 2])
    assert monotonic_s() - began_s > 5 * 0.045
    assert sources[0].name == "ccxt:binanceus"


def test_values_are_exactly_those_of_the_answer(server: BinanceServer, source: ExchangeSource) -> None:
    """Text to float and back, over all magnitudes of prices: what is stored twice must be the same twice."""
    prices = np.exp(np.random.default_rng(7).normal(0, 6, (500, 5)))
    frame = as_quoted(pd.DataFrame(prices, index=BARS.index[:500], columns=BARS.columns) + 1e-8)
    server.set_bars("BTC/USDT", "1h", frame)
    pd.testing.assert_frame_equal(fetched(source, START, START + 500 * HOUR), frame, check_exact=True, check_freq=False)


def test_no_request_reaches_the_real_exchange() -> None:
    """Every address that ccxt has of an exchange is replaced, in whatever way it keeps them."""
    for exchange_id in ("binance", "kraken", "okx", "bitstamp"):
        assert "https://" not in str(build(exchange_id, "http://127.0.0.1:9").urls["api"])
        assert "https://" in str(build(exchange_id, None).urls["api"])
