"""The saved backtests of a workspace: save, load, list, delete. A backtest is there whole or not at all."""

from __future__ import annotations

import difflib
import io
import os
import platform
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

import numba
import numpy as np
import pandas as pd

import algo_py
from algo_py.backtest.config import BacktestConfig
from algo_py.backtest.curves import Curves
from algo_py.backtest.manifest import MANIFEST_NAME, Manifest, StrategyReference, encode, read_manifest, schema_of
from algo_py.backtest.run import BacktestResult
from algo_py.backtest.snapshot import EQUITY, OPEN_POSITIONS, ORDERS, STRATEGY_FOLDER, TRADES, Snapshot
from algo_py.backtest.summary import plain_metrics
from algo_py.clock import Clock, SystemClock, format_time
from algo_py.errors import AlgoPyError, Conflict, InvalidInput, NotFound, Refused
from algo_py.finstore.durable import locked, make_folder, sync_folder
from algo_py.settings import Workspace
from algo_py.strategy.frozen import CHANGED, copy_frozen
from algo_py.strategy.plain_files import sha256
from algo_py.strategy.registry import StrategyEntry

_LOCK_TIMEOUT_S = 10.0
_NAME_LENGTH = 80
_TEMPORARY_PREFIX = ".tmp-"


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotSummary:
    """One line of the list: what snapshot.json says, or, for a damaged or newer one, only id and error."""

    id: str
    name: str | None = None
    created_at: datetime | None = None
    config: BacktestConfig | None = None
    metrics: dict[str, int | float | None] | None = None
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return one object of `backtest list --json`; what is not known of a damaged one is null."""
        config = self.config.model_dump(mode="json") if self.config else {}
        keys = ("strategy", "params", "market", "timeframe", "symbols", "start", "end", "initial_cash")
        return {
            "id": self.id,
            "name": self.name,
            "created_at": format_time(self.created_at),
            **{key: config.get(key) for key in keys},
            "quote_currency": None if self.config is None else self.config.sole_quote,
            "metrics": self.metrics,
            "error": self.error,
        }


class SnapshotStore:
    """The folder `database/backtests`. Several processes may use it at once."""

    def __init__(self, workspace: Workspace, *, clock: Clock | None = None) -> None:
        self._folder = workspace.backtests
        self._clock = clock or SystemClock()

    def save(self, result: BacktestResult, name: str | None = None) -> Snapshot:
        """Save a result under a name of its own; without one it is called after its strategy, symbols and timeframe.

        On the disk when this returns. Raises InvalidInput or Conflict for a name that cannot be used or is taken, Refused when
        the disk cannot take it, and when an asset of the strategy is not what the backtest read; then nothing is left behind.
        """
        with self._writing():
            taken = {text for summary in self.list() for text in (summary.id, summary.name) if text}
            chosen = _free_name(result.config, taken) if name is None else _checked_name(name, taken)
            created_at = self._clock.now()
            backtest_id = f"{created_at:%Y%m%d-%H%M%S}-{result.config.strategy}-{secrets.token_hex(2)}"
            files = _files_of(result)
            assets = {f"{STRATEGY_FOLDER}/{path}": own for path, own in result.entry.assets.items()}
            manifest = Manifest(
                schema_version=schema_of(result.config, has_assets=bool(assets)),
                id=backtest_id,
                name=chosen,
                created_at=created_at,
                strategy=_reference(result),
                config=result.config,
                metrics=plain_metrics(result.portfolio.metrics),
                fingerprint=result.fingerprint,
                warnings=result.warnings,
                environment=_environment(),
                files={path: sha256(content) for path, content in files.items()} | assets,
            )
            self._put(backtest_id, {**files, MANIFEST_NAME: encode(manifest)}, result.entry)
        return Snapshot.read(self._folder / backtest_id)

    def load(self, id_or_name: str) -> Snapshot:
        """Return a saved backtest, every file verified. Raises NotFound, Damaged, InvalidInput (written by a newer Algo.Py)."""
        return Snapshot.read(self._folder / self._id_of(id_or_name))

    def list(self) -> Sequence[SnapshotSummary]:
        """Return all saved backtests, newest first. Only snapshot.json is read; a damaged one is listed with its error."""
        summaries = [_summary(folder) for folder in _saved_in(self._folder)]
        return sorted(summaries, key=lambda one: (one.id[:15], format_time(one.created_at) or ""), reverse=True)

    def delete(self, id_or_name: str) -> str:
        """Remove a saved backtest, damaged or not, and return its id. Deployments keep their own copy and are not affected."""
        backtest_id = self._id_of(id_or_name)
        with self._writing():
            doomed = self._folder / f"{_TEMPORARY_PREFIX}{backtest_id}"
            (self._folder / backtest_id).rename(doomed)
            sync_folder(self._folder)
            _remove(doomed)
        return backtest_id

    def _id_of(self, id_or_name: str) -> str:
        summaries = self.list()
        for summary in summaries:
            if summary.id == id_or_name:
                return summary.id
        for summary in summaries:
            if summary.name == id_or_name:
                return summary.id
        known = [text for summary in summaries for text in (summary.name, summary.id) if text]
        close = difflib.get_close_matches(id_or_name, known, n=1)
        remedy = f"Did you mean {close[0]!r}?" if close else "See algo-py backtest list."
        raise NotFound(f"there is no saved backtest {id_or_name!r}", remedy=remedy)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Be the only writer; what killed writers left behind is removed first."""
        try:
            make_folder(self._folder)
            with locked(self._folder / ".lock", timeout_s=_LOCK_TIMEOUT_S):
                for leftover in self._folder.glob(f"{_TEMPORARY_PREFIX}*"):
                    _remove(leftover)
                yield
        except OSError as error:
            raise Refused(
                f"saved backtests cannot be changed in {self._folder}: {error.strerror or error}", remedy="See to that folder."
            ) from error

    def _put(self, backtest_id: str, files: dict[str, bytes], entry: StrategyEntry) -> None:
        temporary = self._folder / f"{_TEMPORARY_PREFIX}{backtest_id}"
        try:
            temporary.mkdir()
            for path, content in files.items():
                file = temporary / path
                file.parent.mkdir(parents=True, exist_ok=True)
                with file.open("xb") as stream:
                    stream.write(content)
                    stream.flush()
                    os.fsync(stream.fileno())
            copy_frozen(entry.root, entry.assets, temporary / STRATEGY_FOLDER, refused=_asset_has_changed)
            inside = (*files, *(f"{STRATEGY_FOLDER}/{path}" for path in entry.assets))
            for folder in {folder for path in inside for folder in PurePosixPath(path).parents}:
                sync_folder(temporary / folder)
            temporary.rename(self._folder / backtest_id)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        sync_folder(self._folder)


