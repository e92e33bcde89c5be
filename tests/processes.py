"""End what a test started: by the workspace's own records, and only processes that were created for it.

A workspace has a supervisor, its fork server, and what that has forked: its deployments. The command of all ends with the
workspace's path; a deployment has that of the fork server.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import psutil

from algo_py.settings import Workspace

_ROUNDS = 5
_SUPERVISOR, _FORK_SERVER = "algo_py.deployment.supervisor", "algo_py.deployment.fork_server"
# Settings of a workspace whose bars arrive by import only.
NO_NETWORK = '[data.sources]\ncrypto_binance = "none"\nindian_equity = "none"\n'


def supervisors(workspace: Workspace) -> list[psutil.Process]:
    """Return the supervisors of one workspace: one at most, when all is well."""
    return _running(workspace, _SUPERVISOR)


def fork_servers(workspace: Workspace) -> list[psutil.Process]:
    """Return the fork servers of one workspace: as many as supervisors, when all is well."""
    return [process for process, is_fork in _forking(workspace) if not is_fork]


def deployment_processes(workspace: Workspace) -> list[psutil.Process]:
    """Return what the fork servers of one workspace have forked."""
    return [process for process, is_fork in _forking(workspace) if is_fork]


def processes_of(workspace: Workspace) -> list[psutil.Process]:
    """Return every process of one workspace but commands and screens."""
    return _running(workspace, _SUPERVISOR, _FORK_SERVER)


def open_files(pid: int) -> dict[int, str]:
    """Return what a process has open, by number; nothing for one that has gone."""
    found = {}
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                found[int(link.name)] = str(link.readlink())
    return found


def posix_locks(pid: int, path: Path) -> list[str]:
    """Return the record locks that a process itself holds on a file, as /proc/locks tells: READ or WRITE."""
    try:
        inode = path.stat().st_ino
    except FileNotFoundError:
        return []
    fields = (line.split() for line in Path("/proc/locks").read_text().splitlines() if "->" not in line)
    return [f[3] for f in fields if f[1] == "POSIX" and int(f[4]) == pid and int(f[5].rsplit(":", 1)[1]) == inode]


def stop_everything(workspace: Workspace, *, timeout_s: float = 10.0) -> None:
    """Kill the supervisor and every deployment of a workspace, and wait until they are gone: also what was forked meanwhile."""
    for _ in range(_ROUNDS):
        processes = processes_of(workspace)
        if not processes:
            return
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, timeout=timeout_s)


def _forking(workspace: Workspace) -> list[tuple[psutil.Process, bool]]:
    """Return fork servers and what they have forked, which is known by its name, or by its parent until it has one."""
    found = _running(workspace, _FORK_SERVER)
    pids, told = {process.pid for process in found}, []
    for process in found:
        with contextlib.suppress(psutil.Error, OSError):
            name = Path(f"/proc/{process.pid}/comm").read_text().strip()
            told.append((process, name == "algo-deployment" or process.ppid() in pids))
    return told


def _running(workspace: Workspace, *modules: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            command = process.cmdline()
            is_ours = command[-1:] == [str(workspace.root)] and process.pid != os.getpid()
            if is_ours and any(module in command for module in modules):
                found.append(process)
    return found
