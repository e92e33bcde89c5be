"""HTTP whose whole exchange ends by a moment: a time-out of `requests` bounds each wait for bytes, but not their sum.

Imported only by adapters that use it, and by them when the first request leaves: `requests` takes time to load.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import requests
from requests.adapters import HTTPAdapter

from algo_py.clock import monotonic_s

_CHUNK_BYTES = 65_536
# A month of minutes is 2 MB packed, all markets of a large exchange are 15 MB.
_MOST_BYTES = 64 * 2**20
# A host may have several addresses, and each of them gets the time-out of connecting for itself.
_CONNECT_SHARE = 1 / 3
_CONNECT_LEAST_S = 1.0

_T = TypeVar("_T")


class BoundedSession(requests.Session):
    """A session for one thread at a time. No answer is waited for, or read, beyond `until_s` of `clock.monotonic_s`.

    Nothing is sent twice. Proxies and `.netrc` of the environment are not looked at.
    """

    def __init__(self) -> None:
        super().__init__()
        self.until_s = 0.0
        self.trust_env = False
        adapter = _BoundedAdapter(self)
        self.mount("https://", adapter)
        self.mount("http://", adapter)


class _BoundedAdapter(HTTPAdapter):
    def __init__(self, session: BoundedSession) -> None:
        super().__init__(max_retries=0)
        self._session = session

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: FBT001 - as requests calls it
        timeout: Any = None,
        verify: bool | str = True,  # noqa: FBT001
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        until_s = self._session.until_s
        left_s = until_s - monotonic_s()
        if left_s <= 0:
            raise requests.exceptions.ConnectTimeout("no time was left for the request", request=request)
        connect_s = min(left_s, max(left_s * _CONNECT_SHARE, _CONNECT_LEAST_S))
        response = super().send(
            request, stream=stream, timeout=(connect_s, left_s), verify=verify, cert=cert, proxies=dict(proxies or {})
        )
        response.raw = _BoundedBody(response.raw, until_s)
        return response


class _BoundedBody:
    """The body of an answer, as `requests` reads it: in pieces as they arrive, each with what is left of the time."""

    def __init__(self, raw: Any, until_s: float) -> None:
        self._raw = raw
        self._until_s = until_s

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def stream(self, amt: int = _CHUNK_BYTES, decode_content: bool | None = None) -> Iterator[bytes]:  # noqa: FBT001
        size = 0
        while piece := self._piece(max(amt, _CHUNK_BYTES), decode_content=decode_content):
            size += len(piece)
            if size > _MOST_BYTES:
                self._raw.close()
                raise requests.exceptions.RequestException(f"the answer is longer than {_MOST_BYTES} bytes")
            yield piece

    def _piece(self, amt: int, *, decode_content: bool | None) -> bytes:
        left_s = self._until_s - monotonic_s()
        if left_s <= 0:
            self._raw.close()
            raise requests.exceptions.ReadTimeout("the answer took too long")
        socket = getattr(self._raw.connection, "sock", None)
        if socket is not None:
            socket.settimeout(left_s)
        piece: bytes = self._raw.read1(amt, decode_content=decode_content)
        return piece


class Pool(Generic[_T]):
    """Lends clients that serve one thread at a time, and makes one more when all are lent.

    A process that was forked begins with none: a connection cannot be shared with the parent.
    """

    def __init__(self, make: Callable[[], _T]) -> None:
        self._make = make
        self._idle: deque[_T] = deque()
        self._pid = os.getpid()

    @contextmanager
    def one(self) -> Iterator[_T]:
        """Lend a client until the block ends."""
        if self._pid != os.getpid():
            self._idle, self._pid = deque(), os.getpid()
        idle = self._idle
        try:
            client = idle.pop()
        except IndexError:
            client = self._make()
        try:
            yield client
        finally:
            idle.append(client)
