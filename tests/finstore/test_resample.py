"""Longer bars from shorter ones: against Binance's own, against a slow and plain way, and where there is nothing to make."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from algo_py.errors import InvalidInput
from algo_py.finstore import FinStore
from algo_py.finstore.resample import resample
from algo_py.finstore.sample import SAMPLE
from algo_py.market import Market, Timeframe, get_market

from .making import bars, bars_at

CRYPTO, NSE = get_market("crypto_binance"), get_market("indian_equity")
PRICES = ["open", "high", "low", "close"]
H1, H4, D1, W1 = Timeframe.H1, Timeframe.H4, Timeframe.D1, Timeframe.W1
MUHURAT = datetime(2024, 11, 1, 12, 30, tzinfo=UTC)  # an hour in the evening of Diwali


def plainly(
    frame: pd.DataFrame, market: Market, short: Timeframe, long: Timeframe, absent: frozenset[datetime] = frozenset()
) -> pd.DataFrame:
    """Do the same one bar after another, with the calendar's own questions."""
    calendar = market.calendar
    first, last = frame.index[0].to_pydatetime(), frame.index[-1].to_pydatetime()
    there = set(frame.index)
    made: dict[datetime, list[float]] = {}
    for opens in calendar.bar_opens(long, first - long.delta, last + timedelta(seconds=1)):
        parts = list(calendar.bar_opens(short, opens, calendar.bar_close(opens, long)))
        if all(part in there or part in absent for part in parts) and there.intersection(parts):
            rows = frame.loc[[part for part in parts if part in there]]
            rows = rows[rows["volume"] > 0] if (rows["volume"] > 0).any() else rows
            made[opens] = [
                rows["open"].iloc[0], rows["high"].max(), rows["low"].min(), rows["close"].iloc[-1], rows["volume"].sum()
            ]  # fmt: skip
    index = pd.DatetimeIndex(list(made), name="open_time", tz="UTC").as_unit("us")
    return pd.DataFrame(list(made.values()), index=index, columns=[*PRICES, "volume"], dtype="float64")


def local(index: pd.Index) -> list[str]:
    """Say open times in NSE's own time."""
    return [f"{moment:%a %d %H:%M}" for moment in pd.DatetimeIndex(index).tz_convert(NSE.time_zone)]


def session_bars(timeframe: Timeframe, start: str, end: str) -> pd.DataFrame:
    """Make all bars that NSE has between two dates."""
    zone = NSE.time_zone
    first, last = (datetime.fromisoformat(text).replace(tzinfo=zone) for text in (start, end))
    return bars_at(pd.DatetimeIndex(list(NSE.calendar.bar_opens(timeframe, first, last))).as_unit("us"))


@pytest.mark.parametrize("symbol", [one.symbol for one in SAMPLE if one.timeframe == "1h"])
def test_days_made_of_hours_are_those_of_binance(sample_folder: Path, symbol: str) -> None:
    store = FinStore(sample_folder)
    theirs = store.read("crypto_binance", "1d", symbol)
    made = resample(store.read("crypto_binance", "1h", symbol), CRYPTO, H1, D1)
    assert len(made) == 523
    ours = made.loc[theirs.index]
    assert len(theirs) == 486
    assert ours[PRICES].equals(theirs[PRICES])
    np.testing.assert_allclose(ours["volume"], theirs["volume"], rtol=1e-14)


