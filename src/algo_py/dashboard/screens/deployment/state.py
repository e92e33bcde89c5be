"""What the deployment page remembers of a session: the loaded backtest, the selected deployment, and what was done last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import streamlit as st

from algo_py.backtest import Snapshot
from algo_py.clock import monotonic_s
from algo_py.dashboard.components.parameter_form import ParameterField

_LOADED, _SELECTED, _NOTICE = "deployment.loaded", "deployment.selected", "deployment.notice"
_CLEARING = "deployment.clearing"
_NEWS_S = 20.0


@dataclass(frozen=True, slots=True)
class Loaded:
    """A backtest whose form is open, with the parameters of its own strategy."""

    snapshot: Snapshot
    fields: Sequence[ParameterField]

    def key(self, name: str) -> str:
        """Return the key of one of its form's fields."""
        return f"deployment.{self.snapshot.id}.{name}"


@dataclass(frozen=True, slots=True)
class Notice:
    """What to tell a person about the last thing that they did here; `at_s` is when, in monotonic seconds."""

    kind: Literal["success", "error"]
    text: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Clearing:
    """A deployment that was to be cleared and holds something; `text` says what."""

    id: str
    name: str
    text: str


def loaded() -> Loaded | None:
    """Return what was loaded last, None after it was closed or deployed."""
    found: Loaded | None = st.session_state.get(_LOADED)
    return found


def set_loaded(backtest: Loaded | None) -> None:
    """Open the form of a backtest, or close it."""
    st.session_state[_LOADED] = backtest


def selected() -> str | None:
    """Return the id of the deployment that is looked at; empty when a person has just cleared it, None before any choice."""
    found: str | None = st.session_state.get(_SELECTED)
    return found


def select(deployment_id: str) -> None:
    """Look at another deployment, or with an empty id at none."""
    st.session_state[_SELECTED] = deployment_id
    ask_about_clearing(None)


def notice() -> Notice | None:
    """Return what is to be told, as long as it is news."""
    found: Notice | None = st.session_state.get(_NOTICE)
    return None if found is None or monotonic_s() - found.at_s > _NEWS_S else found


def tell(text: str, *, kind: Literal["success", "error"] = "success") -> None:
    """Replace what is to be told."""
    st.session_state[_NOTICE] = Notice(kind, text, monotonic_s())


def tell_nothing() -> None:
    """Take away what is told: something else is being done."""
    st.session_state[_NOTICE] = None


def clearing() -> Clearing | None:
    """Return what a person is asked about before it is cleared."""
    found: Clearing | None = st.session_state.get(_CLEARING)
    return found


def ask_about_clearing(asked: Clearing | None) -> None:
    """Ask about one before it is cleared, or ask no more."""
    st.session_state[_CLEARING] = asked
