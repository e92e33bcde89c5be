"""Which shares have derivatives, from Kite's list of instruments of the segment NFO: asked for at most once a day.

These shares close by auction. The list is looked at before it is believed, and whatever goes wrong with it keeps no bar from
coming: the older list goes on to hold, and it is asked for again an hour later.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from algo_py.clock import Clock, monotonic_s
from algo_py.errors import AlgoPyError, Conflict
from algo_py.finstore.durable import locked, write_hint
from algo_py.finstore.sources.kite_client import KiteClient
from algo_py.market.derivatives import SHIPPED, with_derivatives
from algo_py.market.nse import ZONE
from algo_py.market.own_facts import own_facts, save_listings

SOURCE: Final = "Kite instruments, NFO"
_MAX_AGE: Final = timedelta(days=1)
_AGAIN_AFTER: Final = timedelta(hours=1)
# It must leave most of the time to who waits for bars, and not begin when there is hardly any.
_SHARE_OF_TIME: Final = 0.5
_LEAST_S: Final = 2.0
# A list that lacks more than this part of the shares that have derivatives by now was cut short.
_MOST_GONE_FRACTION: Final = 0.25


class KiteDerivatives:
    """Renews the file of shares with derivatives. `folder` is where processes tell one another when it was tried last."""

    def __init__(self, client: KiteClient, folder: Path, file: Path, clock: Clock) -> None:
        self._client = client
        self._tried = folder / "kite-NFO.json"
        self._file = file
        self._clock = clock
        self._turn = threading.Lock()
        self._not_before = datetime.min.replace(tzinfo=UTC)

    def renew(self, *, deadline_s: float) -> None:
        """Ask for the list if that is due, and nobody else does; never raises for what goes wrong with it."""
        left_s = deadline_s - monotonic_s()
        if self._clock.now() < self._not_before or left_s < _LEAST_S or not self._turn.acquire(blocking=False):
            return
        try:
            with locked(self._tried.with_suffix(".lock"), timeout_s=0.0):
                if self._is_due():
                    self._ask(monotonic_s() + left_s * _SHARE_OF_TIME)
        except (Conflict, OSError):
            self._not_before = self._clock.now() + _AGAIN_AFTER  # another process does, or it cannot be written down
        finally:
            self._turn.release()

    def _is_due(self) -> bool:
        """Return whether no process has tried lately."""
        try:
            content = json.loads(self._tried.read_text(encoding="utf-8"))
            tried_at = datetime.fromisoformat(content["tried_at"])
            wait = _AGAIN_AFTER if content["problem"] else _MAX_AGE
            self._not_before = tried_at + wait
            return not timedelta(0) <= self._clock.now() - tried_at < wait
        except (OSError, ValueError, KeyError, TypeError):
            return True

    def _ask(self, deadline_s: float) -> None:
        now = self._clock.now()
        problem = ""
        try:
            symbols, _ = self._client.ask(
                lambda kite: underlyings(kite.instruments("NFO")), subject="the list of derivatives", deadline_s=deadline_s
            )
            problem = _implausible(symbols, now)
            if not problem:
                save_listings(self._file, symbols, seen_on=now.astimezone(ZONE).date(), source=SOURCE)
        except AlgoPyError as error:
            problem = str(error)
        self._not_before = now + (_AGAIN_AFTER if problem else _MAX_AGE)
        write_hint(self._tried, json.dumps({"tried_at": now.isoformat(), "problem": problem}))


def underlyings(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the shares that have futures among all instruments of NFO, sorted; indices and the exchange's tests are left out."""
    names = {str(row["name"]) for row in rows if row["segment"] == "NFO-FUT" and row["instrument_type"] == "FUT"}
    return sorted(name for name in names if name and "NIFTY" not in name and not name.endswith("NSETEST"))


def _implausible(symbols: list[str], now: datetime) -> str:
    """Return why a list cannot be all of it; empty when it can."""
    day = now.astimezone(ZONE).date()
    known = own_facts().listings or SHIPPED
    before = {symbol for symbol in known if with_derivatives(known, symbol, day)}
    gone = before.difference(symbols)
    if len(gone) > _MOST_GONE_FRACTION * len(before):
        return f"the list of derivatives lacks {len(gone)} of {len(before)} shares that have some: it is not believed"
    return ""
