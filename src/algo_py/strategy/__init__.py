"""From bars to signals: what a strategy is, and where strategies are found."""

from algo_py.strategy.bars import COLUMNS, Bars
from algo_py.strategy.base import Field, Strategy, evaluate, kebab_case
from algo_py.strategy.signals import Signals

__all__ = ["COLUMNS", "Bars", "Field", "Signals", "Strategy", "evaluate", "kebab_case"]
