"""Order rules as the exchange states them, kept on disk so that a run need not ask for them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from algo_py.clock import Clock, monotonic_s
from algo_py.errors import AlgoPyError, Conflict, InvalidInput, RateLimited, Refused, VenueDown
from algo_py.finstore.durable import locked, write_hint
from algo_py.finstore.sources.protocol import Source
from algo_py.market import Instrument, get_market

_MAX_AGE = timedelta(days=1)


class _Rules(BaseModel):
    """One symbol's rules, which source stated them, and when."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tick_size: Decimal
    lot_size: Decimal
    quantity_min: Decimal
    notional_min: Decimal
    # What an earlier version wrote has no largest quantities, which is as good as none until it is read again.
    quantity_max: Decimal = Decimal(0)
    market_quantity_max: Decimal = Decimal(0)
    source: str
    read_at: AwareDatetime

    def instrument(self, symbol: str) -> Instrument:
        return Instrument(
            symbol=symbol,
            tick_size=self.tick_size,
            lot_size=self.lot_size,
            quantity_min=self.quantity_min,
            notional_min=self.notional_min,
            quantity_max=self.quantity_max,
            market_quantity_max=self.market_quantity_max,
        )


class _Book(BaseModel):
    """What is known of one market. unknown: per source, the symbols whose rules it did not know, and when it was asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: Mapping[str, _Rules] = {}
    unknown: Mapping[str, Mapping[str, AwareDatetime]] = {}

    def due(self, source: str, symbols: Sequence[str], *, now: datetime, max_age: timedelta) -> list[str]:
        """Return the symbols that this source should be asked for."""

        def is_fresh(moment: datetime | None) -> bool:
            return moment is not None and timedelta(0) <= now - moment < max_age

        asked = self.unknown.get(source, {})
        return [
            symbol
            for symbol in dict.fromkeys(symbols)
            if not is_fresh(self.rules[symbol].read_at if symbol in self.rules else None) and not is_fresh(asked.get(symbol))
        ]

    def after(self, source: str, asked: Sequence[str], answer: Mapping[str, Instrument], *, now: datetime) -> _Book:
        """Return what is known after an answer. Rules that this source stated once and knows no more are gone."""
        rules = {
            symbol: known
            for symbol, known in self.rules.items()
            if symbol not in asked or symbol in answer or known.source != source
        }
        for symbol in asked:
            if symbol in answer:
                rules[symbol] = _rules(answer[symbol], source, now)
        others = {symbol: moment for symbol, moment in self.unknown.get(source, {}).items() if symbol not in asked}
        unknown = {symbol: now for symbol in asked if symbol not in answer}
        return _Book(rules=rules, unknown={**self.unknown, source: {**others, **unknown}})


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """What a refresh did. asked: the symbols that the source was asked for, none when all rules were young enough.

    unknown: those of them that it knows no rules of. failure: why it could not be asked; then what was known before still holds.
    """

    asked: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    failure: AlgoPyError | None = None


class InstrumentCache:
    """Order rules by market and symbol, one file a market. Building one touches nothing; processes and threads may share it."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._seen: dict[str, tuple[os.stat_result, _Book]] = {}

    def get(self, market: str, symbol: str) -> Instrument | None:
        """Return the rules of a symbol however old they are; None when they are not known."""
        known = self._book(market).rules.get(symbol)
        return None if known is None else known.instrument(symbol)

    def age(self, market: str, symbol: str) -> timedelta | None:
        """Return how long ago the rules were read; None when they are not known."""
        known = self._book(market).rules.get(symbol)
        return None if known is None else self._clock.now() - known.read_at

    def refresh(
        self, market: str, source: Source, symbols: Sequence[str], *, max_age: timedelta = _MAX_AGE, deadline_s: float
    ) -> Refreshed:
        """Ask the source for the rules that are missing or not younger than `max_age`; return what was done.

        A source that is down, at its limit or being asked by another process until `deadline_s` (of `clock.monotonic_s`) is no
        error here: the rules known before stay, with their age, and the report says why. What it does not know is not asked
        again before `max_age` either. Raises AuthFailed, and Refused when the disk does not take the file.
        """
        own_market = get_market(market)
        for symbol in symbols:
            own_market.check_symbol(symbol)
        if not self._due(market, source, symbols, max_age):
            return Refreshed()
        file = self._file(market)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with locked(file.with_suffix(".lock"), timeout_s=max(0.0, deadline_s - monotonic_s())):
                asked = self._due(market, source, symbols, max_age)  # another process may just have done it
                if not asked:
                    return Refreshed()
                answer = source.instruments(asked, deadline_s=deadline_s)
                book = self._book(market).after(source.name, asked, answer, now=self._clock.now())
                write_hint(file, book.model_dump_json())
        except (VenueDown, RateLimited, Conflict) as error:
            return Refreshed(failure=error)
        except OSError as error:
            raise Refused(
                f"order rules cannot be written to {file}: {error.strerror or error}",
                remedy="Make that folder writable for this user, or free some space on its disk.",
            ) from None
        return Refreshed(asked=tuple(asked), unknown=tuple(symbol for symbol in asked if symbol not in answer))

    def _due(self, market: str, source: Source, symbols: Sequence[str], max_age: timedelta) -> list[str]:
        return self._book(market).due(source.name, symbols, now=self._clock.now(), max_age=max_age)

    def _file(self, market: str) -> Path:
        return self._folder / f"{get_market(market).name}.json"

    def _book(self, market: str) -> _Book:
        """Return what is known; a file that is not there or cannot be read is as good as none, and is written anew."""
        file = self._file(market)
        try:
            state = file.stat()
            seen = self._seen.get(market)
            if seen is not None and _is_same(seen[0], state):
                return seen[1]
            book = _Book.model_validate_json(file.read_bytes())
            for symbol, rules in book.rules.items():
                rules.instrument(symbol)
        except (OSError, ValidationError, InvalidInput):
            return _Book()
        self._seen[market] = (state, book)
        return book


def _is_same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_ino, one.st_mtime_ns, one.st_size) == (other.st_ino, other.st_mtime_ns, other.st_size)


def _rules(instrument: Instrument, source: str, now: datetime) -> _Rules:
    return _Rules(
        tick_size=instrument.tick_size,
        lot_size=instrument.lot_size,
        quantity_min=instrument.quantity_min,
        notional_min=instrument.notional_min,
        quantity_max=instrument.quantity_max,
        market_quantity_max=instrument.market_quantity_max,
        source=source,
        read_at=now,
    )
