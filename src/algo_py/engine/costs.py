"""What a fill costs: a fraction of the notional and a fixed part per order, by side, by liquidity and by date."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time

import numpy as np
import pandas as pd

from algo_py.engine.config import PortfolioConfig
from algo_py.errors import InvalidInput
from algo_py.market import get_market


@dataclass(frozen=True, slots=True, eq=False)
class CostTable:
    """Rates by date. `rates` is segment x (buy, sell, buy as maker, sell as maker, fixed of a buy, fixed of a sell), read-only.

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

    def segment_at(self, moment: datetime) -> int:
        """Return the segment that holds at `moment`."""
        for segment in range(len(self.starts) - 1, -1, -1):
            if moment >= self.starts[segment]:
                return segment
        raise InvalidInput(
            f"cost_schedule knows no rates before {self.starts[0].date()} (asked for {moment.date()})",
            remedy="Start later, or give fees instead.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryCharges:
    """The statutory charges of one side of an NSE delivery trade, as fractions of its value, from a day on.

    `exchange` is NSE's transaction charge and its contribution to the investor protection fund (IPFT).
    """

    since: date
    stt: float = 0.001
    exchange: float
    sebi: float
    stamp: float = 0.00015
    is_sebi_taxed: bool = True

    @property
    def both_sides(self) -> float:
        """What buyer and seller pay alike, goods and services tax included."""
        return self.stt + self.exchange + self.sebi + GST * (self.exchange + (self.sebi if self.is_sebi_taxed else 0.0))


GST = 0.18  # on brokerage, exchange charge and (since 2022-07-18) SEBI fee: CGST Act 2017; SEBI circular of 2022-07-18

# Securities transaction tax: 0.1 % of delivery trades, each side (Finance Act 2012, since 2012-07-01).
# Stamp duty: 0.015 % from the buyer, one rate in all of India since 2020-07-01 (Finance Act 2019); before, each state had its
# own, so nothing earlier is known here.
# SEBI fee: Rs 10 a crore (Payment of Fees Amendment Regulations 2019), halved from 2020-06-01 to 2021-03-31 (the same, 2020).
# NSE: Rs 3.25 a lakh; raised by 6 % on 2021-01-01; rolled back with Rs 10 a crore for IPFT on 2023-04-01 (NSE, 2023-03-24);
# Rs 2.97 a lakh since 2024-10-01 (NSE, 2024-09-27, after SEBI's circular of 2024-07-01). The lowest slab until then.
NSE_DELIVERY = (
    DeliveryCharges(since=date(2020, 7, 1), exchange=0.0000325, sebi=0.0000005, is_sebi_taxed=False),
    DeliveryCharges(since=date(2021, 1, 1), exchange=0.0000345, sebi=0.0000005, is_sebi_taxed=False),
    DeliveryCharges(since=date(2021, 4, 1), exchange=0.0000345, sebi=0.000001, is_sebi_taxed=False),
    DeliveryCharges(since=date(2022, 7, 18), exchange=0.0000345, sebi=0.000001),
    DeliveryCharges(since=date(2023, 4, 1), exchange=0.0000325 + 0.000001, sebi=0.000001),
    DeliveryCharges(since=date(2024, 10, 1), exchange=0.0000297 + 0.000001, sebi=0.000001),
)

_ALWAYS = datetime(1, 1, 1, tzinfo=UTC)


def cost_table(config: PortfolioConfig) -> CostTable:
    """Build the table that a configuration asks for."""
    if config.cost_schedule == "nse_delivery":
        zone = get_market("indian_equity").time_zone
        fixed = config.fixed_fees * (1.0 + GST)
        sides = [(charges.both_sides + charges.stamp, charges.both_sides) for charges in NSE_DELIVERY]
        starts = tuple(datetime.combine(charges.since, time(), zone).astimezone(UTC) for charges in NSE_DELIVERY)
        return CostTable(starts, _read_only([[buy, sell, buy, sell, fixed, fixed] for buy, sell in sides]))
    maker = config.fees if config.maker_fees is None else config.maker_fees
    return CostTable((_ALWAYS,), _read_only([[config.fees, config.fees, maker, maker, config.fixed_fees, config.fixed_fees]]))


def _read_only(rates: list[list[float]]) -> np.ndarray:
    array = np.array(rates, dtype=np.float64)
    array.flags.writeable = False
    return array
