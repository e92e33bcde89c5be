"""What to trade on: market, timeframe and symbols, of those that bars are stored for."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from algo_py.dashboard.components.errors import shown_as_a_line
from algo_py.finstore import FinStore
from algo_py.market import Market, get_market


@dataclass(frozen=True, slots=True, kw_only=True)
class Universe:
    """A choice that a person made; the symbols stand in the order in which they were chosen, and may be none."""

    market: Market
    timeframe: str
    symbols: tuple[str, ...]

    @property
    def quote_label(self) -> str:
        """What money is in: the symbols' currency; the market's as long as none is chosen, and all of several."""
        return " and ".join(self.market.quotes_of(self.symbols) or (self.market.quote_currency,))


def universe_picker(store: FinStore, *, key: str) -> Universe | None:
    """Show the picker; None where no bars are stored."""
    stored: dict[str, dict[str, list[str]]] = {}
    for market, timeframe, symbol in store.keys():  # noqa: SIM118 - keys() here is a list of places
        stored.setdefault(market, {}).setdefault(timeframe, []).append(symbol)
    if not stored:
        return None
    left, right = st.columns([2, 1])
    market = left.selectbox(
        "Market", list(stored), format_func=lambda name: get_market(name).title, key=f"{key}.market", persist_state="session"
    )
    timeframes = list(stored[market])
    timeframe = right.selectbox("Timeframe", timeframes, key=f"{key}.timeframe.{market}", persist_state="session")
    symbols = stored[market][timeframe]
    chosen = st.multiselect(
        "Asset universe",
        symbols,
        default=symbols[:1],
        key=f"{key}.symbols.{market}.{timeframe}",
        placeholder="Choose symbols",
        persist_state="session",
    )
    universe = Universe(market=get_market(market), timeframe=timeframe, symbols=tuple(chosen))
    with shown_as_a_line():
        universe.market.quote_over(universe.symbols)
    return universe
