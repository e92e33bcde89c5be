"""Rule 11: what a closing auction lets happen. Nothing on the way to its one price fills, and no stop is looked at."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from algo_py.engine.config import PortfolioConfig
from algo_py.market import get_market
from algo_py.market.calendars import AlwaysOpen, Session
from algo_py.strategy import COLUMNS, Bars
from algo_py.strategy.session_table import SessionTable, calendars_of, microseconds, sessions_between, to_us

_MASKED: Final = ("open", "high", "low")


def traded_bars(bars: Bars, config: PortfolioConfig, *, first: int = 0) -> Bars:
    """Return the bars from row `first` on as orders meet them: in a closing auction there is no high and no low that a stop could
    hit, and an open only where an order fills at it.

    With `auction_fills` that is where the price is within the auction's band and an order decided on the last bar of continuous
    trading comes in time. The bars themselves where the market has no auctions among them.
    """
    wanted = bars.tail(first)
    if bars.market is None or bars.timeframe is None or not bars.timeframe.is_intraday or not len(wanted.index):
        return wanted
    market = get_market(bars.market)
    calendars = calendars_of(market, bars.symbols)
    if all(isinstance(calendar, AlwaysOpen) for calendar in calendars):
        return wanted
    opens_us, masked = microseconds(wanted.index), dict[str, np.ndarray]()
    for calendar, places in calendars.items():
        table = sessions_between(calendar, market.time_zone, int(opens_us[0]), int(opens_us[-1]))
        rows = np.flatnonzero(table.is_auction(opens_us))
        if not len(rows):
            continue
        masked = masked or {name: np.array(wanted.array(name), order="F") for name in _MASKED}
        cells = np.ix_(rows, np.array(places))
        for values in masked.values():
            values[cells] = np.nan
        if config.auction_fills:
            # The day's bars are enough: those of the reference window come before the auction.
            day = int(np.searchsorted(microseconds(bars.index), table.day_starts[table.rows_of(opens_us[rows[:1]])[0]]))
            masked["open"][cells] = _prices(bars.tail(day), table, rows + first - day, places, market.time_zone)
    if not masked:
        return wanted
    for values in masked.values():
        values.flags.writeable = False
    fields = {name: masked.get(name, wanted.array(name)) for name in COLUMNS}
    return Bars(wanted.index, bars.symbols, fields, market=bars.market, timeframe=bars.timeframe)


def _prices(bars: Bars, table: SessionTable, rows: np.ndarray, places: list[int], zone: ZoneInfo) -> np.ndarray:
    """Return the auctions' prices, row x symbol, NaN where nothing fills at them."""
    opens_us, close_times_us = microseconds(bars.index), microseconds(bars.close_times())
    closes = bars.array("close")[:, places]
    found: np.ndarray = closes[rows].copy()
    for place, (row, number) in enumerate(zip(rows.tolist(), table.rows_of(opens_us[rows]).tolist(), strict=True)):
        session = table.sessions[number]
        begin, end = np.searchsorted(opens_us, (table.opens[number], table.closes[number])).tolist()
        if end > begin and close_times_us[end - 1] > table.entry_ends[number]:
            found[place] = np.nan  # what is decided then comes too late for this auction
            continue
        reference = _reference(bars, session, opens_us[begin:end], slice(begin, end), places, zone)
        band = 0.0 if session.auction_rule is None else session.auction_rule.band_fraction
        found[place] = np.where(np.abs(closes[row] - reference) <= band * reference, closes[row], np.nan)
    return found


def _reference(bars: Bars, session: Session, opens_us: np.ndarray, rows: slice, places: list[int], zone: ZoneInfo) -> np.ndarray:
    """Return the mean price by volume of the auction's reference window, symbol by symbol; without volume the last close."""
    high, low, close, volume = (bars.array(name)[rows][:, places] for name in ("high", "low", "close", "volume"))
    is_bar = ~np.isnan(close)
    last = np.array([column[known][-1] if known.any() else np.nan for column, known in zip(close.T, is_bar.T, strict=True)])
    if session.auction_rule is None:
        return last
    begin, end = (
        to_us(_at(session, moment, zone)) for moment in (session.auction_rule.reference_from, session.auction_rule.reference_to)
    )
    inside = (opens_us >= begin) & (opens_us < end)
    weight = np.where(is_bar, volume, 0.0)[inside]
    typical = np.where(is_bar, (high + low + close) / 3.0, 0.0)[inside]
    traded = weight.sum(axis=0)
    return np.where(traded > 0.0, (typical * weight).sum(axis=0) / np.where(traded > 0.0, traded, 1.0), last)


def _at(session: Session, moment: time, zone: ZoneInfo) -> datetime:
    return datetime.combine(session.day, moment, zone).astimezone(UTC)
