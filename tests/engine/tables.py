"""Candle tables: a few bars as text, with the signals at their closes. docs/engine.md explains the notation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from algo_py.engine import Portfolio, PortfolioConfig, simulate
from algo_py.strategy import Bars, Signals

START = pd.Timestamp("2024-01-01", tz="UTC")
SIGNALS = {"E": "entries", "X": "exits", "S": "short_entries", "C": "short_exits"}


def day(number: int) -> pd.Timestamp:
    """Return the open time of the bar in line `number`, from 0."""
    return START + pd.Timedelta(days=number)


def read_tables(tables: Mapping[str, str], start: pd.Timestamp = START) -> tuple[Bars, Signals]:
    """Read a table per symbol: a line per day with open, high, low, close (or one price for all four) and signals.

    Signals: E long entry, X long exit, S short entry, C short exit, several together as in XS. A line `-` is a missing bar.
    """
    frames, marks = {}, {}
    for symbol, text in tables.items():
        lines = [line.split() for line in text.strip().splitlines()]
        rows = {}
        for number, words in enumerate(lines):
            prices = [float(word) for word in words if word[0].isdigit()]
            marks[symbol, number] = "".join(word for word in words if word.isalpha())
            if prices:
                rows[start + pd.Timedelta(days=number)] = prices * 4 if len(prices) == 1 else prices
        index = pd.DatetimeIndex(list(rows)).as_unit("us")
        frame = pd.DataFrame(list(rows.values()), index=index, columns=["open", "high", "low", "close"], dtype=np.float64)
        frames[symbol] = frame.assign(volume=1.0)
    bars = Bars.from_frames(frames)
    days = ((bars.index - start) // pd.Timedelta(days=1)).tolist()
    wide = {
        name: pd.DataFrame(
            {symbol: [letter in marks.get((symbol, number), "") for number in days] for symbol in bars.symbols}, index=bars.index
        )
        for letter, name in SIGNALS.items()
    }
    return bars, Signals(**wide)


def trade(tables: str | Mapping[str, str], **config: Any) -> Portfolio:
    """Simulate candle tables; a single one is of symbol A."""
    bars, signals = read_tables({"A": tables} if isinstance(tables, str) else tables)
    return simulate(bars, signals, PortfolioConfig(**config))


def fills(portfolio: Portfolio) -> list[tuple[Any, ...]]:
    """Return the filled orders, shortened: line of the table, symbol, side, quantity, price, reason."""
    return [
        ((order.time - START).days, order.symbol, order.side, round(order.quantity, 9), round(order.price, 9), order.reason)
        for order in _with_status(portfolio, "FILLED")
    ]


def denials(portfolio: Portfolio) -> list[tuple[Any, ...]]:
    """Return the denied orders, shortened: line of the table, symbol, side, quantity, reason."""
    return [
        ((order.time - START).days, order.symbol, order.side, round(order.quantity, 9), order.reason)
        for order in _with_status(portfolio, "DENIED")
    ]


def read_session(text: str, symbol: str, timeframe: str) -> tuple[Bars, Signals]:
    """Read bars of one share of NSE: day, time (of India), prices and signals, as in `read_tables`."""
    rows, marks = {}, {}
    for words in (line.split() for line in text.strip().splitlines()):
        moment = pd.Timestamp(f"{words[0]} {words[1]}", tz="Asia/Kolkata").tz_convert("UTC")
        prices = [float(word) for word in words[2:] if word[0].isdigit()]
        rows[moment] = prices * 4 if len(prices) == 1 else prices
        marks[moment] = "".join(word for word in words[2:] if word.isalpha())
    index = pd.DatetimeIndex(list(rows)).as_unit("us")
    frame = pd.DataFrame(list(rows.values()), index=index, columns=["open", "high", "low", "close"], dtype=np.float64)
    bars = Bars.from_frames({symbol: frame.assign(volume=1.0)}, market="indian_equity", timeframe=timeframe)
    wide = {
        name: pd.DataFrame({symbol: [letter in marks[moment] for moment in bars.index]}, index=bars.index)
        for letter, name in SIGNALS.items()
    }
    return bars, Signals(**wide)


def session(text: str, symbol: str, timeframe: str, **config: Any) -> Portfolio:
    """Simulate the bars of `read_session`."""
    bars, signals = read_session(text, symbol, timeframe)
    return simulate(bars, signals, PortfolioConfig(**config))


def filled(portfolio: Portfolio) -> list[tuple[Any, ...]]:
    """Return the filled orders of a session, shortened: time in India, side, quantity, price, reason."""
    return [
        (
            f"{order.time.tz_convert('Asia/Kolkata'):%Y-%m-%d %H:%M}",
            order.side,
            round(order.quantity, 9),
            round(order.price, 9),
            order.reason,
        )
        for order in _with_status(portfolio, "FILLED")
    ]


def _with_status(portfolio: Portfolio, status: str) -> Any:
    return portfolio.orders[portfolio.orders["status"] == status].itertuples()
