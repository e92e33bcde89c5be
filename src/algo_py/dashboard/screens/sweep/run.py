"""The sweep that runs: how far it is, about how long it will take, and Cancel."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from algo_py.backtest.sweep import SweepResult
from algo_py.dashboard.components.errors import page_border
from algo_py.dashboard.format import length_of_time
from algo_py.dashboard.sweeps.job import SweepJob
from algo_py.dashboard.sweeps.order import SweepOrder
from algo_py.engine.sweep import SweepProgress
from algo_py.errors import AlgoPyError

_EVERY_S = 0.4
_JOB, _SWEPT, _ERROR = "sweep.job", "sweep.swept", "sweep.error"


@dataclass(frozen=True, slots=True, eq=False)
class Swept:
    """A result, and what was asked for: with it a later form is compared."""

    order: SweepOrder
    result: SweepResult


def start(order: SweepOrder) -> None:
    """Start a sweep; the last one's error is forgotten, its result stays until there is a new one."""
    st.session_state[_ERROR] = None
    st.session_state[_JOB] = SweepJob(order)


def is_running() -> bool:
    """Whether this session has a sweep that has not ended."""
    return st.session_state.get(_JOB) is not None


def swept() -> Swept | None:
    """Return the last result."""
    found: Swept | None = st.session_state.get(_SWEPT)
    return found


def error() -> AlgoPyError | None:
    """Return why the last sweep has no result."""
    found: AlgoPyError | None = st.session_state.get(_ERROR)
    return found


@st.fragment(run_every=_EVERY_S)
def watch() -> None:
    """Show the running sweep; runs by itself until it has ended, then has the whole page shown."""
    with page_border():
        job: SweepJob | None = st.session_state.get(_JOB)
        if job is None:
            return
        if job.outcome is None:
            _show(job)
            return
        st.session_state[_JOB] = None
        if isinstance(job.outcome, AlgoPyError):
            st.session_state[_ERROR] = job.outcome
        else:
            st.session_state[_SWEPT] = Swept(job.order, job.outcome)
        st.rerun()


def _show(job: SweepJob) -> None:
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.progress(*progress_text(job.progress, is_cancelled=job.is_cancelled))
        st.button("Cancel", key="sweep.cancel", disabled=job.is_cancelled, on_click=job.cancel)


def progress_text(now: SweepProgress | None, *, is_cancelled: bool) -> tuple[float, str]:
    """Return the fraction that is done, and the whole in words."""
    if now is None:
        return 0.0, "Cancelling" if is_cancelled else "Reading bars"
    parts = [f"{now.done:,} of {now.total:,} runs"]
    if now.failed:
        parts.append(f"{now.failed:,} failed")
    if is_cancelled:
        parts.append("cancelling")
    elif now.remaining_s is not None:
        parts.append(f"about {_seconds(now.remaining_s)} left")
    return min(1.0, now.done / now.total), ", ".join(parts)


def _seconds(seconds: float) -> str:
    return f"{max(1, round(seconds))} s" if seconds < 90 else length_of_time(seconds)
