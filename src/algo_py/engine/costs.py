"""What a fill costs: fractions of the notional and a fixed part per order, by side, by liquidity and by date."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from algo_py.engine.config import PortfolioConfig


@dataclass(frozen=True, slots=True, eq=False)
class CostTable:
    """Rates by date. `rates` is segment x (buy, sell, buy as maker, sell as maker, fixed of a buy, fixed of a sell), read-only.

    Segment n holds from `starts[n]` (inclusive, UTC) until the next one starts; a table of one segment holds always.
    """

    starts: tuple[datetime, ...]
    rates: np.ndarray

    def starts_index(self) -> pd.DatetimeIndex:
        """Return the starts for a search in bars' open times."""
        return pd.DatetimeIndex(self.starts)


def cost_table(config: PortfolioConfig) -> CostTable:
    """Build the table that a configuration asks for."""
    maker = config.fees if config.maker_fees is None else config.maker_fees
    rates = np.array([[config.fees, config.fees, maker, maker, config.fixed_fees, config.fixed_fees]])
    rates.flags.writeable = False
    return CostTable((datetime(1, 1, 1, tzinfo=UTC),), rates)
