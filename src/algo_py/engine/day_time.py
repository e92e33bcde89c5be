"""A time of day as configurations hold it: a whole minute of the market's time zone, written `15:10`."""

from __future__ import annotations

from datetime import time
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

from algo_py.errors import InvalidInput


def read_day_time(value: Any) -> Any:
    """Return the time that `HH:MM` or a time says. Raises ValueError for everything else, and for seconds and zones."""
    found = value
    if isinstance(value, str):
        try:
            found = time.fromisoformat(value.strip())
        except ValueError:
            raise ValueError("must be a time of day such as 15:10") from None
    elif not isinstance(value, time):
        raise ValueError("must be a time of day such as 15:10")
    if found.second or found.microsecond or found.tzinfo is not None:
        raise ValueError("must be a whole minute of the market's own time zone, such as 15:10")
    return found


def written(moment: time) -> str:
    """Write `15:10`."""
    return moment.isoformat("minutes")


DayTime = Annotated[time, BeforeValidator(read_day_time), PlainSerializer(written, return_type=str, when_used="json")]


def refuse_windows_that_cannot_be(before: time | None, after: time | None, square_off: time | None) -> None:
    """Raise InvalidInput for a window in which no entry could ever fill."""
    if before is not None and after is not None and before > after:
        raise InvalidInput(
            f"no_entry_after must not be before no_entry_before {written(before)} (was {written(after)})",
            remedy="Entries are allowed from the one to the other.",
        )
    if before is not None and square_off is not None and square_off <= before:
        raise InvalidInput(
            f"square_off_at must be after no_entry_before {written(before)} (was {written(square_off)})",
            remedy="No position could be opened before all are closed.",
        )
