"""`config/.env`: the only place that holds secrets, and where the addresses of outside services can be changed."""

from __future__ import annotations

import io
import os
import re
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import SecretStr

from algo_py.errors import AuthFailed, InvalidInput, Refused
from algo_py.settings import Workspace

_NAME: Final = re.compile(r"[A-Z][A-Z0-9_]*")
# Blank lines and `export`, the name, the value. What follows is a comment.
_BINDING: Final = re.compile(
    r"""(?P<before>\s*(?:export[^\S\r\n]+)?)[^=]+=[^\S\r\n]*"""
    r"""(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|(?:(?![^\S\r\n]\#)[^\r\n])*)""",
    re.DOTALL,
)
_OPEN: Final = ("_BASE_URL", "_EXPIRES")  # names of values that are no secrets
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.:+/-]+")  # may stand in the file without quotes


class Credentials:
    """What stands in a workspace's `config/.env`; the environment of the process is not looked at.

    Secrets leave as SecretStr only, so that no log, traceback or screen shows one by accident.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = {name: value for name, value in values.items() if value}

    @classmethod
    def of(cls, workspace: Workspace) -> Credentials:
        """Read the file; a workspace without one has no credentials. Raises Refused when it cannot be read."""
        file = workspace.credentials_file
        try:
            if not file.is_file():
                return cls({})
            values = dotenv_values(file, interpolate=False)
        except (OSError, UnicodeDecodeError) as error:
            raise Refused(f"{file} cannot be read: {error}", remedy="Make it readable for this user.") from None
        return cls({name: value for name, value in values.items() if value is not None})

    def __repr__(self) -> str:
        return f"Credentials({', '.join(sorted(self._values))})"

    def has(self, *names: str) -> bool:
        """Return whether all of these have a value."""
        return not self.missing(*names)

    def missing(self, *names: str) -> tuple[str, ...]:
        """Return those of these names that have no value."""
        return tuple(name for name in names if name not in self._values)

    def secret(self, name: str) -> SecretStr:
        """Return a secret. Raises AuthFailed, naming the key, when it has no value."""
        if name not in self._values:
            raise AuthFailed(f"{name} is missing", remedy=f"Write it into config/.env as {name}=...")
        return SecretStr(self._values[name])

    def secrets(self) -> tuple[SecretStr, ...]:
        """Return every value but addresses of services and ends of tokens: what no text may show."""
        return tuple(SecretStr(value) for name, value in self._values.items() if not name.endswith(_OPEN))

    def base_url(self, service: str) -> str | None:
        """Return the address to use for a service (`binance` looks for BINANCE_BASE_URL) without a final slash; None: its own."""
        value = self._values.get(f"{service.upper().replace('-', '_')}_BASE_URL")
        return None if value is None else value.rstrip("/")


def exposure_warning(workspace: Workspace) -> str | None:
    """Return a line when other users of the machine can read the secrets, None when all is well."""
    file = workspace.credentials_file
    try:
        mode = file.stat().st_mode
    except OSError:
        return None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        return f"{file} can be read by other users of this machine: chmod 600 {file}"
    return None


def write_credentials(workspace: Workspace, values: Mapping[str, SecretStr]) -> None:
    """Put values into `config/.env`, all of them or none, readable by this user alone; a file is made where there is none.

    Every other line stays as it is, comments and order too; a name that is not there yet is added at the end. Raises InvalidInput
    for a name or value that the file cannot hold, Refused when the file cannot be read or written.
    """
    file = workspace.credentials_file.resolve()  # a link stays one
    for name, value in values.items():
        if not _NAME.fullmatch(name) or not value.get_secret_value().isprintable() or not value.get_secret_value():
            raise InvalidInput(f"{name} must be a name in capitals with a value of one line")
    try:
        before = file.read_bytes().decode("utf-8") if file.is_file() else ""
        _replace(file, _with(before, values).encode("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise Refused(f"{file} cannot be changed: {why}", remedy="Make it and its folder writable for this user.") from None


def _with(text: str, values: Mapping[str, SecretStr]) -> str:
    """Return the file's text with these values: where a name stands already, there; of several, the last one counts."""
    pieces = [(binding.key, binding.original.string) for binding in parse_stream(io.StringIO(text, newline=""))]
    place = {key: number for number, (key, _) in enumerate(pieces)}
    line_end = "\r\n" if "\r\n" in text else "\n"
    for name, value in values.items():
        number = place.get(name)
        if number is None:
            if pieces and not pieces[-1][1].endswith(("\n", "\r")):
                pieces[-1] = (pieces[-1][0], pieces[-1][1] + line_end)
            pieces.append((name, f"{name}={_quoted(value)}{line_end}"))
        else:
            pieces[number] = (name, _changed(pieces[number][1], name, value, line_end))
    return "".join(piece for _, piece in pieces)


def _changed(piece: str, name: str, value: SecretStr, line_end: str) -> str:
    """Return a binding with another value: blank lines before it, `export` and a comment behind it stay."""
    parts = _BINDING.match(piece)
    before, behind = (parts["before"], piece[parts.end() :].rstrip()) if parts else ("", "")
    return f"{before}{name}={_quoted(value)}{behind}{line_end}"


def _quoted(value: SecretStr) -> str:
    text = value.get_secret_value()
    if _PLAIN.fullmatch(text):
        return text
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _replace(file: Path, content: bytes) -> None:
    """Write a file so that a reader or a crash sees the old content or the new one; nobody else can read either."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
