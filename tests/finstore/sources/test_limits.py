"""Limits that real processes keep together."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from algo_py.clock import monotonic_s
from algo_py.errors import RateLimited, Refused
from algo_py.finstore.durable import locked
from algo_py.finstore.sources.limits import SharedLimit
from tests.finstore.processes import forked, in_a_child
from tests.limits import aged

PER_S, BURST = 40.0, 4.0
PROCESSES, EACH = 4, 12
# A process that sleeps may wake up late, so that what was let through in time comes closer to what follows.
LATE_S = 0.1


def limit_in(folder: Path, *, per_s: float = PER_S, burst: float = BURST) -> SharedLimit:
    return SharedLimit("service", per_s=per_s, burst=burst, folder=folder)


def at_once() -> float:
    """Return a deadline that leaves no time to wait for a service, only for a busy machine."""
    return monotonic_s() + 0.3


def state_of(folder: Path) -> Path:
    return folder / "service.json"


def sent_at(folders: list[Path], notes: Path) -> list[float]:
    """Have each of several processes send as much as it may; return when each request left, in order."""

    def send(number: int) -> Callable[[], None]:
        def act() -> None:
            limit = limit_in(folders[number])
            moments = []
            for _ in range(EACH):
                limit.acquire(1, deadline_s=monotonic_s() + 30)
                moments.append(monotonic_s())
            (notes / str(number)).write_text(json.dumps(moments))

        return act

    pids = [forked(send(number)) for number in range(PROCESSES)]
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [0] * PROCESSES
    return sorted(moment for file in notes.iterdir() for moment in json.loads(file.read_text()))


def most_beyond_the_rate(moments: list[float]) -> float:
    """Return by how many requests the fullest of all windows exceeds what the rate allows in it."""
    return max(
        (last - first + 1) - (BURST + PER_S * (moments[last] - moments[first]))
        for first in range(len(moments))
        for last in range(first, len(moments))
    )


def test_four_processes_together_keep_the_rate(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    moments = sent_at([tmp_path / "limits"] * PROCESSES, tmp_path / "notes")
    assert len(moments) == PROCESSES * EACH
    assert most_beyond_the_rate(moments) <= PER_S * LATE_S
    assert moments[-1] - moments[0] >= (PROCESSES * EACH - BURST) / PER_S - LATE_S


def test_processes_with_limits_of_their_own_would_be_caught(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    moments = sent_at([tmp_path / str(number) for number in range(PROCESSES)], tmp_path / "notes")
    assert most_beyond_the_rate(moments) > PER_S * LATE_S


def test_costs_add_up_and_a_large_one_waits(tmp_path: Path) -> None:
    limit = limit_in(tmp_path, per_s=10, burst=5)
    limit.acquire(5, deadline_s=at_once())
    with pytest.raises(RateLimited, match=r"service is at its limit of requests for another 0\.[34]") as caught:
        limit.acquire(4, deadline_s=monotonic_s() + 0.2)
    assert caught.value.retry_after_s == pytest.approx(0.4, abs=0.1)
    began_s = monotonic_s()
    limit.acquire(2, deadline_s=monotonic_s() + 1)  # the refused one has cost nothing
    assert monotonic_s() - began_s == pytest.approx(0.2, abs=0.1)


def test_silence_is_for_all_processes(tmp_path: Path) -> None:
    limit_in(tmp_path).silence(30)

    def ask() -> str:
        try:
            limit_in(tmp_path).acquire(1, deadline_s=monotonic_s() + 1)
        except RateLimited as error:
            return f"{error.retry_after_s} {error.message}"
        return "sent"

    told = in_a_child(ask)
    assert 25 < float(told.split()[0]) <= 30
    assert "service asked to be left alone" in told


def test_silence_ends(tmp_path: Path) -> None:
    limit = limit_in(tmp_path)
    limit.silence(0.2)
    began_s = monotonic_s()
    limit.acquire(1, deadline_s=monotonic_s() + 1)
    assert monotonic_s() - began_s == pytest.approx(0.2, abs=0.1)


@pytest.mark.parametrize(
    ("asked_s", "kept_s"),
    [(None, 60), (-5, 0), (120, 120), (86_400, 300), (99_999_999, 300), (float("inf"), 300), (float("nan"), 60)],
)
def test_silence_is_bounded(tmp_path: Path, asked_s: float | None, kept_s: float) -> None:
    limit = limit_in(tmp_path)
    limit.silence(asked_s)
    if kept_s:
        assert json.loads(state_of(tmp_path).read_text())["silent_until"] - monotonic_s() == pytest.approx(kept_s, abs=1)
    else:
        limit.acquire(1, deadline_s=at_once())


def test_longer_silence_is_not_shortened(tmp_path: Path) -> None:
    limit_in(tmp_path).silence(30)
    limit_in(tmp_path).silence(1)
    with pytest.raises(RateLimited) as caught:
        limit_in(tmp_path).acquire(1, deadline_s=monotonic_s() + 5)
    assert (caught.value.retry_after_s or 0) > 25


@pytest.mark.parametrize(("silence_s", "is_sent"), [(0.5, True), (30.0, False)])
def test_silence_that_begins_while_somebody_waits_is_heeded(tmp_path: Path, silence_s: float, is_sent: bool) -> None:
    limit = limit_in(tmp_path, per_s=5, burst=1)
    limit.acquire(1, deadline_s=at_once())
    began_s = monotonic_s()
    teller = threading.Timer(0.05, limit.silence, [silence_s])  # the next one may leave after 0.2 s
    teller.start()
    try:
        limit.acquire(1, deadline_s=began_s + 2)
        assert is_sent
        assert monotonic_s() - began_s >= silence_s
    except RateLimited:
        assert not is_sent
        assert monotonic_s() - began_s < 1
    teller.join()


def test_after_our_bound_it_is_asked_once_and_the_silence_begins_anew_when_that_is_refused(tmp_path: Path) -> None:
    limit = limit_in(tmp_path)
    limit.silence(99_999_999)
    for _ in range(3):
        aged(tmp_path, 299)
        with pytest.raises(RateLimited):
            limit.acquire(1, deadline_s=at_once())
        aged(tmp_path, 1)
        limit.acquire(1, deadline_s=at_once())
        with pytest.raises(RateLimited):  # somebody else, before it is known what became of the first
            limit_in(tmp_path).acquire(1, deadline_s=at_once())
        limit.silence(99_999_999)


def test_after_our_bound_the_silence_is_over_when_the_one_request_is_not_refused(tmp_path: Path) -> None:
    limit = limit_in(tmp_path)
    limit.silence(99_999_999)
    aged(tmp_path, 300)
    limit.acquire(1, deadline_s=at_once())
    aged(tmp_path, 15)
    for _ in range(3):
        limit.acquire(1, deadline_s=at_once())


def test_a_silence_within_our_bound_ends_for_everybody_at_once(tmp_path: Path) -> None:
    limit = limit_in(tmp_path)
    limit.silence(120)
    aged(tmp_path, 120)
    for _ in range(3):
        limit.acquire(1, deadline_s=at_once())


def test_what_makes_a_position_safe_waits_only_a_short_while(tmp_path: Path) -> None:
    limit = limit_in(tmp_path)
    limit.silence(99_999_999)
    with pytest.raises(RateLimited) as caught:
        limit.acquire(1, deadline_s=at_once(), urgent=True)
    assert 25 < (caught.value.retry_after_s or 0) <= 30
    aged(tmp_path, 30)
    limit.acquire(1, deadline_s=at_once(), urgent=True)
    with pytest.raises(RateLimited):
        limit.acquire(1, deadline_s=at_once())
    limit.acquire(1, deadline_s=at_once(), urgent=True)
    limit.silence(99_999_999)  # refused: it waits again, and is tried again
    with pytest.raises(RateLimited):
        limit.acquire(1, deadline_s=at_once(), urgent=True)
    aged(tmp_path, 30)
    limit.acquire(1, deadline_s=at_once(), urgent=True)


def test_a_short_silence_is_kept_by_all(tmp_path: Path) -> None:
    limit = limit_in(tmp_path)
    limit.silence(0.2)
    began_s = monotonic_s()
    limit.acquire(1, deadline_s=monotonic_s() + 1, urgent=True)
    assert monotonic_s() - began_s == pytest.approx(0.2, abs=0.1)


def test_what_makes_a_position_safe_leaves_where_no_limit_can_be_kept(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    unusable = limit_in(tmp_path / "file")
    unusable.acquire(1, deadline_s=monotonic_s() + 1, urgent=True)
    unusable.silence(30)
    limit = limit_in(tmp_path)
    with locked(tmp_path / "service.lock", timeout_s=1):
        limit.acquire(1, deadline_s=monotonic_s() + 0.2, urgent=True)


UNUSABLE = {
    "empty": b"",
    "cut": b'{"boot": "',
    "list": b"[]",
    "null": b"null",
    "incomplete": b'{"written": 1.0}',
    "words": b'{"boot": "BOOT", "written": 0, "free_at": "soon", "silent_until": 0}',
    "nan": b'{"boot": "BOOT", "written": 0, "free_at": NaN, "silent_until": 0}',
    "for ever": b'{"boot": "BOOT", "written": 0, "free_at": 0, "silent_until": 1e300}',
    "for ever paid": b'{"boot": "BOOT", "written": 0, "free_at": 1e300, "silent_until": 0, "asked_at": 0, "wanted_until": 0}',
    "for an hour": b'{"boot": "BOOT", "written": SOON, "free_at": 0, "silent_until": LATER, "asked_at": 0, "wanted_until": 0}',
    "not a number": b'{"boot": "BOOT", "written": 0, "free_at": 0, "silent_until": NaN, "asked_at": 0, "wanted_until": 0}',
    "asked tomorrow": b'{"boot": "BOOT", "written": 0, "free_at": 0, "silent_until": NOW, "asked_at": 1e9, "wanted_until": 0}',
    "huge": b'{"boot": "BOOT", "written": 0, "free_at": '
    + b"9" * 400
    + b', "silent_until": 0, "asked_at": 0, "wanted_until": 0}',
    "deep": b"[" * 4_000,
    "endless": b" " * 100_000,
    "binary": b"\xff\xfe\x00",
    "another start": b'{"boot": "of last week", "written": 0, "free_at": 0, "silent_until": NOW}',
    "from the future": b'{"boot": "BOOT", "written": 1e12, "free_at": 0, "silent_until": NOW}',
}


@pytest.mark.parametrize("content", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_unusable_file_is_ignored_and_replaced(tmp_path: Path, content: bytes) -> None:
    limit = limit_in(tmp_path, per_s=1)
    limit.acquire(0, deadline_s=monotonic_s() + 1)
    boot = json.loads(state_of(tmp_path).read_text())["boot"]
    now = monotonic_s()
    for name, value in {"BOOT": boot, "NOW": now + 200, "SOON": now - 1, "LATER": now + 3_600}.items():
        content = content.replace(name.encode(), str(value).encode())
    state_of(tmp_path).write_bytes(content)
    limit.acquire(BURST, deadline_s=at_once())
    with pytest.raises(RateLimited):
        limit.acquire(BURST, deadline_s=at_once())


def test_usable_file_is_not_ignored(tmp_path: Path) -> None:
    """What the one above writes would hold, had it been written here and now."""
    limit = limit_in(tmp_path)
    limit.acquire(0, deadline_s=monotonic_s() + 1)
    written = json.loads(state_of(tmp_path).read_text())
    state_of(tmp_path).write_text(json.dumps({**written, "silent_until": monotonic_s() + 200}))
    with pytest.raises(RateLimited):
        limit.acquire(1, deadline_s=monotonic_s() + 1)


def test_process_that_hangs_with_the_lock_does_not_hold_others_beyond_their_deadline(tmp_path: Path) -> None:
    limit = limit_in(tmp_path)
    began_s = monotonic_s()
    with locked(tmp_path / "service.lock", timeout_s=1), pytest.raises(RateLimited, match="service was not asked"):
        limit.acquire(1, deadline_s=began_s + 0.2)
    assert monotonic_s() - began_s < 0.5


def test_process_that_is_killed_frees_the_lock(tmp_path: Path) -> None:
    limit = limit_in(tmp_path)
    limit.acquire(0, deadline_s=monotonic_s() + 1)

    def hang() -> None:
        with locked(tmp_path / "service.lock", timeout_s=1):
            (tmp_path / "held").touch()
            time.sleep(30)

    pid = forked(hang)
    until_s = monotonic_s() + 5
    while not (tmp_path / "held").exists() and monotonic_s() < until_s:
        time.sleep(0.01)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    limit.acquire(1, deadline_s=monotonic_s() + 0.5)


def test_folder_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Refused, match="limits of requests cannot be kept"):
        limit_in(tmp_path / "file").acquire(1, deadline_s=monotonic_s() + 1)


def test_names_are_apart(tmp_path: Path) -> None:
    names = [f"binance {urlsplit(url).netloc}" for url in ("http://127.0.0.1:8001", "http://127.0.0.1:8002")]
    first, second = (SharedLimit(name, per_s=1, burst=1, folder=tmp_path) for name in names)
    first.silence(30)
    second.acquire(1, deadline_s=at_once())
    with pytest.raises(RateLimited, match=r"127\.0\.0\.1:8001"):
        first.acquire(1, deadline_s=at_once())
