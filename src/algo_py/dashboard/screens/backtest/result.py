"""The result of a backtest: what it is of, metrics, charts, trades, and saving it."""

from __future__ import annotations

from functools import partial
from zoneinfo import ZoneInfo

import pandas as pd
import streamlit as st
from streamlit.elements.lib.column_config_utils import ColumnConfigMappingInput
from streamlit.elements.lib.column_types import ColumnConfig

from algo_py.backtest import BacktestResult
from algo_py.backtest.curves import Curves
from algo_py.backtest.report import ReportData, file_name, monthly_returns, render_report
from algo_py.backtest.report.returns import YEAR
from algo_py.dashboard.clients import Clients
from algo_py.dashboard.components.errors import shown_as_a_line
from algo_py.dashboard.components.metrics import metric_cards
from algo_py.dashboard.context import DEPLOYMENT, Context
from algo_py.dashboard.figures import equity_figure, months_figure, price_figure
from algo_py.dashboard.format import counted, listed, period, plain
from algo_py.formatting import places_of
from algo_py.market import get_market

_SAVED = "backtest.saved"
_REPORT_HEIGHT = 1100
_PRICE = "%.8g"


def show_result(context: Context, result: BacktestResult, curves: Curves, *, is_outdated: bool) -> None:
    """Show a result. One that the form no longer describes is marked, and stays as it is."""
    config = result.config
    market = get_market(config.market)
    if is_outdated:
        st.warning("The form has changed since this run. **Run Backtest** shows its result; what follows is the one before.")
    st.markdown(
        f"**{plain(config.strategy)}** on {plain(listed(config.symbols, 5))}, {config.timeframe} bars, "
        f"{plain(period(config.start, config.end, market.time_zone))}"
    )
    metric_cards(result.portfolio.metrics)
    for warning in result.warnings:
        st.warning(plain(warning[:1].upper() + warning[1:]))
    _save(context, result)
    currency = config.quote_label
    equity, months, price, trades, whole = st.tabs(
        ["Equity and drawdown", "Monthly returns", "Price with entries and exits", "Trades", "Report"]
    )
    with equity:
        figure = equity_figure(curves.equity, initial=config.initial_cash, currency=currency, benchmark=curves.benchmark)
        st.plotly_chart(
            figure, key="backtest.equity", alt="Equity over time beside buy and hold, and how far it was below its highest value"
        )
    with months:
        _months(curves, config.initial_cash, market.time_zone)
    with price:
        symbol = config.symbols[0]
        if len(config.symbols) > 1:
            symbol = st.selectbox("Symbol", config.symbols, key=f"backtest.symbol.{'.'.join(config.symbols)}")
        figure = price_figure(result.bars[symbol], result.portfolio.orders, symbol=symbol, currency=currency)
        st.plotly_chart(figure, key="backtest.price", alt=f"Price of {symbol} with the entries and exits of this backtest")
    with trades:
        _trades(result, currency)
    with whole:
        _whole_report(result)


def _whole_report(result: BacktestResult) -> None:
    """Show the report itself, the same page that a saved backtest's file is; drawn when it is asked for, since it is large."""
    st.caption("Everything about this run: rolling Sharpe, distribution of trades, exposure, costs, and the figures above.")
    if st.toggle("Show the report", key="backtest.whole"):
        st.iframe(render_report(ReportData.of_result(result)), height=_REPORT_HEIGHT, alt="The report of this backtest")


def _save(context: Context, result: BacktestResult) -> None:
    saved: tuple[BacktestResult, str] | None = st.session_state.get(_SAVED)
    name_of_it = saved[1] if saved is not None and saved[0] is result else None
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input(
            "Backtest name", key="backtest.name", placeholder="Leave empty to have it named", max_chars=80, width=320
        ).strip()
        is_there = name_of_it is not None and name in ("", name_of_it)
        if st.button("Save Backtest", key="backtest.save", disabled=is_there):
            with shown_as_a_line():
                _save_as(context.clients, result, name or None)
        if name_of_it is not None:
            st.markdown(f"Saved as **{plain(name_of_it)}**")
            st.download_button(
                "Download report",
                partial(_report, context.clients, name_of_it),
                file_name=file_name(name_of_it),
                mime="text/html",
                key="backtest.report",
                help="One file with figures, tables and trades, as `algo-py backtest report` writes it",
                on_click="ignore",
            )
            context.link(DEPLOYMENT, "Deploy it")


def _save_as(clients: Clients, result: BacktestResult, name: str | None) -> None:
    snapshot = clients.backtests.save(result, name)
    st.session_state[_SAVED] = (result, snapshot.name)
    st.rerun()


def _report(clients: Clients, name: str) -> bytes:
    return render_report(ReportData.of_snapshot(clients.backtests.load(name))).encode()


def _months(curves: Curves, initial: float, zone: ZoneInfo) -> None:
    months = monthly_returns(curves.equity, initial, zone=zone)
    held = None if curves.benchmark is None else monthly_returns(curves.benchmark, initial, zone=zone)[YEAR]
    st.plotly_chart(months_figure(months, held), key="backtest.months", alt="Returns by month and year, percent")
    st.caption(
        f"Percent; months of {zone.key}. The first and the last may be parts of months."
        + ("" if held is None else " Held: the year of buy and hold.")
    )


def _trades(result: BacktestResult, currency: str) -> None:
    portfolio = result.portfolio
    st.caption(
        f"{counted(len(portfolio.trades), 'closed trade')}, {counted(len(portfolio.open_positions), 'open position')}, "
        f"{counted(len(portfolio.orders), 'order')}. Times are UTC."
    )
    if portfolio.trades.empty:
        st.info("No trade was closed.")
    else:
        st.dataframe(_readable(portfolio.trades), column_config=_columns(currency), hide_index=True, key="backtest.trades")
    if not portfolio.open_positions.empty:
        st.markdown("**Open at the end**")
        st.dataframe(_readable(portfolio.open_positions), column_config=_columns(currency), hide_index=True, key="backtest.open")


def _readable(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with its fractions in percent, for the screen."""
    return frame.assign(return_fraction=frame["return_fraction"] * 100)


def _columns(currency: str) -> ColumnConfigMappingInput:
    column = st.column_config
    places = places_of(currency)
    money = _PRICE if places is None else f"%.{places}f"
    return {
        "symbol": column.TextColumn("Symbol"),
        "direction": column.TextColumn("Direction"),
        "entry_time": _time("Entry"),
        "exit_time": _time("Exit"),
        "quantity": column.NumberColumn("Quantity", format=_PRICE),
        "entry_price": column.NumberColumn("Entry price", format=_PRICE),
        "exit_price": column.NumberColumn("Exit price", format=_PRICE),
        "last_price": column.NumberColumn("Last price", format=_PRICE),
        "fees": column.NumberColumn(f"Fees, {currency}", format=money),
        "profit": column.NumberColumn(f"Profit, {currency}", format=money),
        "return_fraction": column.NumberColumn("Return", format="%.2f %%"),
        "bars_held": column.NumberColumn("Bars held"),
        "exit_reason": column.TextColumn("Exit reason"),
    }


def _time(label: str) -> ColumnConfig:
    return st.column_config.DatetimeColumn(label, format="YYYY-MM-DD HH:mm", timezone="UTC")
