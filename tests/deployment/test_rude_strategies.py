"""A strategy that changes what its whole process shares: its deployment's books are those of one that does not."""

from __future__ import annotations

from algo_py.deployment import DeploymentManager
from algo_py.settings import Workspace
from tests.deployment.conftest import Save
from tests.deployment.strategies import write_strategy
from tests.deployment.test_lives import deploy, reach
from tests.deployment.test_replay import assert_equal

_IMPORTS = "import builtins, decimal, gc, json, os, signal, socket, sys, time, warnings\n\nimport numpy as np\n\n"
_RUDE = """        decimal.getcontext().prec = 7
        decimal.setcontext(decimal.Context(prec=5, rounding=decimal.ROUND_DOWN))
        decimal.DefaultContext.prec = 6
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.chdir("/")
        os.umask(0)
        socket.setdefaulttimeout(0.001)
        os.environ["TZ"] = "Asia/Tokyo"
        time.tzset()
        time.time = lambda: 0.0
        json.dumps = lambda *_args, **_kwargs: "{}"
        gc.disable()
        sys.setrecursionlimit(90)
        np.seterr(all="raise")
"""
_SIGNALS = "        return Signals(entries=bars.close.diff() > 0, exits=bars.close.diff() < 0)\n"


def test_books_are_kept_whatever_a_run_changes(workspace: Workspace, manager: DeploymentManager, save: Save) -> None:
    write_strategy(workspace, "rude", _RUDE + _SIGNALS, imports=_IMPORTS)
    snapshot = save(strategy="rude", params={})
    deployment = reach(manager, deploy(manager), "finished", timeout_s=90)
    assert_equal(manager, deployment, snapshot)
    [told] = [entry for entry in manager.logs(deployment.id, last=100_000) if entry["event"] == "strategy.changed_process"]
    for name in ("decimal's context", "decimal's default context", "signal handlers", "the umask", "the module json"):
        assert name in str(told["what"])
    assert {run.outcome for run in manager.runs(deployment.id, last=10_000)} <= {"ok", "idle", "end"}


def test_a_run_that_calls_exit_fails_and_the_next_one_goes_on(
    workspace: Workspace, manager: DeploymentManager, save: Save
) -> None:
    body = "        if len(bars.index) == 20 and 'supervisor' in ' '.join(sys.orig_argv):\n            sys.exit(3)\n"
    write_strategy(workspace, "leaver", body + _SIGNALS, imports="import sys\n\n")
    save(strategy="leaver", params={})
    deployment = deploy(manager)
    reach(manager, deployment, "finished", timeout_s=90)
    [failed] = [run for run in manager.runs(deployment.id, last=10_000) if run.outcome == "failed"]
    assert "leaver failed in leaver.py line" in str(failed.detail["reason"])
    assert "SystemExit: 3" in str(failed.detail["reason"])
    assert not [entry for entry in manager.logs(deployment.id, last=100_000) if entry["event"] == "deployment.crashed"]
