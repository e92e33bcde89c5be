"""Overview: what is in the workspace, and where to go next."""

from algo_py.dashboard.screens.overview.page import show

__all__ = ["show"]
