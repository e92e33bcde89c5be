"""What a strategy prints, logs and warns of, as events of the deployment's log: a bounded number of them in each run."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

from structlog.typing import FilteringBoundLogger

from algo_py.deployment.log_writing import LONGEST_TEXT

# What these tell below a warning is their own business.
_CLIENTS = frozenset(
    {"alembic", "apprise", "asyncio", "ccxt", "filelock", "httpcore", "httpx", "kiteconnect", "numba", "requests", "sqlalchemy"}
    | {"telegram", "twisted", "urllib3", "websockets", "yfinance"}
)
# More than a line may be long in the end, so that masking comes before cutting.
_LONGEST_LINE = 4 * LONGEST_TEXT


class Capture:
    """Listens to the strategy in this process: its `print`, stderr, the standard `logging`, and `warnings`."""

    def __init__(self, log: FilteringBoundLogger, *, lines_per_run: int) -> None:
        self._log = log
        self._allowed = lines_per_run
        self._taken = 0
        self._suppressed = 0
        self._streams = (_Printed(self, "strategy.print"), _Printed(self, "strategy.stderr"))

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen to everything that happens inside."""
        root, handler = logging.getLogger(), _Handler(self)
        level = root.level
        root.addHandler(handler)
        root.setLevel(logging.INFO)
        logging.captureWarnings(True)
        printed, complained = self._streams
        try:
            with redirect_stdout(printed), redirect_stderr(complained):
                yield
        finally:
            logging.captureWarnings(False)
            root.setLevel(level)
            root.removeHandler(handler)
            self.end_run()

    def end_run(self) -> None:
        """Take what was printed without a line break, tell how much was suppressed, and count from zero again."""
        for stream in self._streams:
            stream.finish()
        suppressed, self._taken, self._suppressed = self._suppressed, 0, 0
        if suppressed:
            self._log.warning("strategy.print_suppressed", count=suppressed, allowed=self._allowed)

    def take(self, level: int, event: str, **fields: str) -> None:
        """Write an event, unless this run has had its share."""
        if self._taken >= self._allowed:
            self._suppressed += 1
            return
        self._taken += 1
        self._log.log(level, event, **fields)


class _Printed(io.TextIOBase):
    """A text stream that turns each line into an event."""

    def __init__(self, capture: Capture, event: str) -> None:
        self._capture = capture
        self._event = event
        self._lock = threading.RLock()
        self._rest = ""
        self._cut = 0

    @property
    def encoding(self) -> str:  # type: ignore[override]  # libraries ask sys.stdout for it
        return "utf-8"

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        with self._lock:
            first, *more = text.split("\n")
            self._add(first)
            for piece in more:
                self.finish()
                self._add(piece)
        return len(text)

    def finish(self) -> None:
        """End the line that is being printed."""
        with self._lock:
            # A progress bar writes over itself: what a terminal would show in the end is the line.
            line, cut = self._rest.rstrip("\r").rpartition("\r")[2], self._cut
            self._rest, self._cut = "", 0
            if line.strip():
                marked = f"{line} ... [{cut} characters cut]" if cut else line
                self._capture.take(logging.INFO, self._event, message=marked)

    def _add(self, piece: str) -> None:
        room = _LONGEST_LINE - len(self._rest)
        self._rest += piece[:room]
        self._cut += max(0, len(piece) - room)


class _Handler(logging.Handler):
    """Turns the records of any logger into events."""

    def __init__(self, capture: Capture) -> None:
        super().__init__(logging.INFO)
        self._capture = capture
        self._formatter = logging.Formatter()

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.WARNING and record.name.partition(".")[0] in _CLIENTS:
            return
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError, IndexError, AttributeError):  # a faulty log line costs its text, and no run
            message = f"{record.msg} (its arguments do not fit)"
        fields = {"logger": record.name, "message": message.rstrip("\n")}
        if record.exc_info and record.exc_info[0] is not None:
            fields["exception"] = self._formatter.formatException(record.exc_info)
        self._capture.take(_known_level(record.levelno), "strategy.log", **fields)


def _known_level(level: int) -> int:
    """Return the standard level at or below one that somebody has made up."""
    return max((known for known in (20, 30, 40, 50) if known <= level), default=logging.INFO)
