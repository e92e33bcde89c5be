"""A saved backtest: everything that is needed to run exactly that again, read from its folder and verified."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import pandas as pd

from algo_py.backtest.config import BacktestConfig
from algo_py.backtest.curves import Curves
from algo_py.backtest.fingerprint import BarsFingerprint
from algo_py.backtest.manifest import MANIFEST_NAME, Manifest, StrategyReference, damaged, read_manifest
from algo_py.backtest.summary import report_json
from algo_py.strategy import Strategy
from algo_py.strategy.frozen import CHANGED, read_frozen
from algo_py.strategy.loader import load_frozen
from algo_py.strategy.plain_files import MIB, NotAPlainFile, hash_plain, read_plain, refuse_additions, sha256

STRATEGY_FOLDER: Final = "strategy"
ORDERS, TRADES, EQUITY, OPEN_POSITIONS = "orders.parquet", "trades.parquet", "equity.parquet", "open_positions.parquet"

_FILE_LIMIT: Final = 2048 * MIB


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
        """Where the strategy's source, the modules that it imports and its assets lie."""
        return self.folder / STRATEGY_FOLDER

    @property
    def code_hashes(self) -> dict[str, str]:
        """The SHA-256 of every file that the strategy executes or reads, by path relative to the backtest's folder."""
        return {path: own for path, own in self.files.items() if path.startswith(f"{STRATEGY_FOLDER}/")}

    def orders(self) -> pd.DataFrame:
        """Return the orders as `Portfolio.orders` gave them."""
        return self._frame(ORDERS)

    def trades(self) -> pd.DataFrame:
        """Return the closed trades as `Portfolio.trades` gave them."""
        return self._frame(TRADES)

    def equity(self) -> pd.Series:
        """Return the equity at each bar's close, by open time."""
        return self.curves().equity

    def curves(self) -> Curves:
        """Return equity, benchmark and the value of positions at each bar's close; before schema 2 only equity was saved."""
        return Curves.from_frame(self._frame(EQUITY))

    def open_positions(self) -> pd.DataFrame | None:
        """Return the positions left open as `Portfolio.open_positions` gave them; None before schema 2, which saved none."""
        return self._frame(OPEN_POSITIONS) if OPEN_POSITIONS in self.files else None

    def strategy_instance(self, params: Mapping[str, Any] | None = None) -> Strategy:
        """Build the strategy from the source that was saved, with the saved parameters or others.

        Every file is read anew, compared with the saved hashes, and only then executed: an edit after loading is refused too.
        """
        code = read_frozen(self.folder, STRATEGY_FOLDER, self.code_hashes, refused=partial(damaged, self.id))
        for found in load_frozen(code, self.strategy.file).classes:
            if found.__name__ == self.strategy.class_name:
                return found.from_params(self.config.params if params is None else params)
        raise damaged(self.id, f"{STRATEGY_FOLDER}/{self.strategy.file}", f"has no class {self.strategy.class_name}")

    def _frame(self, path: str) -> pd.DataFrame:
        """Read a saved frame from the very bytes that were compared."""
        try:
            content = read_plain(self.folder, path, limit=_FILE_LIMIT)
        except NotAPlainFile as error:
            raise damaged(self.id, path, error.problem) from None
        if self.files.get(path) != sha256(content):
            raise damaged(self.id, path, CHANGED)
        return pd.read_parquet(io.BytesIO(content))

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
    try:
        for path, expected in manifest.files.items():
            if hash_plain(folder, path, limit=_FILE_LIMIT).sha256 != expected:
                raise damaged(manifest.id, path, CHANGED)
        refuse_additions(folder, STRATEGY_FOLDER, manifest.files)  # a file more could be imported in place of a library
    except NotAPlainFile as error:
        raise damaged(manifest.id, error.path, error.problem) from None
