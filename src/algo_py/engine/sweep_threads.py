"""One thread a worker: libraries that start a thread for each core would fight the other workers for them."""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

_VARIABLES: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_CALLS: Final = (
    "scipy_openblas_set_num_threads64_",
    "scipy_openblas_set_num_threads",
    "openblas_set_num_threads64_",
    "openblas_set_num_threads",
    "omp_set_num_threads",
)
_LIBRARIES: Final = ("openblas", "libgomp", "libiomp", "libomp")


def use_one_thread() -> None:
    """Tell numba, OpenBLAS and OpenMP, where they are loaded, to use one thread, and by the environment what is loaded later."""
    os.environ |= dict.fromkeys(_VARIABLES, "1")
    if "numba" in sys.modules:
        from numba.core import config

        config.NUMBA_NUM_THREADS = 1  # type: ignore[attr-defined]  # its function for this would start the threads first
    for file in _library_files():
        with suppress(OSError):
            library = ctypes.CDLL(file)
            for name in _CALLS:
                if hasattr(library, name):
                    getattr(library, name)(1)
                    break


def _library_files() -> set[str]:
    """Return the files of such libraries that this process has loaded (several bring their own), none if that is not told."""
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return set()
    files = (line.split(maxsplit=5)[-1] for line in maps.read_text().splitlines() if any(name in line for name in _LIBRARIES))
    return {file for file in files if file.startswith("/")}
