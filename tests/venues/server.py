"""A real HTTP server on loopback that answers as it is told, notes what it was asked, and fails on demand."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

_PIECES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a client asked: `values` are the query's and the form's parameters together, `query` the former, repeats too.

    raw_query and body are as they came over the line.
    """

    method: str
    path: str
    values: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""
    query: tuple[tuple[str, str], ...] = ()
    raw_query: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What goes back. `truncated` breaks the connection half way through the body; `trickle_s` is how long the body takes.

    is_chunked: it goes in chunks, and its length is not told beforehand.
    """

    body: bytes = b""
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    truncated: bool = False
    trickle_s: float = 0.0
    is_chunked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong with the next requests that `applies` to.

    before: what happens when the request has arrived and nothing was done with it yet. delay_s: it answers late. drop: it breaks
    the connection without an answer. late: it does its work first, and then drops or replaces the answer. reply: what it answers
    instead. change: what becomes of the answer on its way.
    """

    applies: Callable[[Request], bool] = lambda _request: True
    before: Callable[[], None] | None = None
    delay_s: float = 0.0
    drop: bool = False
    late: bool = False
    reply: Reply | None = None
    change: Callable[[Reply], Reply] | None = None


def distorted(applies: Callable[[Request], bool], **values: object) -> Fault:
    """Return a fault that puts these values into the answer, in each object that has a member of this name, however deep."""

    def altered(content: Any) -> Any:
        if isinstance(content, list):
            return [altered(one) for one in content]
        if isinstance(content, dict):
            return {name: values[name] if name in values else altered(one) for name, one in content.items()}
        return content

    def changed(reply: Reply) -> Reply:
        return replace(reply, body=json.dumps(altered(json.loads(reply.body))).encode())

    return Fault(applies=applies, change=changed)


class Server:
    """The frame of all local services: subclasses say in `respond` what a request gets. Use it as a context manager."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.clock_offset_s = 0.0  # how far the server's own clock is ahead
        self._faults: deque[Fault] = deque()
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._http = _Listener(("127.0.0.1", 0), _handler_of(self))
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def respond(self, request: Request) -> Reply:
        """Answer a request; one at a time."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def now_s(self) -> float:
        """Return the server's clock, seconds since 1970."""
        return time.time() + self.clock_offset_s

    def fail(self, fault: Fault, *, times: int = 1) -> None:
        """Have the next matching requests go wrong."""
        with self._lock:
            self._faults.extend([fault] * times)

    def pause(self, duration_s: float) -> None:
        """Wait, or until the server is closed."""
        self._closing.wait(duration_s)

    def asked(self, path: str = "") -> list[Request]:
        """Return the requests so far whose path contains `path`."""
        with self._lock:
            return [request for request in self.requests if path in request.path]

    def forget(self) -> None:
        """Forget requests and faults."""
        with self._lock:
            self.requests.clear()
            self._faults.clear()

    def answer(self, request: Request) -> Reply | None:
        """Return what goes back, None to break the connection."""
        with self._lock:
            self.requests.append(request)
            fault = next((fault for fault in self._faults if fault.applies(request)), None)
            if fault is not None:
                self._faults.remove(fault)
        if fault is not None:
            self.pause(fault.delay_s)
            if fault.before is not None:
                fault.before()
            if not fault.late and (fault.drop or fault.reply):
                return fault.reply
        with self._lock:
            reply = self.respond(request)
        if fault is not None and fault.late and (fault.drop or fault.reply):
            return fault.reply
        return reply if fault is None or fault.change is None else fault.change(reply)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /) -> None:
        self._closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that broke the connection."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def _handler_of(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30
        disable_nagle_algorithm = True  # head and body are two writes, and the second would wait 40 ms

        def _handle(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length) if length else b""
            parts = urlsplit(self.path)
            query = tuple(parse_qsl(parts.query, keep_blank_values=True))
            values = dict(query)
            if "form" in (self.headers.get("Content-Type") or ""):
                values |= dict(parse_qsl(body.decode(), keep_blank_values=True))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(
                method=self.command,
                path=parts.path,
                values=values,
                headers=headers,
                body=body,
                query=query,
                raw_query=parts.query,
            )
            reply = server.answer(request)
            if reply is None:
                self.close_connection = True
                return
            self.send_response_only(reply.status)
            self.send_header("Date", formatdate(server.now_s(), usegmt=True))
            self.send_header("Content-Type", reply.content_type)
            length_header = ("Transfer-Encoding", "chunked") if reply.is_chunked else ("Content-Length", str(len(reply.body)))
            self.send_header(*length_header)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            try:
                self.end_headers()
                pieces = _PIECES if reply.trickle_s or reply.is_chunked else 1
                wanted = len(reply.body) // 2 if reply.truncated else len(reply.body)
                for number in range(pieces):
                    first, last = (wanted * part // pieces for part in (number, number + 1))
                    self._send_piece(reply.body[first:last], reply)
                    server.pause(reply.trickle_s / pieces)
                if reply.truncated:
                    self.close_connection = True
                elif reply.is_chunked:
                    self.wfile.write(b"0\r\n\r\n")
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the client has gone: it had waited long enough

        def _send_piece(self, piece: bytes, reply: Reply) -> None:
            if reply.is_chunked and piece:
                piece = b"%x\r\n%b\r\n" % (len(piece), piece)
            self.wfile.write(piece)

        do_GET = do_POST = do_PUT = do_DELETE = _handle  # noqa: N815 - the names that http.server looks for

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
