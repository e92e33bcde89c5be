"""Data: what bars are stored and what is missing, fetching and uploading them, revisions, damaged files."""

from algo_py.dashboard.screens.data.page import show

__all__ = ["show"]
