"""What changes a ledger and is no fill: units that came or went without a trade of ours, and corrections.

| kind | units | cash | average price |
|---|---|---|---|
| transfer | came in or went out | unchanged | of what came in: the given price |
| split | multiplied by a ratio (a split, a bonus, a consolidation) | what was paid for a fraction | divided by the ratio |
| fee | taken by the venue for fees of the account's trades | their value, which those trades were charged | unchanged |
| write_off | too little to be sold, or come back once they can be | unchanged | unchanged |
| correction | what an earlier entry or fill booked wrong, the other way round | likewise | unchanged |
| cash | none | paid in or out | unchanged |

Nothing is ever edited: an entry that was wrong is answered by a correction.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


class EntryKind(StrEnum):
    """Why units or cash changed without a fill."""

    TRANSFER = "transfer"
    SPLIT = "split"
    FEE = "fee"
    WRITE_OFF = "write_off"
    CORRECTION = "correction"
    CASH = "cash"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One entry of a deployment's ledger.

    quantity, cash: what is added, signed, in units and in quote currency. price: what a unit was worth, where that is known.
    ratio: of a split, new units for one old one. reverses: the id of what a correction answers. `entry_id` is unique, so that
    booking the same thing twice changes nothing.
    """

    entry_id: str
    symbol: str
    kind: EntryKind
    quantity: Decimal
    cash: Decimal = Decimal(0)
    price: Decimal | None = None
    ratio: Decimal | None = None
    reverses: str | None = None
    note: str
    by: str
    time: datetime
