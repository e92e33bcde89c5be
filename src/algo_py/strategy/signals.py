"""Signals: a strategy's opinion on each bar of each symbol."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from algo_py.errors import InvalidInput
from algo_py.strategy.bars import Bars


@dataclass(frozen=True, slots=True)
class Signals:
    """Boolean frames, time x symbol, with the index and the columns of the bars' wide frames.

    A True in row t is an opinion at the close of bar t. `short_entries` and `short_exits` are for strategies that sell short.
    """

    entries: pd.DataFrame
    exits: pd.DataFrame
    short_entries: pd.DataFrame | None = None
    short_exits: pd.DataFrame | None = None

    def array(self, name: str, bars: Bars) -> np.ndarray | None:
        """Return one frame as a boolean array in the order of `bars`, or None where it was not given.

        Refused by name: a frame that is not boolean, or whose times or symbols are not those of the bars.
        """
        frame: pd.DataFrame | None = getattr(self, name)
        if frame is None:
            return None
        if not isinstance(frame, pd.DataFrame):
            raise InvalidInput(f"{name} must be a DataFrame (was {type(frame).__name__})")
        if not (frame.columns is bars.close.columns or frame.columns.equals(pd.Index(bars.symbols))):
            raise InvalidInput(f"the columns of {name} must be the symbols {list(bars.symbols)} (was {list(frame.columns)})")
        if not frame.index.equals(bars.index):
            raise InvalidInput(
                f"{name} must have a row for each of the {len(bars.index)} bars (has {len(frame.index)} rows, or other times)"
            )
        values = frame.to_numpy()
        if values.dtype != np.bool_:
            wrong = next((str(dtype) for dtype in frame.dtypes if dtype != np.bool_), str(values.dtype))
            raise InvalidInput(f"{name} must be boolean (was {wrong})", remedy="A comparison such as a > b gives booleans.")
        return np.asfortranarray(values)
