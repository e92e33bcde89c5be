"""The head of a page: its name, and its help one click away."""

from __future__ import annotations

from pathlib import Path

import streamlit as st


def heading(title: str, help_file: Path) -> None:
    """Show a page's title, with the text of its help file behind a button."""
    left, right = st.columns([5, 1], vertical_alignment="bottom")
    left.title(title, anchor=False)
    with right.container(horizontal=True, horizontal_alignment="right"), st.popover("Help", type="tertiary"):
        st.markdown(help_file.read_text(encoding="utf-8"))
