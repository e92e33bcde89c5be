"""What this workspace knows of the market's days beyond what is shipped: `config/calendar.toml`, and the renewed list of shares.

The files are read again when they change. A file that cannot be read takes nothing away: what was read before goes on to hold,
and `problem` says what is wrong.
"""

from __future__ import annotations

import json
import os
import threading
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, time
from itertools import pairwise
from pathlib import Path
from typing import Any

from algo_py.errors import InvalidInput
from algo_py.market.derivatives import SHIPPED, Listed, Listings, renewed


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnDay:
    """A day as a person has it: closed, or one session [opens, closes) in the market's time zone."""

    day: date
    opens: time | None = None
    closes: time | None = None
    name: str = ""
    source: str = ""

    @property
    def is_closed(self) -> bool:
        return self.opens is None

    def __post_init__(self) -> None:
        if (self.opens is None) is not (self.closes is None):
            raise InvalidInput(f"{self.day} needs both open and close, or closed = true")
        if self.opens is not None and self.closes is not None and self.opens >= self.closes:
            raise InvalidInput(f"{self.day} opens at {self.opens:%H:%M} and must close later (was {self.closes:%H:%M})")


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnMarket:
    """What a person has written down about one market. known_through: the last day up to which the list of days is complete."""

    days: tuple[OwnDay, ...] = ()
    known_through: date | None = None
    derivatives: Mapping[str, tuple[Listed, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnFacts:
    """The workspace's own facts. `listings`: the shipped shares with derivatives, as corrected. problem: what is unreadable."""

    markets: Mapping[str, OwnMarket] = field(default_factory=dict)
    listings: Listings = field(default_factory=lambda: SHIPPED)
    listings_source: str = ""
    problem: str = ""

    def of(self, market: str) -> OwnMarket:
        return self.markets.get(market, OwnMarket())


class _Files:
    """The two files of this process's workspace, and what they said when they were read last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._paths: tuple[Path | None, Path | None] = (None, None)
        self._stamp: object = None
        self._facts = OwnFacts()

    def use(self, calendar: Path | None, listings: Path | None) -> None:
        with self._lock:
            if (calendar, listings) != self._paths:
                self._paths, self._stamp, self._facts = (calendar, listings), None, OwnFacts()

    def current(self) -> OwnFacts:
        stamp = tuple(_stamp(path) for path in self._paths)
        if stamp == self._stamp:
            return self._facts
        with self._lock:
            self._facts = _facts_of(*self._paths, before=self._facts)
            self._stamp = stamp
            return self._facts


_files = _Files()


def use_files(calendar: Path | None, listings: Path | None) -> None:
    """From here on this process reads these files; they need not exist. A process works on one workspace."""
    _files.use(calendar, listings)


def own_facts() -> OwnFacts:
    """Return what the files say now. The same object as long as they do not change."""
    return _files.current()


def read_calendar(path: Path) -> dict[str, OwnMarket]:
    """Read a `calendar.toml`; a missing file says nothing. Raises InvalidInput by file and key."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}", remedy="Correct it, or move it away.") from None
    try:
        return {name: _market(section) for name, section in content.items()}
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error.message}", remedy="Correct it.") from None


def write_calendar(path: Path, markets: Mapping[str, OwnMarket]) -> None:
    """Write a `calendar.toml` whole; days ascending. Comments that a person made are not kept."""
    _replace(path, "\n".join(_lines(markets)) + "\n")


def save_listings(path: Path, symbols: Sequence[str], *, seen_on: date, source: str) -> None:
    """Renew the list of shares with derivatives by a full list that was seen on a day. An empty one is left alone."""
    if not symbols:
        return
    before, _, last = _read_listings(path)
    if last is not None and last > seen_on:
        return  # somebody has seen a later one
    listings = renewed(SHIPPED if last is None else before, frozenset(symbols), seen_on)
    content = {
        "seen_on": seen_on.isoformat(),
        "source": source,
        "listings": {
            symbol: [
                [stretch.since and stretch.since.isoformat(), stretch.until and stretch.until.isoformat()] for stretch in own
            ]
            for symbol, own in sorted(listings.items())
        },
    }
    _replace(path, json.dumps(content, indent=1) + "\n")


def _facts_of(calendar: Path | None, listings: Path | None, *, before: OwnFacts) -> OwnFacts:
    problems: list[str] = []
    markets, listed, source = before.markets, before.listings, before.listings_source
    try:
        markets = read_calendar(calendar) if calendar is not None else {}
    except InvalidInput as error:
        problems.append(str(error))
    try:
        if listings is not None:
            listed, source, _ = _read_listings(listings)
    except InvalidInput as error:
        problems.append(str(error))
    own = {symbol: stretches for market in markets.values() for symbol, stretches in market.derivatives.items()}
    return OwnFacts(markets=markets, listings={**listed, **own}, listings_source=source, problem=" ".join(problems))


