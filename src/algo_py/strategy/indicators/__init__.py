"""Indicators on wide frames (time x symbol), each over a symbol's own bars.

TA-Lib computes wherever it has the indicator. What a symbol lacks (NaN) is left out of its calculation and stays NaN in its
result, so a hole neither shifts nor poisons anything, and a symbol among others has the values that it has alone. Row t depends
on rows up to t only. A length that cannot be used is InvalidInput.

Each docstring says how many bars it needs, which is the row of its first value counted from 1, and whether it remembers bars
before its window. One that does (EMA, Wilder) depends on where the bars begin; see docs/indicators.md.
"""

from algo_py.strategy.indicators import averages, channels, comparing, momentum, volume
from algo_py.strategy.indicators.averages import BollingerBands, Macd
from algo_py.strategy.indicators.channels import DonchianChannel, Supertrend
from algo_py.strategy.indicators.comparing import cross_above, cross_below, rank
from algo_py.strategy.indicators.memory import remembered

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

# A sweep asks for the same indicator again and again; see memory.py. Everywhere else these are the functions themselves.
bollinger = remembered(averages.bollinger)
ema = remembered(averages.ema)
macd = remembered(averages.macd)
sma = remembered(averages.sma)
zscore = remembered(averages.zscore)
atr = remembered(channels.atr)
donchian = remembered(channels.donchian)
highest = remembered(channels.highest)
lowest = remembered(channels.lowest)
supertrend = remembered(channels.supertrend)
previous = remembered(comparing.previous)
adx = remembered(momentum.adx)
minus_di = remembered(momentum.minus_di)
plus_di = remembered(momentum.plus_di)
rate_of_change = remembered(momentum.rate_of_change)
rsi = remembered(momentum.rsi)
session_vwap = remembered(volume.session_vwap)
vwap = remembered(volume.vwap)
