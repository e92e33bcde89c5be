"""What a trade on NSE costs by law, and what Zerodha takes for it: dated records, each with its source."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

from algo_py.market.facts import Dated

# Goods and services tax on brokerage, exchange charge and (since 2022-07-18) SEBI's fee: CGST Act 2017; SEBI, 2022-07-18.
GST: Final = 0.18


@dataclass(frozen=True, slots=True, kw_only=True)
class Charges:
    """The charges of one order as fractions of its value, before goods and services tax.

    stt_buy, stt_sell: securities transaction tax. exchange: NSE's transaction charge and its contribution to the investor
    protection fund (IPFT). sebi: SEBI's fee. stamp: stamp duty, of the buyer. brokerage: the broker's, at most `brokerage_most`
    rupees an order.
    """

    stt_buy: float
    stt_sell: float
    exchange: float
    sebi: float
    stamp: float
    is_sebi_taxed: bool = True
    brokerage: float = 0.0
    brokerage_most: float = 0.0

    def rate(self, *, buys: bool) -> float:
        """Return what a side pays but for brokerage, tax included."""
        taxed = self.exchange + (self.sebi if self.is_sebi_taxed else 0.0)
        both_sides = (self.stt_buy if buys else self.stt_sell) + self.exchange + self.sebi + GST * taxed
        return both_sides + self.stamp if buys else both_sides


@dataclass(frozen=True, slots=True)
class _Fees:
    """What an exchange and its supervisor take of every trade, whatever the product."""

    exchange: float
    sebi: float
    is_sebi_taxed: bool = True


# SEBI: Rs 10 a crore (Payment of Fees Amendment Regulations 2019), halved from 2020-06-01 to 2021-03-31 (the same, 2020).
# NSE: Rs 3.25 a lakh; raised by 6 % on 2021-01-01; rolled back with Rs 10 a crore for IPFT on 2023-04-01 (NSE, 2023-03-24);
# Rs 2.97 a lakh since 2024-10-01 (NSE, 2024-09-27, after SEBI's circular of 2024-07-01). The lowest slab until then.
# They begin with the stamp duty: before it each state had its own, so nothing earlier is known here.
_FEES: Final[tuple[tuple[date, _Fees, str], ...]] = (
    (date(2020, 7, 1), _Fees(0.0000325, 0.0000005, is_sebi_taxed=False), "NSE; SEBI Payment of Fees Amendment Regulations 2020"),
    (date(2021, 1, 1), _Fees(0.0000345, 0.0000005, is_sebi_taxed=False), "NSE, charges since 2021-01-01"),
    (date(2021, 4, 1), _Fees(0.0000345, 0.000001, is_sebi_taxed=False), "SEBI Payment of Fees Amendment Regulations 2019"),
    (date(2022, 7, 18), _Fees(0.0000345, 0.000001), "SEBI circular of 2022-07-18"),
    (date(2023, 4, 1), _Fees(0.0000325 + 0.000001, 0.000001), "NSE circular of 2023-03-24"),
    (date(2024, 10, 1), _Fees(0.0000297 + 0.000001, 0.000001), "NSE circular of 2024-09-27"),
)

# Stamp duty: one rate in all of India since 2020-07-01 (Finance Act 2019): 0.015 % of deliveries, 0.003 % of other trades.
# STT of deliveries: 0.1 % of each side since 2012-07-01 (Finance Act 2012).
NSE_DELIVERY: Final[tuple[Dated[Charges], ...]] = tuple(
    Dated(
        valid_from=since,
        value=Charges(
            stt_buy=0.001,
            stt_sell=0.001,
            exchange=fees.exchange,
            sebi=fees.sebi,
            stamp=0.00015,
            is_sebi_taxed=fees.is_sebi_taxed,
        ),
        source=f"{source}; STT: Finance Act 2012; stamp duty: Finance Act 2019",
    )
    for since, fees, source in _FEES
)

# What is sold on the day on which it was bought. STT: 0.025 % of the sale since 2006-06-01 (Finance Act 2006). Brokerage: 0.03 %
# or Rs 20 for each executed order, whichever is lower (zerodha.com/charges as of May 2026; most discount brokers take the same).
NSE_INTRADAY: Final[tuple[Dated[Charges], ...]] = tuple(
    Dated(
        valid_from=since,
        value=Charges(
            stt_buy=0.0,
            stt_sell=0.00025,
            exchange=fees.exchange,
            sebi=fees.sebi,
            stamp=0.00003,
            is_sebi_taxed=fees.is_sebi_taxed,
            brokerage=0.0003,
            brokerage_most=20.0,
        ),
        source=f"{source}; STT: Finance Act 2006; stamp duty: Finance Act 2019; brokerage: zerodha.com/charges",
    )
    for since, fees, source in _FEES
)
