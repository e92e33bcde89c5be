"""How much is traded and what it costs: cash, the size of an entry, fees, slippage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, get_args

import streamlit as st

from algo_py.dashboard.format import fraction_of, percentage_of
from algo_py.engine.config import SizeType
from algo_py.market import Market
from algo_py.market.quotes import usual_cash

SIZE_TYPES: Final = {"percent": "% of equity", "value": "order value", "amount": "units"}
FIRST_SIZES: Final = {"percent": 100.0, "amount": 1.0}  # an order value is at first a tenth of the usual cash


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """What a person has chosen; fees, slippage and a size in percent are fractions. `fees` None: a cost schedule tells them."""

    initial_cash: float
    size: float
    size_type: SizeType
    fees: float | None
    slippage: float


def money_form(market: Market, currency: str, *, key: str, has_schedule: bool) -> Money:
    """Show the fields, amounts in `currency`; with a cost schedule there are no fees to choose."""
    usual = usual_cash(currency)
    cash = st.number_input(
        f"Initial cash, {currency}",
        value=usual,
        step=usual / 10,
        format="%.12g",
        key=f"{key}.cash.{currency}",
        persist_state="session",
    )
    left, right = st.columns(2)
    size_type = left.selectbox(
        "Size type", get_args(SizeType), format_func=SIZE_TYPES.__getitem__, key=f"{key}.size_type", persist_state="session"
    )
    is_value = size_type == "value"
    size = right.number_input(
        f"Size, {currency}" if is_value else "Size",
        value=usual / 10 if is_value else FIRST_SIZES[size_type],
        format="%.12g",
        key=f"{key}.size.{size_type}.{currency}" if is_value else f"{key}.size.{size_type}",
        help=f"Of one entry, in {currency if is_value else SIZE_TYPES[size_type]}",
        persist_state="session",
    )
    left, right = st.columns(2)
    with left:
        fees = _cost("Fees, %", market.fees, key=f"{key}.fees.{market.name}", about="Of a fill's value", disabled=has_schedule)
    with right:
        slippage = _cost("Slippage, %", market.slippage, key=f"{key}.slippage.{market.name}", about="How much worse a fill is")
    return Money(
        initial_cash=cash,
        size=fraction_of(size) if size_type == "percent" else size,
        size_type=size_type,
        fees=None if has_schedule else fees,
        slippage=slippage,
    )


def _cost(label: str, fraction: float, *, key: str, about: str, disabled: bool = False) -> float:
    percentage = st.number_input(
        label,
        value=percentage_of(fraction),
        step=0.01,
        format="%.12g",
        key=key,
        help="A cost schedule is chosen in its place" if disabled else f"{about}; at first the market's usual one",
        disabled=disabled,
        persist_state="session",
    )
    return fraction_of(percentage)
