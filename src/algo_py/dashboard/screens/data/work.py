"""The work of this session in the background, one piece at a time: how far it is, Cancel, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import streamlit as st

from algo_py.dashboard.background.job import GRACE_S, Job
from algo_py.dashboard.clients import forget_coverage
from algo_py.dashboard.components.errors import page_border
from algo_py.dashboard.fetches.check import CheckOrder, CheckResult
from algo_py.dashboard.fetches.fetch import FetchOrder, FetchResult
from algo_py.dashboard.format import counted, listed
from algo_py.dashboard.screens.data import state
from algo_py.errors import AlgoPyError
from algo_py.finstore.fill_report import FillProgress

_EVERY_S = 0.4
_RUNNING, _FETCHED, _CHECKED, _ERROR = "data.running", "data.fetched", "data.checked", "data.error"

_Order = FetchOrder | CheckOrder


@dataclass(frozen=True, slots=True)
class _Running:
    job: Job[Any, Any]
    order: _Order
    then_look: bool


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was asked for, and what came of it."""

    order: FetchOrder
    result: FetchResult


def start(order: _Order, *, then_look: bool = False) -> None:
    """Start it; what the one before has left on the page goes. `then_look`: once it has fetched, its bars are shown."""
    dismiss()
    # A check and its moving of files may end at any step: they need not be given time to come to an end.
    grace_s = 0.0 if isinstance(order, CheckOrder) else GRACE_S
    st.session_state[_RUNNING] = _Running(Job[Any, Any](order, grace_s=grace_s), order, then_look)


def is_running() -> bool:
    """Whether this session has work that has not ended."""
    return st.session_state.get(_RUNNING) is not None


def fetched() -> Fetched | None:
    """Return the last fetch that has ended, unless it was dismissed."""
    found: Fetched | None = st.session_state.get(_FETCHED)
    return found


def checked() -> CheckResult | None:
    """Return the last check of the files."""
    found: CheckResult | None = st.session_state.get(_CHECKED)
    return found


def error() -> AlgoPyError | None:
    """Return why the last work has no result."""
    found: AlgoPyError | None = st.session_state.get(_ERROR)
    return found


def dismiss() -> None:
    """Take away what the last fetch has left on the page."""
    st.session_state[_FETCHED] = st.session_state[_ERROR] = None


@st.fragment(run_every=_EVERY_S)
def watch() -> None:
    """Show the work; runs by itself until it has ended, then has the whole page shown."""
    with page_border():
        running: _Running | None = st.session_state.get(_RUNNING)
        if running is None:
            return
        if running.job.outcome is None:
            _show(running)
            return
        st.session_state[_RUNNING] = None
        _keep(running, running.job.outcome)
        forget_coverage()
        st.rerun()


def _keep(running: _Running, outcome: FetchResult | CheckResult | AlgoPyError) -> None:
    order = running.order
    if isinstance(outcome, AlgoPyError):
        st.session_state[_ERROR] = outcome
    elif isinstance(outcome, CheckResult):
        st.session_state[_CHECKED] = outcome
    elif isinstance(order, FetchOrder):
        st.session_state[_FETCHED] = Fetched(order, outcome)
        if running.then_look:
            state.look_at(order.market, order.timeframe, order.symbols[0])


def _show(running: _Running) -> None:
    job, order = running.job, running.order
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        if isinstance(order, FetchOrder):
            st.progress(*progress_text(order, job.progress, is_cancelled=job.is_cancelled))
        else:
            st.markdown(
                "Moving damaged files out of the way" if order.set_aside else "Reading every stored file", width="stretch"
            )
        st.button("Cancel", key="data.cancel", disabled=job.is_cancelled, on_click=job.cancel)


def progress_text(order: FetchOrder, now: FillProgress | None, *, is_cancelled: bool) -> tuple[float, str]:
    """Return the fraction of the missing bars that is done, and the whole in words."""
    what = f"{order.timeframe} bars of {listed(order.symbols)} from {order.source}"
    if is_cancelled:
        return _fraction(now), "Cancelling; what was fetched is kept"
    if now is None or not now.total:
        return 0.0, f"Asking for {what}"
    return _fraction(now), f"{what}: {now.done:,} of {counted(now.total, 'bar')}, {counted(now.requests, 'request')}"


def _fraction(now: FillProgress | None) -> float:
    return 0.0 if now is None or not now.total else min(1.0, now.done / now.total)
