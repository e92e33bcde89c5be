"""The formulas of the indicators in plain Python, for one symbol without holes, and bars to try them on.

Each formula takes a list of bars and returns a list of values for each of its outputs; NaN where there is none yet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from algo_py.strategy import COLUMNS

NAN = math.nan
ROWS = 90  # how many bars a walk has unless told otherwise
Row = dict[str, float]


def own_frame(rows: int = ROWS, *, seed: int = 1, freq: str = "1h") -> pd.DataFrame:
    """Make bars of a random walk; with the same seed, fewer are the beginning of more."""
    moves = np.random.default_rng(seed).random((rows, 5))
    opens = 50 * np.exp((moves[:, 0] - 0.5).cumsum() / 20)
    closes = opens * np.exp((moves[:, 1] - 0.5) / 20)
    values = {
        "open": opens,
        "high": np.maximum(opens, closes) * (1 + moves[:, 2] / 50),
        "low": np.minimum(opens, closes) * (1 - moves[:, 3] / 50),
        "close": closes,
        "volume": 1 + moves[:, 4] * 1_000,
    }
    index = pd.date_range("2025-01-06", periods=rows, freq=freq, tz="UTC", unit="us", name="open_time")
    return pd.DataFrame(values, index=index)


def records(frame: pd.DataFrame) -> list[Row]:
    return [dict(zip(COLUMNS, values, strict=True)) for values in frame[list(COLUMNS)].to_numpy().tolist()]


def closes_of(bars: list[Row]) -> list[float]:
    return [bar["close"] for bar in bars]


def mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def deviation(values: Sequence[float]) -> float:
    middle = mean(values)
    return math.sqrt(mean([(value - middle) ** 2 for value in values]))


def windowed(values: Sequence[float], length: int, function: Callable[[Sequence[float]], float]) -> list[float]:
    return [function(values[t + 1 - length : t + 1]) if t + 1 >= length else NAN for t in range(len(values))]


def averaged(values: Sequence[float], length: int, *, first: int, alpha: float) -> list[float]:
    """Average exponentially from row `first` on, beginning with the mean of the `length` values up to there."""
    result = [NAN] * len(values)
    for t in range(first, len(values)):
        result[t] = mean(values[t + 1 - length : t + 1]) if t == first else result[t - 1] + alpha * (values[t] - result[t - 1])
    return result


def plain_ema(values: Sequence[float], length: int) -> list[float]:
    return averaged(values, length, first=length - 1, alpha=2 / (length + 1))


def plain_macd(bars: list[Row], fast: int, slow: int, signal: int) -> list[list[float]]:
    closes = closes_of(bars)
    quick = averaged(closes, fast, first=slow - 1, alpha=2 / (fast + 1))
    line = [a - b for a, b in zip(quick, plain_ema(closes, slow), strict=True)]
    smooth = averaged(line, signal, first=slow + signal - 2, alpha=2 / (signal + 1))
    line = [NAN if math.isnan(b) else a for a, b in zip(line, smooth, strict=True)]
    return [line, smooth, [a - b for a, b in zip(line, smooth, strict=True)]]


def plain_bollinger(bars: list[Row], length: int, deviations: float) -> list[list[float]]:
    closes = closes_of(bars)
    middles, spreads = windowed(closes, length, mean), windowed(closes, length, deviation)
    return [
        [middle + k * spread for middle, spread in zip(middles, spreads, strict=True)] for k in (deviations, 0.0, -deviations)
    ]


def plain_zscore(bars: list[Row], length: int) -> list[list[float]]:
    return [windowed(closes_of(bars), length, lambda own: (own[-1] - mean(own)) / deviation(own))]


def plain_rsi(bars: list[Row], length: int) -> list[list[float]]:
    moves = [0.0] + [now["close"] - before["close"] for before, now in pairwise(bars)]
    gains = averaged([max(move, 0.0) for move in moves], length, first=length, alpha=1 / length)
    losses = averaged([max(-move, 0.0) for move in moves], length, first=length, alpha=1 / length)
    return [[100 * gain / (gain + loss) for gain, loss in zip(gains, losses, strict=True)]]


def true_ranges(bars: list[Row]) -> list[float]:
    return [NAN] + [max(now["high"], before["close"]) - min(now["low"], before["close"]) for before, now in pairwise(bars)]


def plain_atr(bars: list[Row], length: int) -> list[float]:
    return averaged(true_ranges(bars), length, first=length, alpha=1 / length)


def plain_directional(bars: list[Row], length: int) -> tuple[list[float], list[float], list[float]]:
    """Wilder's sums begin with length - 1 bars and take in one more before their first use, as TA-Lib reads him."""
    plus, minus, index = [NAN] * len(bars), [NAN] * len(bars), [NAN] * len(bars)
    ranges, sums, distances = true_ranges(bars), [0.0, 0.0, 0.0], list[float]()
    for t in range(1, len(bars)):
        up, down = bars[t]["high"] - bars[t - 1]["high"], bars[t - 1]["low"] - bars[t]["low"]
        new = [up if up > max(down, 0) else 0.0, down if down > max(up, 0) else 0.0, ranges[t]]
        kept = 1.0 if t < length else 1 - 1 / length
        sums = [kept * old + value for old, value in zip(sums, new, strict=True)]
        if t < length:
            continue
        plus[t], minus[t] = 100 * sums[0] / sums[2], 100 * sums[1] / sums[2]
        both = plus[t] + minus[t]
        if t < 2 * length:
            distances.append(100 * abs(plus[t] - minus[t]) / both if both else 0.0)
        if t == 2 * length - 1:
            index[t] = mean(distances)
        elif t >= 2 * length:  # a bar without any direction leaves it as it was
            index[t] = (index[t - 1] * (length - 1) + 100 * abs(plus[t] - minus[t]) / both) / length if both else index[t - 1]
    return plus, minus, index


