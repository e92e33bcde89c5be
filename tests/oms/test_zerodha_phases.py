"""Live orders at the local Kite with NSE's day behind it: none is refused for its phase, and every exit comes to its end.

How many orders: ALGO_PY_PHASE_ORDERS, else few enough for every day. `make crash` sends 10,000.
"""

from __future__ import annotations

import os
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from tests.oms.phase_walk import AUCTIONED, PLAIN, SYMBOLS, Trader, Walk
from tests.venues.kite import INDIA
from tests.venues.nse_day import AUCTION, CONTINUOUS, QUIET, entry_ends_at, stretch_at

ORDERS = int(os.environ.get("ALGO_PY_PHASE_ORDERS", "150"))
# The first era, the change to the second one and past it, and the days before any.
STRETCHES = {
    "before": (date(2026, 7, 27), date(2026, 8, 5)),
    "first era": (date(2026, 8, 31), date(2026, 9, 15)),
    "across the change": (date(2026, 12, 2), date(2026, 12, 16)),
}


def _walk(folder: Path, name: str, *, careless: bool = False, auction_fills: bool = False, count: int = 0) -> Walk:
    first, until = STRETCHES[name]
    trader = Trader(folder, first, seed=len(name), careless=careless, auction_fills=auction_fills)
    return trader.walk(count or ORDERS // len(STRETCHES), until=until)


@pytest.mark.timeout(3_000)
@pytest.mark.parametrize("name", list(STRETCHES))
def test_no_order_is_refused_for_its_phase(tmp_path: Path, name: str) -> None:
    walked = _walk(tmp_path, name, auction_fills=name == "across the change")
    print(f"orders: {walked.decided}, refused at the random end: {len(walked.refused)} ({name})")  # noqa: T201
    assert walked.decided >= ORDERS // len(STRETCHES)
    assert walked.refused_for_its_phase == []
    assert walked.unfinished == []
    assert {"entry MARKET", "exit MARKET"} <= walked.types


def test_without_its_look_at_the_phases_some_are(tmp_path: Path) -> None:
    """The negative control."""
    walked = _walk(tmp_path, "across the change", careless=True, count=40)
    assert {refusal.symbol for refusal in walked.refused_for_its_phase} == set(SYMBOLS)


TIMES = [
    ("2026-07-31T15:29", AUCTIONED[0], CONTINUOUS),
    ("2026-08-03T15:16", AUCTIONED[0], QUIET),
    ("2026-08-03T15:16", PLAIN[0], CONTINUOUS),
    ("2026-12-04T15:29", AUCTIONED[0], AUCTION),
    ("2026-12-07T15:29", AUCTIONED[0], CONTINUOUS),
    ("2026-12-07T15:39", AUCTIONED[0], AUCTION),
    ("2026-12-07T15:39", PLAIN[0], None),
    ("2026-09-14T11:00", PLAIN[0], None),
]


@pytest.mark.parametrize(("moment", "symbol", "kind"), TIMES)
def test_the_exchange_of_these_tests_has_its_own_times(moment: str, symbol: str, kind: str | None) -> None:
    found = stretch_at(datetime.fromisoformat(moment).replace(tzinfo=INDIA), has_derivatives=symbol in AUCTIONED)
    assert (None if found is None else found.kind) == kind


def test_order_entry_ends_anywhere_in_its_last_two_minutes() -> None:
    ends = [entry_ends_at(date(2026, 8, 4) + timedelta(days=7 * n), 1, "INFY") for n in range(8)]
    known = [datetime.combine(date(2026, 8, 4), moment) for moment in ends if moment is not None]
    assert len(known) == len(ends)
    assert max(known) - min(known) > timedelta(seconds=60)
    assert entry_ends_at(date(2026, 8, 2), 1, "INFY") is None
