"""Which parameter sets a sweep tries: all of a grid, a random part of it, or those that Optuna's TPE suggests."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from algo_py.engine.sweep_rank import METRICS
from algo_py.errors import InvalidInput

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study

SearchName = Literal["grid", "random", "tpe"]
SEARCHES: Final[tuple[SearchName, ...]] = ("grid", "random", "tpe")
DEFAULT_SAMPLES: Final = 100
SETS_MAX: Final = 1_000_000

# How many sets TPE suggests before it learns from any of them. It is not the number of workers, so that the suggestions are the
# same on every machine.
_GENERATION: Final = 16
# Suggestions that were tried already are thrown away; after so many in a row TPE has nothing new to say.
_REPEATS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class ParameterSpace:
    """Every combination of some values for some parameters, numbered from 0; the last parameter varies fastest."""

    names: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]

    @classmethod
    def of(cls, grid: Mapping[str, Sequence[Any]]) -> ParameterSpace:
        """Build it from the values of each parameter; values that stand twice count once. Nothing to choose from is refused."""
        if not grid:
            raise InvalidInput("grid must name at least one parameter (was empty)")
        for name, choices in grid.items():
            if isinstance(choices, str) or not isinstance(choices, Sequence) or not choices:
                raise InvalidInput(f"the values of {name} must be a list of at least one (was {choices!r})")
            if name in (*METRICS, "status", "error"):
                raise InvalidInput(f"the parameter {name} has the name of a column of the results", remedy="Rename it.")
        space = cls(tuple(grid), tuple(_distinct(choices) for choices in grid.values()))
        if space.size > 2**62:
            raise InvalidInput(f"the grid must have at most 2**62 combinations (was {space.size:.3g})", remedy="Leave some out.")
        return space

    @property
    def size(self) -> int:
        return math.prod(len(choices) for choices in self.values)

    def at(self, number: int) -> dict[str, Any]:
        """Return the parameter set of that number."""
        chosen = []
        for choices in reversed(self.values):
            number, place = divmod(number, len(choices))
            chosen.append(choices[place])
        return dict(zip(self.names, reversed(chosen), strict=True))

    def number_of(self, places: Sequence[int]) -> int:
        """Return the number of the set with these places among each parameter's values."""
        number = 0
        for choices, place in zip(self.values, places, strict=True):
            number = number * len(choices) + place
        return number


class Search(Protocol):
    """Chooses parameter sets by number. The same seed and the same answers make the same choices."""

    total: int

    def ask(self) -> Sequence[int]:
        """Return the sets to try next, all at once; none at the end."""

    def tell(self, numbers: Sequence[int], scores: Sequence[float | None]) -> None:
        """Take the answers to the last `ask`: more is better, None where there is no score."""


