"""Chaos for a while, then peace: nothing is lost, nothing doubled, every status and every book true.

How long: ALGO_PY_CHAOS_SECONDS; which acts: ALGO_PY_CHAOS_SEED, else always the same ones. `make chaos` takes others each time,
and a failure names its seed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SECONDS = float(os.environ.get("ALGO_PY_CHAOS_SECONDS", "10"))
SEED = int(os.environ.get("ALGO_PY_CHAOS_SEED", "31"))
ROOT = Path(__file__).parent.parent.parent
AFTERWARDS_S = 400.0


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What came of it, and of what was broken on purpose afterwards."""
    folder = tmp_path_factory.mktemp("chaos")
    temporary = folder / "tmp"  # limits of requests are shared by all processes that have the same one
    temporary.mkdir()
    command = [sys.executable, "-m", "tests.deployment.chaos", str(folder), "--break"]
    done = subprocess.run(
        [*command, "--seed", str(SEED), "--seconds", str(SECONDS)],
        env=os.environ
        | {
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT), str(ROOT / "tests" / "shifted")]),
            "TEST_CLOCK_SHIFT_FILE": str(folder / "shift"),
            "TMPDIR": str(temporary),
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS + AFTERWARDS_S,
        check=False,
    )
    told = f"seed {SEED}, {SECONDS:g} s, in {folder}\n{done.stderr}"
    assert done.returncode == 0, told
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**found, "told": told}


@pytest.mark.timeout(SECONDS + AFTERWARDS_S + 30)
def test_after_chaos_nothing_is_lost_or_doubled_and_all_that_is_shown_is_true(outcome: dict[str, Any]) -> None:
    assert outcome["problems"] == [], "\n".join([*outcome["problems"], outcome["told"]])
    print(json.dumps(outcome["figures"], indent=2))  # noqa: T201  shown with -s, and when it fails
    assert outcome["figures"]["taken by the exchange"] > 0


def test_a_second_worker_and_a_second_order_are_seen(outcome: dict[str, Any]) -> None:
    """The negative control: after the peace both were made on purpose."""
    assert any(" 2 times" in problem for problem in outcome["control"]), outcome["control"]
    twice = [problem for problem in outcome["control"] if problem.startswith("paper: it is") and "live it" in problem]
    assert [problem.count(",") for problem in twice] == [2], outcome["control"]
