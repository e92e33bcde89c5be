"""What pages ask: one manager, one bar store and one snapshot store for each workspace, kept for all sessions of the server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from algo_py.backtest import SnapshotStore
from algo_py.clock import Clock, SystemClock
from algo_py.deployment import DeploymentManager
from algo_py.errors import Refused
from algo_py.finstore import Coverage, FinStore
from algo_py.finstore.instruments import InstrumentCache
from algo_py.market.own_facts import use_files
from algo_py.settings import Workspace
from algo_py.strategy.registry import StrategyRegistry

_COVERAGE_KEPT_S = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """The library as a page sees it."""

    workspace: Workspace
    clock: Clock
    bars: FinStore
    rules: InstrumentCache
    backtests: SnapshotStore
    deployments: DeploymentManager


def clients() -> Clients:
    """Return the clients of the workspace that this server was started for; Refused where there is none."""
    workspace = Workspace.find()
    if not workspace.is_initialised:
        raise Refused(f"{workspace.root} is not a workspace", remedy="Make one: algo-py init")
    return _clients(str(workspace.root))


@st.cache_resource(show_spinner=False)
def _clients(root: str) -> Clients:
    workspace, clock = Workspace(Path(root)), SystemClock()
    use_files(workspace.calendar_file, workspace.derivatives_file)
    return Clients(
        workspace=workspace,
        clock=clock,
        bars=FinStore(workspace.finstore),
        rules=InstrumentCache(workspace.instruments, clock),
        backtests=SnapshotStore(workspace, clock=clock),
        deployments=DeploymentManager(workspace, clock=clock),
    )


def strategies(workspace: Workspace) -> StrategyRegistry:
    """Return all strategies; the workspace's files are executed again only when one of them, or of their assets, has changed."""
    return _strategies(str(workspace.root), _state_of(workspace.strategies))


@st.cache_resource(show_spinner=False, max_entries=4)
def _strategies(root: str, files: tuple[tuple[str, int, int], ...]) -> StrategyRegistry:
    return StrategyRegistry.discover(Workspace(Path(root)))


def _state_of(folder: Path) -> tuple[tuple[str, int, int], ...]:
    files = (file for file in sorted(folder.rglob("*")) if "__pycache__" not in file.parts and file.is_file())  # assets, too
    states = ((file, file.stat()) for file in files)
    return tuple((str(file), state.st_mtime_ns, state.st_size) for file, state in states)


def coverage(workspace: Workspace) -> list[tuple[str, str, str, Coverage]]:
    """Return (market, timeframe, symbol, coverage) of everything stored, at most half a minute old."""
    return _coverage(str(workspace.root))


def forget_coverage() -> None:
    """Have what `coverage` returns looked at anew: a page has just changed what is stored."""
    _coverage.clear()


@st.cache_data(show_spinner="Looking at the stored bars", ttl=_COVERAGE_KEPT_S)
def _coverage(root: str) -> list[tuple[str, str, str, Coverage]]:
    store = _clients(root).bars
    return [(*key, store.coverage(*key)) for key in store.keys()]  # noqa: SIM118 - keys() here is a list of places
