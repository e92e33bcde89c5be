"""A live feed for pipelines that a test moves by hand."""

from __future__ import annotations

from datetime import datetime

from algo_py.deployment.feed import LiveFeed


class PastFeed(LiveFeed):
    """The live feed over bars that lie in the past of the machine, for a clock that is moved by hand."""

    def _stale(self, bars: object, now: datetime) -> dict[str, str]:
        """Nothing is stale: the store holds later bars too."""
        return {}
