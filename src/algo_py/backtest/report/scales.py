"""Where values and moments lie on an axis, and which round ones are written beside it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from algo_py.backtest.report.trades import round_step

# Above this ratio of the highest to the lowest value, a curve's early years would be a flat line on a linear axis.
_LOGARITHMIC_FROM: Final = 8.0
_HOURS, _DAYS, _MONTHS, _YEARS = (1, 2, 3, 6, 12), (1, 2, 4, 7, 14), (1, 2, 3, 6), (1, 2, 5, 10)


@dataclass(frozen=True, slots=True)
class Tick:
    """A round value: where it lies on the axis (0 to 1) and what is written there."""

    place: float
    label: str


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis from `low` to `high`."""

    low: float
    high: float
    is_log: bool = False

    def places(self, values: np.ndarray) -> np.ndarray:
        """Return where values lie: 0 at `low`, 1 at `high`."""
        low, high = self._bent(self.low), self._bent(self.high)
        bent = np.log(values) if self.is_log else values
        found: np.ndarray = (bent - low) / (high - low)
        return found

    def place(self, value: float) -> float:
        """Return where one value lies."""
        return float(self.places(np.array([value]))[0])

    def values(self, most: int = 5) -> list[float]:
        """Return round values on the axis, ascending."""
        if self.is_log:
            return _round_logarithmic(self.low, self.high, most)
        step = round_step((self.high - self.low) / most)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]

    def _bent(self, value: float) -> float:
        return math.log(value) if self.is_log else value


def value_scale(values: np.ndarray, *, include: float | None = None, may_be_log: bool = False) -> Scale:
    """Return an axis for values (NaN is ignored) with a little air above and below.

    `include` is a value that must be on it; an axis that begins or ends at 0 has no air there.
    """
    known = values[np.isfinite(values)]
    if include is not None:
        known = np.append(known, include)
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    if low == high:
        air = abs(high) * 0.05 or 0.05
        return Scale(low - air, high + air)
    if may_be_log and low > 0.0 and high / low > _LOGARITHMIC_FROM:
        air = (high / low) ** 0.04
        return Scale(low / air, high * air, is_log=True)
    air = (high - low) * 0.06
    return Scale(low if low == 0.0 and include == 0.0 else low - air, high if high == 0.0 and include == 0.0 else high + air)


def time_ticks(first: datetime, last: datetime, zone: ZoneInfo, *, most: int = 9) -> list[Tick]:
    """Return up to about `most` round moments between two, by the calendar of `zone`: years, months, days or hours."""
    start, end = first.astimezone(zone), last.astimezone(zone)
    if end <= start:
        return [Tick(0.0, f"{start:%-d %b %Y}")]
    return [Tick((moment - start) / (end - start), label) for moment, label in _moments(start, end, most)]


def _moments(start: datetime, end: datetime, most: int) -> Iterator[tuple[datetime, str]]:
    days = (end - start) / timedelta(days=1)
    if days > 3 * 365:
        for moment in _months(start, end, 12 * _fitting(_YEARS, days / 365, most)):
            yield moment, str(moment.year)
    elif days > 3 * 31:
        for number, moment in enumerate(_months(start, end, _fitting(_MONTHS, days / 30.4, most))):
            yield moment, f"{moment:%b %Y}" if number == 0 or moment.month == 1 else f"{moment:%b}"
    elif days > 3:
        for moment in _days(start, end, _fitting(_DAYS, days, most)):
            yield moment, f"{moment:%-d %b}"
    else:
        step = _fitting(_HOURS, days * 24, most)
        for moment in _hours(start, end):
            if moment.hour % step == 0:
                yield moment, f"{moment:%H:%M}" if moment.hour else f"{moment:%-d %b}"


def _fitting(steps: tuple[int, ...], span: float, most: int) -> int:
    """Return the smallest step that gives at most `most` ticks; beyond the largest, as large a one as is needed."""
    return next((step for step in steps if span / step <= most), max(steps[-1], math.ceil(span / most)))


def _months(start: datetime, end: datetime, step: int) -> Iterator[datetime]:
    count = start.year * 12 + start.month - 1
    for number in range(count - count % step, end.year * 12 + end.month, step):
        moment = datetime(number // 12, number % 12 + 1, 1, tzinfo=start.tzinfo)
        if start <= moment <= end:
            yield moment


def _days(start: datetime, end: datetime, step: int) -> Iterator[datetime]:
    for ordinal in range(start.toordinal(), end.toordinal() + 1):
        moment = datetime.combine(date.fromordinal(ordinal), time(), start.tzinfo)
        if ordinal % step == 0 and start <= moment <= end:
            yield moment


def _hours(start: datetime, end: datetime) -> Iterator[datetime]:
    whole = start.replace(minute=0, second=0, microsecond=0)
    for number in range(math.ceil((end - start) / timedelta(hours=1)) + 2):
        moment = whole + timedelta(hours=number)
        if start <= moment <= end:
            yield moment


def _round_logarithmic(low: float, high: float, most: int) -> list[float]:
    """Return 1, 2 and 5 times powers of ten within the bounds, or the powers alone where that is too many."""
    powers = [10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
    for factors in ((1, 2, 5), (1,)):
        found = [power * factor for power in powers for factor in factors if low <= power * factor <= high]
        if len(found) <= most + 2:
            return found
    return found[:: math.ceil(len(found) / most)]
