"""The process that holds a position is killed at every step between entering, protecting, moving its stop and leaving, at a venue
that loses answers, refuses, changes its rules or moves at random. Whatever happens, at every moment the position is protected, or
a reason is recorded; nothing is doubled, nothing sold twice, and the books equal the venue's.

How many random venues are tried: ALGO_PY_CRASH_SEEDS from ALGO_PY_CRASH_FIRST_SEED on, else few enough for every day.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from algo_py.deployment.config import OrderChoice
from tests.deployment.position_stage import Stage, Unprotected, stage_in
from tests.finstore.processes import forked, in_a_child
from tests.oms.test_every_step import Fuse, seeds

SEEDS = seeds(1)
# Every so many-th step, and the next seed the steps between them.
STRIDE = 19 if "ALGO_PY_CRASH_SEEDS" not in os.environ else 3

KINDS: dict[str, dict[str, object]] = {
    "trailing": {"stop_loss": 0.05, "trailing_stop": 0.05},
    "pair": {"stop_loss": 0.05, "trailing_stop": 0.05, "take_profit": 0.5},
    "limit": {"stop_loss": 0.05, "trailing_stop": 0.05},
}


@pytest.fixture(scope="module", params=list(KINDS))
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    order = OrderChoice(type="limit", offset_bps=1.0, timeout_s=60) if request.param == "limit" else OrderChoice()
    with stage_in(tmp_path_factory.mktemp(request.param), order=order, **KINDS[request.param]) as stage:
        yield stage


def _steps(stage: Stage, folder: Path) -> int:
    """Return how many steps a life has in which nothing goes wrong; nothing may be untrue in it."""
    url = stage.begin(folder / "calm.db")

    def live() -> str:
        fuse = Fuse(0)
        return f"{stage.live(url, fuse)}|{-fuse.left}"

    found, _, steps = in_a_child(live).rpartition("|")
    assert not found, found
    return int(steps)


def _die(stage: Stage, url: str, step: int) -> int:
    def live() -> None:
        found = stage.live(url, Fuse(step))
        if found:
            raise AssertionError(found)

    return os.waitstatus_to_exitcode(os.waitpid(forked(live), 0)[1])


def _crash_everywhere(stage: Stage, folder: Path, seed: int, steps: range) -> tuple[int, list[str]]:
    """Kill at each of these steps in turn; return how many deaths there were, and what was not true afterwards."""
    chance, deaths, found = random.Random(seed), 0, list[str]()
    for step in steps:
        url = stage.begin(folder / f"step-{step}.db")
        stage.server.spoil(chance)
        code = _die(stage, url, step)
        assert code in (0, -signal.SIGKILL), f"seed {seed}, step {step}: it failed by itself, or left a position alone: see above"
        deaths += code != 0
        problems = in_a_child(lambda url=url: stage.recover(url))  # type: ignore[misc]
        found += [f"seed {seed}, step {step}: {problems}"] * bool(problems)
        for file in folder.glob(f"step-{step}.db*"):
            file.unlink()
    return deaths, found


@pytest.mark.timeout(6_000)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_position_is_protected_whenever_its_process_dies(stage: Stage, seed: int, tmp_path: Path) -> None:
    steps = _steps(stage, tmp_path)
    deaths, found = _crash_everywhere(stage, tmp_path, seed, range(1 + seed % STRIDE, steps + 1, STRIDE))
    print(f"deaths: {deaths} (a position, seed {seed})")  # noqa: T201  shown by the long run
    assert not found, "\n".join(found)
    assert steps > 40
    assert deaths > steps // STRIDE // 3


@pytest.mark.timeout(600)
def test_without_protection_the_invariant_fails(stage: Stage, tmp_path: Path) -> None:
    """The negative control: the same life, with what protects switched off."""
    left_alone = replace(stage, pipeline=Unprotected)
    url = left_alone.begin(tmp_path / "unprotected.db")
    found = in_a_child(lambda: left_alone.live(url, Fuse(0)))
    assert "no exit is under way, and nothing is said about it" in found
