"""What the life of a deployment makes of how far its market's trading days are known: a mark, a line in the log, an alert.

Nothing ends for a lack of facts. What is told goes away by itself as the days arrive.
"""

from __future__ import annotations

from datetime import date, datetime

from algo_py.clock import as_utc
from algo_py.deployment.config import DeploymentConfig
from algo_py.deployment.store import DeploymentStore
from algo_py.market.horizon import REMEDY, assumed_reason, horizon_of
from algo_py.market.own_facts import OwnFacts, own_facts
from algo_py.orders.execution import ExecutionLog


class HorizonWatch:
    """Looks ahead for one deployment on the live clock; cheap as long as neither the next run, the day nor a file changes."""

    def __init__(self, config: DeploymentConfig, store: DeploymentStore, log: ExecutionLog) -> None:
        self._config = config
        self._store = store
        self._log = log
        self._facts: OwnFacts | None = None
        self._seen: tuple[datetime | None, date] | None = None
        self._problem = ""
        self._told: set[tuple[date, int | None]] = set()

    def has_news(self) -> bool:
        """Return whether the facts have changed since the last look: what was due next may be another moment now."""
        return self._facts is not None and own_facts() is not self._facts

    def look(self, next_run: datetime | None, now: datetime) -> None:
        """Mark, log and tell what is new at `now`, with the next run that is planned."""
        facts, seen = own_facts(), (next_run, as_utc(now).date())
        if facts is self._facts and seen == self._seen:
            return
        self._facts, self._seen = facts, seen
        if facts.problem != self._problem:
            self._problem = facts.problem
            if facts.problem:
                self._log.warning("calendar.unreadable", reason=f"{facts.problem} What was read before goes on to hold.")
        config = self._config
        horizon = horizon_of(config.market, now, config.calendar)
        if horizon is None:
            return
        is_assumed = next_run is not None and config.calendar.is_assumed(next_run)
        self._store.set_assumed(config.id, assumed_reason(horizon) if is_assumed else "", at=now)
        threshold = 0 if is_assumed else horizon.threshold
        if threshold is None or (horizon.known_through, threshold) in self._told:
            return
        self._told.add((horizon.known_through, threshold))
        self._log.info(
            "calendar.assumed" if is_assumed else "calendar.ends",
            market=horizon.market,
            title=horizon.title,
            known_through=horizon.known_through.isoformat(),
            within_days=threshold,
            reason=f"{horizon}. {REMEDY}",
        )
