"""One strategy on one set of bars, simulated again and again with other parameters; only the metrics are kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd

from algo_py.engine.auctions import traded_bars
from algo_py.engine.config import PortfolioConfig
from algo_py.engine.costs import cost_table
from algo_py.engine.periods import periods_per_year
from algo_py.engine.portfolio import Portfolio, Records
from algo_py.engine.sweep_rank import METRICS
from algo_py.engine.sweep_search import ParameterSpace
from algo_py.engine.windows import windows_of
from algo_py.errors import AlgoPyError, StrategyBroken
from algo_py.strategy import Bars, Signals, Strategy, evaluate
from algo_py.strategy.indicators.memory import IndicatorMemory, OwnBars, remembering

_FIRST_ROOM = 4096


@dataclass(frozen=True, slots=True, eq=False)
class TrialResults:
    """What came of some parameter sets, a row each: their metrics in the order of METRICS (NaN: undefined, or failed), and the
    error of those that failed.
    """

    metrics: np.ndarray
    errors: tuple[str | None, ...]


class Trial:
    """Runs parameter sets by number. Each gives the metrics that `simulate` gives, to the last bit.

    It keeps the bars, one equity curve and a bounded memory of indicators, whatever the number of sets. Not safe for several
    threads; a fork takes it along.
    """

    def __init__(self, strategy_class: type[Strategy], bars: Bars, config: PortfolioConfig, space: ParameterSpace) -> None:
        from algo_py.engine import inputs, kernel  # compiled: loaded by the first trial, and by no worker again

        self._strategy_class, self._bars, self._space = strategy_class, bars, space
        # The calendar is asked once; every set has the same answer.
        self._config = config.model_copy(update={"periods_per_year": periods_per_year(bars, config)})
        self._costs = cost_table(config)
        self._windows, self._traded = windows_of(bars, config), traded_bars(bars, config)
        self._options = inputs.options_of(config, self._config.periods_per_year)
        self._inputs, self._kernel = inputs, kernel
        self._book = inputs.book_of(bars.symbols, config.instruments)
        self._pools = inputs.pools_of(bars.symbols, config)
        self._memory = IndicatorMemory(bars)
        rows = len(bars.index)
        self._equity, self._exposed = np.empty(rows), np.empty(rows, dtype=np.uint8)
        self._part = np.empty(rows)
        self._orders = np.empty((max(_FIRST_ROOM, 3 * len(bars.symbols)), kernel.ORDER_COLUMNS))
        self._load_compiled()

    def __call__(self, numbers: Sequence[int]) -> TrialResults:
        """Run the sets with these numbers; one that cannot be run has its error, and the others go on."""
        rows, errors = np.full((len(numbers), len(METRICS)), np.nan), list[str | None]()
        for row, number in zip(rows, numbers, strict=True):
            try:
                metrics = self.metrics_of(self._space.at(number))
            except AlgoPyError as error:
                errors.append(str(error))
                continue
            row[:] = [np.nan if metrics[name] is None else metrics[name] for name in METRICS]
            errors.append(None)
        return TrialResults(rows, tuple(errors))

    def metrics_of(self, params: Mapping[str, Any]) -> Mapping[str, float | int | None]:
        """Return the metrics of one parameter set. Raises InvalidInput or StrategyBroken, as a backtest of that set would."""
        try:
            strategy = self._strategy_class.from_params(params)
        except AlgoPyError:
            raise
        except Exception as error:  # the border to the trader's code: a validator may raise anything
            raise StrategyBroken(f"{self._strategy_class.kebab_name()}: {type(error).__name__}: {error}") from error
        with remembering(self._memory):
            signals = evaluate(_checking(strategy), OwnBars(self._bars), is_guarded=False)
        return self._simulated(signals)

    def _simulated(self, signals: Signals) -> Mapping[str, float | int | None]:
        """Do what `simulate` does, on arrays that are used again."""
        bars, config, book, pools = self._bars, self._config, self._book.copy(), self._pools.copy()
        tape = self._inputs.tape_of(self._traded, signals, config, self._costs, self._windows)
        count, rows, symbols = 0, len(bars.index), len(bars.symbols)
        self._exposed[:] = 0
        groups = [(0, symbols, 0)] if config.cash_sharing else [(s, s + 1, s) for s in range(symbols)]
        for first, last, pool in groups:
            row, curve = 0, self._equity if pool == 0 else self._part
            while True:
                row, count = self._kernel.run(
                    *(book, pools, self._options, tape, first, last, pool, row, rows, self._orders, count, curve, self._exposed)
                )
                if row == rows:
                    break
                self._orders = np.concatenate([self._orders, np.empty_like(self._orders)])
            if pool > 0:
                self._equity += curve
        return Portfolio(bars, config, Records(self._orders[:count], book, pools, self._equity, self._exposed)).metrics

    def _load_compiled(self) -> None:
        """Simulate nothing once, so that forked workers find the compiled code loaded."""
        nothing = pd.DataFrame(
            np.zeros((len(self._bars.index), len(self._bars.symbols)), dtype=np.bool_, order="F"),
            index=self._bars.index,
            columns=self._bars.close.columns,
            copy=False,
        )
        self._simulated(_CheckedSignals(nothing, nothing, nothing, nothing))


class _CheckedSignals(Signals):
    """Signals that are checked once, and quickly where a frame carries the bars' own times and symbols, as most do."""

    def array(self, name: str, bars: Bars) -> np.ndarray | None:
        # Whoever asks means the same bars: those of the trial, or a run's own view of them.
        if name not in self.__dict__:
            self.__dict__[name] = self._array(name, bars)
        found: np.ndarray | None = self.__dict__[name]
        return found

    def _array(self, name: str, bars: Bars) -> np.ndarray | None:
        frame = getattr(self, name)
        if isinstance(frame, pd.DataFrame) and frame.index.is_(bars.index) and frame.columns.is_(bars.close.columns):
            values = frame.to_numpy()
            if values.dtype == np.bool_:
                return np.asfortranarray(values)
        return super().array(name, bars)


def _checking(strategy: Strategy) -> Strategy:
    """Return what `evaluate` needs of a strategy, its signals as _CheckedSignals."""

    def run(bars: Bars) -> Signals:
        signals = strategy.run(bars)
        if type(signals) is not Signals:
            return signals
        return _CheckedSignals(signals.entries, signals.exits, signals.short_entries, signals.short_exits)

    return cast("Strategy", SimpleNamespace(kebab_name=strategy.kebab_name, run=run))


def parameter_columns(space: ParameterSpace, numbers: Iterable[int]) -> dict[str, list[Any]]:
    """Return the parameters of some sets, column by column."""
    sets = [space.at(number) for number in numbers]
    return {name: [params[name] for params in sets] for name in space.names}
