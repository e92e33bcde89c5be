"""Where a sweep computes: in this process, or in workers forked from it that share its bars without copying them.

Another engine (of a cluster, say) stands in by offering the two small protocols.
"""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Final, Protocol

import numpy as np

from algo_py.clock import monotonic_s
from algo_py.engine.sweep_rank import METRICS
from algo_py.engine.sweep_threads import use_one_thread
from algo_py.engine.sweep_trial import TrialResults
from algo_py.errors import InvalidInput

Work = Callable[[Sequence[int]], TrialResults]
Cancelled = Callable[[], bool]

# A batch is as many sets as take about this long, so that progress moves and a cancelled sweep ends soon.
_BATCH_S: Final = 0.02
_BATCH_MAX: Final = 1_000
# How often a waiting sweep looks whether it is cancelled.
_LOOK_S: Final = 0.1
# A worker that was told to end gets this long before it is killed.
_GRACE_S: Final = 2.0
# What is left takes less than this: starting workers would take longer.
_SMALL_S: Final = 0.15


class Pool(Protocol):
    """Computes parameter sets while it is open."""

    def map(self, numbers: Sequence[int], cancelled: Cancelled) -> Iterator[tuple[int, TrialResults]]:
        """Yield (place of the first, results) for runs of neighbouring sets, in any order, each set exactly once.

        Ends early once `cancelled` returns True, without what is not finished.
        """


class Executor(Protocol):
    """Starts pools. `work` may hold classes that cannot be pickled."""

    def start(self, work: Work) -> AbstractContextManager[Pool]:
        """Open a pool for `work`; leaving the context ends whatever still runs."""


class InProcess:
    """Computes here, one set after the other."""

    @contextmanager
    def start(self, work: Work) -> Iterator[Pool]:
        yield _InProcessPool(work)


class Forked:
    """Computes in `workers` processes forked from this one, which must have no other thread at that moment."""

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise InvalidInput(f"workers must be at least 1 (was {workers})")
        self.workers = workers

    @contextmanager
    def start(self, work: Work) -> Iterator[Pool]:
        pool = _ForkedPool(work, self.workers)
        try:
            yield pool
        finally:
            pool.end()


class Adaptive:
    """Computes here while that is quicker than starting workers, else in one worker for each core (or in `workers`).

    With another thread in this process (a page, say) a fork could wait for a lock for ever; then it computes here as well.
    """

    def __init__(self, workers: int | None = None) -> None:
        if workers is not None and workers < 1:
            raise InvalidInput(f"workers must be at least 1 (was {workers})")
        self._workers = workers

    @contextmanager
    def start(self, work: Work) -> Iterator[Pool]:
        workers = self._workers or len(os.sched_getaffinity(0))
        if workers == 1 or threading.active_count() > 1:
            yield _InProcessPool(work)
            return
        pool = _AdaptivePool(work, workers)
        try:
            yield pool
        finally:
            pool.end()


class _InProcessPool:
    def __init__(self, work: Work) -> None:
        self._work = work

    def map(self, numbers: Sequence[int], cancelled: Cancelled) -> Iterator[tuple[int, TrialResults]]:
        for place in range(len(numbers)):
            if cancelled():
                return
            yield place, self._work(numbers[place : place + 1])


class _AdaptivePool:
    """The first sets, computed here, tell how long the others will take."""

    def __init__(self, work: Work, workers: int) -> None:
        self._work, self._workers = work, workers
        self._here = _InProcessPool(work)
        self._forked: _ForkedPool | None = None
        self._one_set_s: float | None = None

    def map(self, numbers: Sequence[int], cancelled: Cancelled) -> Iterator[tuple[int, TrialResults]]:
        done = 0
        while self._forked is None and done < len(numbers):
            if self._one_set_s is not None and self._one_set_s * (len(numbers) - done) > _SMALL_S:
                self._forked = _ForkedPool(self._work, self._workers)
                break
            began_s = monotonic_s()
            for _, results in self._here.map(numbers[done : done + 1], cancelled):
                yield done, results
            if cancelled():
                return
            took_s = monotonic_s() - began_s
            # The very first set pays for what is loaded once, so the quickest one counts.
            self._one_set_s = took_s if self._one_set_s is None or done < 1 else min(took_s, self._one_set_s)
            done += 1
        if self._forked is not None:
            for place, results in self._forked.map(numbers[done:], cancelled):
                yield done + place, results

    def end(self) -> None:
        if self._forked is not None:
            self._forked.end()


