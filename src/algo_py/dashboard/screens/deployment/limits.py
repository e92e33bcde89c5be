"""The limits of a deployment: one that is seen at once, the others on demand."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import streamlit as st

from algo_py.dashboard.clients import clients
from algo_py.dashboard.components.errors import shown_as_a_line
from algo_py.dashboard.screens.deployment import state
from algo_py.deployment import Deployment
from algo_py.market.quotes import usual_cash
from algo_py.orders.model import from_float
from algo_py.orders.risk import Limits


def limits_form(place: Any, key: Callable[[str], str], *, currency: str, current: Limits | None = None) -> Callable[[], Limits]:
    """Show the fields with the current limits, and return what reads them; an empty field is no limit.

    In one place all but the first stand behind an expander; in two columns all are open.
    """
    now = current or Limits()
    first, rest = place if isinstance(place, tuple) else (place, None)

    def amount(where: Any, name: str, label: str, tip: str) -> float | None:
        bound: Decimal | None = getattr(now, name)
        found: float | None = where.number_input(
            label,
            value=None if bound is None else float(bound),
            min_value=0.0,
            step=usual_cash(currency) / 100,
            format="%.12g",
            placeholder="no limit",
            key=key("notional" if name == "max_order_notional" else name),
            help=f"{tip}; in {currency}",
            persist_state="session",
        )
        return found

    def count(where: Any, name: str, label: str, tip: str) -> int | None:
        found: int | None = where.number_input(
            label,
            value=getattr(now, name),
            min_value=1,
            step=1,
            placeholder="no limit",
            key=key(name),
            help=tip,
            persist_state="session",
        )
        return found

    def percentage(where: Any, name: str, label: str, tip: str) -> float | None:
        bound: Decimal | None = getattr(now, f"{name}_fraction")
        found: float | None = where.number_input(
            label,
            value=None if bound is None else float(bound * 100),
            min_value=0.0,
            max_value=100.0,
            step=1.0,
            format="%.12g",
            placeholder="no limit",
            key=key(name),
            help=tip,
            persist_state="session",
        )
        return found

    order = amount(first, "max_order_notional", "Max order notional", "A larger entry is denied")
    more = first.expander("More limits") if rest is None else first
    beside = more if rest is None else rest
    position = amount(more, "max_position_notional", "Max position notional", "An entry that makes a position larger is denied")
    gross = amount(
        more, "max_gross_exposure", "Max gross exposure", "An entry that makes all positions larger together is denied"
    )
    positions = count(more, "max_open_positions", "Max open positions", "Entries beyond so many symbols are denied")
    orders = count(beside, "max_orders_per_day", "Max entries a day", "Entries beyond so many a day (UTC) are denied")
    collar = percentage(
        beside, "price_collar", "Price collar, %", "Entries are denied when the venue's price is farther from the last close"
    )
    loss = amount(beside, "max_daily_loss", "Max daily loss", "The deployment is halted at this loss since midnight UTC")
    drawdown = percentage(beside, "max_drawdown", "Max drawdown, %", "The deployment is halted this far below its highest equity")

    def read() -> Limits:
        return Limits(
            max_order_notional=_amount(order),
            max_position_notional=_amount(position),
            max_gross_exposure=_amount(gross),
            max_open_positions=positions,
            max_orders_per_day=orders,
            price_collar_fraction=_fraction(collar),
            max_daily_loss=_amount(loss),
            max_drawdown_fraction=_fraction(drawdown),
        )

    return read


def edit_limits(deployment: Deployment) -> None:
    """Show the limits of a deployment, to be changed while it trades."""
    if deployment.row.cleared_at is not None:
        st.caption("It was cleared: its limits are those it had.")
    currency = deployment.config.backtest.quote_label

    def key(name: str) -> str:
        return f"deployment.limits.{deployment.id}.{name}"

    with st.form(key("form"), border=False):
        left, right = st.columns(2)
        read = limits_form((left, right), key, currency=currency, current=deployment.config.limits)
        pressed = st.form_submit_button("Change limits", disabled=deployment.row.cleared_at is not None)
    if pressed:
        with shown_as_a_line():
            clients().deployments.set_limits(deployment.id, read())
            state.tell(f"The new limits of {deployment.name} hold from its next run on.")


def _amount(value: float | None) -> Decimal | None:
    return None if not value else from_float(value)


def _fraction(percentage: float | None) -> Decimal | None:
    return None if not percentage else from_float(percentage) / 100
