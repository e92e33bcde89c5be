"""What a deployment has lost: its equity when the day began, and the highest that it has been, each read once and then kept."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from algo_py.database import Database
from algo_py.deployment.config import DeploymentConfig
from algo_py.deployment.store import DeploymentStore, EquityPoint
from algo_py.orders.model import from_float


class Losses:
    """Follows the recorded equity of one deployment; each look reads what was recorded since the one before."""

    def __init__(self, database: Database, config: DeploymentConfig) -> None:
        self._store = DeploymentStore(database)
        self._id = config.id
        self._start = from_float(config.backtest.initial_cash)
        self._highest = self._start
        self._last: EquityPoint | None = None

    def highest_equity(self) -> Decimal:
        """Return the highest equity so far, at least what it began with."""
        for point in self._store.equity(self._id, after=None if self._last is None else self._last.time):
            self._highest = max(self._highest, point.equity)
            self._last = point
        return self._highest

    def equity_at_day_start(self, now: datetime) -> Decimal:
        """Return the equity when the day began (UTC): the newest point up to midnight, what it began with before there is one."""
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        point = self._store.newest_equity(self._id, until=midnight)
        return self._start if point is None else point.equity
