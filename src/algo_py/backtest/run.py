"""Run a backtest: strategy and bars in, a result out that says everything it depends on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from algo_py.backtest.checks import data_warnings, look_ahead_warnings, order_warnings
from algo_py.backtest.config import EARLIEST, LATEST, BacktestConfig
from algo_py.backtest.fingerprint import BarsFingerprint, fingerprint
from algo_py.backtest.reads import reads_warnings
from algo_py.backtest.rules import known_rules
from algo_py.backtest.summary import report_json
from algo_py.clock import monotonic_s
from algo_py.engine import Portfolio, simulate
from algo_py.errors import StrategyBroken
from algo_py.finstore import FinStore
from algo_py.market import get_market
from algo_py.settings import Workspace
from algo_py.strategy import Bars, Strategy, evaluate
from algo_py.strategy.assets import pin_assets
from algo_py.strategy.loader import describe_failure
from algo_py.strategy.reads import watching
from algo_py.strategy.registry import StrategyEntry, StrategyRegistry

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestResult:
    """A backtest that has run.

    `config` is complete: every parameter, the period, the costs. `entry` holds the strategy's source as it was executed, and the
    hashes of the assets that it could read.
    """

    config: BacktestConfig
    bars: Bars
    portfolio: Portfolio
    fingerprint: Mapping[str, BarsFingerprint]
    warnings: tuple[str, ...]
    entry: StrategyEntry

    def to_json(self) -> dict[str, Any]:
        """Return what `backtest run --json` prints; id and name are null, since nothing is saved."""
        return report_json(
            config=self.config, metrics=self.portfolio.metrics, fingerprint=self.fingerprint, warnings=self.warnings
        )


def run_backtest(workspace: Workspace, config: BacktestConfig, progress: Progress | None = None) -> BacktestResult:
    """Run a strategy over stored bars. Nothing is written; the network is not touched.

    `progress` is called with what is being done and the fraction that is done, 0 to 1. Raises NotFound (strategy), NoData (a
    symbol, or nothing in the period), InvalidInput (parameters; symbols of several quote currencies), StrategyBroken, Refused (an
    asset that changes meanwhile).
    """
    tell = progress or _silent
    get_market(config.market).quote_over(config.symbols)
    tell("loading the strategy", 0.0)
    with watching():
        entry = StrategyRegistry.discover(workspace).get(config.strategy)
    assets = pin_assets(entry.usable_class())
    with watching() as begun:
        strategy = entry.usable_class().from_params(config.params)
        warm_up_bars = _warm_up_bars(strategy, entry)

    tell("reading bars", 0.1)
    store = FinStore(workspace.finstore)
    frames = _read(store, config)
    config = with_known_rules(workspace, _completed(config, strategy.model_dump(mode="json"), frames))
    bars = Bars.from_frames(frames, market=config.market, timeframe=config.timeframe)

    tell("running the strategy", 0.3)
    began_s = monotonic_s()
    with watching() as ran:
        signals = evaluate(strategy, bars)
    one_run_s = monotonic_s() - began_s

    tell("simulating the orders", 0.5)
    portfolio = simulate(bars, signals, config.portfolio_config())

    tell("checking the result", 0.8)
    warnings = (
        *data_warnings(store, config, frames, warm_up_bars),
        *order_warnings(portfolio),
        *look_ahead_warnings(strategy, bars, signals, warm_up_bars=warm_up_bars, one_run_s=one_run_s),
        *reads_warnings(entry, (entry.reads, begun, ran), assets=assets, params=config.params),
    )
    pin_assets(type(strategy))  # a result of two contents is a result of neither
    entry = replace(entry, assets=assets)
    result = BacktestResult(
        config=config, bars=bars, portfolio=portfolio, fingerprint=fingerprint(frames), warnings=warnings, entry=entry
    )
    tell("done", 1.0)
    return result


def with_known_rules(workspace: Workspace, config: BacktestConfig) -> BacktestConfig:
    """Write out the exchange's order rules where the config names none and they are known."""
    if config.order_rules is not None:
        return config
    return config.model_copy(update={"order_rules": known_rules(workspace, config.market, config.symbols)})


def _warm_up_bars(strategy: Strategy, entry: StrategyEntry) -> int:
    try:
        return int(strategy.warm_up_bars)
    except Exception as error:  # the border to the trader's code
        raise StrategyBroken(f"warm_up_bars failed in {describe_failure(error, entry.file, entry.root)}") from error


def _read(store: FinStore, config: BacktestConfig) -> dict[str, pd.DataFrame]:
    start = None if config.start == EARLIEST else config.start
    end = None if config.end == LATEST else config.end
    return {symbol: store.read(config.market, config.timeframe, symbol, start=start, end=end) for symbol in config.symbols}


def _completed(config: BacktestConfig, params: dict[str, Any], frames: Mapping[str, pd.DataFrame]) -> BacktestConfig:
    """Write out what the config left open: parameters, and the period from the first bar's open to the last bar's close."""
    start, end = config.start, config.end
    if start == EARLIEST:
        start = min(frame.index[0] for frame in frames.values()).to_pydatetime()
    if end == LATEST:
        last = max(frame.index[-1] for frame in frames.values()).to_pydatetime()
        end = get_market(config.market).calendar.bar_close(last, config.timeframe)
    return config.model_copy(update={"params": params, "start": start, "end": end})


def _silent(stage: str, fraction: float) -> None:
    """Tell nobody."""
