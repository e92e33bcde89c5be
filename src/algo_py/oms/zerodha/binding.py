"""Whose access token it is: a new one is used only once Kite has said that it belongs to the user that was connected.

A process lives longer than a token, and a login in the meantime may be another person's: it would sell what is theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from algo_py.credentials import Credentials
from algo_py.errors import AuthFailed
from algo_py.oms.zerodha.access import ACCESS_TOKEN, API_KEY

_NAMES: Final = (API_KEY, ACCESS_TOKEN)


class Binding:
    """The credentials that requests carry, and the user whose they are. Requests read `current`; nothing is asked here."""

    def __init__(self, read: Callable[[], Credentials]) -> None:
        self._read = read
        self._used: Credentials | None = None
        self._user_id: str | None = None

    def current(self) -> Credentials:
        """Return the credentials that requests carry now."""
        if self._used is None:
            self._used = self._read()
        return self._used

    def renew(self, owner: Callable[[], str]) -> None:
        """Read the credentials anew; a key or token that was not there before is used if its `owner` is the connected user.

        `owner` asks Kite with what `current` returns, and what it raises is raised here. Raises AuthFailed, naming both, for
        another user's. After either the former credentials stay in use, and the new ones are looked at again next time.
        """
        before, self._used = self._used, self._read()
        if self._user_id is None or before is None or _print(before) == _print(self._used):
            return
        is_same = False
        try:
            self._refuse_other(owner())
            is_same = True
        finally:
            if not is_same:
                self._used = before

    def bind(self, user_id: str) -> None:
        """Note who is connected. Raises AuthFailed when somebody else was before."""
        self._refuse_other(user_id)
        self._user_id = user_id

    def _refuse_other(self, user_id: str) -> None:
        if self._user_id not in (None, user_id):
            raise AuthFailed(
                f"the access token is that of {user_id}, and this trades for {self._user_id}",
                remedy=f"Run `algo-py login zerodha` as {self._user_id}.",
            )


def _print(credentials: Credentials) -> tuple[str, ...]:
    return tuple(credentials.secret(name).get_secret_value() if credentials.has(name) else "" for name in _NAMES)
