"""Rules 11 and 12 against a slow reading of the calendar, bar by bar, on random universes of both eras of the auction."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algo_py.engine import PortfolioConfig, simulate
from algo_py.engine.auctions import traded_bars
from algo_py.engine.sweep import sweep
from algo_py.engine.sweep_executor import InProcess
from algo_py.engine.windows import windows_of
from algo_py.errors import InvalidInput
from algo_py.market import Calendar, Timeframe, get_market
from algo_py.strategy import Bars, Field, Signals, Strategy, evaluate
from algo_py.strategy.session_table import close_times
from tests.engine.markets import Walk, random_signals
from tests.engine.nse_bars import AUCTIONED, FIRST_ERA, IST, ORDINARY, SECOND_ERA, ist, universe
from tests.engine.tables import filled, read_session, session

MARKET = get_market("indian_equity")
ERAS = (date(2026, 7, 30), FIRST_ERA, SECOND_ERA, date(2026, 12, 3), date(2026, 11, 6))  # the last ones: a change, and Muhurat
day_times = st.none() | st.integers(9 * 60, 15 * 60 + 45).map(lambda minutes: time(minutes // 60, minutes % 60))


class Often(Strategy):
    """Wants in and out at prices that nobody can guess."""

    every: int = Field(3, ge=2)

    def run(self, bars: Bars) -> Signals:
        cents = (bars.close * 100).round().fillna(0).astype("int64")
        return Signals(entries=cents % self.every == 0, exits=cents % (self.every + 2) == 1)


def calendar_of(symbol: str) -> Calendar:
    return MARKET.calendar_of(symbol)


def day_of(moment: datetime) -> date:
    return moment.astimezone(IST).date()


def is_square_off(symbol: str, opened: datetime, closed: datetime, at: time, timeframe: Timeframe) -> bool:
    """Say whether a bar is one of the square-off, by listing the day's bars."""
    day = MARKET.calendar_of(symbol).day(day_of(opened)).session
    assert day is not None
    allowed, close = day.open, day.open + timeframe.delta
    while close < day.close and close.astimezone(IST).time() <= at:
        allowed, close = close, close + timeframe.delta
    return closed >= allowed


@settings(max_examples=40, deadline=None)
@given(
    timeframe=st.sampled_from(["5m", "15m", "30m", "1h", "2h"]),
    first=st.sampled_from(ERAS),
    seed=st.integers(0, 1000),
    missing=st.sampled_from([0.0, 0.1]),
    before=day_times,
    after=day_times,
    square_off=day_times,
)
def test_windows_are_those_of_the_calendar(
    timeframe: str, first: date, seed: int, missing: float, before: time | None, after: time | None, square_off: time | None
) -> None:
    if before is not None and after is not None and before > after:
        before, after = after, before
    if before is not None and square_off is not None and square_off <= before:
        before = None
    bars = universe(timeframe, first, 4, seed=seed, missing=missing)
    config = PortfolioConfig(no_entry_before=before, no_entry_after=after, square_off_at=square_off)
    windows = windows_of(bars, config)
    assert (windows is None) is (before is None and after is None and square_off is None)
    if windows is None:
        return
    length, closes = Timeframe.parse(timeframe), bars.close_times()
    for row, (opened, closed) in enumerate(zip(bars.index.to_pydatetime(), closes.to_pydatetime(), strict=True)):
        for place, symbol in enumerate(bars.symbols):
            fills_at = calendar_of(symbol).first_open(closed).astimezone(IST).time()
            is_out = square_off is not None and is_square_off(symbol, opened, closed, square_off, length)
            is_early = before is not None and fills_at < before
            is_late = after is not None and fills_at > after
            assert windows.no_entry[row, place] == (is_out or is_early or is_late), (symbol, closed.astimezone(IST))
            assert windows.square_off is None or windows.square_off[row, place] == is_out, (symbol, closed.astimezone(IST))


