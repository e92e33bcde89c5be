"""`config/.env`: the only place that holds secrets, and where the addresses of outside services can be changed."""

from __future__ import annotations

import stat
from collections.abc import Mapping

from dotenv import dotenv_values
from pydantic import SecretStr

from algo_py.errors import AuthFailed, Refused
from algo_py.settings import Workspace


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
