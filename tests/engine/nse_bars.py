"""Intraday bars of NSE made to the calendar's rules: a share that closes by auction, and one that does not."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from algo_py.market import Timeframe, get_market
from algo_py.strategy import Bars

IST = ZoneInfo("Asia/Kolkata")
AUCTIONED, ORDINARY = "RELIANCE", "ZZTEST"
FIRST_ERA, SECOND_ERA = date(2026, 9, 1), date(2026, 12, 14)


def ist(day: date, text: str) -> datetime:
    """Return a time of day in India as UTC."""
    hour, minute = (int(part) for part in text.split(":"))
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=IST).astimezone(UTC)


def opens_of(symbol: str, timeframe: str, first: date, days: int) -> list[datetime]:
    """Return the open times of a symbol's bars on `days` calendar days."""
    start = ist(first, "00:00")
    calendar = get_market("indian_equity").calendar_of(symbol)
    return list(calendar.bar_opens(Timeframe.parse(timeframe), start, start + timedelta(days=days)))


def frame_of(symbol: str, timeframe: str, first: date, days: int, *, seed: int, missing: float = 0.0) -> pd.DataFrame:
    """Return a random walk over a symbol's bars; an auction has one price, and `missing` is the share of bars left out."""
    generator = np.random.default_rng([seed, len(symbol)])
    opens = opens_of(symbol, timeframe, first, days)
    calendar, length = get_market("indian_equity").calendar_of(symbol), Timeframe.parse(timeframe)
    close = 500 * np.exp(np.cumsum(generator.normal(0, 0.004, len(opens))))
    open_ = np.append(close[0], close[:-1]) * np.exp(generator.normal(0, 0.002, len(opens)))
    high = np.maximum(open_, close) * (1 + generator.uniform(0, 0.003, len(opens)))
    low = np.minimum(open_, close) * (1 - generator.uniform(0, 0.003, len(opens)))
    is_auction = np.array([calendar.is_auction(moment, length) for moment in opens])
    for values in (open_, high, low):
        values[is_auction] = close[is_auction]
    index = pd.DatetimeIndex(opens).as_unit("us")
    volume = generator.integers(1, 1000, len(opens)).astype(np.float64)
    frame = pd.DataFrame({"open": open_, "high": high, "low": low, "close": close, "volume": volume}, index=index).round(2)
    kept = generator.random(len(opens)) >= missing
    kept[0] = True
    return frame[kept]


def universe(
    timeframe: str, first: date = FIRST_ERA, days: int = 4, *, seed: int = 0, missing: float = 0.0,
    symbols: tuple[str, ...] = (AUCTIONED, ORDINARY),
) -> Bars:  # fmt: skip
    """Return the bars of a universe."""
    frames = {s: frame_of(s, timeframe, first, days, seed=seed + n, missing=missing) for n, s in enumerate(symbols)}
    return Bars.from_frames(frames, market="indian_equity", timeframe=timeframe)
