"""Which bars a form is about: any market and any timeframe, stored already or not."""

from __future__ import annotations

import streamlit as st

from algo_py.market import Market, Timeframe, get_market, market_names


def place_form(*, key: str, first: Timeframe) -> tuple[Market, Timeframe]:
    """Show the two fields; `first` is the timeframe that stands there at first."""
    lengths = [one.value for one in Timeframe]
    left, right = st.columns([2, 1])
    market = left.selectbox(
        "Market",
        market_names(),
        format_func=lambda name: get_market(name).title,
        key=f"{key}.market",
        persist_state="session",
    )
    timeframe = right.selectbox("Timeframe", lengths, index=lengths.index(first), key=f"{key}.timeframe", persist_state="session")
    return get_market(market), Timeframe.parse(timeframe)
