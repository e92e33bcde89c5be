"""Long histories: a run's work with the journal after 100,000 fills, beside the same work after 1,000."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from algo_py.database import open_database
from tests.orders.long_ledger import Work, remember

_MANY, _FEW = 100_000, 1_000
_RUNS = 40


def main() -> None:
    """Print the median of a run's journal work, its budget, and what the first look costs."""
    few, many = _measure(_FEW), _measure(_MANY)
    for name, kind in (("without a trade", "still"), ("with two trades", "trading")):
        ratio = many[kind] / few[kind]
        print(f"a run's journal work {name}, {_MANY:,} fills {many[kind] * 1000:7.1f} ms   budget 20 ms")
        print(f"reference: the same after {_FEW:,} fills          {few[kind] * 1000:7.1f} ms   ratio {ratio:.2f}")
    print(f"the first look of a process, {_MANY:,} fills     {many['start'] * 1000:7.0f} ms")


def _measure(fills: int) -> dict[str, float]:
    """Return the median durations of a run's work, without and with new fills, and how long the first look took, in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(f"sqlite:///{Path(folder) / 'algo.db'}")
        remember(database, fills)
        work = Work(database)
        found = {"start": _duration_s(work.begin)}
        for name, trades in (("still", False), ("trading", True)):
            found[name] = statistics.median(_duration_s(lambda trades=trades: work.do(trades=trades)) for _ in range(_RUNS))  # type: ignore[misc]
        database.close()
    return found


def _duration_s(work: Callable[[], None]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began
