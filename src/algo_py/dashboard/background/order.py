"""What a page can have done in the background, and what goes through the pipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from algo_py.errors import AlgoPyError

ProgressT = TypeVar("ProgressT", covariant=True)
ResultT = TypeVar("ResultT", covariant=True)


class Order(Protocol[ProgressT, ResultT]):
    """A piece of work. It crosses to another process, and so do its progress and its result: all of them can be pickled."""

    def carry_out(self, tell: Callable[[ProgressT], None], cancelled: Callable[[], bool]) -> ResultT:
        """Do it, in the other process. `tell` may be called as often as one likes; once `cancelled` is true, end soon.

        Raises AlgoPyError for what is refused; it comes back as the outcome.
        """

    def without_answer(self, how: str | None) -> AlgoPyError:
        """Return what to say when its process ended without a result; `how` it ended, None when it was cancelled."""


@dataclass(frozen=True, slots=True)
class Told(Generic[ProgressT]):
    """Progress on its way to the page; anything else that arrives is the outcome."""

    progress: ProgressT
