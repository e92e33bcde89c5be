"""A live feed for pipelines that a test moves by hand."""

from __future__ import annotations

from datetime import datetime

from algo_py.deployment.feed import LiveFeed


class PastFeed(LiveFeed):
    """The live feed over bars that lie in the past of the machine, for a clock that is moved by hand."""

    def _refuse_stale(self, bars: object, now: datetime) -> None:
        """The store holds later bars too."""