def _read_listings(path: Path) -> tuple[Listings, str, date | None]:
    """Return the renewed listings, their source and the day they were seen; the shipped ones where there is no file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        listings = {
            str(symbol): tuple(
                Listed(since and date.fromisoformat(since), until and date.fromisoformat(until)) for since, until in own
            )
            for symbol, own in content["listings"].items()
        }
        return listings, str(content["source"]), date.fromisoformat(content["seen_on"])
    except FileNotFoundError:
        return SHIPPED, "", None
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}", remedy="Delete it; it is fetched again.") from None


def _market(section: Any) -> OwnMarket:
    _check_keys("a market", section, {"known_through", "days", "derivatives"})
    days = tuple(sorted((_day(day) for day in _list(section, "days")), key=lambda own: own.day))
    for earlier, later in pairwise(days):
        if earlier.day == later.day:
            raise InvalidInput(f"{later.day} stands there twice")
    derivatives: dict[str, tuple[Listed, ...]] = {}
    for entry in _list(section, "derivatives"):
        _check_keys("an entry of derivatives", entry, {"symbol", "since", "until"})
        symbol = _typed(entry, "symbol", str, needed=True)
        stretch = Listed(_typed(entry, "since", date), _typed(entry, "until", date))
        derivatives[symbol] = (*derivatives.get(symbol, ()), stretch)
    return OwnMarket(days=days, known_through=_typed(section, "known_through", date), derivatives=derivatives)


def _day(entry: Any) -> OwnDay:
    _check_keys("a day", entry, {"date", "closed", "open", "close", "name", "source"})
    day = _typed(entry, "date", date, needed=True)
    opens, closes = _typed(entry, "open", time), _typed(entry, "close", time)
    is_closed = _typed(entry, "closed", bool) or False
    if is_closed is (opens is not None or closes is not None):
        raise InvalidInput(f"{day} needs either closed = true, or open and close")
    name, source = _typed(entry, "name", str) or "", _typed(entry, "source", str) or ""
    return OwnDay(day=day, opens=opens, closes=closes, name=name, source=source)


def _list(section: Mapping[str, Any], key: str) -> list[Any]:
    found = section.get(key, [])
    if not isinstance(found, list):
        raise InvalidInput(f"{key} must be a list of tables, [[market.{key}]]")
    return found


def _check_keys(what: str, entry: Any, known: set[str]) -> None:
    if not isinstance(entry, dict):
        raise InvalidInput(f"{what} must be a table (was {entry!r})")
    for key in entry:
        if key not in known:
            raise InvalidInput(f"{what} has no key {key!r}; it has {', '.join(sorted(known))}")


def _typed(entry: Mapping[str, Any], key: str, kind: type[Any], *, needed: bool = False) -> Any:
    value = entry.get(key)
    if value is None:
        if needed:
            raise InvalidInput(f"{key} is missing")
        return None
    if type(value) is not kind:  # a datetime is a date, and a bool an int
        raise InvalidInput(f"{key} must be a {kind.__name__} (was {value!r})")
    return value


def _lines(markets: Mapping[str, OwnMarket]) -> Iterator[str]:
    yield "# Trading days that this workspace knows beside the shipped ones; the later source wins. See docs/trading-days.md."
    for name, market in sorted(markets.items()):
        yield ""
        yield f"[{name}]"
        if market.known_through is not None:
            yield f"known_through = {market.known_through.isoformat()}"
        for own in sorted(market.days, key=lambda own: own.day):
            yield ""
            yield f"[[{name}.days]]"
            yield f"date = {own.day.isoformat()}"
            if own.opens is None or own.closes is None:
                yield "closed = true"
            else:
                yield f"open = {own.opens.isoformat()}"
                yield f"close = {own.closes.isoformat()}"
            for key, text in (("name", own.name), ("source", own.source)):
                if text:
                    yield f"{key} = {json.dumps(text, ensure_ascii=False)}"
        for symbol, stretches in sorted(market.derivatives.items()):
            for stretch in stretches:
                yield ""
                yield f"[[{name}.derivatives]]"
                yield f"symbol = {json.dumps(symbol)}"
                for key, day in (("since", stretch.since), ("until", stretch.until)):
                    if day is not None:
                        yield f"{key} = {day.isoformat()}"


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def _stamp(path: Path | None) -> tuple[int, int, int] | None:
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
