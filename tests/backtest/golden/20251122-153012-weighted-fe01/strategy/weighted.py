"""Weights that were fitted elsewhere stand in a file beside this one."""

import json

from algo_py.strategy import Bars, Field, Signals, Strategy


class Weighted(Strategy):
    """Long while a weighted sum of past changes is high."""

    assets = ("models/weights.json",)

    level: float = Field(0.01, gt=0, description="Enter above")

    def run(self, bars: Bars) -> Signals:
        weights = json.loads(self.asset("models/weights.json").read_text())
        score = sum(weight * bars.close.pct_change(int(bars_ago)) for bars_ago, weight in weights.items())
        return Signals(entries=score > self.level, exits=score < -self.level)
