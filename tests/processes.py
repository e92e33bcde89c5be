"""End what a test started: by the workspace's own records, and only processes that were created for it."""

from __future__ import annotations

import contextlib

import psutil

from algo_py.settings import Workspace

_ROUNDS = 5
# Settings of a workspace whose bars arrive by import only.
NO_NETWORK = '[data.sources]\ncrypto_binance = "none"\nindian_equity = "none"\n'


def supervisors(workspace: Workspace) -> list[psutil.Process]:
    """Return the supervisor processes of one workspace, and the deployments that they forked: all carry its path."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            command = process.cmdline()
            if "algo_py.deployment.supervisor" in command and command[-1] == str(workspace.root):
                found.append(process)
    return found


def stop_everything(workspace: Workspace, *, timeout_s: float = 10.0) -> None:
    """Kill the supervisor and every deployment of a workspace, and wait until they are gone: also what was forked meanwhile."""
    for _ in range(_ROUNDS):
        processes = supervisors(workspace)
        if not processes:
            return
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, timeout=timeout_s)
