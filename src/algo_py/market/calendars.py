"""When a market trades, and when each of its bars opens, closes and is final.

A bar's close_time comes from here and from nowhere else: round the clock it is open_time + timeframe; on an exchange with
sessions a bar ends no later than its continuous trading does, a daily bar is stamped with local midnight, and a closing auction
is a bar of its own (`algo_py.market.sessions`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, Protocol

from algo_py.errors import InvalidInput
from algo_py.market.phases import LIMIT, MARKET, STOP, STOP_LIMIT, AuctionRule, Matching, Phase, PhaseKind
from algo_py.market.timeframes import Timeframe

_ALL_TYPES: Final = frozenset({MARKET, LIMIT, STOP, STOP_LIMIT})
_FOR_EVER: Final = datetime(9999, 1, 1, tzinfo=UTC)


class UnknownDays(InvalidInput):
    """On which days the market traded is not known so far back."""


@dataclass(frozen=True, slots=True)
class Session:
    """One stretch of trading of a day. All moments are UTC.

    Continuous trading is [open, close). auction: the bar of the closing auction, from the end of its order entry to the end of
    matching; None without one, and auction_rule says which prices it can have. is_known False: nobody has said so, the weekly
    rule is assumed.
    """

    day: date
    open: datetime
    close: datetime
    phases: tuple[Phase, ...] = ()
    auction: tuple[datetime, datetime] | None = None
    name: str = ""
    source: str = ""
    is_known: bool = True
    auction_rule: AuctionRule | None = None

    @property
    def end(self) -> datetime:
        """When the last bar of the day closes."""
        return self.close if self.auction is None else self.auction[1]


@dataclass(frozen=True, slots=True)
class Day:
    """What is known of a day: its session, None when the market is closed, and who says so. known: "known" or "assumed"."""

    day: date
    session: Session | None
    name: str
    source: str
    known: str


class Calendar(Protocol):
    """The opening hours of a market, or of some of its symbols, as bars and orders see them. All moments are UTC.

    Beyond the last day that is known the weekly rule is assumed (`is_assumed`); days before the first one raise UnknownDays.
    """

    def bar_close(self, open_time: datetime, timeframe: Timeframe) -> datetime:
        """Return when the bar that opens at `open_time` closes."""

    def final_at(self, open_time: datetime, timeframe: Timeframe) -> datetime:
        """Return from when on the bar is final at the market's own sources: at its close, or later."""

    def bar_opens(self, timeframe: Timeframe, start: datetime, end: datetime) -> Iterator[datetime]:
        """Yield the open times of all bars in [start, end), ascending."""

    def next_bar_close(self, timeframe: Timeframe, after: datetime) -> datetime:
        """Return the first close time that is later than `after`."""

    def next_final(self, timeframe: Timeframe, after: datetime) -> datetime:
        """Return the first moment later than `after` from which a bar is final."""

    def is_auction(self, open_time: datetime, timeframe: Timeframe) -> bool:
        """Return whether the bar that opens then is a closing auction: all of it at one price, and nothing filled on the way."""

    def is_trading_day(self, moment: datetime) -> bool:
        """Return whether the market has a session on the day of its own time zone that `moment` falls on."""

    def next_trading_day(self, after: datetime) -> datetime:
        """Return the first midnight of the market's own time zone, later than `after`, with which a trading day begins."""

    def is_open(self, moment: datetime) -> bool:
        """Return whether the market trades continuously at `moment`; a session's open counts, its close does not."""

    def first_open(self, moment: datetime) -> datetime:
        """Return `moment` itself in continuous trading, else when that begins next."""

    def phase(self, moment: datetime) -> Phase | None:
        """Return the phase that `moment` falls into; None outside of all."""

    def next_entry(self, order_type: str, moment: datetime) -> Phase:
        """Return the first phase, the present one included, in which a new order of this type can be sent.

        Continuous trading and the closing auction count; the pre-open and the post-close do not, see `algo_py.market.phases`.
        """

    def day(self, day: date) -> Day:
        """Return what is known of a day."""

    def is_assumed(self, moment: datetime) -> bool:
        """Return whether nobody has said yet if the market trades on the day of `moment`."""

    @property
    def known_until(self) -> datetime | None:
        """The end of the last day that is known, exclusive; None where every day is."""

    def periods_per_year(self, timeframe: Timeframe) -> float:
        """Return how many bars a year has, for annualisation."""


