"""Who takes the orders. One adapter a venue; they do not know one another."""

from __future__ import annotations

from collections.abc import Sequence

from algo_py.clock import Clock
from algo_py.database import Database
from algo_py.engine import PortfolioConfig
from algo_py.errors import NotFound
from algo_py.market import Market
from algo_py.oms.paper import PaperOMS, PriceFeed
from algo_py.oms.protocol import OMS, AccountSummary, Capabilities, PositionReport

__all__ = ["OMS", "AccountSummary", "Capabilities", "PaperOMS", "PositionReport", "PriceFeed", "oms_names", "open_oms"]


def oms_names() -> tuple[str, ...]:
    """Return the names of all OMS, in the order in which screens list them."""
    return (PaperOMS.name,)


def open_oms(
    name: str,
    *,
    database: Database,
    clock: Clock,
    account: str,
    market: Market,
    symbols: Sequence[str],
    config: PortfolioConfig,
    feed: PriceFeed,
) -> OMS:
    """Build the OMS called `name` for one account; it is not connected yet."""
    if name == PaperOMS.name:
        return PaperOMS(database, clock, account=account, market=market, symbols=symbols, config=config, feed=feed)
    raise NotFound(f"there is no OMS {name!r}", remedy=f"Use one of {', '.join(oms_names())}.")
