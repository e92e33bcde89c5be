"""The newest lines of a log. It follows what is written, unless the person has scrolled up to read."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

from algo_py.deployment.logs import format_entry

_HERE = Path(__file__).parent


def live_log(label: str, entries: Sequence[dict[str, Any]], *, key: str, source: str, height: int = 340) -> None:
    """Show log entries, oldest first; `source` names what they are from, so that another one's begin at the end again."""
    _renderer()(
        key=key,
        data={
            "label": label,
            "source": source,
            "lines": [[format_entry(entry), str(entry.get("level", ""))] for entry in entries],
            "height": height,
        },
    )


@cache
def _renderer() -> ComponentRenderer:
    return st.components.v2.component(
        "algo_py_live_log",
        html='<div class="log" role="log" aria-live="off" tabindex="0"></div>',
        css=(_HERE / "live_log.css").read_text(encoding="utf-8"),
        js=(_HERE / "live_log.js").read_text(encoding="utf-8"),
    )
