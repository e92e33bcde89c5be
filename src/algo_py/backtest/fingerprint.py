"""Fingerprints of bars: enough to say later whether a backtest saw exactly these."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from algo_py.strategy import COLUMNS


class BarsFingerprint(BaseModel):
    """Which bars of one symbol were used: open times of the first and the last, how many, and a hash of all of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    first: datetime
    last: datetime
    rows: int
    sha256: str


def fingerprint(frames: Mapping[str, pd.DataFrame]) -> dict[str, BarsFingerprint]:
    """Return each symbol's fingerprint.

    The hash is over the open times (int64 microseconds since 1970 UTC), then open, high, low, close and volume row by row
    (float64), all little-endian: it depends on the bars alone, not on how they are stored.
    """
    return {symbol: _of_frame(frame) for symbol, frame in frames.items()}


def _of_frame(frame: pd.DataFrame) -> BarsFingerprint:
    index = pd.DatetimeIndex(frame.index)
    digest = hashlib.sha256(index.as_unit("us").asi8.astype("<i8").tobytes())
    digest.update(np.ascontiguousarray(frame[list(COLUMNS)].to_numpy(), dtype="<f8").tobytes())
    return BarsFingerprint(
        first=index[0].to_pydatetime(), last=index[-1].to_pydatetime(), rows=len(index), sha256=digest.hexdigest()
    )
