"""A deployment that is to close its positions while its market takes no orders lives on until they are closed."""

from __future__ import annotations

from dataclasses import dataclass, field

from algo_py.clock import SystemClock
from algo_py.deployment.pipeline import RunResult
from algo_py.deployment.status import State, Wanted
from algo_py.deployment.worker import _Life
from tests.orders.making import Notebook


@dataclass
class WaitingPipeline:
    """A pipeline whose exit waits for a while, and is then filled, or is not."""

    looks: int = 2
    is_filled: bool = True
    why_not_closed: str = ": Kite says no"
    watched: tuple[str, ...] = ()

    def close_positions(self, _now: object) -> tuple[list[str], bool]:
        return ["INFY"], True

    @property
    def waits(self) -> list[str]:
        return ["INFY waits for 09:15, continuous trading"] if self.looks else []

    @property
    def open_orders(self) -> list[str]:
        return ["MARKET SELL 40 INFY (PLANNED): waits for 09:15, continuous trading"] if self.looks else []

    @property
    def holdings(self) -> list[str]:
        return [] if self.is_filled else ["40 INFY (40,000.00 INR)"]

    def follow(self) -> None:
        self.looks -= 1


@dataclass
class Wishes:
    """What is wanted of the deployment, and what its states were."""

    now: Wanted = Wanted.CLOSED
    states: list[tuple[State, str]] = field(default_factory=list)

    def wanted(self, _id: str) -> Wanted:
        return self.now

    def want(self, _id: str, wanted: Wanted, *, at: object) -> None:
        self.now = wanted


class _Config:
    id = "d1"
    clock = None
    end = None

    class backtest:  # noqa: N801
        symbols = ("INFY",)


class _Settings:
    close_grace_s = 60.0


class Runs:
    def once(self, _pipeline: object, _at: object, _missed: int, work: object) -> None:
        result = work()  # type: ignore[operator]
        assert isinstance(result, RunResult)


class ShortLife(_Life):
    """A life without a process, a workspace and a database."""

    def __init__(self, pipeline: WaitingPipeline) -> None:
        self.wishes, self.notes = Wishes(), Notebook()
        self._stopping = False
        self._store, self._log, self._config = self.wishes, self.notes, _Config  # type: ignore[assignment]
        self._settings, self._runs = _Settings, Runs()  # type: ignore[assignment]
        self._pipeline = pipeline  # type: ignore[assignment]
        self._clock = self._wall = SystemClock()

    def _beat(self) -> None:
        return

    def _follow(self) -> None:
        self._pipeline.follow()  # type: ignore[union-attr, call-arg]

    def _enter(self, state: State, reason: str) -> None:
        self.wishes.states.append((state, reason))

    def events(self) -> list[str]:
        return [event for event, _ in self.notes.events]


def test_it_lives_on_until_the_exit_is_filled() -> None:
    pipeline = WaitingPipeline()
    life = ShortLife(pipeline)
    assert life._end_by_request(pipeline) == (State.STOPPED, "stopped by request, its positions are closed")  # type: ignore[arg-type]
    assert "deployment.closing_waits" in life.events()
    assert "deployment.not_closed" not in life.events()
    [(state, reason), *_] = life.wishes.states
    assert state is State.WATCHING
    assert "closing; it goes on watching MARKET SELL 40 INFY (PLANNED): waits for 09:15" in reason
    assert life.wishes.now is Wanted.STOPPED


def test_what_is_held_in_the_end_is_named_and_told() -> None:
    pipeline = WaitingPipeline(is_filled=False)
    life = ShortLife(pipeline)
    ended, reason = life._end_by_request(pipeline)  # type: ignore[arg-type]
    assert (ended, reason) == (State.STOPPED, "stopped by request, but NOT closed: 40 INFY (40,000.00 INR): Kite says no")
    assert "deployment.not_closed" in life.events()