class AlwaysOpen:
    """A market without sessions: every bar of every day, in UTC. A bar is final as it closes."""

    _PHASE: Final = Phase(
        "continuous trading",
        PhaseKind.CONTINUOUS,
        datetime(1, 1, 1, tzinfo=UTC),
        _FOR_EVER,
        _ALL_TYPES,
        Matching.CONTINUOUS,
    )

    def bar_close(self, open_time: datetime, timeframe: Timeframe) -> datetime:
        return open_time + timeframe.delta

    def final_at(self, open_time: datetime, timeframe: Timeframe) -> datetime:
        return open_time + timeframe.delta

    def bar_opens(self, timeframe: Timeframe, start: datetime, end: datetime) -> Iterator[datetime]:
        moment = timeframe.floor(start)
        if moment < start:
            moment += timeframe.delta
        while moment < end:
            yield moment
            moment += timeframe.delta

    def next_bar_close(self, timeframe: Timeframe, after: datetime) -> datetime:
        return timeframe.floor(after) + timeframe.delta

    def next_final(self, timeframe: Timeframe, after: datetime) -> datetime:
        return self.next_bar_close(timeframe, after)

    def is_auction(self, open_time: datetime, timeframe: Timeframe) -> bool:
        return False

    def is_trading_day(self, moment: datetime) -> bool:
        return True

    def next_trading_day(self, after: datetime) -> datetime:
        return Timeframe.D1.floor(after) + timedelta(days=1)

    def is_open(self, moment: datetime) -> bool:
        return True

    def first_open(self, moment: datetime) -> datetime:
        return moment

    def phase(self, moment: datetime) -> Phase | None:
        return self._PHASE

    def next_entry(self, order_type: str, moment: datetime) -> Phase:
        return self._PHASE

    def day(self, day: date) -> Day:
        opens = datetime(day.year, day.month, day.day, tzinfo=UTC)
        session = Session(day, opens, opens + timedelta(days=1), (self._PHASE,))
        return Day(day, session, "", "trades round the clock", "known")

    def is_assumed(self, moment: datetime) -> bool:
        return False

    @property
    def known_until(self) -> datetime | None:
        return None

    def periods_per_year(self, timeframe: Timeframe) -> float:
        return 365 * 86_400 / timeframe.seconds


def latest_closed_open(calendar: Calendar, timeframe: Timeframe, now: datetime) -> datetime:
    """Return the open time of the newest bar that has closed by `now`."""
    for span in (timeframe.delta * 3, timedelta(days=35)):
        opens = list(calendar.bar_opens(timeframe, now - span, now))
        closed = [moment for moment in opens if calendar.bar_close(moment, timeframe) <= now]
        if closed:
            return closed[-1]
    raise InvalidInput(f"no bar of {timeframe} has closed in the 35 days before {now.isoformat()}")


def latest_final_open(calendar: Calendar, timeframe: Timeframe, now: datetime) -> datetime:
    """Return the open time of the newest bar that is final by `now`."""
    for span in (timeframe.delta * 3, timedelta(days=35)):
        opens = list(calendar.bar_opens(timeframe, now - span, now))
        final = [moment for moment in opens if calendar.final_at(moment, timeframe) <= now]
        if final:
            return final[-1]
    raise InvalidInput(f"no bar of {timeframe} is final in the 35 days before {now.isoformat()}")
