"""Writing the log of a deployment: what every event has, what none may hold, and how long its texts may be."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from algo_py.clock import Clock, SystemClock, format_time
from algo_py.deployment.log_file import LogFile
from algo_py.settings import LogSettings

LONGEST_TEXT = 8 * 1024


def open_log(
    folder: Path,
    *,
    deployment_id: str,
    clock: Clock,
    settings: LogSettings,
    mask: Callable[[str], str],
    wall: Clock | None = None,
) -> FilteringBoundLogger:
    """Return a logger that appends to the deployment's log; `clock` is the deployment's own, `mask` takes secrets out of a text.

    It raises nothing when the disk refuses. What is written outlives the process; a power cut may cost the last seconds.
    """
    wall = wall or SystemClock()

    def rendered(level: str, event: Mapping[str, Any]) -> str:
        stamped: dict[str, Any] = {"ts": format_time(wall.now()), "level": level, "event": _clean(event["event"], mask)}
        if not isinstance(clock, SystemClock):
            stamped["clock"] = format_time(clock.now())
        fields = {name: value for name, value in event.items() if name != "event"}
        return json.dumps({**stamped, "deployment_id": deployment_id, **_clean(fields, mask)})

    def lost_line(count: int) -> str:
        return rendered("warning", {"event": "log.lost", "count": count})

    def render(_logger: WrappedLogger, level: str, event: EventDict) -> str:
        return rendered(level, event)

    logger: FilteringBoundLogger = structlog.wrap_logger(
        _Lines(LogFile(folder, settings, wall=wall, lost_line=lost_line)),
        processors=[structlog.contextvars.merge_contextvars, structlog.processors.format_exc_info, render],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
        cache_logger_on_first_use=True,
    )
    return logger


class _Lines:
    """What structlog hands a finished line to."""

    def __init__(self, file: LogFile) -> None:
        self._file = file

    def msg(self, line: str) -> None:
        self._file.append(line)

    debug = info = warning = error = critical = msg


def _clean(value: Any, mask: Callable[[str], str]) -> Any:
    """Return a value as JSON holds it, without secrets, and without a text that is too long."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        text = str(value)
        return value if mask(text) == text and math.isfinite(value) else mask(text)
    if isinstance(value, Mapping):
        return {_clean_text(str(name), mask): _clean(item, mask) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_clean(item, mask) for item in value]
    return _clean_text(str(value), mask)


def _clean_text(text: str, mask: Callable[[str], str]) -> str:
    masked = mask(text)
    if len(masked) > LONGEST_TEXT:
        # Both ends count: a traceback names its error last. Cut only now, so that no half of a secret is left.
        half = LONGEST_TEXT // 2
        masked = f"{masked[:half]} ... [{len(masked) - LONGEST_TEXT} characters cut] ... {masked[-half:]}"
    return masked if masked.isascii() else masked.encode("utf-8", "replace").decode("utf-8")
