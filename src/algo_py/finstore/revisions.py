"""Other values that were offered for bars that were stored already: kept beside the bars, and used only when asked.

Each symbol has a log, in the order in which the offers were seen. A source that repeats its latest offer adds nothing to it; one
that returns to the stored values does, so that nobody adopts what the source itself has taken back.
"""

# pyarrow carries no types.
# mypy: disable-error-code="attr-defined,no-untyped-call"

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from algo_py.finstore.frames import COLUMNS, Block
from algo_py.finstore.layout import Layout
from algo_py.finstore.parquet import Signature, encode_table, read_table, signature_of

_TIME = pa.timestamp("us", tz="UTC")
_NEVER = -1
_MOMENTS = ("open_time", "seen_at", "adopted_at")
_STORED, _OFFERED = ([f"{kind}_{name}" for name in COLUMNS] for kind in ("stored", "offered"))

Times = NDArray[np.int64]
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Offer:
    """Bars that were offered although they are stored: open times ascending, stored values and offered ones (5 x rows)."""

    times: Times
    stored: Values
    offered: Values

    @property
    def differs(self) -> NDArray[np.bool_]:
        """Which of them have other values than the stored ones."""
        return np.asarray((self.stored != self.offered).any(axis=0))


@dataclass(frozen=True, slots=True, eq=False)
class RevisionLog:
    """The revisions of one symbol in the order they were seen; moments in microseconds, adopted -1 for not adopted."""

    times: Times
    seen: Times
    adopted: Times
    sources: NDArray[np.object_]
    stored: Values
    offered: Values

    @classmethod
    def empty(cls) -> RevisionLog:
        none, values = np.empty(0, dtype=np.int64), np.empty((len(COLUMNS), 0))
        return cls(none, none, none, np.empty(0, dtype=object), values, values)

    def __len__(self) -> int:
        return len(self.times)

    def with_offer(self, offer: Offer, *, seen_us: int, source: str) -> RevisionLog | None:
        """Return the log with what is new in this offer at its end; None when nothing is."""
        own = np.flatnonzero(self.sources == source)
        known, rows = _latest(self.times[own])
        place = np.minimum(np.searchsorted(known, offer.times), max(len(known) - 1, 0))
        was_offered = known[place] == offer.times if len(known) else np.zeros(len(offer.times), dtype=np.bool_)
        differs = offer.differs
        is_news = differs & ~was_offered
        again = np.flatnonzero(was_offered)
        latest = own[rows[place[again]]]
        is_same = (self.offered[:, latest] == offer.offered[:, again]).all(axis=0)
        # The same values once more say something new only when they were adopted and the stored bar has been lost since.
        is_news[again] = ~is_same | ((self.adopted[latest] != _NEVER) & differs[again])
        if not is_news.any():
            return None
        count = int(is_news.sum())
        return RevisionLog(
            np.concatenate([self.times, offer.times[is_news]]),
            np.concatenate([self.seen, np.full(count, seen_us)]),
            np.concatenate([self.adopted, np.where(differs[is_news], _NEVER, seen_us)]),
            np.concatenate([self.sources, np.full(count, source, dtype=object)]),
            np.concatenate([self.stored, offer.stored[:, is_news]], axis=1),
            np.concatenate([self.offered, offer.offered[:, is_news]], axis=1),
        )

    def waiting(self) -> Block:
        """Return the latest offer for each bar for which it was not adopted yet."""
        rows = self._waiting_rows()
        return Block(self.times[rows], self.offered[:, rows])

    def with_adopted(self, times: Times, *, now_us: int) -> RevisionLog:
        """Return the log in which the waiting offers for these bars are adopted."""
        rows = self._waiting_rows()
        adopted = self.adopted.copy()
        adopted[rows[np.isin(self.times[rows], times)]] = now_us
        return replace(self, adopted=adopted)

    def _waiting_rows(self) -> NDArray[np.int64]:
        _, rows = _latest(self.times)
        return np.asarray(rows[self.adopted[rows] == _NEVER])

    def table(self) -> Any:
        """Return the log as an Arrow table."""
        moments = dict(zip(_MOMENTS, (self.times, self.seen, self.adopted), strict=True))
        columns = {name: pa.array(values.view("M8[us]"), mask=values == _NEVER).cast(_TIME) for name, values in moments.items()}
        columns["source"] = pa.array(self.sources, type=pa.string())
        columns |= dict(zip((*_STORED, *_OFFERED), (*self.stored, *self.offered), strict=True))
        return pa.table(columns)

    def encode(self) -> bytes:
        """Return the log as a file."""
        return encode_table(self.table())

    @classmethod
    def decode(cls, table: Any) -> RevisionLog:
        """Return the log that `encode` wrote."""
        moments = {
            name: table.column(name).cast(pa.int64()).fill_null(_NEVER).to_numpy()
            for name in ("open_time", "seen_at", "adopted_at")
        }
        sources = np.array(table.column("source").to_pylist(), dtype=object)
        stored, offered = (np.array([table.column(name).to_numpy() for name in names]) for names in (_STORED, _OFFERED))
        return cls(moments["open_time"], moments["seen_at"], moments["adopted_at"], sources, stored, offered)


class RevisionLogs:
    """A reader of the logs of one market and timeframe; a log that was rewritten is read again. Threads may share it."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._known: dict[Path, tuple[Signature, RevisionLog]] = {}

    def of(self, symbol: str) -> RevisionLog:
        """Return the symbol's log; one that does not exist is empty. Raises Damaged."""
        file = self._layout.revision_log(symbol)
        signature = signature_of(file)
        if signature is None:
            return RevisionLog.empty()
        known = self._known.get(file)
        if known is not None and known[0] == signature:
            return known[1]
        log = read_log(file)
        self._known[file] = signature, log
        return log


def read_log(file: Path) -> RevisionLog:
    """Return the log in `file`, verified. Raises FileNotFoundError, Damaged."""
    return RevisionLog.decode(read_table(file))


def revision_frame(logs: Mapping[str, RevisionLog]) -> pd.DataFrame:
    """Return the logs of these symbols one after the other, a row for each revision."""
    tables = [
        log.table().add_column(0, "symbol", pa.array([symbol] * len(log), type=pa.string()))
        for symbol, log in (logs or {"": RevisionLog.empty()}).items()
    ]
    frame: pd.DataFrame = pa.concat_tables(tables).to_pandas()
    return frame


def _latest(times: Times) -> tuple[Times, NDArray[np.int64]]:
    """Return the distinct times, ascending, and for each the number of its last row."""
    distinct, from_the_end = np.unique(times[::-1], return_index=True)
    return distinct, len(times) - 1 - from_the_end
