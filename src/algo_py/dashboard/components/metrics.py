"""The metrics of a backtest as cards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from algo_py.dashboard.format import length_of_time, number, percent

_Value = float | int | None
_COLUMNS = 6


@dataclass(frozen=True, slots=True)
class _Card:
    metric: str
    label: str
    write: Callable[[_Value], str]
    help: str


def _signed(value: _Value) -> str:
    return percent(value, signed=True)


def _whole(value: _Value) -> str:
    return number(value, 0)


_CARDS = (
    _Card("total_return_fraction", "Total return", _signed, "Final equity over initial cash, minus 1"),
    _Card("benchmark_return_fraction", "Buy and hold", _signed, "Equal cash in each symbol at its first close, held to the end"),
    _Card("cagr_fraction", "CAGR", _signed, "Growth a year"),
    _Card("sharpe_ratio", "Sharpe", number, "Mean over deviation of the returns per bar, annualised; risk-free rate 0"),
    _Card("sortino_ratio", "Sortino", number, "As Sharpe, with the deviation below 0 only"),
    _Card("calmar_ratio", "Calmar", number, "CAGR over the maximum drawdown"),
    _Card("max_drawdown_fraction", "Max drawdown", percent, "Largest fall from a peak of equity"),
    _Card("max_drawdown_duration_s", "Its duration", length_of_time, "From that peak to its recovery, or to the end"),
    _Card("trades", "Trades", _whole, "Closed round trips"),
    _Card("win_rate_fraction", "Win rate", percent, "Share of closed trades with a profit after costs"),
    _Card("profit_factor", "Profit factor", number, "Profits over losses of closed trades, after costs"),
    _Card("exposure_fraction", "Exposure", percent, "Share of bars with any position"),
)


def metric_cards(metrics: Mapping[str, _Value]) -> None:
    """Show the cards; a metric that is not defined is a dash."""
    for row in _rows(_CARDS, _COLUMNS):
        for column, card in zip(st.columns(_COLUMNS, gap="small"), row, strict=True):
            column.metric(card.label, card.write(metrics[card.metric]), help=card.help, border=True)


def _rows(cards: Sequence[_Card], width: int) -> list[Sequence[_Card]]:
    return [cards[place : place + width] for place in range(0, len(cards), width)]
