"""For processes of tests only: a folder on PYTHONPATH that sets the product's clock to another moment.

NSE is open for six hours on some days: with TEST_CLOCK_SHIFT_S every process that finds this file lives at such a moment. With
TEST_CLOCK_SHIFT_FILE the shift stands in a file, in seconds, and is read anew each time: so the clock is set while they live.
"""

import os
from datetime import datetime, timedelta
from pathlib import Path

if "TEST_CLOCK_SHIFT_S" in os.environ or "TEST_CLOCK_SHIFT_FILE" in os.environ:
    from algo_py.clock import SystemClock

    _real = SystemClock.now
    _file = os.environ.get("TEST_CLOCK_SHIFT_FILE")

    def _shift_s() -> float:
        return float(os.environ["TEST_CLOCK_SHIFT_S"] if _file is None else Path(_file).read_text() or 0.0)

    def _shifted(self: SystemClock) -> datetime:
        return _real(self) + timedelta(seconds=_shift_s())

    SystemClock.now = _shifted  # type: ignore[method-assign]
