"""How a page says that something went wrong: one line with its remedy, and the rest of the page as it was."""

from __future__ import annotations

import logging
import logging.handlers
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import streamlit as st

from algo_py.dashboard.format import plain
from algo_py.errors import AlgoPyError
from algo_py.settings import Workspace

LOG_FILE = "dashboard.log"
_LOG_BYTES = 1_000_000


@contextmanager
def shown_as_a_line() -> Iterator[None]:
    """Turn a refusal of what a person just asked for into one line in this place. Nothing after it in the block is done."""
    try:
        yield
    except AlgoPyError as error:
        show(error)


@contextmanager
def page_border() -> Iterator[None]:
    """Be the outermost border of a page, or of a part that refreshes itself: no error leaves it as a traceback."""
    try:
        yield
    except AlgoPyError as error:
        show(error)
    except Exception as error:  # noqa: BLE001 - the page's border: a person gets one line, the traceback goes to a file
        place = _record(error)
        st.error(
            f"**{plain(f'{type(error).__name__}: {error}')}** This is a fault in Algo.Py; the traceback is in {plain(place)}"
        )


def show(error: AlgoPyError) -> None:
    """Show an error as one line: what is wrong, then what to do."""
    st.error(f"**{plain(error.message.rstrip('.'))}.** {plain(error.remedy)}".rstrip())


def _record(error: Exception) -> str:
    """Write the traceback where the person can find it, and return where that is."""
    root = Workspace.find().root
    try:
        logger = _logger(root / "database" / LOG_FILE)
        logger.error("a page failed", exc_info=error)
    except OSError:
        logging.getLogger(__name__).error("a page failed", exc_info=error)
        return "the output of the server"
    return str(root / "database" / LOG_FILE)


@cache
def _logger(file: Path) -> logging.Logger:
    """Return a logger of its own for the file; it keeps two files of 1 MB, however often a page fails."""
    handler = logging.handlers.RotatingFileHandler(file, maxBytes=_LOG_BYTES, backupCount=1, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger = logging.Logger("algo_py.dashboard")
    logger.addHandler(handler)
    return logger
