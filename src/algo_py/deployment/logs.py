"""The log of a deployment: one JSON object a line, written by its process, read by everybody else."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from algo_py.clock import Clock, SystemClock, format_time

LOG_FILE = "log.jsonl"
_TAIL_BLOCK = 64 * 1024


def open_log(folder: Path, *, deployment_id: str, clock: Clock) -> FilteringBoundLogger:
    """Return a logger that appends to the deployment's log; `clock` is the deployment's own."""
    handle = (folder / LOG_FILE).open("a", encoding="utf-8", buffering=1)
    wall = SystemClock()

    def stamp(_logger: WrappedLogger, level: str, event: EventDict) -> EventDict:
        stamped: dict[str, Any] = {"ts": format_time(wall.now()), "level": level, "event": event.pop("event")}
        if not isinstance(clock, SystemClock):
            stamped["clock"] = format_time(clock.now())
        return stamped | {"deployment_id": deployment_id, **event}

    logger: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(handle),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.format_exc_info,
            stamp,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
        cache_logger_on_first_use=True,
    )
    return logger


class LineLog(io.TextIOBase):
    """A text stream that turns each printed line into a log event, so that a strategy's `print` is not lost."""

    def __init__(self, log: FilteringBoundLogger, event: str) -> None:
        self._log = log
        self._event = event
        self._rest = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if line.strip():
                self._log.info(self._event, message=line)
        return len(text)


def read_log(folder: Path, *, after: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Return the log's entries from byte `after` on and the position to ask from next time; a half-written line waits."""
    path = folder / LOG_FILE
    if not path.exists():
        return [], 0
    with path.open("rb") as handle:
        handle.seek(after)
        content = handle.read()
    whole = content[: content.rfind(b"\n") + 1]
    return list(_entries(whole)), after + len(whole)


def tail_log(folder: Path, *, lines: int) -> list[dict[str, Any]]:
    """Return the last entries, reading no more of the file than they need."""
    path = folder / LOG_FILE
    if not path.exists():
        return []
    with path.open("rb") as handle:
        position = handle.seek(0, os.SEEK_END)
        content = b""
        while position and content.count(b"\n") <= lines:
            step = min(_TAIL_BLOCK, position)
            position = handle.seek(position - step)
            content = handle.read(step) + content
    whole = content[: content.rfind(b"\n") + 1].splitlines(keepends=True)
    return list(_entries(b"".join(whole[-lines:])))


def format_entry(entry: dict[str, Any]) -> str:
    """Write a log entry as one line for a person: time, level, event, then its own fields."""
    shown = {k: v for k, v in entry.items() if k not in ("ts", "level", "event", "deployment_id", "run_id", "exception")}
    fields = " ".join(f"{key}={value}" for key, value in shown.items())
    text = f"{str(entry.get('ts', ''))[:19].replace('T', ' ')} {entry.get('level', ''):<7} {entry.get('event', '')} {fields}"
    return f"{text.rstrip()}\n{entry['exception']}" if "exception" in entry else text.rstrip()


def _entries(content: bytes) -> Iterator[dict[str, Any]]:
    for line in content.splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            # A crash in the middle of a line: what is there is shown rather than hidden.
            yield {"ts": "", "level": "warning", "event": "log.unreadable", "message": line.decode("utf-8", "replace")}