def plain_supertrend(bars: list[Row], length: int, multiplier: float) -> list[list[float]]:
    reach = plain_atr(bars, length)
    lines, directions = [NAN] * len(bars), [NAN] * len(bars)
    ceilings, floors = [NAN] * len(bars), [NAN] * len(bars)
    for t in range(length, len(bars)):
        middle, close, before = (bars[t]["high"] + bars[t]["low"]) / 2, bars[t]["close"], bars[t - 1]["close"]
        ceilings[t], floors[t] = middle + multiplier * reach[t], middle - multiplier * reach[t]
        if t == length:
            directions[t] = -1.0
        else:
            if before <= ceilings[t - 1]:
                ceilings[t] = min(ceilings[t], ceilings[t - 1])
            if before >= floors[t - 1]:
                floors[t] = max(floors[t], floors[t - 1])
            is_up = close >= floors[t] if directions[t - 1] > 0 else close > ceilings[t]
            directions[t] = 1.0 if is_up else -1.0
        lines[t] = floors[t] if directions[t] > 0 else ceilings[t]
    return [lines, directions]


def plain_vwap(bars: list[Row], length: int) -> list[list[float]]:
    result = [NAN] * len(bars)
    for t in range(length - 1, len(bars)):
        own = bars[t + 1 - length : t + 1]
        weights = math.fsum(bar["volume"] for bar in own)
        result[t] = math.fsum((bar["high"] + bar["low"] + bar["close"]) / 3 * bar["volume"] for bar in own) / weights
    return [result]


def plain_session_vwap(bars: list[Row]) -> list[list[float]]:
    """Return it for hourly bars from midnight UTC on."""
    return [[plain_vwap(bars[t - t % 24 : t + 1], t % 24 + 1)[0][-1] for t in range(len(bars))]]


def plain_donchian(bars: list[Row], length: int) -> list[list[float]]:
    upper = windowed([bar["high"] for bar in bars], length, max)
    lower = windowed([bar["low"] for bar in bars], length, min)
    return [upper, [(a + b) / 2 for a, b in zip(upper, lower, strict=True)], lower]


def plain_change(bars: list[Row], length: int) -> list[list[float]]:
    closes = closes_of(bars)
    return [[NAN] * length + [now / then - 1 for then, now in zip(closes, closes[length:], strict=False)]]
