"""For processes of tests only: a folder on PYTHONPATH that sets the product's clock to another moment.

NSE is open for six hours on some days. With TEST_CLOCK_SHIFT_S every process that finds this file lives at such a moment.
"""

import os
from datetime import datetime, timedelta

if "TEST_CLOCK_SHIFT_S" in os.environ:
    from algo_py.clock import SystemClock

    _real = SystemClock.now
    _shift = timedelta(seconds=float(os.environ["TEST_CLOCK_SHIFT_S"]))

    def _shifted(self: SystemClock) -> datetime:
        return _real(self) + _shift

    SystemClock.now = _shifted  # type: ignore[method-assign]
