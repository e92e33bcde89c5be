"""The newest lines of a log. It follows what is written, unless the person has scrolled up to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

_HERE = Path(__file__).parent
_SHOWN_APART = frozenset({"ts", "clock", "level", "event", "deployment_id", "run_id", "exception"})


def live_log(label: str, entries: Sequence[dict[str, Any]], *, key: str, source: str, height: int = 340) -> None:
    """Show log entries, oldest first; `source` names what they are from, so that another one's begin at the end again."""
    _renderer()(
        key=key,
        data={
            "label": label,
            "source": source,
            "lines": [_line(entry) for entry in entries],
            "height": height,
        },
    )


def _line(entry: Mapping[str, Any]) -> list[str]:
    """Return time of day, event, the event's own fields, and level; a replay's line begins with the time of its own clock."""
    at, clock = str(entry.get("ts", "")), str(entry.get("clock", ""))
    written = clock[:16].replace("T", " ") if clock else at[11:19]
    fields = " ".join(f"{name}={value}" for name, value in entry.items() if name not in _SHOWN_APART)
    text = "\n".join(part for part in (fields, str(entry.get("exception", ""))) if part)
    return [written, str(entry.get("event", "")), text, str(entry.get("level", ""))]


@cache
def _renderer() -> ComponentRenderer:
    return st.components.v2.component(
        "algo_py_live_log",
        html='<div class="log" role="log" aria-live="off" tabindex="0"></div>',
        css=(_HERE / "live_log.css").read_text(encoding="utf-8"),
        js=(_HERE / "live_log.js").read_text(encoding="utf-8"),
    )
