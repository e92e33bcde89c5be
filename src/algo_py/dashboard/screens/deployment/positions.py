"""What the selected deployment holds, what protects each position, and what is halted."""

from __future__ import annotations

from typing import Final

import streamlit as st

from algo_py.dashboard.clients import Clients
from algo_py.dashboard.components.table import Cell, Column, Row, Tone, table
from algo_py.dashboard.format import DASH, exact, moment, plain, price
from algo_py.deployment import Deployment
from algo_py.deployment.protection_rows import ProtectedBy, Protection
from algo_py.formatting import with_currency

_HEIGHT = 150
_BY: Final = {
    ProtectedBy.VENUE_STOP: "stop at the venue",
    ProtectedBy.EXIT: "being closed",
    ProtectedBy.WORKER: "its process",
    ProtectedBy.NONE: "nothing",
}
_TONES: Final[dict[ProtectedBy, Tone]] = {
    ProtectedBy.VENUE_STOP: "good",
    ProtectedBy.EXIT: "busy",
    ProtectedBy.WORKER: "busy",
    ProtectedBy.NONE: "quiet",
}
_POSITION_COLUMNS: Final = (Column("Symbol"), Column("Quantity", is_number=True), Column("Average price", is_number=True))
_PROTECTION_COLUMNS: Final = (
    Column("Symbol"),
    Column("Quantity", is_number=True),
    Column("Protected by"),
    Column("Stop", is_number=True),
    Column("Why"),
)


def show_positions(ours: Clients, deployment: Deployment) -> None:
    """Show them."""
    ledger = ours.deployments.ledger(deployment.id)
    currency = deployment.config.backtest.quote_label
    rows = [
        Row(position.symbol, (Cell(position.symbol), Cell(exact(position.quantity)), Cell(price(position.average_price))))
        for position in ledger.positions.values()
    ]
    if rows:
        table("Positions", _POSITION_COLUMNS, rows, key="deployment.positions", height=_HEIGHT)
        st.markdown("**Protection**")
        protection = [_protection_row(one) for one in ours.deployments.protection(deployment.id)]
        table("Protection", _PROTECTION_COLUMNS, protection, key="deployment.protection", height=_HEIGHT)
    else:
        st.info("No open position.")
    st.caption(f"Cash {with_currency(ledger.cash, currency)}, fees paid {with_currency(ledger.fees_paid, currency)}")
    halted = [one for one in ours.deployments.halts(deployment.id) if one.symbol is not None]
    if halted:
        lines = (f"- {plain(one.symbol or DASH)}: {plain(one.reason)} (since {plain(moment(one.at))})" for one in halted)
        st.warning("**Not entered any more; exits and stops go on**\n" + "\n".join(lines))


def _protection_row(one: Protection) -> Row:
    return Row(
        one.symbol,
        (
            Cell(one.symbol),
            Cell(exact(one.quantity)),
            Cell(_BY[one.by], note=f"since {moment(one.since)}", tone="bad" if one.is_missing else _TONES[one.by]),
            Cell(price(one.stop_price)),
            Cell(one.reason or DASH),
        ),
    )
