"""A strategy's frozen files: read once, compared with the hashes that were taken when they were frozen, and only then used."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from algo_py.errors import AlgoPyError
from algo_py.strategy.assets import ASSET_LIMIT, AssetFolder
from algo_py.strategy.plain_files import (
    CACHE_FOLDER,
    Content,
    NotAPlainFile,
    copy_plain,
    hash_plain,
    plain_files,
    read_plain,
    refuse_additions,
    sha256,
)
from algo_py.strategy.siblings import SOURCE_LIMIT

# Makes the refusal of a file: its path, and the problem as the end of a sentence.
Refusal = Callable[[str, str], AlgoPyError]

CHANGED = "is not what was saved"


@dataclass(frozen=True, slots=True)
class FrozenCode:
    """Code whose every byte has been compared: `sources` by path relative to `root`, and the assets that lie there with it."""

    root: Path
    sources: Mapping[str, bytes] = field(repr=False)
    assets: AssetFolder = field(repr=False)


def read_frozen(holder: Path, folder: str, hashes: Mapping[str, str], *, refused: Refusal) -> FrozenCode:
    """Read the code in a folder of `holder`, each file once, and compare it; nothing is executed.

    `hashes` are those of its files, by path relative to `holder`. Sources are kept as they were compared; assets, which may be
    large, are looked at again whenever they are handed out. Raises what `refused` makes of a file that is missing, has changed,
    was added, is a link or cannot be read.
    """
    sources: dict[str, bytes] = {}
    assets: dict[str, Content] = {}
    try:
        refuse_additions(holder, folder, hashes)
        for path, expected in hashes.items():
            inside = path.removeprefix(f"{folder}/")
            if path.endswith(".py"):
                sources[inside] = read_plain(holder, path, limit=SOURCE_LIMIT)
                found = sha256(sources[inside])
            else:
                assets[inside] = hash_plain(holder, path, limit=ASSET_LIMIT)
                found = assets[inside].sha256
            if found != expected:
                raise refused(path, CHANGED)
    except NotAPlainFile as error:
        raise refused(error.path, error.problem) from None
    _discard_caches(holder, folder, refused)
    return FrozenCode(holder / folder, sources, AssetFolder(holder / folder, known=assets))


def copy_frozen(holder: Path, hashes: Mapping[str, str], target: Path, *, refused: Refusal) -> None:
    """Copy frozen files to another folder, comparing the very bytes that are written.

    The files are on the disk when this returns, the names in their folders need not be. Raises what `refused` makes, and OSError.
    """
    for path, expected in hashes.items():
        copy = target / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            written = copy_plain(holder, path, copy, limit=ASSET_LIMIT)
        except NotAPlainFile as error:
            raise refused(error.path, error.problem) from None
        if written != expected:
            raise refused(path, CHANGED)


def hashes_of(holder: Path, folder: str, *, refused: Refusal) -> dict[str, str]:
    """Return the hash of each file that lies in a folder of `holder` now, by path relative to `holder`."""
    try:
        return {path: hash_plain(holder, path, limit=ASSET_LIMIT).sha256 for path in plain_files(holder, folder)}
    except NotAPlainFile as error:
        raise refused(error.path, error.problem) from None


def _discard_caches(holder: Path, folder: str, refused: Refusal) -> None:
    """Delete what compilers keep beside sources (numba does, when told to): it would be executed, and nothing vouches for it."""
    for cache in (holder / folder).rglob(CACHE_FOLDER):
        shutil.rmtree(cache, ignore_errors=True)
        if cache.exists():
            raise refused(cache.relative_to(holder).as_posix(), "holds compiled code and cannot be removed")
