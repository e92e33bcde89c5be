"""The end of a login: the browser comes to this machine with the request token, and is caught there."""

from __future__ import annotations

import secrets
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, Queue
from threading import Thread
from types import TracebackType
from typing import Final, Self
from urllib.parse import parse_qs, urlsplit

from pydantic import SecretStr

from algo_py.errors import AuthFailed, Refused

PATH: Final = "/zerodha"
_HOST: Final = "127.0.0.1"
_DONE: Final = "Algo.Py has received the login. Its command says whether it worked; this page can be closed."
_FAILED: Final = "Zerodha says that the login did not succeed."
_OTHER: Final = "This is not the end of a login that was begun here."


class RedirectListener:
    """Listens on 127.0.0.1 for one browser that comes back from the login that `state` was given to. A context manager.

    The redirect address of the Kite app must be `address`. Raises Refused when the port is taken.
    """

    def __init__(self, port: int) -> None:
        self.state = secrets.token_urlsafe(16)
        self.address = f"http://{_HOST}:{port}{PATH}"
        self._port = port
        self._answers: Queue[SecretStr | None] = Queue(maxsize=1)

    def __enter__(self) -> Self:
        try:
            self._server = ThreadingHTTPServer((_HOST, self._port), _handler_of(self.state, self._answers))
        except OSError as error:
            remedy = "Choose another port, and register it as the redirect address of your app at developers.kite.trade."
            raise Refused(f"port {self._port} cannot be listened on: {error.strerror}", remedy=remedy) from None
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wait(self, wait_s: float) -> SecretStr:
        """Wait for the browser; return the request token. Raises AuthFailed when none came, or the login did not succeed."""
        try:
            token = self._answers.get(timeout=wait_s)
        except Empty:
            raise AuthFailed(
                f"no login reached {self.address} within {wait_s:.0f} s",
                remedy="Check that this is the redirect address of your app at developers.kite.trade, then log in again.",
            ) from None
        if token is None:
            raise AuthFailed(_FAILED.rstrip("."), remedy="Log in again.")
        return token


def _handler_of(state: str, answers: Queue[SecretStr | None]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 5  # of a browser that connects and says nothing

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            values = {name: found[0] for name, found in parse_qs(parts.query).items()}
            if parts.path != PATH:
                self._say(404, _OTHER)
            elif not secrets.compare_digest(values.get("state", "").encode(), state.encode()):
                self._say(403, _OTHER)
            elif values.get("status") != "success" or not values.get("request_token"):
                self._say(200, _FAILED)
                self._tell(None)
            else:
                self._say(200, _DONE)
                self._tell(SecretStr(values["request_token"]))

        def _tell(self, token: SecretStr | None) -> None:
            if not answers.full():
                answers.put_nowait(token)

        def _say(self, status: int, text: str) -> None:
            body = f"<!doctype html><meta charset=utf-8><title>Algo.Py</title><p>{text}</p>".encode()
            self.send_response_only(status)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("Referrer-Policy", "no-referrer")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: the address holds the token."""

    return Handler
