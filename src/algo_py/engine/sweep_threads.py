"""One thread a worker: libraries that start a thread for each core would fight the other workers for them."""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

_VARIABLES: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_OPENBLAS_CALLS: Final = (
    "scipy_openblas_set_num_threads64_",
    "scipy_openblas_set_num_threads",
    "openblas_set_num_threads64_",
    "openblas_set_num_threads",
)


def use_one_thread() -> None:
    """Tell numba and OpenBLAS, where they are loaded, to use one thread, and by the environment what is loaded later."""
    os.environ |= dict.fromkeys(_VARIABLES, "1")
    if "numba" in sys.modules:
        from numba.core import config

        config.NUMBA_NUM_THREADS = 1  # type: ignore[attr-defined]  # its function for this would start the threads first
    for file in _openblas_files():
        with suppress(OSError):
            library = ctypes.CDLL(file)
            for name in _OPENBLAS_CALLS:
                if hasattr(library, name):
                    getattr(library, name)(1)
                    break


def _openblas_files() -> set[str]:
    """Return the files of OpenBLAS that this process has loaded (numpy and others bring their own), none if that is not told."""
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return set()
    files = (line.split(maxsplit=5)[-1] for line in maps.read_text().splitlines() if "openblas" in line)
    return {file for file in files if file.startswith("/")}
