"""The page itself: three counts, then deployments, saved backtests and stored bars."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import streamlit as st

from algo_py.backtest import SnapshotSummary
from algo_py.dashboard.clients import coverage
from algo_py.dashboard.components.heading import heading
from algo_py.dashboard.components.horizon import show_horizons
from algo_py.dashboard.components.table import Cell, Column, Row, table
from algo_py.dashboard.context import BACKTEST, DEPLOYMENT, Context
from algo_py.dashboard.format import DASH, counted, listed, moment, money, number, percent, period, plain
from algo_py.dashboard.screens.deployment.dangers import show_unprotected, unprotected
from algo_py.dashboard.screens.deployment.rows import clock_of, status_cell
from algo_py.deployment import Deployment
from algo_py.finstore import Coverage
from algo_py.market import get_market

_HELP = Path(__file__).parent / "help.md"


def show(context: Context) -> None:
    """Show the page."""
    heading("Overview", _HELP)
    deployments = context.clients.deployments.list()
    backtests = context.clients.backtests.list()
    stored = coverage(context.clients.workspace)
    st.caption(f"Workspace {plain(str(context.clients.workspace.root))}")
    alive, saved, series = st.columns(3)
    alive.metric(
        "Deployments with a process", f"{sum(one.pid is not None for one in deployments)} of {len(deployments)}", border=True
    )
    saved.metric("Saved backtests", f"{len(backtests):,}", border=True)
    series.metric("Stored series of bars", f"{len(stored):,}", border=True)
    _deployments(context, deployments)
    _backtests(context, backtests)
    _bars(stored)


def _deployments(context: Context, deployments: Sequence[Deployment]) -> None:
    st.subheader("Deployments", anchor=False)
    show_unprotected(unprotected(context.clients))
    show_horizons(deployments, context.clients.clock)
    if not deployments:
        st.info("Nothing is deployed. A saved backtest is deployed with one click.")
    else:
        columns = (
            Column("Deployment"),
            Column("Status"),
            Column("Strategy"),
            Column("OMS"),
            Column("Runs", is_number=True),
            Column("Equity", is_number=True),
        )
        table("Deployments", columns, [_deployment_row(one) for one in reversed(deployments)], key="overview.deployments")
    context.link(DEPLOYMENT, "Strategy Deployment")


def _deployment_row(deployment: Deployment) -> Row:
    backtest, row = deployment.config.backtest, deployment.row
    return Row(
        deployment.id,
        (
            Cell(deployment.name, note=deployment.id),
            status_cell(deployment),
            Cell(backtest.strategy, note=f"{backtest.timeframe.value} {listed(backtest.symbols)}"),
            Cell(deployment.config.oms, note=clock_of(deployment)),
            Cell(f"{row.runs:,}"),
            Cell(money(row.equity, backtest.quote_label), note=backtest.quote_label),
        ),
    )


def _backtests(context: Context, backtests: Sequence[SnapshotSummary]) -> None:
    st.subheader("Saved backtests", anchor=False)
    if not backtests:
        st.info("No backtest is saved yet. Run a strategy over the stored bars, and save what you like.")
    else:
        columns = (
            Column("Backtest"),
            Column("Strategy"),
            Column("Period"),
            Column("Return", is_number=True),
            Column("Sharpe", is_number=True),
            Column("Max drawdown", is_number=True),
            Column("Trades", is_number=True),
            Column("Saved"),
        )
        table("Saved backtests", columns, [_backtest_row(one) for one in backtests], key="overview.backtests")
    context.link(BACKTEST, "Strategy Backtest")


def _backtest_row(summary: SnapshotSummary) -> Row:
    config, metrics = summary.config, summary.metrics
    if config is None or metrics is None:
        unknown = (Cell(DASH),) * 6
        return Row(summary.id, (Cell(summary.id, note=summary.error or "", tone="bad"), *unknown, Cell(DASH)))
    return Row(
        summary.id,
        (
            Cell(summary.name or summary.id, note=summary.id),
            Cell(config.strategy, note=f"{config.timeframe.value} {listed(config.symbols)}"),
            Cell(period(config.start, config.end, get_market(config.market).time_zone)),
            Cell(percent(metrics["total_return_fraction"], signed=True)),
            Cell(number(metrics["sharpe_ratio"])),
            Cell(percent(metrics["max_drawdown_fraction"])),
            Cell(number(metrics["trades"], 0)),
            Cell(moment(summary.created_at)),
        ),
    )


def _bars(stored: Sequence[tuple[str, str, str, Coverage]]) -> None:
    st.subheader("Bars", anchor=False)
    if not stored:
        st.info("No bars are stored yet. `algo-py init` puts sample bars into the workspace.")
        return
    columns = (
        Column("Market"),
        Column("Timeframe"),
        Column("Symbols"),
        Column("First bar"),
        Column("Last bar"),
        Column("Bars", is_number=True),
        Column("Missing", is_number=True),
    )
    rows = [
        _bars_row(market, timeframe, [(symbol, cover) for _, _, symbol, cover in members])
        for (market, timeframe), members in groupby(stored, key=lambda one: (one[0], one[1]))
    ]
    table("Bars", columns, rows, key="overview.bars")
    st.caption(
        "Times are UTC. Missing are the bars that the market has and the store has not, between a symbol's first and last."
    )


def _bars_row(market: str, timeframe: str, members: Sequence[tuple[str, Coverage]]) -> Row:
    names = tuple(symbol for symbol, _ in members)
    covers = [cover for _, cover in members]
    missing = sum(gap.bars for cover in covers for gap in cover.gaps)
    return Row(
        f"{market} {timeframe}",
        (
            Cell(get_market(market).title),
            Cell(timeframe),
            Cell(counted(len(names), "symbol"), note=listed(names, 6)),
            Cell(moment(min(cover.first for cover in covers))),
            Cell(moment(max(cover.last for cover in covers))),
            Cell(f"{sum(cover.rows for cover in covers):,}"),
            Cell(f"{missing:,}"),
        ),
    )
