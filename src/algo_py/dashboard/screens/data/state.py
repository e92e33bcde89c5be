"""What the data page remembers of a session: what is looked at, and what was done last."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

import streamlit as st

from algo_py.clock import monotonic_s
from algo_py.dashboard.components.table import Order

MARKET = "data.market"
_SYMBOL, _ORDER, _NOTICE = "data.symbol", "data.order", "data.notice"
_NEWS_S = 20.0


@dataclass(frozen=True, slots=True)
class _Notice:
    text: str
    at_s: float


def timeframe_key(market: str) -> str:
    """Return the key of the field that holds the timeframe looked at."""
    return f"data.timeframe.{market}"


def look_at(market: str, timeframe: str, symbol: str) -> None:
    """Have the page show these bars, wherever it was. Call it before the fields are shown."""
    st.session_state[MARKET] = market
    st.session_state[timeframe_key(market)] = timeframe
    choose(market, timeframe, symbol)


def keep_within(key: str, options: Container[str]) -> None:
    """Have a field begin anew when what it is to show is not there, such as bars that could not be fetched."""
    if st.session_state.get(key) not in options:
        st.session_state.pop(key, None)


def choose(market: str, timeframe: str, symbol: str) -> None:
    """Choose a symbol of the table."""
    st.session_state[_SYMBOL] = (market, timeframe, symbol)


def chosen(market: str, timeframe: str) -> str | None:
    """Return the symbol that was chosen there; None for none."""
    found: tuple[str, str, str] | None = st.session_state.get(_SYMBOL)
    return found[2] if found is not None and found[:2] == (market, timeframe) else None


def order() -> Order:
    """Return how the table is sorted."""
    found: Order = st.session_state.get(_ORDER, Order(0, is_ascending=True))
    return found


def sort_by(order: Order) -> None:
    """Sort the table in another way."""
    st.session_state[_ORDER] = order


def tell(text: str) -> None:
    """Say what was just done, for a while."""
    st.session_state[_NOTICE] = _Notice(text, monotonic_s())


def told() -> str | None:
    """Return what is to be said, as long as it is news."""
    found: _Notice | None = st.session_state.get(_NOTICE)
    return None if found is None or monotonic_s() - found.at_s > _NEWS_S else found.text
