"""What a report is made of, from a saved backtest or from one that has just run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from algo_py.backtest.config import BacktestConfig
from algo_py.backtest.curves import Curves
from algo_py.backtest.fingerprint import BarsFingerprint
from algo_py.backtest.run import BacktestResult
from algo_py.backtest.snapshot import STRATEGY_FOLDER, Snapshot
from algo_py.backtest.summary import plain_metrics, report_json
from algo_py.market import Market, get_market


@dataclass(frozen=True, kw_only=True, eq=False)
class ReportData:
    """A backtest as the report reads it. None: not known, because it is not saved or was saved before that was kept.

    `sources` maps each file of the strategy to its SHA-256; for a backtest that is not saved it is empty, as is `environment`.
    """

    id: str | None
    name: str
    created_at: datetime | None
    config: BacktestConfig
    metrics: Mapping[str, float | int | None]
    fingerprint: Mapping[str, BarsFingerprint]
    warnings: tuple[str, ...]
    environment: Mapping[str, str]
    sources: Mapping[str, str]
    orders: pd.DataFrame
    trades: pd.DataFrame
    open_positions: pd.DataFrame | None
    curves: Curves

    @classmethod
    def of_snapshot(cls, snapshot: Snapshot) -> ReportData:
        """Read what a report needs of a saved backtest."""
        inside = f"{STRATEGY_FOLDER}/"
        return cls(
            id=snapshot.id,
            name=snapshot.name,
            created_at=snapshot.created_at,
            config=snapshot.config,
            metrics=snapshot.metrics,
            fingerprint=snapshot.fingerprint,
            warnings=snapshot.warnings,
            environment=snapshot.environment,
            sources={path.removeprefix(inside): own for path, own in snapshot.files.items() if path.startswith(inside)},
            orders=snapshot.orders(),
            trades=snapshot.trades(),
            open_positions=snapshot.open_positions(),
            curves=snapshot.curves(),
        )

    @classmethod
    def of_result(cls, result: BacktestResult) -> ReportData:
        """Take what a report needs of a backtest that has run and is not saved."""
        portfolio = result.portfolio
        return cls(
            id=None,
            name=result.config.strategy,
            created_at=None,
            config=result.config,
            metrics=plain_metrics(portfolio.metrics),
            fingerprint=result.fingerprint,
            warnings=result.warnings,
            environment={},
            sources={},
            orders=portfolio.orders,
            trades=portfolio.trades,
            open_positions=portfolio.open_positions,
            curves=Curves.of_portfolio(result.bars, portfolio),
        )

    @cached_property
    def market(self) -> Market:
        return get_market(self.config.market)

    @property
    def currency(self) -> str:
        """What all money of the report is in."""
        return self.config.quote_label

    @property
    def zone(self) -> ZoneInfo:
        """The time zone in which the report shows moments: the market's own, so that a session has its date."""
        return self.market.time_zone

    @cached_property
    def periods_per_year(self) -> float:
        return self.market.calendar.periods_per_year(self.config.timeframe)

    def summary(self) -> dict[str, Any]:
        """Return what `backtest show --json` prints."""
        return report_json(
            config=self.config,
            metrics=self.metrics,
            fingerprint=self.fingerprint,
            warnings=self.warnings,
            id=self.id,
            name=self.name,
        )
