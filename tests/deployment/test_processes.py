from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from algo_py.deployment.processes import ProcessLock, created_s, is_locked, is_same_process, signal_process
from algo_py.errors import Conflict


def test_a_lock_is_held_by_one_process_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_locked(path)
    with ProcessLock(path):
        assert is_locked(path)
        with pytest.raises(Conflict):
            ProcessLock(path).__enter__()
    assert not is_locked(path)


def test_a_lock_ends_with_the_process_that_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = (
        "import sys; from pathlib import Path; from algo_py.deployment.processes import ProcessLock\n"
        "with ProcessLock(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    assert is_locked(path)
    process.kill()
    process.communicate(timeout=10)
    assert not is_locked(path)


def test_a_process_with_a_reused_pid_is_never_signalled() -> None:
    """Another process under the same pid differs in its creation time alone; a signal of 0 would harm nobody, TERM does."""
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    try:
        born = created_s(process.pid)
        assert not signal_process(process.pid, born - 3600, signal.SIGTERM)
        assert process.poll() is None
        assert is_same_process(process.pid, born)
        assert signal_process(process.pid, born, signal.SIGTERM)
        assert process.wait(timeout=10) == -signal.SIGTERM
    finally:
        process.kill()
        process.communicate(timeout=10)
    assert not is_same_process(process.pid, born)


def test_a_creation_time_from_the_epoch_is_still_understood() -> None:
    """Deployments that an earlier version started are found by it."""
    born = psutil.Process().create_time()
    assert is_same_process(os.getpid(), born)
    assert not is_same_process(os.getpid(), born - 5)


def test_a_zombie_counts_as_dead() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    born = created_s(process.pid)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not is_same_process(process.pid, born)
    process.wait(timeout=10)


def test_an_unknown_process_is_nobody() -> None:
    assert not is_same_process(None, None)