def _asset_has_changed(path: str, problem: str) -> Refused:
    return Refused(
        f"the strategy's asset {path} {'is not what the backtest read' if problem == CHANGED else problem}",
        remedy="Run the backtest again, then save it.",
    )


def _remove(path: Path) -> None:
    """Delete a folder with all that is in it; of a link, or of a stray file, that alone."""
    if path.is_symlink() or not path.is_dir():
        path.unlink()
    else:
        shutil.rmtree(path)


def _saved_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [found for found in folder.iterdir() if found.is_dir() and not found.name.startswith(".")]


def _summary(folder: Path) -> SnapshotSummary:
    try:
        manifest = read_manifest(folder)
    except AlgoPyError as error:
        return SnapshotSummary(id=folder.name, error=str(error))
    return SnapshotSummary(
        id=folder.name,
        name=manifest.name,
        created_at=manifest.created_at,
        config=manifest.config,
        metrics=dict(manifest.metrics),
    )


def _files_of(result: BacktestResult) -> dict[str, bytes]:
    portfolio = result.portfolio
    frames = {
        ORDERS: portfolio.orders,
        TRADES: portfolio.trades,
        OPEN_POSITIONS: portfolio.open_positions,
        EQUITY: Curves.of_portfolio(result.bars, portfolio).to_frame(),
    }
    sources = {f"{STRATEGY_FOLDER}/{path}": text.encode() for path, text in result.entry.sources.items()}
    return sources | {name: _parquet(frame) for name, frame in frames.items()}


def _parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return buffer.getvalue()


def _reference(result: BacktestResult) -> StrategyReference:
    entry = result.entry
    return StrategyReference(file=entry.file.relative_to(entry.root).as_posix(), class_name=entry.usable_class().__name__)


def _environment() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "algo_py": algo_py.__version__,
        "numpy": np.__version__,
        "pandas": pd.__version__,
        "numba": numba.__version__,
    }


def _checked_name(name: str, taken: set[str]) -> str:
    chosen = name.strip()
    if not chosen or len(chosen) > _NAME_LENGTH or not chosen.isprintable():
        raise InvalidInput(f"a backtest's name must be 1 to {_NAME_LENGTH} printable characters (was {name!r})")
    if chosen in taken:
        raise Conflict(
            f"there is already a backtest called {chosen!r}",
            remedy=f"Choose another name, or delete it: algo-py backtest delete '{chosen}'",
        )
    return chosen


def _free_name(config: BacktestConfig, taken: set[str]) -> str:
    universe = config.symbols[0] if len(config.symbols) == 1 else f"{len(config.symbols)} symbols"
    base = f"{config.strategy} {universe} {config.timeframe}"
    number = 1
    while (name := base if number == 1 else f"{base} {number}") in taken:
        number += 1
    return name
