"""`snapshot.json`: the one file that says what a saved backtest is, and that vouches for all others and for itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from algo_py.backtest.config import BacktestConfig
from algo_py.backtest.fingerprint import BarsFingerprint
from algo_py.errors import Damaged, InvalidInput, NotFound
from algo_py.settings import first_problem
from algo_py.strategy.plain_files import MIB, NotAPlainFile, read_plain, sha256

MANIFEST_NAME: Final = "snapshot.json"
# 1: the first. 2: the engine's further options in config; benchmark and position values beside equity; open positions.
# 3: the order rules of the symbols in config.
# 4: files that the strategy reads. Written only where there are some: all others an earlier Algo.Py can read as well.
# 5: hours of the day, closing auctions, intraday charges. Likewise.
SCHEMA_VERSION: Final = 5
_WITH_ASSETS: Final = 4
_WITHOUT_ASSETS: Final = 3

_OWN_HASH: Final = "own_sha256"
_BLANK: Final = "0" * 64
_SIZE_LIMIT: Final = 16 * MIB


class StrategyReference(BaseModel):
    """Which class of which file under `strategy/` it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    class_name: str


class Manifest(BaseModel):
    """The content of snapshot.json. `files` maps every other file, by path, to its SHA-256."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    schema_version: int = _WITHOUT_ASSETS
    id: str
    name: str
    created_at: datetime
    strategy: StrategyReference
    config: BacktestConfig
    metrics: Mapping[str, int | float | None]
    fingerprint: Mapping[str, BarsFingerprint]
    warnings: tuple[str, ...]
    environment: Mapping[str, str]
    files: Mapping[str, str]


def schema_of(config: BacktestConfig, *, has_assets: bool) -> int:
    """Return the oldest schema that holds all of a backtest, so that whoever can read it does."""
    if config.has_day_rules:
        return SCHEMA_VERSION
    return _WITH_ASSETS if has_assets else _WITHOUT_ASSETS


def encode(manifest: Manifest) -> bytes:
    """Return the file's content. Its own hash, the last entry, is taken over the content with zeros in the hash's place."""
    values = manifest.model_dump(mode="json") | {_OWN_HASH: _BLANK}
    blank = json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return blank.replace(_hash_entry(_BLANK), _hash_entry(sha256(blank.encode()))).encode()


def read_manifest(folder: Path) -> Manifest:
    """Read and verify the snapshot.json of a saved backtest; the other files are not looked at.

    Raises InvalidInput for one that a newer Algo.Py wrote, Damaged for one that is missing or not what was written.
    """
    if folder.is_symlink():
        raise damaged(folder.name, "its folder", "is a link")
    try:
        content = read_plain(folder, MANIFEST_NAME, limit=_SIZE_LIMIT)
        values = json.loads(content)
        json.dumps(values, ensure_ascii=False).encode()  # half a surrogate pair is JSON, but no text
    except NotAPlainFile as error:
        raise damaged(folder.name, MANIFEST_NAME, error.problem) from None
    except (ValueError, RecursionError):
        raise damaged(folder.name, MANIFEST_NAME, "cannot be read") from None
    version = values.get("schema_version") if isinstance(values, dict) else None
    if not isinstance(version, int) or isinstance(version, bool):
        raise damaged(folder.name, MANIFEST_NAME, "is not what was saved")
    if version > SCHEMA_VERSION:
        raise InvalidInput(
            f"backtest {folder.name} was saved by a newer Algo.Py (schema {version}, this one reads up to {SCHEMA_VERSION})",
            remedy="Upgrade Algo.Py.",
        )
    own = values.pop(_OWN_HASH, None)
    blank = content.replace(_hash_entry(str(own)).encode(), _hash_entry(_BLANK).encode())
    if sha256(blank) != own:
        raise damaged(folder.name, MANIFEST_NAME, "is not what was saved")
    try:
        return Manifest.model_validate(values)
    except ValidationError as error:
        raise damaged(folder.name, MANIFEST_NAME, f"cannot be used: {first_problem(error)}") from None
    except (InvalidInput, NotFound) as error:
        raise InvalidInput(f"backtest {folder.name} cannot be used by this Algo.Py: {error}") from None


def damaged(backtest_id: str, file: str, problem: str) -> Damaged:
    """Return the refusal of a saved backtest, by its id and the file that is wrong."""
    return Damaged(
        f"backtest {backtest_id}: {file} {problem}",
        remedy=f"Restore it from a copy, or remove it: algo-py backtest delete {backtest_id}",
    )


def _hash_entry(value: str) -> str:
    return f'"{_OWN_HASH}": "{value}"'
