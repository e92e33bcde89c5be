"""Bars of NSE made to its rules, and what Kite shows of them.

A day is one random walk of minutes through continuous trading and one print of the closing auction where there is one. All longer
bars are made of those minutes here, independently of the product's own resampling, by the times of `market.calendar_of`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache, cached_property
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from algo_py.market import Calendar, Timeframe, get_market

INDIA = ZoneInfo("Asia/Kolkata")
MARKET = "indian_equity"
# A share that closes by auction from 3 August 2026 on, and one that never does.
WITH_AUCTION, WITHOUT_AUCTION = "TCS", "NOFUTURES"
COLUMNS = ["open", "high", "low", "close", "volume"]


@dataclass(frozen=True)
class NseShare:
    """One share from a day to another, both included; with the same seed always the same."""

    symbol: str
    first: date
    last: date
    seed: int = 1

    @property
    def calendar(self) -> Calendar:
        return get_market(MARKET).calendar_of(self.symbol)

    @property
    def start(self) -> datetime:
        return datetime.combine(self.first, datetime.min.time(), INDIA)

    @property
    def end(self) -> datetime:
        return datetime.combine(self.last + timedelta(days=1), datetime.min.time(), INDIA)

    def opens(self, timeframe: Timeframe) -> pd.DatetimeIndex:
        """Return the open times of all bars that the share has."""
        return _opens(self.symbol, timeframe, self.start, self.end)

    @cached_property
    def minutes(self) -> pd.DataFrame:
        """All minutes, the auction's print among them as a bar with one price."""
        index = self.opens(Timeframe.M1)
        random = np.random.default_rng(self.seed)
        closes = (3_000 * np.exp((random.standard_normal(len(index)) * 4e-4).cumsum())).round(2)
        opens = np.append(closes[:1], closes[:-1])
        spread = random.random((2, len(index))) * 0.8
        frame = pd.DataFrame(
            {
                "open": opens,
                "high": (np.maximum(opens, closes) + spread[0]).round(2),
                "low": (np.minimum(opens, closes) - spread[1]).round(2),
                "close": closes,
                "volume": random.integers(100, 10_000, len(index)).astype(float),
            },
            index=index,
        )
        is_auction = self.auctions(Timeframe.M1)
        for name in ("open", "high", "low"):
            frame.loc[is_auction, name] = frame.loc[is_auction, "close"]
        return frame

    def auctions(self, timeframe: Timeframe) -> np.ndarray:
        """Return which of its bars are closing auctions."""
        opens = self.opens(timeframe)
        found = np.zeros(len(opens), dtype=np.bool_)
        days = opens.tz_convert(INDIA).normalize()
        for row in np.flatnonzero(np.append(days[1:] != days[:-1], True)):  # none but the last bar of a day is
            found[row] = self.calendar.is_auction(pd.Timestamp(opens[int(row)]).to_pydatetime(), timeframe)
        return found

    def bars(self, timeframe: Timeframe) -> pd.DataFrame:
        """Return the bars of a timeframe: aligned to the session's open, the auction by itself, the day closed by it."""
        if timeframe is Timeframe.M1:
            return self.minutes
        opens = self.opens(timeframe)
        owner = opens.searchsorted(self.minutes.index, side="right") - 1
        grouped = self.minutes.groupby(opens[owner])
        made = grouped.agg({"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"})
        made.index = pd.DatetimeIndex(made.index, name="open_time").as_unit("us")
        return made

    def kite(self, timeframe: Timeframe) -> pd.DataFrame:
        """Return the candles as Kite serves them: it knows no auctions.

        Minutes go on, flat and without volume, from the end of continuous trading, and the print is in the last one before the
        auction's order entry ends, as trades are reported; longer candles hold what falls into their own quarters of an hour.
        """
        frame = self.bars(timeframe)
        if not timeframe.is_intraday:
            return frame
        step = pd.Timedelta(timeframe.delta)
        rows: dict[pd.Timestamp, list[float]] = {}
        for moment, bar in frame[self.auctions(timeframe)].iterrows():
            day = self.calendar.day(moment.tz_convert(INDIA).date()).session  # type: ignore[attr-defined]
            assert day is not None
            printed = pd.Timestamp(moment) - pd.Timedelta(minutes=1)  # type: ignore[arg-type]
            last = frame.loc[: pd.Timestamp(day.close) - pd.Timedelta(seconds=1), "close"].iloc[-1]
            begins = pd.Timestamp(day.close)
            while begins <= printed:
                is_print = begins <= printed < begins + step
                price, volume = (bar["close"], bar["volume"]) if is_print else (last, 0.0)
                rows[begins] = [price, price, price, price, volume]
                begins += step
        told = pd.DataFrame.from_dict(rows, orient="index", columns=COLUMNS, dtype="float64") if rows else frame.iloc[:0]
        together = pd.concat([frame[~self.auctions(timeframe)], told]).sort_index()
        together.index = pd.DatetimeIndex(together.index, name="open_time").as_unit("us")
        return together


@cache
def _opens(symbol: str, timeframe: Timeframe, start: datetime, end: datetime) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(
        list(get_market(MARKET).calendar_of(symbol).bar_opens(timeframe, start, end)), name="open_time"
    ).as_unit("us")
