"""The alerts of the selected deployment, and whether they have reached anybody."""

from __future__ import annotations

from typing import Final

import streamlit as st

from algo_py.dashboard.clients import Clients
from algo_py.dashboard.components.table import Cell, Column, Row, Tone, table
from algo_py.dashboard.format import moment
from algo_py.deployment import Deployment
from algo_py.deployment.alerts import Alert

_HEIGHT = 312
_TONES: Final[dict[str, Tone]] = {"sent": "good", "waiting": "busy", "unsent": "quiet"}
_COLUMNS: Final = (Column("Raised"), Column("Alert"), Column("Sent"))


def show_alerts(ours: Clients, deployment: Deployment) -> None:
    """Show them, newest first."""
    found = [alert for alert in ours.deployments.alerts(last=500) if alert.deployment_id == deployment.id]
    if not found:
        st.info("There was no reason for an alert yet.")
        return
    table("Alerts", _COLUMNS, [_row(alert) for alert in found], key="deployment.alerts", height=_HEIGHT)


def _row(alert: Alert) -> Row:
    sent = moment(alert.sent_at) if alert.sent_at is not None else alert.state
    return Row(
        str(alert.id),
        (
            Cell(moment(alert.raised_at)),
            Cell(alert.title, note=alert.body),
            Cell(sent, note=alert.error, tone=_TONES.get(alert.state, "plain")),
        ),
    )