@pytest.mark.parametrize(
    ("market", "short", "long"),
    [
        (CRYPTO, H1, H4),
        (CRYPTO, H1, D1),
        (CRYPTO, H1, W1),
        (CRYPTO, H4, W1),
        (NSE, Timeframe.M15, H1),
        (NSE, Timeframe.M15, Timeframe.H2),
        (NSE, Timeframe.M15, D1),
        (NSE, Timeframe.M15, W1),
        (NSE, H1, H4),
        (NSE, D1, W1),
    ],
    ids=lambda one: one.name if isinstance(one, Market) else str(one),
)
@pytest.mark.parametrize("seed", range(2))
def test_it_does_what_the_plain_way_does(market: Market, short: Timeframe, long: Timeframe, seed: int) -> None:
    random = np.random.default_rng(seed)
    if market is NSE:
        whole = session_bars(short, "2024-10-16", "2024-12-05")
    else:
        whole = bars(60 * 86_400 // short.seconds, start=datetime(2024, 1, 3, tzinfo=UTC), freq=short.value)
    is_quiet = (random.random(len(whole)) < 0.3) | (np.arange(len(whole)) < len(whole) // 10)
    whole = whole.assign(volume=np.where(is_quiet, 0.0, whole["volume"]))
    holes = whole.index[random.choice(np.arange(1, len(whole) - 1), size=6, replace=False)]
    known = pd.DatetimeIndex(holes[:3]).sort_values()
    frame = whole.drop(holes)
    made = resample(frame, market, short, long, absent=known)
    pd.testing.assert_frame_equal(made, plainly(frame, market, short, long, frozenset(known.to_pydatetime())), rtol=1e-13)
    blind = resample(frame, market, short, long)
    pd.testing.assert_frame_equal(blind, plainly(frame, market, short, long), rtol=1e-13)
    assert 0 < len(blind) <= len(made) < len(resample(whole, market, short, long))


def test_a_bar_is_whole_or_not_there() -> None:
    hours = bars(24 * 3)
    assert list(resample(hours, CRYPTO, H1, D1).index) == list(hours.index[::24])
    for missing in (0, 1, 23):
        assert len(resample(hours.drop(hours.index[24 + missing]), CRYPTO, H1, D1)) == 2
    assert len(resample(hours[1:-1], CRYPTO, H1, D1)) == 1
    assert len(resample(hours[1:24], CRYPTO, H1, D1)) == 0
    empty = resample(hours[:0], CRYPTO, H1, D1)
    assert (len(empty), list(empty.columns)) == (0, [*PRICES, "volume"])


def test_bars_without_trades_count_only_when_there_are_no_others() -> None:
    hours = bars(8)
    hours.loc[hours.index[0], ["open", "high", "low", "close", "volume"]] = [500.0, 500.0, 500.0, 500.0, 0.0]
    hours.loc[hours.index[3], ["open", "high", "low", "close", "volume"]] = [1.0, 1.0, 1.0, 1.0, 0.0]
    hours.loc[hours.index[4:], ["open", "high", "low", "close", "volume"]] = [7.0, 7.0, 7.0, 7.0, 0.0]
    made = resample(hours, CRYPTO, H1, H4)
    traded = hours.iloc[1:3]
    first = [traded["open"].iloc[0], traded["high"].max(), traded["low"].min(), traded["close"].iloc[1], traded["volume"].sum()]
    assert made.to_numpy().tolist() == [first, [7.0, 7.0, 7.0, 7.0, 0.0]]


def test_an_outage_of_the_exchange_leaves_a_bar_of_what_there_was() -> None:
    hours = bars(24)
    outage = pd.DatetimeIndex(hours.index[2:6])
    rest = hours.drop(outage)
    assert list(resample(rest, CRYPTO, H1, H4).index) == list(hours.index[8::4])
    made = resample(rest, CRYPTO, H1, H4, absent=outage)
    assert list(made.index) == list(hours.index[::4])
    assert made["close"].iloc[0] == hours["close"].iloc[1]
    four = pd.DatetimeIndex(hours.index[4:8])
    all_gone = resample(hours.drop(four), CRYPTO, H1, H4, absent=four)
    assert list(all_gone.index) == list(hours.index[[0, 8, 12, 16, 20]])


def test_nse_hours_begin_with_the_session_and_weeks_with_monday() -> None:
    quarters = session_bars(Timeframe.M15, "2024-10-28", "2024-11-05")
    hours = resample(quarters, NSE, Timeframe.M15, H1)
    assert local(hours.index[:8]) == [
        "Mon 28 09:15", "Mon 28 10:15", "Mon 28 11:15", "Mon 28 12:15", "Mon 28 13:15", "Mon 28 14:15", "Mon 28 15:15",
        "Tue 29 09:15",
    ]  # fmt: skip
    assert hours["volume"].loc["2024-10-28 09:45+00:00"] == quarters["volume"].loc["2024-10-28 09:45+00:00"]
    assert MUHURAT in hours.index
    days = resample(quarters, NSE, Timeframe.M15, D1)
    assert local(days.index) == [
        "Mon 28 00:00", "Tue 29 00:00", "Wed 30 00:00", "Thu 31 00:00", "Fri 01 00:00", "Mon 04 00:00"
    ]  # fmt: skip
    weeks = resample(days, NSE, D1, W1)
    assert local(weeks.index) == ["Mon 28 00:00"]
    assert weeks["volume"].iloc[0] == pytest.approx(quarters["volume"][: quarters.index.searchsorted(days.index[-1])].sum())
    assert len(resample(days.drop(days.index[4]), NSE, D1, W1)) == 0


@pytest.mark.parametrize(
    ("short", "long", "remedy"),
    [
        ("1h", "1h", "Of 1h bars one can make 2h, 4h, 1d, 1w."),
        ("1d", "1h", "Of 1d bars one can make 1w."),
        ("3m", "5m", "15m, 30m, 1h"),
        ("1w", "1d", "There are no longer bars."),
    ],
)
def test_only_whole_multiples_can_be_made(short: str, long: str, remedy: str) -> None:
    with pytest.raises(InvalidInput, match=remedy):
        resample(bars(3), CRYPTO, Timeframe(short), Timeframe(long))


def test_bars_off_the_calendar_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"crypto_binance has no 1h bar that opens at 2024-01-01T00:30:00\+00:00"):
        resample(bars(1, start=datetime(2024, 1, 1, 0, 30, tzinfo=UTC)), CRYPTO, H1, D1)
    sunday = datetime(2024, 10, 26, 18, 30, tzinfo=UTC)
    for moment in (sunday, datetime(2010, 10, 25, 18, 30, tzinfo=UTC)):
        with pytest.raises(InvalidInput, match="indian_equity has no"):
            resample(bars(1, start=moment), NSE, D1, W1)
