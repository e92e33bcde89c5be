"""Indicators on wide frames (time x symbol), each over a symbol's own bars.

TA-Lib computes wherever it has the indicator. What a symbol lacks (NaN) is left out of its calculation and stays NaN in its
result, so a hole neither shifts nor poisons anything, and a symbol among others has the values that it has alone. Row t depends
on rows up to t only. A length that cannot be used is InvalidInput.

Each docstring says how many bars it needs, which is the row of its first value counted from 1, and whether it remembers bars
before its window. One that does (EMA, Wilder) depends on where the bars begin; see docs/indicators.md.
"""

from algo_py.strategy.indicators.averages import BollingerBands, Macd, bollinger, ema, macd, sma, zscore
from algo_py.strategy.indicators.channels import DonchianChannel, Supertrend, atr, donchian, highest, lowest, supertrend
from algo_py.strategy.indicators.comparing import cross_above, cross_below, previous, rank
from algo_py.strategy.indicators.momentum import adx, minus_di, plus_di, rate_of_change, rsi
from algo_py.strategy.indicators.volume import session_vwap, vwap

__all__ = [
    "BollingerBands",
    "DonchianChannel",
    "Macd",
    "Supertrend",
    "adx",
    "atr",
    "bollinger",
    "cross_above",
    "cross_below",
    "donchian",
    "ema",
    "highest",
    "lowest",
    "macd",
    "minus_di",
    "plus_di",
    "previous",
    "rank",
    "rate_of_change",
    "rsi",
    "session_vwap",
    "sma",
    "supertrend",
    "vwap",
    "zscore",
]
