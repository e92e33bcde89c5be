"""What the deployment page remembers of a session: the loaded backtest, the selected deployment, and what was done last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import streamlit as st

from algo_py.backtest import Snapshot
from algo_py.dashboard.components.parameter_form import ParameterField

_LOADED, _SELECTED, _NOTICE = "deployment.loaded", "deployment.selected", "deployment.notice"


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
    """What to tell a person about the last thing that they did here."""

    kind: Literal["success", "info"]
    text: str


def loaded() -> Loaded | None:
    """Return what was loaded last, None after it was closed or deployed."""
    found: Loaded | None = st.session_state.get(_LOADED)
    return found


def set_loaded(backtest: Loaded | None) -> None:
    """Open the form of a backtest, or close it."""
    st.session_state[_LOADED] = backtest


def selected() -> str | None:
    """Return the id of the deployment that is looked at."""
    found: str | None = st.session_state.get(_SELECTED)
    return found


def select(deployment_id: str | None) -> None:
    """Look at another deployment."""
    st.session_state[_SELECTED] = deployment_id


def notice() -> Notice | None:
    """Return what is to be told."""
    found: Notice | None = st.session_state.get(_NOTICE)
    return found


def tell(message: Notice | None) -> None:
    """Replace what is to be told."""
    st.session_state[_NOTICE] = message
