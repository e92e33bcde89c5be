"""Facts of the outside world that change by decree: each is a record with its dates and its source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Generic, TypeVar

from algo_py.errors import InvalidInput

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dated(Generic[T]):
    """A value that holds from one day to another, both included, and who says so.

    valid_until None: until a later record takes its place. known_through: the last day for which the source speaks; None where
    it speaks until further notice. Beyond it the value is assumed.
    """

    valid_from: date
    value: T
    source: str
    valid_until: date | None = None
    known_through: date | None = None

    def holds_on(self, day: date) -> bool:
        return self.valid_from <= day and (self.valid_until is None or day <= self.valid_until)

    def is_known_on(self, day: date) -> bool:
        return self.holds_on(day) and (self.known_through is None or day <= self.known_through)


def record_on(records: Sequence[Dated[T]], day: date) -> Dated[T]:
    """Return the record that holds on `day`; of several the one that began last. Raises InvalidInput where none does."""
    holding = [record for record in records if record.holds_on(day)]
    if not holding:
        first = min(record.valid_from for record in records)
        raise InvalidInput(f"nothing is recorded for {day} (the first record is of {first})")
    return max(holding, key=lambda record: record.valid_from)
