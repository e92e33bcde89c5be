"""What a fill costs: a fraction of the notional and a fixed part per order, by side, by liquidity and by date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time

import numpy as np
import pandas as pd

from algo_py.engine.config import CostSchedule, PortfolioConfig
from algo_py.errors import InvalidInput
from algo_py.market import get_market
from algo_py.market.charges import GST, NSE_DELIVERY, NSE_INTRADAY, Charges
from algo_py.market.facts import Dated


@dataclass(frozen=True, slots=True, eq=False)
class CostTable:
    """Rates by date. `rates` is segment x the fields of the kernel's Rates, read-only: the fractions of a buy, a sell, a buy as
    maker, a sell as maker; the fixed part of a buy and of a sell; the fraction of brokerage, and how much it is at most.

    Segment n holds from `starts[n]` (inclusive, UTC) until the next one starts; before the first one nothing is known.
    """

    starts: tuple[datetime, ...]
    rates: np.ndarray

    def first_rows(self, index: pd.DatetimeIndex) -> np.ndarray:
        """Return for each segment the row of its first bar; bars before the first segment are refused."""
        if len(self.starts) == 1 and self.starts[0] == _ALWAYS:
            return np.zeros(1, dtype=np.int64)
        self.segment_at(index[0].to_pydatetime())
        return np.asarray(index.searchsorted(pd.DatetimeIndex(self.starts)), dtype=np.int64)

    @property
    def newest_buying_fraction(self) -> float:
        """The largest fraction of its value that a buy costs now, but for fixed parts."""
        return float(self.rates[-1][0] + self.rates[-1][6])

    def segment_at(self, moment: datetime) -> int:
        """Return the segment that holds at `moment`."""
        for segment in range(len(self.starts) - 1, -1, -1):
            if moment >= self.starts[segment]:
                return segment
        raise InvalidInput(
            f"cost_schedule knows no rates before {self.starts[0].date()} (asked for {moment.date()})",
            remedy="Start later, or give fees instead.",
        )


_SCHEDULES: Mapping[CostSchedule, Sequence[Dated[Charges]]] = {"nse_delivery": NSE_DELIVERY, "nse_intraday": NSE_INTRADAY}
_ALWAYS = datetime(1, 1, 1, tzinfo=UTC)


def cost_table(config: PortfolioConfig) -> CostTable:
    """Build the table that a configuration asks for."""
    if config.cost_schedule is not None:
        records = _SCHEDULES[config.cost_schedule]
        zone = get_market("indian_equity").time_zone
        starts = tuple(datetime.combine(record.valid_from, time(), zone).astimezone(UTC) for record in records)
        return CostTable(starts, _read_only([_row(record.value, config.fixed_fees) for record in records]))
    maker = config.fees if config.maker_fees is None else config.maker_fees
    fixed = config.fixed_fees
    return CostTable((_ALWAYS,), _read_only([[config.fees, config.fees, maker, maker, fixed, fixed, 0.0, 0.0]]))


def _row(charges: Charges, fixed_fees: float) -> list[float]:
    buy, sell, fixed = charges.rate(buys=True), charges.rate(buys=False), fixed_fees * (1.0 + GST)
    return [buy, sell, buy, sell, fixed, fixed, charges.brokerage * (1.0 + GST), charges.brokerage_most * (1.0 + GST)]


def _read_only(rates: list[list[float]]) -> np.ndarray:
    array = np.array(rates, dtype=np.float64)
    array.flags.writeable = False
    return array
