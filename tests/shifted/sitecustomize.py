"""For processes of tests only: a folder on PYTHONPATH that sets the product's clock to another moment.

NSE is open for six hours on some days. With TEST_CLOCK_SHIFT_S every process that finds this file lives at such a moment.
With TEST_CLOCK_SHIFT_FILE the shift is what stands in that file, in seconds, at each look at the clock: whoever writes there sets
the clock of all these processes together, as one sets the clock of a machine.
"""

import os
from datetime import datetime, timedelta

_FIXED, _FILE = "TEST_CLOCK_SHIFT_S", "TEST_CLOCK_SHIFT_FILE"


class _Shift:
    """How far the clock is ahead. A file that is being written keeps what it said before."""

    def __init__(self) -> None:
        self._file = os.environ.get(_FILE)
        self._last = timedelta(seconds=float(os.environ.get(_FIXED, "0")))

    def now(self) -> timedelta:
        if self._file is not None:
            try:
                with open(self._file, encoding="ascii") as file:  # noqa: PTH123 - read at every look: it should cost little
                    self._last = timedelta(seconds=float(file.read()))
            except (OSError, ValueError):
                pass  # it is not there yet, or is just being written
        return self._last


if _FIXED in os.environ or _FILE in os.environ:
    from algo_py.clock import SystemClock

    _real, _shift = SystemClock.now, _Shift()

    def _shifted(self: SystemClock) -> datetime:
        return _real(self) + _shift.now()

    SystemClock.now = _shifted  # type: ignore[method-assign]
