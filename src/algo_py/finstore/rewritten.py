"""Whether a source has rewritten a symbol's history, as for a split: what is stored would not fit what comes after it.

A corporate action multiplies all bars before its day by one ratio. So several bars that are compared differ by it; the
newest may already be stored as they are now. Anything else that differs is a correction of single bars.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

import numpy as np
from numpy.typing import NDArray

# How many bars have to agree on the ratio, and how well; prices in steps of a tick agree less well.
BARS_LEAST = 3
_TOLERANCE_FRACTION = 0.001

Closes = NDArray[np.float64]


class History(Enum):
    """What comparing stored closes with those of the source says."""

    KEPT = auto()  # as it was, or single bars corrected
    REWRITTEN = auto()
    UNDECIDED = auto()  # so few bars cannot tell, and earlier ones can


@dataclass(frozen=True, slots=True)
class Verdict:
    """ratio: what the source's closes are of the stored ones, where they differ by one."""

    history: History
    ratio: float = 1.0


def judged(stored: Closes, offered: Closes, *, tick: float = 0.0) -> Verdict:
    """Compare the closes of bars that are stored with what the source says of them now, ascending; tick 0: not known."""
    if not len(stored):
        return Verdict(History.KEPT)
    ratios = offered / stored
    tolerance = np.maximum(_TOLERANCE_FRACTION, tick / np.minimum(stored, offered))
    differs = np.abs(ratios - 1) > tolerance
    if not differs.any():
        return Verdict(History.KEPT)
    ratio = float(np.median(ratios[differs]))
    shares = differs & (np.abs(ratios / ratio - 1) <= tolerance)
    if shares.sum() >= BARS_LEAST:
        return Verdict(History.REWRITTEN, ratio)
    # The action may be of a day before the newest bars: then the oldest one differs, and those before it do as well.
    return Verdict(History.UNDECIDED if differs[0] and shares.sum() == differs.sum() else History.KEPT, ratio)
