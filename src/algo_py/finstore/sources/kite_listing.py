"""Which shares NSE lists, with the numbers by which Kite wants to be asked for them; read once a day, shared by processes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from algo_py.clock import Clock, monotonic_s
from algo_py.errors import Conflict, Refused, VenueDown
from algo_py.finstore.durable import locked, write_hint
from algo_py.finstore.sources.kite_client import KiteClient
from algo_py.market import Instrument

# Kite makes the list anew each morning.
_MAX_AGE = timedelta(days=1)
# Kite refuses larger orders of shares ("Maximum quantity per order for Equity is 1,00,000"; support.zerodha.com,
# "kite-order-rejections"). The list has no column for it.
QUANTITY_MAX: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A share: Kite's number of it, and its order rules."""

    token: int
    tick_size: Decimal
    lot_size: Decimal

    def instrument(self, symbol: str) -> Instrument:
        return Instrument(
            symbol=symbol,
            tick_size=self.tick_size,
            lot_size=self.lot_size,
            quantity_min=self.lot_size,
            quantity_max=Decimal(QUANTITY_MAX),
            market_quantity_max=Decimal(QUANTITY_MAX),
        )


@dataclass(frozen=True, slots=True)
class _List:
    read_at: datetime
    shares: Mapping[str, Listed]


class KiteListing:
    """The list, from memory, from `folder`, or from Kite, whichever is the first to be young enough."""

    def __init__(self, client: KiteClient, folder: Path, clock: Clock) -> None:
        self._client = client
        self._file = folder / "kite-NSE.json"
        self._clock = clock
        self._last: _List | None = None

    def shares(self, *, deadline_s: float, max_age: timedelta = _MAX_AGE) -> Mapping[str, Listed]:
        """Return all shares by symbol, as they were listed less than `max_age` ago.

        Raises what `KiteClient.ask` raises, Refused when the folder cannot be written to.
        """
        found = self._young(self._last, max_age) or self._young(self._stored(), max_age)
        if found is None:
            found = self._fetched(deadline_s, max_age)
        self._last = found
        return found.shares

    def _young(self, found: _List | None, max_age: timedelta) -> _List | None:
        return found if found is not None and timedelta(0) <= self._clock.now() - found.read_at < max_age else None

    def _fetched(self, deadline_s: float, max_age: timedelta) -> _List:
        """Ask Kite, one process at a time; who had to wait finds the list stored."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with locked(self._file.with_suffix(".lock"), timeout_s=max(0.0, deadline_s - monotonic_s())):
                stored = self._young(self._stored(), max_age)
                if stored is not None:
                    return stored
                shares, _ = self._client.ask(
                    lambda kite: _shares(kite.instruments("NSE")), subject="the list of shares", deadline_s=deadline_s
                )
                found = _List(self._clock.now(), shares)
                write_hint(self._file, _encoded(found))
                return found
        except Conflict:
            raise VenueDown("another process is still reading Kite's instruments", remedy="Wait until it is done.") from None
        except OSError as error:
            raise Refused(
                f"Kite's instruments cannot be kept in {self._file.parent}: {error.strerror or error}",
                remedy="Make that folder writable for this user, or free some space on its disk.",
            ) from None

    def _stored(self) -> _List | None:
        """Return what is on disk; what is not there or cannot be read is fetched."""
        try:
            return _decoded(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError):
            return None


def _shares(rows: list[dict[str, Any]]) -> dict[str, Listed]:
    """Return the shares among all instruments of NSE (indices and debt are others). Raises ValueError when there is none."""
    shares = {
        row["tradingsymbol"]: Listed(
            token=row["instrument_token"], tick_size=Decimal(str(row["tick_size"])), lot_size=Decimal(row["lot_size"])
        )
        for row in rows
        if row["segment"] == "NSE" and row["instrument_type"] == "EQ"
    }
    if not shares:
        raise ValueError("the list of instruments has no shares")
    return shares


def _encoded(found: _List) -> str:
    shares = {symbol: (one.token, str(one.tick_size), str(one.lot_size)) for symbol, one in found.shares.items()}
    return json.dumps({"read_at": found.read_at.isoformat(), "shares": shares}, separators=(",", ":"))


def _decoded(text: str) -> _List:
    content = json.loads(text)
    shares = {
        symbol: Listed(token=int(token), tick_size=Decimal(tick_size), lot_size=Decimal(lot_size))
        for symbol, (token, tick_size, lot_size) in content["shares"].items()
    }
    read_at = datetime.fromisoformat(content["read_at"])
    if read_at.tzinfo is None:
        raise ValueError("read_at has no offset")
    return _List(read_at, shares)