class ListedSearch:
    """Sets that are known beforehand."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self.total = len(numbers)
        self._numbers = numbers

    def ask(self) -> Sequence[int]:
        asked, self._numbers = self._numbers, ()
        return asked

    def tell(self, numbers: Sequence[int], scores: Sequence[float | None]) -> None:
        """Learn nothing."""


class TpeSearch:
    """Optuna's tree-structured Parzen estimator (J. Bergstra and others, Algorithms for Hyper-Parameter Optimization, 2011).

    Numbers in rising order are searched by their place in it, other values as categories. No set is tried twice.
    """

    def __init__(self, space: ParameterSpace, samples: int, seed: int) -> None:
        self.total = min(samples, space.size)
        self._space = space
        self._left = self.total
        self._study = _quiet_study(seed)
        self._distributions = _distributions(space)
        self._open: list[tuple[int, int]] = []  # trial number, set number
        self._scores: dict[int, float | None] = {}

    def ask(self) -> Sequence[int]:
        asked: dict[int, int] = {}
        repeats = 0
        while len(asked) < min(_GENERATION, self._left) and repeats < _REPEATS_MAX:
            trial = self._study.ask(self._distributions)
            number = self._space.number_of([_place(trial.params[name]) for name in self._space.names])
            if number in self._scores or number in asked:
                self._answer(trial.number, self._scores.get(number))
                repeats += 1
                continue
            asked[number] = trial.number
        self._open = [(trial_number, number) for number, trial_number in asked.items()]
        self._left -= len(asked)
        return list(asked)

    def tell(self, numbers: Sequence[int], scores: Sequence[float | None]) -> None:
        known = dict(zip(numbers, scores, strict=True))
        for trial_number, number in self._open:
            self._scores[number] = known[number]
            self._answer(trial_number, known[number])

    def _answer(self, trial_number: int, score: float | None) -> None:
        """Tell the study; a set without a score counts as worse than any with one, so that it keeps away from there."""
        from optuna.trial import TrialState

        if score is None:
            self._study.tell(trial_number, state=TrialState.PRUNED)
        else:
            self._study.tell(trial_number, score)


def search_for(space: ParameterSpace, search: SearchName, *, samples: int | None, seed: int) -> Search:
    """Build a search. `samples` is for random and tpe (100 where it is None); a grid takes every set and needs none."""
    if search not in SEARCHES:
        raise InvalidInput(f"search must be one of {', '.join(SEARCHES)} (was {search!r})")
    if samples is not None and samples < 1:
        raise InvalidInput(f"samples must be at least 1 (was {samples})")
    if seed < 0:
        raise InvalidInput(f"seed must be at least 0 (was {seed})")
    if search == "grid":
        if samples is not None:
            raise InvalidInput(f"samples must be left out with a grid search (was {samples})", remedy="Use random or tpe.")
        _refuse_too_many("the grid", space.size)
        return ListedSearch(range(space.size))
    wanted = min(DEFAULT_SAMPLES if samples is None else samples, space.size)
    _refuse_too_many("samples", wanted)
    if search == "random":
        return ListedSearch(random.Random(seed).sample(range(space.size), wanted))
    return TpeSearch(space, wanted, seed)


def _refuse_too_many(name: str, count: int) -> None:
    if count > SETS_MAX:
        raise InvalidInput(
            f"{name} must have at most {SETS_MAX:,} parameter sets (was {count:,})",
            remedy="Use fewer values, or a random or tpe search with samples.",
        )


def _distinct(choices: Sequence[Any]) -> tuple[Any, ...]:
    """Leave out what stands there already; 1, 1.0 and True are three values."""
    kept: list[Any] = []
    for choice in choices:
        if not any(type(choice) is type(other) and choice == other for other in kept):
            kept.append(choice)
    return tuple(kept)


def _quiet_study(seed: int) -> Study:
    """Return a study in memory that logs nothing, without changing how loudly Optuna logs elsewhere."""
    import optuna

    class _Quiet:
        """Hold Optuna's own log level down for as long as it takes to build a study, which announces itself."""

        def __enter__(self) -> None:
            self.before = optuna.logging.get_verbosity()
            optuna.logging.set_verbosity(optuna.logging.ERROR)

        def __exit__(self, *exception: object) -> None:
            optuna.logging.set_verbosity(self.before)

    with _Quiet():
        sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        return optuna.create_study(direction="maximize", sampler=sampler)


def _distributions(space: ParameterSpace) -> dict[str, BaseDistribution]:
    from optuna.distributions import CategoricalDistribution, IntDistribution

    found: dict[str, BaseDistribution] = {}
    for name, choices in zip(space.names, space.values, strict=True):
        numbers = all(isinstance(choice, int | float) and not isinstance(choice, bool) for choice in choices)
        rising = numbers and all(left < right for left, right in itertools.pairwise(choices))
        found[name] = IntDistribution(0, len(choices) - 1) if rising else CategoricalDistribution(range(len(choices)))
    return found


def _place(value: Any) -> int:
    return int(value)