@settings(max_examples=25, deadline=None)
@given(
    timeframe=st.sampled_from(["5m", "15m"]),
    first=st.sampled_from(ERAS),
    seed=st.integers(0, 1000),
    missing=st.sampled_from([0.0, 0.15]),
    sharing=st.booleans(),
    auction_fills=st.booleans(),
    options=st.sampled_from(
        [
            {"square_off_at": "15:10"},
            {"square_off_at": "15:25", "stop_loss": 0.01},
            {"square_off_at": "14:00", "no_entry_before": "10:00", "trailing_stop": 0.008},
            {"no_entry_after": "12:00", "max_hold_bars": 5},
        ]
    ),
)
def test_no_order_does_what_the_day_forbids(
    timeframe: str,
    first: date,
    seed: int,
    missing: float,
    *,
    sharing: bool,
    auction_fills: bool,
    options: dict[str, Any],
) -> None:
    bars = universe(timeframe, first, 5, seed=seed, missing=missing)
    config = PortfolioConfig(
        size=0.4, cash_sharing=sharing, auction_fills=auction_fills, direction="both", cost_schedule="nse_intraday", **options
    )
    portfolio = simulate(bars, random_signals(bars, seed=seed, share=0.2, short=True), config)
    length = Timeframe.parse(timeframe)
    orders = portfolio.orders[portfolio.orders["status"] == "FILLED"]
    assert len(orders) > 3  # a short week with a hole in it has few
    for symbol, moment, reason in orders[["symbol", "time", "reason"]].to_numpy().tolist():
        is_auction = calendar_of(symbol).is_auction(pd.Timestamp(moment).to_pydatetime(), length)
        assert not is_auction or (auction_fills and reason not in ("stop_loss", "trailing_stop", "take_profit"))
    if config.square_off_at is None:
        return
    own = {symbol: [pd.Timestamp(moment).to_pydatetime() for moment in bars[symbol].index] for symbol in bars.symbols}
    for symbol, entry, exit_ in portfolio.trades[["symbol", "entry_time", "exit_time"]].to_numpy().tolist():
        entered, left = pd.Timestamp(entry).to_pydatetime(), pd.Timestamp(exit_).to_pydatetime()
        if day_of(entered) != day_of(left):  # only where no bar of the square-off was left, or its exit found none to fill in
            held = [moment for moment in own[symbol] if moment >= entered and day_of(moment) == day_of(entered)]
            squared = [moment for moment in held if _is_zone(symbol, moment, bars, config)]
            fillable = [m for m in held if squared and m > squared[0] and not calendar_of(symbol).is_auction(m, length)]
            assert not fillable, (symbol, entered, left)


def _is_zone(symbol: str, opened: datetime, bars: Bars, config: PortfolioConfig) -> bool:
    assert config.square_off_at is not None
    assert bars.timeframe is not None
    closed = close_times(pd.DatetimeIndex([opened]).as_unit("us"), MARKET, bars.timeframe, bars.symbols)[0].to_pydatetime()
    return is_square_off(symbol, opened, closed, config.square_off_at, bars.timeframe)


@pytest.mark.parametrize("first", [FIRST_ERA, SECOND_ERA])
def test_without_the_rule_an_order_would_fill_at_the_auction_s_print(first: date) -> None:
    """The negative control: the same bars of no market have no auction."""
    bars = universe("15m", first, 3, seed=3, symbols=(AUCTIONED,))
    plain = Bars.from_frames({AUCTIONED: bars[AUCTIONED]})
    signals = Signals(*(pd.DataFrame(np.ones((len(bars.index), 1), dtype=np.bool_), bars.index, [AUCTIONED]) for _ in range(2)))
    signals = Signals(signals.entries, ~signals.exits)
    is_auction = [calendar_of(AUCTIONED).is_auction(moment, Timeframe.M15) for moment in bars.index.to_pydatetime()]
    last = is_auction.index(True) - 1
    only = pd.DataFrame(np.arange(len(bars.index))[:, None] == last, bars.index, [AUCTIONED])
    for given_bars, row in ((bars, last + 2), (plain, last + 1)):
        orders = simulate(given_bars, Signals(only, ~signals.entries)).orders
        assert orders["time"].tolist() == [bars.index[row]]


