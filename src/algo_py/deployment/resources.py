"""What one deployment may take of the machine, so that a strategy that leaks ends its own run and not its neighbours."""

from __future__ import annotations

import resource
from pathlib import Path

from algo_py.settings import SupervisorSettings

_MIB = 1024 * 1024
_SELF = Path("/proc/self/status")


def limit_resources(settings: SupervisorSettings) -> None:
    """Bound this process's own memory and open files; nothing is raised above what the system allows.

    Memory is what it allocates beyond what it has now: reaching the bound raises MemoryError, which ends the run that did it.
    Where the system does not tell (macOS), memory has no bound.
    """
    _lower(resource.RLIMIT_NOFILE, settings.open_files)
    _lower(resource.RLIMIT_CORE, 0)
    allocated = _data_bytes()
    if allocated is not None:
        _lower(resource.RLIMIT_DATA, allocated + settings.memory_mib * _MIB)


def _lower(what: int, bound: int) -> None:
    _, most = resource.getrlimit(what)
    resource.setrlimit(what, (bound if most == resource.RLIM_INFINITY else min(bound, most), most))


def _data_bytes() -> int | None:
    """Return the size of this process's private writable memory; None where the system does not tell."""
    if not _SELF.exists():
        return None
    found = [line.split()[1] for line in _SELF.read_text(encoding="ascii").splitlines() if line.startswith("VmData:")]
    return int(found[0]) * 1024 if found else None
