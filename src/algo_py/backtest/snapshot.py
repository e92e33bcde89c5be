"""A saved backtest: everything that is needed to run exactly that again, read from its folder and verified."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, Final

import pandas as pd

from algo_py.backtest.config import BacktestConfig
from algo_py.backtest.curves import Curves
from algo_py.backtest.fingerprint import BarsFingerprint
from algo_py.backtest.manifest import MANIFEST_NAME, Manifest, StrategyReference, damaged, read_manifest, sha256
from algo_py.backtest.summary import report_json
from algo_py.strategy import Strategy
from algo_py.strategy.loader import load_strategies

STRATEGY_FOLDER: Final = "strategy"
ORDERS, TRADES, EQUITY, OPEN_POSITIONS = "orders.parquet", "trades.parquet", "equity.parquet", "open_positions.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A saved backtest whose files have all been verified."""

    id: str
    name: str
    created_at: datetime
    config: BacktestConfig
    metrics: Mapping[str, int | float | None]
    fingerprint: Mapping[str, BarsFingerprint]
    warnings: tuple[str, ...]
    environment: Mapping[str, str]
    strategy: StrategyReference
    folder: Path
    files: Mapping[str, str]

    @classmethod
    def read(cls, folder: Path) -> Snapshot:
        """Read a backtest's folder. A missing, changed or additional file raises Damaged, a newer schema InvalidInput."""
        manifest = read_manifest(folder)
        _verify(folder, manifest)
        return cls(
            id=manifest.id,
            name=manifest.name,
            created_at=manifest.created_at,
            config=manifest.config,
            metrics=manifest.metrics,
            fingerprint=manifest.fingerprint,
            warnings=manifest.warnings,
            environment=manifest.environment,
            strategy=manifest.strategy,
            folder=folder,
            files=manifest.files,
        )

    @property
    def strategy_folder(self) -> Path:
        """Where the strategy's source and the modules that it imports lie; `load_strategies` takes it as root."""
        return self.folder / STRATEGY_FOLDER

    def orders(self) -> pd.DataFrame:
        """Return the orders as `Portfolio.orders` gave them."""
        return pd.read_parquet(self.folder / ORDERS)

    def trades(self) -> pd.DataFrame:
        """Return the closed trades as `Portfolio.trades` gave them."""
        return pd.read_parquet(self.folder / TRADES)

    def equity(self) -> pd.Series:
        """Return the equity at each bar's close, by open time."""
        return self.curves().equity

    def curves(self) -> Curves:
        """Return equity, benchmark and the value of positions at each bar's close; before schema 2 only equity was saved."""
        return Curves.from_frame(pd.read_parquet(self.folder / EQUITY))

    def open_positions(self) -> pd.DataFrame | None:
        """Return the positions left open as `Portfolio.open_positions` gave them; None before schema 2, which saved none."""
        return pd.read_parquet(self.folder / OPEN_POSITIONS) if OPEN_POSITIONS in self.files else None

    def strategy_instance(self, params: Mapping[str, Any] | None = None) -> Strategy:
        """Build the strategy from the source that was saved, with the saved parameters or others.

        What is executed is checked against the saved hashes once more, so that an edit after loading is refused too.
        """
        loaded = load_strategies(self.strategy_folder / self.strategy.file, self.strategy_folder)
        for path, text in loaded.sources.items():
            if self.files.get(f"{STRATEGY_FOLDER}/{path}") != sha256(text.encode()):
                raise damaged(self.id, f"{STRATEGY_FOLDER}/{path}", "is not what was saved")
        for found in loaded.classes:
            if found.__name__ == self.strategy.class_name:
                return found.from_params(self.config.params if params is None else params)
        raise damaged(self.id, f"{STRATEGY_FOLDER}/{self.strategy.file}", f"has no class {self.strategy.class_name}")

    def to_json(self) -> dict[str, Any]:
        """Return what `backtest show --json` prints."""
        return report_json(
            config=self.config,
            metrics=self.metrics,
            fingerprint=self.fingerprint,
            warnings=self.warnings,
            id=self.id,
            name=self.name,
        )


def _verify(folder: Path, manifest: Manifest) -> None:
    if manifest.id != folder.name:
        raise damaged(folder.name, MANIFEST_NAME, f"belongs to backtest {manifest.id}")
    for path, expected in manifest.files.items():
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise damaged(manifest.id, path, "lies outside of its folder")
        try:
            content = (folder / path).read_bytes()
        except FileNotFoundError:
            raise damaged(manifest.id, path, "is missing") from None
        except OSError as error:
            raise damaged(manifest.id, path, f"cannot be read ({error.strerror})") from None
        if sha256(content) != expected:
            raise damaged(manifest.id, path, "is not what was saved")
    for file in (folder / STRATEGY_FOLDER).rglob("*"):  # a file more could be imported in place of a library
        path = file.relative_to(folder).as_posix()
        if not file.is_dir() and path not in manifest.files:
            raise damaged(manifest.id, path, "was added later")
