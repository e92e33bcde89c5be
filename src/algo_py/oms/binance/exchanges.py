"""Which exchanges can be traded on, where they are, and how much of their limits orders may use.

An exchange must be able to look an order up by our id, and must say until when a request of ours may still be carried out:
without both, "the order does not exist" is never certain, and nothing could be sent again. Binance says both, the first by
`origClientOrderId`, the second by `recvWindow`. ccxt's unified methods have no word for the second, so an exchange joins this
table by speaking Binance's own protocol, not by being known to ccxt.

Sources: Binance Spot API, REST, sections "General API Information", "IP Limits" and "Timing security"; Binance.US API, "Limits".
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from algo_py.errors import Refused
from algo_py.finstore.sources.binance_spot import HOST
from algo_py.finstore.sources.limits import SharedLimit
from algo_py.orders.model import OrderType

TESTNET_HOST: Final = "testnet.binance.vision"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """An exchange by its ccxt id; weights are what it counts, by the address that requests come from.

    weight_per_s, weight_at_once: what all of ours may use of them. can_tell_rights: whether it tells what a key may do.
    """

    id: str
    host: str
    weight_per_s: float
    weight_at_once: float
    order_types: frozenset[OrderType]
    holds_targets: bool
    can_tell_rights: bool

    @property
    def keys(self) -> str:
        """What the names of its keys in config/.env begin with."""
        return self.id.upper()

    def limit(self, host: str, *, folder: Path | None = None) -> SharedLimit:
        """Return the limit of `host`. At Binance bars keep the one of the same name: one budget, and one silence after a 429.

        Bars may use 300 at once, orders more: so an order does not wait behind bars, but bars wait after orders. At most
        `weight_at_once` and a minute at `weight_per_s` together come in one minute: 5,700 of Binance's 6,000.
        """
        return SharedLimit(f"{self.id} {host}", per_s=self.weight_per_s, burst=self.weight_at_once, folder=folder)


_EXCHANGES: Final = {
    exchange.id: exchange
    for exchange in (
        Exchange(
            id="binance",
            host=HOST,
            weight_per_s=45.0,
            weight_at_once=3_000.0,
            order_types=frozenset({OrderType.MARKET, OrderType.LIMIT, OrderType.STOP}),
            holds_targets=True,
            can_tell_rights=True,
        ),
        Exchange(
            id="binanceus",
            host="api.binance.us",
            weight_per_s=9.0,
            weight_at_once=600.0,
            order_types=frozenset({OrderType.MARKET, OrderType.LIMIT}),
            holds_targets=False,
            can_tell_rights=False,
        ),
    )
}


def exchange_of(exchange_id: str) -> Exchange:
    """Return the exchange with this ccxt id. Raises Refused for one on which an order could not be followed for certain."""
    try:
        return _EXCHANGES[exchange_id]
    except KeyError:
        raise Refused(
            f"orders cannot go to {exchange_id}: it could not be known for certain whether one has arrived",
            remedy=f"Use one of {', '.join(_EXCHANGES)}.",
        ) from None
