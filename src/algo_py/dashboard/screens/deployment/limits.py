"""The limits of a deployment: one that is seen at once, the others on demand."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from algo_py.dashboard.screens.deployment import state
from algo_py.orders.model import from_float
from algo_py.orders.risk import Limits


def limits_form(place: Any, loaded: state.Loaded, *, currency: str) -> Callable[[], Limits]:
    """Show the fields, and return what reads them; an empty field is no limit."""

    def amount(where: Any, name: str, label: str, tip: str) -> float | None:
        found: float | None = where.number_input(
            label,
            value=None,
            min_value=0.0,
            step=100.0,
            format="%.12g",
            placeholder="no limit",
            key=loaded.key("notional" if name == "max_order_notional" else name),
            help=f"{tip}; in {currency}",
            persist_state="session",
        )
        return found

    def count(where: Any, name: str, label: str, tip: str) -> int | None:
        found: int | None = where.number_input(
            label,
            value=None,
            min_value=1,
            step=1,
            placeholder="no limit",
            key=loaded.key(name),
            help=tip,
            persist_state="session",
        )
        return found

    def percentage(where: Any, name: str, label: str, tip: str) -> float | None:
        found: float | None = where.number_input(
            label,
            value=None,
            min_value=0.0,
            max_value=100.0,
            step=1.0,
            format="%.12g",
            placeholder="no limit",
            key=loaded.key(name),
            help=tip,
            persist_state="session",
        )
        return found

    order = amount(place, "max_order_notional", "Max order notional", "A larger entry is denied")
    more = place.expander("More limits")
    position = amount(more, "max_position_notional", "Max position notional", "An entry that makes a position larger is denied")
    gross = amount(
        more, "max_gross_exposure", "Max gross exposure", "An entry that makes all positions larger together is denied"
    )
    positions = count(more, "max_open_positions", "Max open positions", "Entries beyond so many symbols are denied")
    orders = count(more, "max_orders_per_day", "Max entries a day", "Entries beyond so many a day (UTC) are denied")
    collar = percentage(
        more, "price_collar", "Price collar, %", "Entries are denied when the venue's price is farther from the last close"
    )
    loss = amount(more, "max_daily_loss", "Max daily loss", "The deployment is halted at this loss since midnight UTC")
    drawdown = percentage(more, "max_drawdown", "Max drawdown, %", "The deployment is halted this far below its highest equity")

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


def _amount(value: float | None) -> Decimal | None:
    return None if not value else from_float(value)


def _fraction(percentage: float | None) -> Decimal | None:
    return None if not percentage else from_float(percentage) / 100
