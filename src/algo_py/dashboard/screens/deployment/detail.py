"""The selected deployment: its log as it is written, and beside it one view of what it does and holds."""

from __future__ import annotations

import json
from functools import partial
from typing import Final

import pandas as pd
import streamlit as st
from plotly.graph_objects import Figure  # type: ignore[attr-defined]  # plotly loads its names lazily

from algo_py.clock import monotonic_s
from algo_py.dashboard.clients import Clients
from algo_py.dashboard.components.horizon import show_horizons
from algo_py.dashboard.components.live_log import live_log
from algo_py.dashboard.components.table import Cell, Column, Row, Tone, table
from algo_py.dashboard.figures import account_figure
from algo_py.dashboard.format import counted, exact, moment, money, plain, price
from algo_py.dashboard.screens.deployment.alerts import show_alerts
from algo_py.dashboard.screens.deployment.booking import show_booking
from algo_py.dashboard.screens.deployment.limits import edit_limits
from algo_py.dashboard.screens.deployment.positions import show_positions
from algo_py.deployment import Deployment
from algo_py.market import Market
from algo_py.orders.model import OrderStatus
from algo_py.orders.records import JournaledOrder

_EQUITY, _ORDERS, _POSITIONS, _BOOKING, _LIMITS, _ALERTS = "Equity", "Orders", "Positions", "Booking", "Limits", "Alerts"
_LOG_ENTRIES = 300
_ORDERS_SHOWN = 200
_HEIGHT = 340
_LONG_RUNS = 1_000
_EVERY_S, _LONG_EVERY_S = 1.0, 5.0
_READINGS_KEPT = 8

_ORDER_TONES: Final[dict[OrderStatus, Tone]] = {
    OrderStatus.FILLED: "good",
    OrderStatus.UNKNOWN: "bad",
    OrderStatus.REJECTED: "bad",
    OrderStatus.DENIED: "bad",
    OrderStatus.CANCELED: "quiet",
    OrderStatus.EXPIRED: "quiet",
}
_ORDER_COLUMNS: Final = (
    Column("Bar"),
    Column("Symbol"),
    Column("Side"),
    Column("Quantity", is_number=True),
    Column("Price", is_number=True),
    Column("Fee", is_number=True),
    Column("Status"),
)


def show_detail(ours: Clients, deployment: Deployment) -> None:
    """Show it."""
    for warning in ours.deployments.warnings(deployment.id):
        st.warning(plain(warning), icon=":material/account_balance_wallet:")
    show_horizons([deployment], ours.clock)
    left, right = st.columns([1, 1], gap="medium")
    with left:
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.markdown(f"**Live log** of {plain(deployment.name)}", width="content")
            st.download_button(
                "Download log",
                partial(_whole_log, ours, deployment.id),  # called by the click alone
                file_name=f"{deployment.id}.jsonl",
                mime="application/jsonl",
                key=f"deployment.download_log.{deployment.id}",
                help="The whole log, one JSON object a line",
                on_click="ignore",
                type="tertiary",
                icon=":material/download:",
            )
        entries = ours.deployments.logs(deployment.id, last=_LOG_ENTRIES)
        live_log("Live log", entries, key="deployment.log", source=deployment.id, height=_HEIGHT)
    with right:
        view = st.segmented_control(
            "View",
            [_EQUITY, _ORDERS, _POSITIONS, _BOOKING, _LIMITS, _ALERTS],
            default=_EQUITY,
            required=True,
            key="deployment.view",
            label_visibility="collapsed",
            persist_state="session",
        )
        if view == _ORDERS:
            _orders(ours, deployment)
        elif view == _POSITIONS:
            show_positions(ours, deployment)
        elif view == _BOOKING:
            show_booking(ours, deployment)
        elif view == _LIMITS:
            edit_limits(deployment)
        elif view == _ALERTS:
            show_alerts(ours, deployment)
        else:
            _equity(ours, deployment)


def _whole_log(ours: Clients, deployment_id: str) -> bytes:
    return "".join(f"{json.dumps(entry)}\n" for entry in ours.deployments.whole_log(deployment_id)).encode()


def _equity(ours: Clients, deployment: Deployment) -> None:
    figure = _equity_figure(deployment.id, _reading(deployment), deployment, ours)
    if figure is None:
        st.info("No bar has been handled yet.")
    else:
        st.plotly_chart(figure, key="deployment.equity", alt=f"Equity of {deployment.name} over time")


@st.cache_resource(show_spinner=False, max_entries=_READINGS_KEPT)
def _equity_figure(deployment_id: str, reading: int, _deployment: Deployment, _ours: Clients) -> Figure | None:
    points = _ours.deployments.equity(deployment_id)
    if not points:
        return None
    config = _deployment.config
    equity = pd.Series([float(point.equity) for point in points], index=pd.DatetimeIndex([point.time for point in points]))
    initial, currency = config.backtest.initial_cash, config.backtest.quote_label
    return account_figure(equity, initial=initial, currency=currency, height=_HEIGHT)


def _orders(ours: Clients, deployment: Deployment) -> None:
    count, newest = _newest_orders(deployment.id, _reading(deployment), deployment, ours)
    if not newest:
        st.info("No order has been decided yet.")
        return
    table("Orders", _ORDER_COLUMNS, newest, key="deployment.orders", height=_HEIGHT - 28)
    shown = f", the newest {len(newest)} shown" if len(newest) < count else ""
    st.caption(f"{counted(count, 'order')}{shown}, newest first")


@st.cache_resource(show_spinner=False, max_entries=_READINGS_KEPT)
def _newest_orders(deployment_id: str, reading: int, _deployment: Deployment, _ours: Clients) -> tuple[int, list[Row]]:
    orders = _ours.deployments.orders(deployment_id)
    return len(orders), [_order_row(order, _deployment.config.market) for order in reversed(orders[-_ORDERS_SHOWN:])]


def _reading(deployment: Deployment) -> int:
    """Return a number that changes when a history is to be read again: every second, a long one every few seconds."""
    return int(monotonic_s() / (_LONG_EVERY_S if deployment.row.runs > _LONG_RUNS else _EVERY_S))


def _order_row(order: JournaledOrder, market: Market) -> Row:
    request = order.request
    quote = market.quote_of(request.symbol)
    return Row(
        request.client_order_id,
        (
            Cell(moment(request.bar_time)),
            Cell(request.symbol),
            Cell(request.side.value, note=request.reason),
            Cell(exact(request.quantity)),
            Cell(price(order.average_fill_price)),
            Cell(money(order.fee, quote), note=quote if order.fee else ""),
            Cell(order.status.value, note=order.reason.replace("_", " "), tone=_ORDER_TONES.get(order.status, "busy")),
        ),
    )
