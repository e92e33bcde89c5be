"""Bars from a file of the trader's own: CSV or parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from algo_py.errors import InvalidInput, NotFound
from algo_py.finstore.frames import COLUMNS
from algo_py.market import Market, Timeframe

# Whole numbers are seconds, milliseconds or microseconds since 1970; between 1973 and 5138 their size tells which.
_MILLISECONDS_FROM, _MICROSECONDS_FROM = 1e11, 1e14


def read_bar_file(file: Path, market: Market, timeframe: Timeframe) -> pd.DataFrame:
    """Return the file's bars, sorted by open time (UTC).

    Its columns are timestamp (or open_time, time, date), open, high, low, close, volume, in any order and case. A time without an
    offset is UTC; a date alone, for daily and weekly bars, is midnight of the market's own day.
    """
    table = _read(file)
    table.columns = [str(column).strip().lower() for column in table.columns]
    named = [name for name in ("timestamp", "open_time", "time", "date") if name in table.columns]
    missing = [name for name in (*named[:1], *COLUMNS) if name not in table.columns] if named else ["timestamp"]
    if missing:
        raise InvalidInput(
            f"{file} has no column {missing[0]!r} (has {', '.join(table.columns)})",
            remedy=f"It needs timestamp, {', '.join(COLUMNS)}.",
        )
    if table.empty:
        raise InvalidInput(f"there are no bars in {file}")
    times = _open_times(table[named[0]], file, market, timeframe)
    values = {}
    for name in COLUMNS:
        try:
            values[name] = pd.to_numeric(table[name]).to_numpy(dtype=np.float64)
        except (ValueError, TypeError) as error:
            raise InvalidInput(f"column {name!r} of {file} holds something else than numbers: {error}") from None
    return pd.DataFrame(values, index=times).sort_index(kind="stable")


def _read(file: Path) -> pd.DataFrame:
    if not file.is_file():
        raise NotFound(f"there is no file {file}")
    try:
        if file.suffix.lower() in (".parquet", ".pq"):
            table = pd.read_parquet(file)
            return table.reset_index() if table.index.name else table
        return pd.read_csv(file)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{file} cannot be read as CSV or parquet: {str(error).splitlines()[0]}") from None


def _open_times(column: pd.Series, file: Path, market: Market, timeframe: Timeframe) -> pd.DatetimeIndex:
    try:
        if pd.api.types.is_numeric_dtype(column):
            return pd.DatetimeIndex(pd.to_datetime(column, unit=_epoch_unit(column), utc=True), name="open_time")
        if isinstance(column.dtype, pd.DatetimeTZDtype):
            return pd.DatetimeIndex(column, name="open_time").tz_convert("UTC")
        naive = pd.to_datetime(column, format="ISO8601")
    except (ValueError, TypeError) as error:
        raise InvalidInput(
            f"the timestamps of {file} cannot be read: {str(error).splitlines()[0]}",
            remedy="Write them as 2025-01-31T09:30:00Z or as seconds since 1970.",
        ) from None
    index = pd.DatetimeIndex(naive, name="open_time")
    if index.tz is not None:
        return index.tz_convert("UTC")
    if not timeframe.is_intraday and (index == index.normalize()).all():
        return index.tz_localize(market.time_zone).tz_convert("UTC")
    return index.tz_localize("UTC")


def _epoch_unit(column: pd.Series) -> Literal["s", "ms", "us"]:
    size = float(column.abs().max())
    if size >= _MICROSECONDS_FROM:
        return "us"
    return "ms" if size >= _MILLISECONDS_FROM else "s"
