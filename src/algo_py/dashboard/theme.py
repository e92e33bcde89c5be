"""Colours of the charts, and how a page is set up. The colours of everything else stand in .streamlit/config.toml."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import streamlit as st

# These are seen on a light and on a dark page alike; shape tells entries from exits where colour does not.
LINE: Final = "#3b74e8"
PRICE: Final = "#8794a6"
RISE: Final = "#26a17b"
FALL: Final = "#d9525c"
ENTRY: Final = "#16a06f"
EXIT: Final = "#d33f4a"
HEAT: Final = "Viridis"
SHADE: Final = "rgba(217, 82, 92, 0.18)"
ALL_STORED: Final = "#7ea6f2"
PART_STORED: Final = "#f0b54a"
NOTHING_STORED: Final = "#d33f4a"
NOT_TO_BE_HAD: Final = "#a3adba"

_ASSETS = Path(__file__).parent / "assets"


def set_up_page() -> None:
    """Give the browser's tab its name, and the page its width and logo."""
    st.set_page_config(page_title="Algo.Py", page_icon=str(_ASSETS / "icon.svg"), layout="wide")
    st.logo(str(_ASSETS / "logo.svg"), size="large")
