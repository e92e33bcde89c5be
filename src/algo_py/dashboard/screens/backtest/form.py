"""The form on the left: everything that a backtest depends on. It computes nothing; `config` is what the library checks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, get_args

import streamlit as st

from algo_py.backtest import BacktestConfig
from algo_py.dashboard.clients import Clients, strategies
from algo_py.dashboard.components.parameter_form import fields_of, parameter_form
from algo_py.dashboard.components.universe import Universe, universe_picker
from algo_py.dashboard.format import counted, fraction_of, percentage_of, plain
from algo_py.engine.config import SizeType
from algo_py.finstore import FinStore
from algo_py.market import Market
from algo_py.strategy.registry import StrategyEntry

SIZE_TYPES: Final = {"percent": "% of equity", "value": "order value", "amount": "units"}
FIRST_SIZES: Final = {"percent": 100.0, "value": 1_000.0, "amount": 1.0}

_EARLIEST = date(1990, 1, 1)
_LATEST = date(2100, 1, 1)
_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestForm:
    """What a person has chosen, not checked yet. `entry` is the strategy as it is on the disk now."""

    entry: StrategyEntry
    params: dict[str, Any]
    universe: Universe
    start: datetime
    end: datetime
    initial_cash: float
    size: float
    size_type: SizeType
    fees: float
    slippage: float

    def config(self) -> BacktestConfig:
        """Return the backtest's configuration; what cannot be used is refused by name."""
        return BacktestConfig(
            strategy=self.entry.name,
            params=self.params,
            market=self.universe.market.name,
            timeframe=self.universe.timeframe,
            symbols=self.universe.symbols,
            start=self.start,
            end=self.end,
            initial_cash=self.initial_cash,
            size=self.size,
            size_type=self.size_type,
            fees=self.fees,
            slippage=self.slippage,
        )


def backtest_form(clients: Clients) -> BacktestForm | None:
    """Show the form; None where there is nothing to run or nothing to run it on."""
    entry = _strategy(clients)
    if entry is None:
        return None
    params = parameter_form(fields_of(entry.usable_class()), key=f"backtest.param.{entry.name}")
    universe = universe_picker(clients.bars, key="backtest")
    if universe is None:
        st.info("No bars are stored in this workspace yet. `algo-py init` puts sample bars there.")
        return None
    start, end = _period(clients.bars, universe)
    market = universe.market
    cash = st.number_input(
        f"Initial cash, {market.quote_currency}",
        value=10_000.0,
        step=1_000.0,
        format="%.12g",
        key="backtest.cash",
        persist_state="session",
    )
    left, right = st.columns(2)
    size_type = left.selectbox(
        "Size type", get_args(SizeType), format_func=SIZE_TYPES.__getitem__, key="backtest.size_type", persist_state="session"
    )
    size = right.number_input(
        "Size",
        value=FIRST_SIZES[size_type],
        format="%.12g",
        key=f"backtest.size.{size_type}",
        help=f"Of one entry, in {SIZE_TYPES[size_type]}",
        persist_state="session",
    )
    left, right = st.columns(2)
    with left:
        fees = _costs("Fees, %", market.fees, key=f"backtest.fees.{market.name}", help_text="Of a fill's value")
    with right:
        slippage = _costs(
            "Slippage, %", market.slippage, key=f"backtest.slippage.{market.name}", help_text="How much worse a fill is"
        )
    return BacktestForm(
        entry=entry,
        params=params,
        universe=universe,
        start=start,
        end=end,
        initial_cash=cash,
        size=fraction_of(size) if size_type == "percent" else size,
        size_type=size_type,
        fees=fees,
        slippage=slippage,
    )


def _strategy(clients: Clients) -> StrategyEntry | None:
    entries = strategies(clients.workspace).entries
    usable = {entry.name: entry for entry in entries if entry.error is None}
    broken = [entry for entry in entries if entry.error is not None]
    if broken:
        st.warning(
            f"{counted(len(broken), 'strategy file')} cannot be loaded:\n"
            + "\n".join(f"- {plain(entry.error or '')}" for entry in broken)
        )
    if not usable:
        st.info("There is no strategy that can be loaded. Put one into `strategies/` of the workspace.")
        return None
    name = st.selectbox("Strategy", list(usable), key="backtest.strategy", persist_state="session")
    st.caption(plain(usable[name].title))
    return usable[name]


def _period(store: FinStore, universe: Universe) -> tuple[datetime, datetime]:
    """Ask for the period; at first it is all that is stored of the first symbol. Days begin at the market's own midnight."""
    market, timeframe = universe.market, universe.timeframe
    shown = store.symbols(market.name, timeframe)[0] if not universe.symbols else universe.symbols[0]
    stored = store.coverage(market.name, timeframe, shown)
    zone = market.time_zone
    left, right = st.columns(2)
    start = left.date_input(
        "Start",
        value=stored.first.astimezone(zone).date(),
        min_value=_EARLIEST,
        max_value=_LATEST,
        format="YYYY-MM-DD",
        key=f"backtest.start.{market.name}.{timeframe}",
        help=f"First day, included ({zone.key})",
        persist_state="session",
    )
    end = right.date_input(
        "End",
        value=stored.last.astimezone(zone).date() + _ONE_DAY,
        min_value=_EARLIEST,
        max_value=_LATEST,
        format="YYYY-MM-DD",
        key=f"backtest.end.{market.name}.{timeframe}",
        help=f"The day after the last one ({zone.key})",
        persist_state="session",
    )
    return _midnight(start, market), _midnight(end, market)


def _midnight(day: date, market: Market) -> datetime:
    return datetime.combine(day, time(), market.time_zone).astimezone(UTC)


def _costs(label: str, fraction: float, *, key: str, help_text: str) -> float:
    percentage = st.number_input(
        label,
        value=percentage_of(fraction),
        step=0.01,
        format="%.12g",
        key=key,
        help=f"{help_text}; at first the market's usual one",
        persist_state="session",
    )
    return fraction_of(percentage)
