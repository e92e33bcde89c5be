"""The tests of what depends on the day, run as of other days: none of them may know what day it is today."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from algo_py.clock import SystemClock

ROOT = Path(__file__).parents[1]
FILES = (
    "tests/market/test_own_facts.py",
    "tests/market/test_horizon.py",
    "tests/deployment/test_schedule.py",
    "tests/deployment/test_preview.py",
    "tests/deployment/test_status.py",
    "tests/oms/test_zerodha_hours.py",
    "tests/oms/test_zerodha_session.py",
)
TODAY = SystemClock().now()
DAYS = {
    "in eighteen days": (TODAY + timedelta(days=18)).isoformat(),
    "in four hundred days": (TODAY + timedelta(days=400)).isoformat(),
}


@pytest.mark.parametrize("moment", DAYS.values(), ids=DAYS.keys())
def test_they_pass_on_another_day(moment: str) -> None:
    command = [sys.executable, "-m", "pytest", "-p", "tests.other_day", "-p", "no:cacheprovider", "-n", "0", "-q", *FILES]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"TEST_TODAY": moment}, capture_output=True, text=True, timeout=170, check=False
    )
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-1_000:]
