"""A sweep that a session has started."""

from __future__ import annotations

from algo_py.backtest.sweep import SweepResult
from algo_py.dashboard.background.job import GRACE_S, Job
from algo_py.dashboard.sweeps.order import SweepOrder
from algo_py.engine.sweep import SweepProgress


class SweepJob(Job[SweepProgress, SweepResult]):
    """A running or ended sweep; a cancelled one has the sets that are done as its result."""

    order: SweepOrder

    def __init__(self, order: SweepOrder, *, grace_s: float = GRACE_S) -> None:
        super().__init__(order, grace_s=grace_s)