@pytest.mark.parametrize("timeframe", ["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "1d", "1w"])
@pytest.mark.parametrize("symbols", [(AUCTIONED,), (ORDINARY,), (AUCTIONED, ORDINARY)])
@pytest.mark.parametrize("first", [date(2026, 7, 31), date(2026, 12, 4)])
def test_close_times_are_those_of_the_universe_s_calendar(timeframe: str, symbols: tuple[str, ...], first: date) -> None:
    bars = universe(timeframe, first, 5 if len(timeframe) > 1 and timeframe[-1] == "m" else 21, symbols=symbols)
    over, length = MARKET.calendar_over(symbols), Timeframe.parse(timeframe)
    expected = [over.bar_close(moment, length) for moment in bars.index.to_pydatetime()]
    assert bars.close_times().to_pydatetime().tolist() == expected
    seen, moment = [], bars.index[0].to_pydatetime() - timedelta(microseconds=1)
    for _ in range(min(len(set(expected)), 120)):
        moment = over.next_bar_close(length, moment)
        seen.append(moment)
    assert seen == sorted(set(expected))[: len(seen)]


@pytest.mark.parametrize(
    "options",
    [
        {"square_off_at": "15:10", "no_entry_before": "09:45", "cost_schedule": "nse_intraday"},
        {"auction_fills": True, "stop_loss": 0.01},
        {"no_entry_after": "13:00", "cash_sharing": False},
    ],
)
def test_a_sweep_gives_what_simulate_gives(options: dict[str, Any]) -> None:
    bars, config = universe("5m", FIRST_ERA, 6, seed=5), PortfolioConfig(size=0.5, **options)
    rows = sweep(Often, bars, config, grid={"every": [3, 4, 7]}, executor=InProcess())
    assert rows["status"].tolist() == ["ok"] * 3
    for row in rows.itertuples():
        alone = simulate(bars, evaluate(Often(every=int(str(row.every))), bars), config).metrics
        assert (row.final_equity, row.trades, row.fees_paid) == (alone["final_equity"], alone["trades"], alone["fees_paid"])
    assert rows["trades"].min() > 5
    without = sweep(Often, bars, PortfolioConfig(size=0.5), grid={"every": [3, 4, 7]}, executor=InProcess())
    assert not (without["final_equity"] == rows["final_equity"]).any()


def test_a_part_of_the_bars_is_masked_like_the_whole() -> None:
    """The live worker looks at the new bars alone."""
    bars = universe("15m", FIRST_ERA, 6, seed=2, missing=0.1)
    config = PortfolioConfig(auction_fills=True, square_off_at="15:10", no_entry_after="14:00")
    whole, windows = traded_bars(bars, config), windows_of(bars, config)
    assert windows is not None
    assert windows.square_off is not None
    for first in range(0, len(bars.index), 7):
        part, own = traded_bars(bars, config, first=first), windows_of(bars, config, first=first)
        for name in ("open", "high", "low", "close"):
            assert np.array_equal(part.array(name), whole.array(name)[first:], equal_nan=True)
        assert own is not None
        assert own.square_off is not None
        assert np.array_equal(own.no_entry, windows.no_entry[first:])
        assert np.array_equal(own.square_off, windows.square_off[first:])


def test_bars_without_auctions_are_handed_on_untouched() -> None:
    for bars in (
        Walk(seed=1, symbols=2).bars(),
        universe("1d", FIRST_ERA, 20),
        universe("15m", FIRST_ERA, 3, symbols=(ORDINARY,)),
    ):
        assert traded_bars(bars, PortfolioConfig()) is bars
        assert windows_of(bars, PortfolioConfig()) is None


BAND = """
    2026-12-14 14:45  100
    2026-12-14 15:00  100
    2026-12-14 15:15  110 112 108 110 E
    2026-12-14 15:40  {price}
    2026-12-15 09:15  120
"""


@pytest.mark.parametrize(("price", "fills"), [(113.2, True), (113.4, False), (106.8, True), (106.6, False)])
def test_the_band_is_3_percent_round_the_last_quarter_of_an_hour(price: float, fills: bool) -> None:
    portfolio = session(BAND.format(price=price), AUCTIONED, "15m", size_type="amount", size=1, auction_fills=True)
    expected = ("2026-12-14 15:40", "BUY", 1, price, "entry") if fills else ("2026-12-15 09:15", "BUY", 1, 120, "entry")
    assert filled(portfolio) == [expected]


WAITING = """
    2026-09-01 14:45  100 100 100 100 E
    2026-09-01 15:00  100 100 100 100 X
    2026-09-01 15:30  101 101 101 101 E
    2026-09-02 09:15  102
    2026-09-02 09:30  103
"""


@pytest.mark.parametrize("sharing", [True, False])
@pytest.mark.parametrize("ages", [{}, {"max_hold_bars": 50}])
def test_what_waits_over_an_auction_is_not_decided_anew(*, sharing: bool, ages: dict[str, Any]) -> None:
    portfolio = session(WAITING, AUCTIONED, "15m", size_type="amount", size=1, cash_sharing=sharing, **ages)
    assert filled(portfolio) == [
        ("2026-09-01 15:00", "BUY", 1, 100, "entry"),
        ("2026-09-02 09:15", "SELL", 1, 102, "exit"),
    ]


AGAIN = """
    2026-09-01 15:00  100 100 100 100 E
    2026-09-01 15:30  125 125 125 125 E
    2026-09-02 09:15  125
    2026-09-02 09:30  125
"""


@pytest.mark.parametrize("sharing", [True, False])
def test_what_waits_is_not_decided_anew_beside_other_symbols(*, sharing: bool) -> None:
    """With a pool in common the bars are lived another way: the same order comes of it, with the quantity of its own bar."""
    bars, signals = read_session(AGAIN, AUCTIONED, "15m")
    pair = Bars.from_frames({AUCTIONED: bars[AUCTIONED], ORDINARY: bars[AUCTIONED]}, market="indian_equity", timeframe="15m")
    both = Signals(*(frame.assign(**{ORDINARY: False}) for frame in (signals.entries, signals.exits)))
    for ages in (None, 50):
        portfolio = simulate(pair, both, PortfolioConfig(size_type="value", size=1_000, max_hold_bars=ages, cash_sharing=sharing))
        assert filled(portfolio) == [("2026-09-02 09:15", "BUY", 10, 125, "entry")]
        assert portfolio.orders["bar_time"].tolist() == [bars.index[0]]


@pytest.mark.parametrize("auction_fills", [True, False])
def test_no_stop_is_looked_at_in_an_auction(*, auction_fills: bool) -> None:
    text = """
        2026-09-01 14:45  100 100 100 100 E
        2026-09-01 15:00  100
        2026-09-01 15:30   98
        2026-09-02 09:15   99  99  99  99
        2026-09-02 09:30   97
    """
    portfolio = session(text, AUCTIONED, "15m", size_type="amount", size=1, stop_loss=0.015, auction_fills=auction_fills)
    assert filled(portfolio)[1] == ("2026-09-02 09:30", "SELL", 1, 97, "stop_loss")


def test_fills_at_the_close_wait_over_an_auction_too() -> None:
    text = WAITING.replace("15:00  100 100 100 100 X", "15:00  100").replace("101 101 101 101 E", "101 101 101 101 X")
    options: dict[str, Any] = {"execution": "close", "size_type": "amount", "size": 1}
    late, there = session(text, AUCTIONED, "15m", **options), session(text, AUCTIONED, "15m", auction_fills=True, **options)
    assert filled(late)[1] == ("2026-09-02 09:30", "SELL", 1, 102, "exit")
    assert filled(there)[1] == ("2026-09-01 15:35", "SELL", 1, 101, "exit")


def test_the_strategy_s_own_exit_keeps_its_reason() -> None:
    text = """
        2026-09-01 09:15  100 100 100 100 E
        2026-09-01 14:45  103 103 103 103 {}
        2026-09-01 15:00  104
    """
    for marks, reason in (("X", "exit"), ("EX", "square_off"), ("", "square_off")):
        portfolio = session(text.format(marks), ORDINARY, "15m", size_type="amount", size=1, square_off_at="15:00")
        assert filled(portfolio)[1] == ("2026-09-01 15:00", "SELL", 1, 104, reason)


def test_an_entry_out_of_hours_contradicts_its_exit_all_the_same() -> None:
    text = """
        2026-09-01 09:15  100 100 100 100 E
        2026-09-01 14:30  103 103 103 103 EX
        2026-09-01 14:45  104
    """
    portfolio = session(text, ORDINARY, "15m", size_type="amount", size=1, no_entry_after="12:00")
    assert [order[1] for order in filled(portfolio)] == ["BUY"]


def test_round_the_clock_the_day_is_that_of_utc() -> None:
    bars = Walk(seed=4, rows=24 * 20).bars()
    bars = Bars.from_frames({"BTC/USDT": bars["S0"]}, market="crypto_binance", timeframe="1h")
    config = PortfolioConfig(no_entry_before="06:00", no_entry_after="20:00", square_off_at="22:00")
    portfolio = simulate(bars, random_signals(bars, seed=4, share=0.4), config)
    entries = pd.DatetimeIndex(portfolio.trades["entry_time"])
    exits = pd.DatetimeIndex(portfolio.trades["exit_time"])
    assert len(entries) > 20
    assert entries.hour.min() >= 6
    assert entries.hour.max() <= 20
    assert (entries.normalize() == exits.normalize()).all()
    squared = portfolio.trades["exit_reason"] == "square_off"
    assert squared.any()
    assert set(exits[squared].hour) == {22}


@pytest.mark.parametrize("name", ["no_entry_before", "no_entry_after", "square_off_at"])
def test_windows_need_intraday_bars_of_a_market(name: str) -> None:
    config = PortfolioConfig.model_validate({name: "12:00"})
    daily = universe("1d", FIRST_ERA, 30)
    with pytest.raises(InvalidInput, match=f"{name} needs bars shorter than a day .timeframe was 1d."):
        simulate(daily, random_signals(daily, seed=1, share=0.1), config)
    unknown = Walk(seed=1).bars()
    with pytest.raises(InvalidInput, match=f"{name} needs bars of a market"):
        simulate(unknown, random_signals(unknown, seed=1, share=0.1), config)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"no_entry_before": "15:00", "no_entry_after": "10:00"}, "no_entry_after must not be before no_entry_before 15:00"),
        ({"no_entry_before": "15:00", "square_off_at": "15:00"}, "square_off_at must be after no_entry_before 15:00"),
        ({"square_off_at": "15:10:30"}, "square_off_at: must be a whole minute"),
        ({"square_off_at": "25:00"}, "square_off_at: must be a time of day such as 15:10"),
        ({"square_off_at": 15}, "square_off_at: must be a time of day such as 15:10"),
        ({"square_off_at": "15:10+05:30"}, "square_off_at: must be a whole minute of the market's own time zone"),
    ],
)
def test_times_that_cannot_be_are_refused_by_name(options: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        PortfolioConfig.model_validate(options)


def test_times_survive_json() -> None:
    config = PortfolioConfig(square_off_at="15:10", no_entry_before=time(9, 30), auction_fills=True)
    assert config.model_dump(mode="json")["square_off_at"] == "15:10"
    assert PortfolioConfig.model_validate_json(config.model_dump_json()) == config
    assert ist(FIRST_ERA, "15:10").astimezone(IST).time() == config.square_off_at
