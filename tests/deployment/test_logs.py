"""The log's files and who reads them: rotation, deaths in the middle of it, a disk that is full."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import resource
import signal
import tempfile
from collections.abc import Callable
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algo_py.clock import FrozenClock, SystemClock, monotonic_s, parse_time
from algo_py.deployment.log_file import LOG_FILE, LogFile, file_set_aside, numbers_set_aside
from algo_py.deployment.log_writing import open_log
from algo_py.deployment.logs import Entry, LogPosition, read_log, tail_and_position, tail_log, whole_log
from algo_py.settings import LogSettings
from tests.finstore.processes import forked, in_a_child, stopped_at_file_operation
from tests.finstore.small_disk import on_a_small_disk

START = parse_time("2026-01-01")
SMALL = LogSettings(max_mib=400 / 1024 / 1024, keep_files=10_000)


def line(number: int, length: int = 0) -> str:
    return f'{{"ts": "2026-01-01T00:00:00Z", "level": "info", "event": "test", "number": {number}, "more": "{"x" * length}"}}'


def log_file(folder: Path, settings: LogSettings = SMALL, *, clock: FrozenClock | None = None) -> LogFile:
    return LogFile(
        folder, settings, wall=clock or FrozenClock(START), lost_line=lambda n: f'{{"ts": "", "event": "log.lost", "count": {n}}}'
    )


def numbers(entries: list[Entry]) -> list[int]:
    return [int(entry["number"]) for entry in entries if "number" in entry]


class Follower:
    """Somebody who follows a log."""

    def __init__(self, folder: Path) -> None:
        self.seen: list[Entry] = []
        self._folder = folder
        self._position = LogPosition()

    def look(self) -> None:
        while True:
            entries, self._position = read_log(self._folder, after=self._position)
            self.seen += entries
            if not entries:
                return


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 900)),
        st.tuples(st.sampled_from(["look", "look once", "reopen", "half a line", "wait a week", "join"]), st.just(0)),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(steps=STEPS)
def test_who_follows_sees_each_line_once_and_in_order(steps: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, clock, written = Path(name), FrozenClock(START), 0
        file, follower = log_file(folder, clock=clock), Follower(folder)
        joined: list[tuple[int, list[Entry], LogPosition]] = []
        for step, length in steps:
            if step == "write":
                file.append(line(written, length))
                written += 1
            elif step == "look":
                follower.look()
                assert numbers(follower.seen) == list(range(written))
            elif step == "look once":
                entries, follower._position = read_log(folder, after=follower._position)
                follower.seen += entries
            elif step == "reopen":
                file = log_file(folder, clock=clock)
            elif step == "half a line" and (folder / LOG_FILE).exists():
                with (folder / LOG_FILE).open("a") as torn:
                    torn.write('{"ts": "half')
                file = log_file(folder, clock=clock)
            elif step == "wait a week":
                clock.sleep(7 * 86_400)
            elif step == "join":
                joined.append((written, *tail_and_position(folder, lines=3)))
        follower.look()
        assert numbers(follower.seen) == list(range(written))
        assert numbers(list(whole_log(folder))) == list(range(written))
        for last in (1, 5, 10_000):
            whole = list(whole_log(folder))
            assert tail_log(folder, lines=last) == whole[-last:]
        for since, tail, position in joined:
            late = Follower(folder)
            late._position = position
            late.look()
            assert numbers(late.seen) == list(range(since, written))
            assert numbers(tail) == list(range(since))[-len(numbers(tail)) :]


def test_a_file_that_is_large_is_set_aside_and_the_oldest_are_deleted(tmp_path: Path) -> None:
    file = log_file(tmp_path, LogSettings(max_mib=1_000 / 1024 / 1024, keep_files=3))
    follower = Follower(tmp_path)
    file.append(line(0))
    follower.look()
    for number in range(1, 100):
        file.append(line(number, 100))
    kept = numbers_set_aside(tmp_path)
    assert len(kept) == 3
    assert kept[0] > 1, "the oldest are gone"
    sizes = [file_set_aside(tmp_path, number).stat().st_size for number in kept]
    assert max(sizes) < 1_300
    assert min(sizes) >= 1_000
    follower.look()
    events = [entry["event"] for entry in follower.seen]
    assert events.count("log.deleted") == 1
    assert numbers(follower.seen)[1:] == numbers(list(whole_log(tmp_path)))
    assert numbers(follower.seen)[-1] == 99


def test_a_file_that_is_old_is_set_aside_also_after_a_restart(tmp_path: Path) -> None:
    clock, week = FrozenClock(START), LogSettings(max_age_days=7)

    def told(event: str) -> None:
        log = open_log(tmp_path, deployment_id="d", clock=SystemClock(), settings=week, mask=str, wall=clock)
        log.info(event)

    told("first")
    clock.sleep(timedelta(days=6, hours=23).total_seconds())
    told("second")
    assert numbers_set_aside(tmp_path) == []
    clock.sleep(3_600)
    told("third")
    told("fourth")
    assert numbers_set_aside(tmp_path) == [1]
    assert [entry["event"] for entry in read_log(tmp_path)[0]] == ["first", "second"]
    assert [entry["event"] for entry in tail_log(tmp_path, lines=3)] == ["second", "third", "fourth"]


def test_what_somebody_does_to_the_files_loses_no_later_line(tmp_path: Path) -> None:
    file, follower = log_file(tmp_path), Follower(tmp_path)
    for number in range(20):
        file.append(line(number, 50))
    follower.look()
    (tmp_path / LOG_FILE).unlink()
    for number in numbers_set_aside(tmp_path):
        file_set_aside(tmp_path, number).unlink()
    file.append(line(20, 100))
    follower.look()
    (tmp_path / LOG_FILE).write_text("")
    file.append(line(21))
    follower.look()
    assert numbers(follower.seen) == list(range(22))
    (tmp_path / LOG_FILE).write_bytes(b'17\n\xff\n{"event": "fine"}\n')
    assert [entry["event"] for entry in tail_log(tmp_path, lines=9)] == ["log.unreadable", "log.unreadable", "fine"]


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "gone"):
        assert tail_log(folder, lines=5) == []
        assert list(whole_log(folder)) == []
        assert read_log(folder) == ([], LogPosition(1))


def test_a_death_before_any_step_of_a_rotation_loses_nothing(tmp_path: Path) -> None:
    """It dies before each file operation in turn; what was appended before must be there, and the next process goes on."""
    small, number_of_deaths = LogSettings(max_mib=200 / 1024 / 1024, keep_files=2), 0
    for operation in count(1):
        folder = tmp_path / str(operation)
        folder.mkdir()
        reading, writing = os.pipe()

        def work(folder: Path = folder, writing: int = writing) -> None:
            file = log_file(folder, small)
            for number in range(12):
                file.append(line(number, 40))
                os.write(writing, b".")

        died = stopped_at_file_operation(operation, work)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            done = len(pipe.read())
        kept = numbers(list(whole_log(folder)))
        assert kept == list(range(kept[0] if kept else 0, done))
        assert len(kept) >= min(done, 4), "more than the oldest files is gone"
        follower = Follower(folder)
        follower.look()
        assert numbers(follower.seen) == kept
        log_file(folder, small).append(line(done))
        follower.look()
        assert numbers(follower.seen) == [*kept, done]
        if not died:
            break
        number_of_deaths += 1
    assert number_of_deaths > 10


def test_kills_in_the_middle_of_writing(tmp_path: Path) -> None:
    """Real processes killed at any moment, followed while they write: what was completed is there once, and readable."""
    rng, first, follower = random.Random(7), 0, Follower(tmp_path)
    for _ in range(25):
        reading, writing = os.pipe()
        pid = forked(lambda first=first, writing=writing: _write_for_ever(tmp_path, first, writing))  # type: ignore[misc]
        os.close(writing)
        until_s = monotonic_s() + rng.uniform(0.002, 0.03)
        while monotonic_s() < until_s:
            follower.look()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        with os.fdopen(reading, "rb") as pipe:
            done = first + len(pipe.read())
        kept = numbers(list(whole_log(tmp_path)))
        assert kept in (list(range(done)), list(range(done + 1))), "the last one may have been written and not told"
        first = len(kept)
    log_file(tmp_path).append(line(first))
    follower.look()
    assert numbers(follower.seen) == list(range(first + 1))
    torn = [entry for entry in follower.seen if "number" not in entry]
    assert len(torn) <= 25
    assert len(numbers_set_aside(tmp_path)) > 25


def _write_for_ever(folder: Path, first: int, pipe: int) -> None:
    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 1024 * 1024)
    file = log_file(folder)
    for number in count(first):
        file.append(line(number, (number * 37) % 9_000 if number % 10 == 0 else 30))
        os.write(pipe, b".")


def test_a_full_disk_costs_lines_and_nothing_else(tmp_path: Path) -> None:
    disk = tmp_path / "disk"

    def scenario() -> str:
        quiet = LogSettings(max_mib=8_000 / 1024 / 1024, keep_files=1_000)
        log = open_log(disk, deployment_id="d", clock=SystemClock(), settings=quiet, mask=str)
        for number in range(100):
            log.info("before", number=number)
        ballast = disk / "ballast"
        _fill(ballast)
        for number in range(100, 300):
            log.info("full", number=number, more="x" * 200)
        ballast.unlink()
        for number in range(300, 400):
            log.info("after", number=number)
        return json.dumps([(entry["event"], entry.get("number", entry.get("count"))) for entry in whole_log(disk)])

    told = json.loads(on_a_small_disk(disk, scenario, size=1_000_000))
    lost = [number for event, number in told if event == "log.lost"]
    written = [number for event, number in told if event in ("before", "full", "after")]
    assert sum(lost) > 100
    assert len(written) + sum(lost) == 400
    assert written[:100] == list(range(100))
    assert written[-100:] == list(range(300, 400))
    assert written == sorted(written)
    assert {event for event, _ in told} <= {"before", "full", "after", "log.lost"}, "half a line was left"
    assert told[told.index(["after", 300]) - 1] == ["log.lost", lost[-1]], "it is told as soon as there is room"


def test_of_a_line_that_does_not_fit_nothing_stays(tmp_path: Path) -> None:
    """The kernel stops the write in the middle of a line, as it does when the disk is full."""

    def cut_short() -> str:
        file = log_file(tmp_path, LogSettings())
        file.append(line(0))
        whole = (tmp_path / LOG_FILE).read_bytes()
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 20, resource.RLIM_INFINITY))
        file.append(line(1))
        assert (tmp_path / LOG_FILE).read_bytes() == whole
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        file.append(line(2))
        return "written"

    assert in_a_child(cut_short) == "written"
    entries = list(whole_log(tmp_path))
    assert numbers(entries) == [0, 2]
    assert [entry.get("count") for entry in entries] == [None, 1, None]


def test_a_rotation_that_is_refused_goes_on_in_the_old_file() -> None:
    """In a folder that may not be written in, by somebody who is not root: root may everywhere."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / LOG_FILE).touch()
        (folder / LOG_FILE).chmod(0o666)
        folder.chmod(0o555)

        def write() -> str:
            if os.geteuid() == 0:
                os.setuid(65_534)
            file = log_file(folder)
            for number in range(10):
                file.append(line(number, 100))
            return "written"

        assert in_a_child(write) == "written"
        folder.chmod(0o755)
        assert numbers_set_aside(folder) == []
        assert numbers(list(whole_log(folder))) == list(range(10))


@pytest.mark.parametrize(("level", "events"), [("", ["a", "b", "c", "d"]), ("warning", ["b", "c"]), ("error", ["c"])])
def test_levels(tmp_path: Path, level: str, events: list[str]) -> None:
    log = open_log(tmp_path, deployment_id="d", clock=SystemClock(), settings=SMALL, mask=str)
    told: list[tuple[Callable[..., object], str]] = [(log.info, "a"), (log.warning, "b"), (log.error, "c"), (log.info, "d")]
    for tell, event in told:
        tell(event, more="x" * 300)
    assert [entry["event"] for entry in tail_log(tmp_path, lines=10, level=level)] == events
    assert [entry["event"] for entry in whole_log(tmp_path, level=level)] == events


def _fill(file: Path) -> None:
    """Leave no room on the disk."""
    with contextlib.suppress(OSError), file.open("wb", buffering=0) as stream:
        while stream.write(bytes(4_096)):
            pass
