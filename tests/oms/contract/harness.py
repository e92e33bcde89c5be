"""What the contract needs of an OMS: the OMS itself, orders that go this way or that, and a way to have things go wrong.

To have an OMS pass the contract, write a module `harness_<venue>.py` in this folder with `HARNESSES`: names, each with a function
that takes an empty folder and returns a context manager of a Harness. What a venue cannot do it declares in `lacks`, each with
the reason; the tests that need it are then skipped with these words. Whatever it does not declare is expected of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from algo_py.oms import OMS
from algo_py.orders.model import OrderRequest


class Lack(StrEnum):
    """What a venue may be unable to do."""

    CREDENTIALS = "no credentials are needed"
    RULES = "the venue has no order rules of its own"
    LOOK_UP = "an order cannot be looked up: every look-up ends in OutcomeUnknown"
    FILLS = "the venue never tells what was filled"
    PARTIAL_FILLS = "orders fill wholly or not at all"
    REPEATED_TRADES = "trades are not listed, so none can be listed twice"
    REFUSALS = "the venue takes every order"
    CANCEL = "an order cannot be taken back"
    POSITIONS = "the venue does not say what is held"
    CASH = "the venue does not say what can be spent"
    RULE_CHANGES = "its order rules never change"
    JUDGED_STOPS = "a stop whose price is passed is taken, and acts with the next price"


class Trouble(StrEnum):
    """What may go wrong with the next order. BEFORE: the venue does not take it; AFTER: it does, and the answer is lost."""

    TIME_OUT_BEFORE = "no answer in time, and the order is not taken"
    TIME_OUT_AFTER = "no answer in time, though the order is taken"
    DROPPED_BEFORE = "the connection breaks, and the order is not taken"
    DROPPED_AFTER = "the connection breaks, though the order is taken"
    SERVER_ERROR_BEFORE = "status 5xx, and the order is not taken"
    SERVER_ERROR_AFTER = "status 5xx, though the order is taken"
    NONSENSE_AFTER = "status 200 with something else, though the order is taken"
    CONNECTION_REFUSED = "nobody listens"
    TOO_MANY = "status 429 with Retry-After, and the order is not taken"


# After these only a look-up can tell what became of the order.
OPEN_ENDED: Mapping[Trouble, bool] = {
    Trouble.TIME_OUT_BEFORE: False,
    Trouble.TIME_OUT_AFTER: True,
    Trouble.DROPPED_BEFORE: False,
    Trouble.DROPPED_AFTER: True,
    Trouble.SERVER_ERROR_BEFORE: False,
    Trouble.SERVER_ERROR_AFTER: True,
    Trouble.NONSENSE_AFTER: True,
}

RETRY_AFTER_S = 30


class Harness(Protocol):
    """An OMS and the venue behind it. Each order that a harness makes has an id of its own.

    symbols: at least two that the venue trades. secrets: what must never be seen in a message.
    troubles: those that can happen on the way to it.
    """

    symbols: Sequence[str]
    secrets: Collection[str]
    lacks: Mapping[Lack, str]
    troubles: Collection[Trouble]

    def oms(self) -> OMS:
        """Return the OMS, connected; the same one each time."""

    def stranger(self) -> OMS:
        """Return an OMS with credentials that the venue does not accept, not connected. Unless CREDENTIALS is lacking."""

    def now(self) -> datetime:
        """Return what the clock of the OMS shows."""

    def filling(self) -> OrderRequest:
        """Make an order that the venue fills wholly, at once or by the time it is looked up: a buy, and one that can be paid."""

    def resting(self) -> OrderRequest:
        """Make an order that the venue takes and does not fill by itself: a buy, and one that can be paid."""

    def refused(self) -> OrderRequest:
        """Make an order to which the venue says no. Unless REFUSALS is lacking."""

    def passed(self) -> OrderRequest:
        """Make a stop of what is held whose price is passed. Unless it has no STOP orders, or JUDGED_STOPS is lacking."""

    def change_rules(self) -> None:
        """Change the rules of the first symbol, and let pass how long they may be kept. Unless RULE_CHANGES is lacking."""

    def fill(self, order: OrderRequest, quantity: Decimal) -> None:
        """Have so much of a resting order fill. Unless FILLS is lacking."""

    def repeat_trades(self) -> None:
        """Have the venue list each trade twice from now on. Unless REPEATED_TRADES is lacking."""

    def cause(self, trouble: Trouble) -> None:
        """Have the next order go wrong."""

    def settle(self) -> None:
        """Let so much time pass that an order which the venue has not taken by now never will be."""

    def asked(self) -> int:
        """Return how many requests to take an order have reached the venue so far."""

    def taken(self) -> int:
        """Return how many orders the venue has taken so far."""


Build = Callable[[Path], AbstractContextManager[Harness]]