@dataclass(slots=True, eq=False)
class _Worker:
    process: BaseProcess
    pipe: Connection
    begun_s: float = 0.0
    batch: tuple[int, int] | None = None  # place of the first, count


@dataclass(slots=True)
class _Plan:
    """Which places are still to be handed out; `alone` are those that go one by one, since a batch with them killed a worker."""

    total: int
    workers: int
    next_place: int = 0
    one_set_s: float | None = None
    alone: deque[int] = field(default_factory=deque)

    def take(self) -> tuple[int, int] | None:
        if self.alone:
            return self.alone.popleft(), 1
        left = self.total - self.next_place
        if left == 0:
            return None
        fair = -(-left // (2 * self.workers))  # the last batches are small, so that all workers end together
        wanted = 1 if self.one_set_s is None else int(_BATCH_S / max(self.one_set_s, _BATCH_S / _BATCH_MAX))
        place, count = self.next_place, max(1, min(wanted, fair))
        self.next_place += count
        return place, count


class _ForkedPool:
    def __init__(self, work: Work, workers: int) -> None:
        self._work = work
        self._workers: list[_Worker] = []
        try:
            for _ in range(workers):
                self._workers.append(self._fork())
        except OSError:  # no more processes, or no memory for one
            self.end()
            raise

    def map(self, numbers: Sequence[int], cancelled: Cancelled) -> Iterator[tuple[int, TrialResults]]:
        plan = _Plan(len(numbers), len(self._workers))
        for worker in self._workers:
            self._hand_out(worker, plan, numbers)
        while any(worker.batch for worker in self._workers):
            if cancelled():
                return
            busy = {worker.pipe: worker for worker in self._workers if worker.batch}
            for pipe in connection.wait(list(busy), timeout=_LOOK_S):
                worker = busy[pipe]  # type: ignore[index]
                place, count = worker.batch or (0, 0)
                try:
                    results: TrialResults = worker.pipe.recv()
                except (EOFError, ConnectionResetError):
                    code = self._replace(worker)
                    if count > 1:
                        plan.alone.extend(range(place, place + count))
                    else:
                        yield place, _lost(code)
                else:
                    plan.one_set_s = (monotonic_s() - worker.begun_s) / count
                    worker.batch = None
                    yield place, results
            for worker in self._workers:
                if worker.batch is None:
                    self._hand_out(worker, plan, numbers)

    def end(self) -> None:
        """End the workers, idle or not."""
        for worker in self._workers:
            worker.pipe.close()
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(_GRACE_S)
            if worker.process.exitcode is None:
                worker.process.kill()
                worker.process.join()
            worker.process.close()
        self._workers.clear()

    def _hand_out(self, worker: _Worker, plan: _Plan, numbers: Sequence[int]) -> None:
        worker.batch = plan.take()
        if worker.batch is None:
            return
        place, count = worker.batch
        worker.begun_s = monotonic_s()
        with suppress(BrokenPipeError, ConnectionResetError):  # it has died; reading from it will tell
            worker.pipe.send(numbers[place : place + count])

    def _fork(self) -> _Worker:
        ours, theirs = get_context("fork").Pipe()
        process = get_context("fork").Process(target=_serve, args=(self._work, theirs, ours), daemon=True)
        # Ctrl-C between the fork and the child's first line would end it with a traceback.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        return _Worker(process, ours)

    def _replace(self, worker: _Worker) -> int | None:
        """Put a new worker in the place of one that has died; return how it died."""
        worker.process.join(_GRACE_S)
        code = worker.process.exitcode
        worker.pipe.close()
        if code is None:
            worker.process.kill()
            worker.process.join()
        worker.process.close()
        fresh = self._fork()
        worker.process, worker.pipe, worker.batch = fresh.process, fresh.pipe, None
        return code


def _serve(work: Work, pipe: Connection, parents_end: Connection) -> None:
    """Be a worker: answer batches until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # not the parent's handler
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    gc.freeze()  # the collector's marks would otherwise copy every shared page
    parents_end.close()
    use_one_thread()
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            pipe.send(work(pipe.recv()))


def _lost(code: int | None) -> TrialResults:
    """Return the result of a set on which its worker died."""
    how = "did not answer" if code is None else f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
    return TrialResults(np.full((1, len(METRICS)), np.nan), (f"the worker process {how} while it ran this set",))
