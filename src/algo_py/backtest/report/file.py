"""Where a report is written: a file of its own, which replaces another one only when asked."""

from __future__ import annotations

import re
from pathlib import Path

from algo_py.errors import Refused
from algo_py.finstore.durable import write_durably

_UNUSABLE = re.compile(r"[^\w.+-]+")


def file_name(backtest_name: str) -> str:
    """Return a backtest's name as that of a file in the current folder: `wave BTC/USDT 1h` is `wave-BTC-USDT-1h.html`."""
    return f"{_UNUSABLE.sub('-', backtest_name).strip('-.') or 'backtest'}.html"


def write_page(page: bytes, file: Path, *, may_replace: bool = False) -> None:
    """Write the page. Raises Refused where there is a file already, unless it may be replaced, and where it cannot be written."""
    if file.is_dir():
        raise Refused(f"{file} is a folder", remedy="Name a file in it.")
    if not file.parent.is_dir():
        raise Refused(f"there is no folder {file.parent}", remedy="Make it, or name another file with -o.")
    try:
        if may_replace:
            write_durably(file, page)
            return
        with file.open("xb") as stream:
            try:
                stream.write(page)
            except BaseException:
                file.unlink(missing_ok=True)
                raise
    except FileExistsError:
        raise Refused(f"{file} is there already", remedy="Replace it with --force, or name another file with -o.") from None
    except OSError as error:
        raise Refused(f"{file} cannot be written: {error.strerror or error}", remedy="Name another file with -o.") from None
