"""Every error that Algo.Py raises on purpose. The class tells the caller what to do.

AlgoPyError
├── InvalidInput          fix the input: a parameter, a bound, a file's content          exit 2
├── Refused               a check said no: change the situation, not the call            exit 3
├── NotFound              no such thing: look at the list                                exit 4
│   └── NoData            there are no bars for what was asked: fetch or import them
├── Damaged               stored data are not what was written: restore or set aside     exit 1
│   └── DatabaseReplaced  its file is not the one that was opened: end this process, start again
├── StrategyBroken        the trader's code failed: fix the strategy                     exit 1
├── Conflict              somebody else holds or has changed it: look again              exit 1
├── DatabaseDown          the database's server does not answer: wait, then repeat       exit 1
└── VenueError            something at a place outside: where orders go, or where bars come from
    ├── Rejected          the venue said no: record it, never resend
    │   ├── WouldTrigger  the stop's price is passed already: it must become an exit at the market
    │   ├── RuleBroken    a rule of the symbol is not kept: read its rules again, and round or split by them
    │   ├── NotNow        it takes no such order at this time of day: an exit waits for `until`, an entry is too late
    │   ├── TooManyStops  no more orders may rest there: watch the price yourself
    │   └── NotEnough     the account has not enough money or holdings free: look at what it really has
    ├── OutcomeUnknown    the order may exist: look it up, never resend
    ├── RateLimited       wait, then repeat reads only
    ├── AuthFailed        stop this deployment and call a person
    └── VenueDown         wait, then repeat reads only

A message names the parameter, the value, the bound and the remedy. It never holds a secret.
"""

from __future__ import annotations

from datetime import datetime


class AlgoPyError(Exception):
    """Anything that Algo.Py refuses or cannot do; `str()` is one line for a person."""

    exit_code = 1

    def __init__(self, message: str, *, remedy: str = "") -> None:
        self.message = message
        self.remedy = remedy
        super().__init__(f"{message.rstrip('.')}. {remedy}" if remedy else message)


class InvalidInput(AlgoPyError):
    """A value from outside that cannot be used."""

    exit_code = 2


class Refused(AlgoPyError):
    """A check that protects data or money said no."""

    exit_code = 3


class NotFound(AlgoPyError):
    """A name, an id or a symbol that does not exist."""

    exit_code = 4


class NoData(NotFound):
    """No bars are stored for what was asked."""


class Damaged(AlgoPyError):
    """Stored data that fail their own checks."""


class DatabaseReplaced(Damaged):
    """The database's file at its path is not the one that this process has open; what it writes would be nobody's."""


class StrategyBroken(AlgoPyError):
    """A strategy's code that cannot be loaded, or that failed while it ran."""


class Conflict(AlgoPyError):
    """A lock that another process holds, or a state that has moved on."""


class DatabaseDown(AlgoPyError):
    """The database's server cannot be reached, or went away. What was being committed may be written or not."""


class VenueError(AlgoPyError):
    """Something went wrong at the place where orders go, or where bars come from."""


class Rejected(VenueError):
    """The venue refused the order; it does not exist there."""


class WouldTrigger(Rejected):
    """The market has passed the price of a stop, so that it would act at once instead of resting."""


class RuleBroken(Rejected):
    """The order does not keep a rule of its symbol: lot, tick, least or greatest quantity or value, distance from the price."""


class NotNow(Rejected):
    """The venue takes no order of this kind at this time of day; nothing of it exists there.

    `until`: from when it is taken, as far as anybody knows; `why`: what stands in the way until then, or what begins then.
    """

    def __init__(self, message: str, *, remedy: str = "", until: datetime, why: str) -> None:
        super().__init__(message, remedy=remedy)
        self.until = until
        self.why = why


class TooManyStops(Rejected):
    """The account has as many resting orders of this kind as the venue allows on the symbol, or in all."""


class NotEnough(Rejected):
    """The account has not enough free of what the order would pay with."""


class OutcomeUnknown(VenueError):
    """The order may or may not exist; only a look-up can tell."""


class RateLimited(VenueError):
    """The venue asks to wait. `retry_after_s` is None when it did not say how long."""

    def __init__(self, message: str, *, remedy: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after_s = retry_after_s


class AuthFailed(VenueError):
    """The venue does not accept the credentials."""


class VenueDown(VenueError):
    """The venue cannot be reached."""
