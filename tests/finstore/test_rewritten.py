"""A corporate action multiplies all earlier bars by one ratio; anything else is a correction, and stops no newer bar."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from algo_py.clock import FrozenClock
from algo_py.finstore import FinStore
from algo_py.finstore.fill_report import SymbolFill
from algo_py.finstore.gaps import fill_gap
from algo_py.finstore.rewritten import History, judged
from algo_py.market import Timeframe
from tests.nse_bars import INDIA, MARKET, NseShare

from .memory_source import MemorySource

SHARE = NseShare("TCS", date(2026, 8, 3), date(2026, 10, 9))
DAYS = SHARE.bars(Timeframe.D1)
PRICES = ["open", "high", "low", "close"]
NOW = datetime(2026, 10, 9, 21, tzinfo=INDIA)


def scaled(rows: slice, factor: float) -> pd.DataFrame:
    frame = DAYS.copy()
    frame.loc[frame.index[rows], PRICES] = (frame.loc[frame.index[rows], PRICES] * factor).round(2)
    return frame


def filled(store: FinStore, frame: pd.DataFrame, *, stored: int = -1) -> tuple[SymbolFill, MemorySource]:
    """Store all days but the last (or so many), then fill from a source that shows `frame`."""
    store.append(MARKET, "1d", {"TCS": DAYS[:stored]}, now=NOW)
    source = MemorySource({"TCS": frame}, rewrites_history=True)
    return fill_gap(store, source, MARKET, "1d", ["TCS"], clock=FrozenClock(NOW)).by_symbol["TCS"], source


@pytest.mark.parametrize("row", [-2, -3, -4, -5, -6, -7])
@pytest.mark.parametrize("factor", [1.05, 0.95, 0.5])
def test_one_revised_bar_stops_nothing(store: FinStore, row: int, factor: float) -> None:
    told, source = filled(store, scaled(slice(row, row + 1), factor))
    assert (told.problem, told.fetched, told.is_complete) == ("", 1, True)
    assert told.revised == (1 if row >= -6 else 0)
    assert len(source.asked) == (2 if row == -6 else 1)  # the oldest of those compared: whether earlier ones differ is asked
    stored = store.read(MARKET, "1d", "TCS")
    pd.testing.assert_frame_equal(stored[:-1], DAYS[:-1], check_freq=False)
    if row >= -6:
        assert len(store.revisions(MARKET, "1d", "TCS")) == 1


@pytest.mark.parametrize("ratio", [0.5, 0.1, 2.0, 2 / 3, 0.95])
@pytest.mark.parametrize("new_rows", [1, 2, 3, 4, 5])
def test_a_split_is_recognised_however_many_bars_are_stored_since(store: FinStore, ratio: float, new_rows: int) -> None:
    """The source applies it from its day backwards; bars of the days after it are stored as they are now."""
    told, _ = filled(store, scaled(slice(None, -new_rows), ratio))
    assert "its history was rewritten" in told.problem
    assert f"{ratio:.4g} times" in told.problem
    assert told.fetched == 0
    pd.testing.assert_frame_equal(store.read(MARKET, "1d", "TCS"), DAYS[:-1], check_freq=False)


def test_few_stored_bars_are_replaced(store: FinStore) -> None:
    told, _ = filled(store, scaled(slice(None, 2), 0.5), stored=2)
    assert (told.problem, told.revised, told.is_complete) == ("", 0, True)
    expected = scaled(slice(None, 2), 0.5)
    pd.testing.assert_frame_equal(store.read(MARKET, "1d", "TCS"), expected, check_freq=False)


def test_an_overlap_is_asked_for_within_a_page(store: FinStore) -> None:
    store.append(MARKET, "1d", {"TCS": DAYS[:-20]}, now=NOW)
    source = MemorySource({"TCS": DAYS}, page_bars=10, rewrites_history=True)
    report = fill_gap(store, source, MARKET, "1d", ["TCS"], clock=FrozenClock(NOW))
    assert (report.fetched, report.is_complete) == (20, True)
    assert all(end - start <= timedelta(days=14) for _, start, end in source.asked)


def test_rounding_to_ticks_is_no_other_ratio() -> None:
    stored = np.array([101.35, 99.8, 102.15, 100.05, 98.7])
    offered = np.round(stored / 7 / 0.05) * 0.05
    assert judged(stored, offered, tick=0.05).history is History.REWRITTEN
    assert judged(stored, stored + 0.05, tick=0.05).history is History.KEPT


def test_corrections_of_several_bars_are_corrections() -> None:
    stored = np.array([100.0, 101.0, 102.0, 103.0, 104.0])
    assert judged(stored, stored * [1.05, 0.97, 1.02, 1.0, 1.0]).history is History.KEPT
    assert judged(stored, stored).history is History.KEPT
    assert judged(stored, stored * [0.5, 0.5, 1.0, 1.0, 1.0]).history is History.UNDECIDED
    assert judged(stored[:0], stored[:0]).history is History.KEPT
