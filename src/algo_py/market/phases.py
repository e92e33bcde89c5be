"""The phases of NSE's trading day: which orders each of them takes, and how it matches them.

The phases are of the exchange, not of this program: Algo.Py sends orders in continuous trading and in the closing auction alone.
In the pre-open a market order that is not matched becomes a limit order at the opening price, which is not what was decided; the
post-close takes orders at the closing price only.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time
from enum import StrEnum
from typing import Final

from algo_py.market.facts import Dated


class Matching(StrEnum):
    """How the orders of a phase become trades."""

    CONTINUOUS = "continuous"
    AUCTION = "auction"  # all at once, at one price
    NONE = "none"


class PhaseKind(StrEnum):
    """What a phase belongs to."""

    PRE_OPEN = "pre-open"
    CONTINUOUS = "continuous trading"
    CLOSING_AUCTION = "closing auction"
    POST_CLOSE = "post-close"


# Order types as `orders.model.OrderType` spells them; this room is below that one.
MARKET, LIMIT, STOP, STOP_LIMIT = "MARKET", "LIMIT", "STOP", "STOP_LIMIT"
_ALL_TYPES: Final = frozenset({MARKET, LIMIT, STOP, STOP_LIMIT})
_LIMIT_AND_MARKET: Final = frozenset({LIMIT, MARKET})
_LIMIT: Final = frozenset({LIMIT})
_NO_ORDERS: Final[frozenset[str]] = frozenset()

TRADED_KINDS: Final = frozenset({PhaseKind.CONTINUOUS, PhaseKind.CLOSING_AUCTION})


@dataclass(frozen=True, slots=True)
class PhaseRule:
    """One phase of each day, [start, end) in the exchange's time zone, with the types of new orders that it takes.

    random_end_from: from this moment on the exchange may end the phase at any time.
    """

    name: str
    kind: PhaseKind
    start: time
    end: time
    takes: frozenset[str]
    matching: Matching
    random_end_from: time | None = None


@dataclass(frozen=True, slots=True)
class Phase:
    """A phase of one session, [start, end) in UTC."""

    name: str
    kind: PhaseKind
    start: datetime
    end: datetime
    takes: frozenset[str]
    matching: Matching
    random_end_from: datetime | None = None


@dataclass(frozen=True, slots=True)
class AuctionRule:
    """The closing auction's price: within `band_fraction` of the mean price (VWAP) in [reference_from, reference_to).

    The bar of the auction opens as its order entry ends and closes as matching has ended.
    """

    band_fraction: float
    reference_from: time
    reference_to: time


@dataclass(frozen=True, slots=True)
class DayRule:
    """The phases of an ordinary day, ascending, and the auction at its end if there is one."""

    phases: tuple[PhaseRule, ...]
    auction: AuctionRule | None = None

    def of_kind(self, kind: PhaseKind) -> tuple[PhaseRule, ...]:
        return tuple(phase for phase in self.phases if phase.kind is kind)


def _pre_open_before() -> tuple[PhaseRule, ...]:
    kind = PhaseKind.PRE_OPEN
    return (
        PhaseRule("pre-open: order entry", kind, time(9), time(9, 8), _LIMIT_AND_MARKET, Matching.AUCTION, time(9, 7)),
        PhaseRule("pre-open: matching and transition", kind, time(9, 8), time(9, 15), _NO_ORDERS, Matching.NONE),
    )


def _pre_open_aligned() -> tuple[PhaseRule, ...]:
    kind = PhaseKind.PRE_OPEN
    return (
        PhaseRule("pre-open: limit and market orders", kind, time(9), time(9, 5), _LIMIT_AND_MARKET, Matching.AUCTION),
        PhaseRule("pre-open: limit orders", kind, time(9, 5), time(9, 10), _LIMIT, Matching.AUCTION, time(9, 8)),
        PhaseRule("pre-open: matching and transition", kind, time(9, 10), time(9, 15), _NO_ORDERS, Matching.NONE),
    )


def _continuous(end: time) -> PhaseRule:
    return PhaseRule("continuous trading", PhaseKind.CONTINUOUS, time(9, 15), end, _ALL_TYPES, Matching.CONTINUOUS)


def _post_close(start: time) -> PhaseRule:
    return PhaseRule("post-close", PhaseKind.POST_CLOSE, start, time(16), _LIMIT_AND_MARKET, Matching.CONTINUOUS)


def _closing_auction(
    begin: time, entry: time, limit_only: time, random_end: time, end: time, matched: time
) -> tuple[PhaseRule, ...]:
    kind = PhaseKind.CLOSING_AUCTION
    return (
        PhaseRule("closing auction: reference price", kind, begin, entry, _NO_ORDERS, Matching.NONE),
        PhaseRule("closing auction: limit and market orders", kind, entry, limit_only, _LIMIT_AND_MARKET, Matching.AUCTION),
        PhaseRule("closing auction: limit orders", kind, limit_only, end, _LIMIT, Matching.AUCTION, random_end),
        PhaseRule("closing auction: matching", kind, end, matched, _NO_ORDERS, Matching.NONE),
    )


_CAS_2026_01: Final = "SEBI HO/47/11/11(3)2025-MRD-POD2/I/2765/2026 of 2026-01-16"
_CAS_2026_10: Final = "SEBI HO/47/11/11(3)2025-MRD-POD2/I/23843/2026 of 2026-10-15, forwarded as NSE/CMTR/76963"
_FIRST_DAY: Final = date(2015, 1, 1)
CAS_FIRST_DAY: Final = date(2026, 8, 3)
_PRE_OPEN_ALIGNED: Final = date(2026, 9, 7)
_CAS_REVISED: Final = date(2026, 12, 7)

# Shares without derivatives: continuous trading to 15:30; the close is the mean price of the last half hour.
NSE_SHARE: Final[tuple[Dated[DayRule], ...]] = (
    Dated(
        valid_from=_FIRST_DAY,
        value=DayRule((*_pre_open_before(), _continuous(time(15, 30)), _post_close(time(15, 40)))),
        source="NSE, market timings of the equity segment (pre-open since 2010-10-18)",
    ),
    Dated(
        valid_from=CAS_FIRST_DAY,
        value=DayRule((*_pre_open_before(), _continuous(time(15, 30)), _post_close(time(15, 50)))),
        source=_CAS_2026_01,
    ),
    Dated(
        valid_from=_PRE_OPEN_ALIGNED,
        value=DayRule((*_pre_open_aligned(), _continuous(time(15, 30)), _post_close(time(15, 50)))),
        source=_CAS_2026_01,
    ),
)

_CAS_TWENTY_MINUTES: Final = _closing_auction(time(15, 15), time(15, 20), time(15, 25), time(15, 28), time(15, 30), time(15, 35))
_CAS_TEN_MINUTES: Final = _closing_auction(time(15, 30), time(15, 31), time(15, 36), time(15, 38), time(15, 40), time(15, 45))
_CAS_BAND: Final = 0.03

# Shares with derivatives: a closing auction makes the close. The circular of October says that matching follows the end of order
# entry, without a time: five minutes as before are taken.
NSE_SHARE_WITH_DERIVATIVES: Final[tuple[Dated[DayRule], ...]] = (
    NSE_SHARE[0],
    Dated(
        valid_from=CAS_FIRST_DAY,
        value=DayRule(
            (*_pre_open_before(), _continuous(time(15, 15)), *_CAS_TWENTY_MINUTES, _post_close(time(15, 50))),
            AuctionRule(_CAS_BAND, time(15), time(15, 15)),
        ),
        source=_CAS_2026_01,
    ),
    Dated(
        valid_from=_PRE_OPEN_ALIGNED,
        value=DayRule(
            (*_pre_open_aligned(), _continuous(time(15, 15)), *_CAS_TWENTY_MINUTES, _post_close(time(15, 50))),
            AuctionRule(_CAS_BAND, time(15), time(15, 15)),
        ),
        source=_CAS_2026_01,
    ),
    Dated(
        valid_from=_CAS_REVISED,
        value=DayRule(
            (*_pre_open_aligned(), _continuous(time(15, 30)), *_CAS_TEN_MINUTES, _post_close(time(15, 50))),
            AuctionRule(_CAS_BAND, time(15, 15), time(15, 30)),
        ),
        source=_CAS_2026_10,
    ),
)
