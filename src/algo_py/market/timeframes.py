"""Timeframes: how long a bar lasts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum

from algo_py.errors import InvalidInput

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_MONDAY = datetime(1970, 1, 5, tzinfo=UTC)  # weekly bars open on Monday, as on Binance
_UNIT_S = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


class Timeframe(StrEnum):
    """A bar length, spelled as on most venues."""

    M1 = "1m"
    M3 = "3m"
    M5 = "5m"
    M15 = "15m"
    M30 = "30m"
    H1 = "1h"
    H2 = "2h"
    H4 = "4h"
    D1 = "1d"
    W1 = "1w"

    @classmethod
    def parse(cls, text: str) -> Timeframe:
        """Read a timeframe such as `1h`."""
        try:
            return cls(text)
        except ValueError:
            raise InvalidInput(f"there is no timeframe {text!r}", remedy=f"Use one of {', '.join(cls)}.") from None

    @property
    def seconds(self) -> int:
        return int(self.value[:-1]) * _UNIT_S[self.value[-1]]

    @property
    def delta(self) -> timedelta:
        return timedelta(seconds=self.seconds)

    @property
    def is_intraday(self) -> bool:
        return self.seconds < 86_400

    def floor(self, moment: datetime) -> datetime:
        """Return the latest UTC-aligned multiple of this timeframe that is not after `moment`."""
        origin = _FIRST_MONDAY if self is Timeframe.W1 else _EPOCH
        return moment - (moment - origin) % self.delta
