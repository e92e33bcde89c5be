"""Secrets out of texts: what stands in `config/.env` is shown nowhere else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from urllib.parse import quote, quote_plus, unquote, urlsplit

from algo_py.credentials import Credentials
from algo_py.errors import Refused
from algo_py.settings import Workspace

MASK = "***"
# Shorter ones are words, switches and small numbers, which would be masked all over a log.
_SHORTEST = 6
_TOKEN = re.compile(r"(?=\D*\d)[^.]{9,}")
_HOST_AND_PORT = re.compile(r"[\w-]+:\d{1,5}")


class SecretMask:
    """Replaces each value of `config/.env` by *** in a text.

    The file is read when a text first comes, and again when it has changed. A value that was read once stays masked as long as
    the process lives: an old token may still be on its way.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._version: tuple[int, int, int] | None = None
        self._spellings: list[str] = []

    def __call__(self, text: str) -> str:
        self._look()
        for spelling in self._spellings:
            if spelling in text:
                text = text.replace(spelling, MASK)
        return text

    def _look(self) -> None:
        try:
            found = self._workspace.credentials_file.stat()
            version = (found.st_mtime_ns, found.st_size, found.st_ino)
            if version == self._version:
                return
            secrets = Credentials.of(self._workspace).secrets()
        except (OSError, Refused):
            return  # what cannot be read cannot be written out either
        self._version = version
        spellings = {spelling for secret in secrets for spelling in _spellings(secret.get_secret_value())}
        self._spellings = sorted({*self._spellings, *spellings}, key=len, reverse=True)


def _spellings(value: str) -> Iterator[str]:
    """Yield the ways in which a value, or a secret part of an address in it, may stand in a text."""
    for part in (value, *_parts_of_addresses(value)):
        if len(part) >= _SHORTEST:
            yield from (part, quote(part, safe=""), quote_plus(part), repr(part)[1:-1], json.dumps(part)[1:-1])


def _parts_of_addresses(value: str) -> Iterator[str]:
    """Yield passwords of addresses, and what looks like a token in them."""
    for address in re.split(r"[\s,]+", value):
        _, separator, rest = address.partition("://")
        if not separator:
            continue
        yield address
        for piece in re.split(r"[/@?&=#]+", rest):
            if _TOKEN.fullmatch(piece) and not _HOST_AND_PORT.fullmatch(piece):
                yield from (piece, unquote(piece))
        try:
            password = urlsplit(address).password or ""
        except ValueError:
            continue
        yield from (password, unquote(password))
