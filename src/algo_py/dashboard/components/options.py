"""What most backtests leave as it is: stops, direction, execution, how cash is shared, further costs. Empty means none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from typing import Any, Final, get_args

import streamlit as st

from algo_py.dashboard.format import fraction_of
from algo_py.engine.config import CostSchedule, Direction, Execution
from algo_py.market import Market

EXECUTIONS: Final[Mapping[Execution, str]] = {"next_open": "next open", "close": "at close"}
DIRECTIONS: Final[Mapping[Direction, str]] = {"long": "long only", "short": "short only", "both": "long and short"}
SCHEDULES: Final[Mapping[CostSchedule, str]] = {
    "nse_delivery": "NSE delivery charges",
    "nse_intraday": "NSE intraday charges and brokerage",
}

# Which market has a schedule of charges of its own.
_SCHEDULES_OF: Final[Mapping[str, tuple[CostSchedule, ...]]] = {"indian_equity": ("nse_delivery", "nse_intraday")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a person has chosen, by the names that BacktestConfig has for it; fractions, and None for none."""

    stop_loss: float | None
    take_profit: float | None
    trailing_stop: float | None
    max_hold_bars: int | None
    no_entry_before: time | None
    no_entry_after: time | None
    square_off_at: time | None
    auction_fills: bool
    direction: Direction
    borrow_rate_annual: float
    execution: Execution
    cash_sharing: bool
    allow_partial: bool
    cost_schedule: CostSchedule | None
    maker_fees: float | None
    fixed_fees: float


def chosen_schedule(market: Market, *, key: str) -> CostSchedule | None:
    """Return the cost schedule that the form below holds, for what stands above it."""
    found: CostSchedule | None = st.session_state.get(_schedule_key(market, key))
    return found


def options_form(market: Market, currency: str, *, key: str) -> Options:
    """Show the fields behind a line that opens them; amounts are in `currency`."""
    with st.expander("More options"):
        left, right = st.columns(2)
        stop_loss = _percent(left, "Stop loss, %", key=f"{key}.stop_loss", about="Loss at which a position is closed")
        take_profit = _percent(right, "Take profit, %", key=f"{key}.take_profit", about="Gain at which a position is closed")
        left, right = st.columns(2)
        trailing = _percent(
            left, "Trailing stop, %", key=f"{key}.trailing_stop", about="Retreat from the best price at which it is closed"
        )
        hold = right.number_input(
            "Max hold, bars",
            value=None,
            step=1,
            placeholder="none",
            key=f"{key}.max_hold_bars",
            help="Bars after which an exit is decided",
            persist_state="session",
        )
        left, right = st.columns(2)
        direction = _choice(left, "Direction", DIRECTIONS, get_args(Direction), key=f"{key}.direction", about="Signals followed")
        execution = _choice(
            right,
            "Execution",
            EXECUTIONS,
            get_args(Execution),
            key=f"{key}.execution",
            about="Orders fill at the next bar's open, or at the close that decided them",
        )
        before, after, square_off = _times_of_day(market, key)
        schedule = _schedule(market, key)
        left, right = st.columns(2)
        fixed = left.number_input(
            f"Fixed fees, {currency}",
            value=0.0,
            format="%.12g",
            key=f"{key}.fixed_fees.{currency}",
            help="On top of each fill" if schedule is None else "The broker's own, on top of each fill, before tax",
            persist_state="session",
        )
        maker = None
        if schedule is None:
            maker = _percent(
                right,
                "Maker fees, %",
                key=f"{key}.maker_fees.{market.name}",
                about="Of fills that rested in the book, which are take-profits",
                empty="as fees",
            )
        borrow = None
        if direction != "long":
            borrow = _percent(
                st.container(), "Borrow rate a year, %", key=f"{key}.borrow", about="Cost of a short position, of its value"
            )
        sharing = st.checkbox(
            "One pool of cash",
            value=True,
            key=f"{key}.cash_sharing",
            help="For all symbols; else equal parts, each symbol alone",
            persist_state="session",
        )
        partial = st.checkbox(
            "Shrink an entry that lacks cash",
            value=True,
            key=f"{key}.allow_partial",
            help="Else it is denied",
            persist_state="session",
        )
        auctions = st.checkbox(
            "Fills in closing auctions",
            value=False,
            key=f"{key}.auction_fills",
            help="At the auction's price; else orders wait for the next trading. Markets without auctions are not affected",
            persist_state="session",
        )
    return Options(
        stop_loss=stop_loss,
        take_profit=take_profit,
        trailing_stop=trailing,
        max_hold_bars=hold,
        no_entry_before=before,
        no_entry_after=after,
        square_off_at=square_off,
        auction_fills=auctions,
        direction=direction,
        borrow_rate_annual=borrow or 0.0,
        execution=execution,
        cash_sharing=sharing,
        allow_partial=partial,
        cost_schedule=schedule,
        maker_fees=maker,
        fixed_fees=fixed,
    )


def _times_of_day(market: Market, key: str) -> tuple[time | None, time | None, time | None]:
    """Show the hours of entries and of the square-off; empty means that no bar is too early or too late."""
    zone = market.time_zone.key
    fields = (
        ("No entry before", "no_entry_before", "An entry counts by the moment at which its order can fill first"),
        ("No entry after", "no_entry_after", "An entry counts by the moment at which its order can fill first"),
        (
            "Square off at",
            "square_off_at",
            "Every position is closed by the last bar that ends by then, and none is opened after it",
        ),
    )
    found = [
        place.time_input(
            f"{label}, {zone}",
            value=None,
            step=60,
            key=f"{key}.{name}",
            help=f"{about}; intraday bars only",
            persist_state="session",
        )
        for place, (label, name, about) in zip(st.columns(3), fields, strict=True)
    ]
    return found[0], found[1], found[2]


def _schedule(market: Market, key: str) -> CostSchedule | None:
    offered = _SCHEDULES_OF.get(market.name)
    if offered is None:
        return None
    chosen: CostSchedule | None = st.selectbox(
        "Cost schedule",
        offered,
        index=None,
        placeholder="none: the fees above",
        format_func=SCHEDULES.__getitem__,
        key=_schedule_key(market, key),
        help="The statutory charges by date, in place of fees",
        persist_state="session",
    )
    return chosen


def _schedule_key(market: Market, key: str) -> str:
    return f"{key}.cost_schedule.{market.name}"


def _choice(place: Any, label: str, words: Mapping[Any, str], options: tuple[Any, ...], *, key: str, about: str) -> Any:
    return place.selectbox(label, options, format_func=words.__getitem__, key=key, help=about, persist_state="session")


def _percent(place: Any, label: str, *, key: str, about: str, empty: str = "none") -> float | None:
    percentage = place.number_input(
        label, value=None, step=0.1, format="%.12g", placeholder=empty, key=key, help=about, persist_state="session"
    )
    return None if percentage is None else fraction_of(percentage)
