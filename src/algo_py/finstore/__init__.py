"""Bars on disk, never with a silent hole."""

from algo_py.finstore.frames import COLUMNS
from algo_py.finstore.reports import AppendCounts, AppendReport, Coverage, Finding, Gap, LostBars, SetAside
from algo_py.finstore.store import FinStore

__all__ = ["COLUMNS", "AppendCounts", "AppendReport", "Coverage", "FinStore", "Finding", "Gap", "LostBars", "SetAside"]
