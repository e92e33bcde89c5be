"""What a deployment executes and reads is what was deployed: compared at every start, and nothing is executed that differs."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from algo_py.backtest import Snapshot
from algo_py.deployment import Deployment, DeploymentManager, DeploymentRequest
from algo_py.deployment.config import LiveClock, Replay
from algo_py.deployment.schedule import EveryInterval, OnBarClose
from algo_py.deployment.store import DeploymentStore
from algo_py.deployment.tables import deployments
from algo_py.errors import Damaged
from algo_py.settings import Workspace
from algo_py.workspace_database import open_workspace_database
from tests.deployment.conftest import Save
from tests.deployment.test_lives import deploy, kill, kill_supervisor, reach, run_on
from tests.deployment.test_replay import assert_equal, replay

pytestmark = pytest.mark.shared_workspace

STEADY = '''"""Weights that were fitted elsewhere stand in a file beside this one."""
import json
import pickle

from _levels import LEVEL

from algo_py.strategy import Bars, Signals, Strategy


class Steady(Strategy):
    """Long while a weighted sum of past changes is high."""

    assets = ("models/weights.json", "models/scale.pickle")

    def run(self, bars: Bars) -> Signals:
        weights = json.loads(self.asset("models/weights.json").read_text())
        with self.asset("models/scale.pickle").open("rb") as stream:
            scale = pickle.load(stream)
        score = scale * sum(weight * bars.close.pct_change(int(bars_ago)) for bars_ago, weight in weights.items())
        return Signals(entries=score > LEVEL, exits=score < -LEVEL)
'''
WEIGHTS = {"1": 0.5, "6": 1.0, "24": -0.3}
MODEL = "models/weights.json"

Tamper = Callable[[Path, Path, str], None]


@pytest.fixture
def steady(workspace: Workspace, save: Save) -> Snapshot:
    write_steady(workspace.strategies)
    return save(strategy="steady", params={})


def write_steady(folder: Path, *, level: float = 0.01) -> None:
    (folder / "models").mkdir(parents=True, exist_ok=True)
    (folder / "steady.py").write_text(STEADY, encoding="utf-8")
    (folder / "_levels.py").write_text(f"LEVEL = {level}\n", encoding="utf-8")
    (folder / MODEL).write_text(json.dumps(WEIGHTS), encoding="utf-8")
    (folder / "models" / "scale.pickle").write_bytes(pickle.dumps(1.5))


def code_of(workspace: Workspace, deployment: Deployment) -> Path:
    return workspace.deployments / deployment.id / "strategy"


def append(file: Path, line: str) -> None:
    with file.open("a", encoding="utf-8") as stream:
        stream.write(line)


def add_line(code: Path, _elsewhere: Path, line: str) -> None:
    append(code / "steady.py", line)


def add_line_to_helper(code: Path, _elsewhere: Path, line: str) -> None:
    append(code / "_levels.py", line)


def change_weight(code: Path, _elsewhere: Path, _line: str) -> None:
    model, before = code / MODEL, (code / MODEL).stat()
    model.write_bytes(model.read_bytes().replace(b"0.5", b"0.6"))
    os.utime(model, ns=(before.st_atime_ns, before.st_mtime_ns))  # as some tools do: size and time are those of before


def add_library(code: Path, _elsewhere: Path, line: str) -> None:
    (code / "json.py").write_text(f"loads = None\n{line}", encoding="utf-8")


def add_package(code: Path, _elsewhere: Path, line: str) -> None:
    (code / "_levels").mkdir()
    (code / "_levels" / "__init__.py").write_text(f"LEVEL = 0.01\n{line}", encoding="utf-8")


def link_file(code: Path, elsewhere: Path, _line: str) -> None:
    shutil.copy(code / "steady.py", elsewhere / "same.py")
    (code / "steady.py").unlink()
    (code / "steady.py").symlink_to(elsewhere / "same.py")


def link_folder(code: Path, elsewhere: Path, line: str) -> None:
    (elsewhere / "json").mkdir()
    (elsewhere / "json" / "__init__.py").write_text(line, encoding="utf-8")
    (code / "json").symlink_to(elsewhere / "json")


def link_folder_of_asset(code: Path, elsewhere: Path, _line: str) -> None:
    shutil.move(code / "models", elsewhere / "models")
    (code / "models").symlink_to(elsewhere / "models")


def put_pipe(code: Path, _elsewhere: Path, _line: str) -> None:
    (code / MODEL).unlink()
    os.mkfifo(code / MODEL)


def remove_file(code: Path, _elsewhere: Path, _line: str) -> None:
    (code / "_levels.py").unlink()


TAMPERINGS: dict[str, tuple[Tamper, str]] = {
    "line": (add_line, "strategy/steady.py is not what was saved"),
    "helper": (add_line_to_helper, "strategy/_levels.py is not what was saved"),
    "weight": (change_weight, "strategy/models/weights.json is not what was saved"),
    "library": (add_library, "strategy/json.py was added later"),
    "package": (add_package, "strategy/_levels/__init__.py was added later"),
    "link": (link_file, "strategy/steady.py is a link"),
    "folder": (link_folder, "strategy/json is a link"),
    "asset folder": (link_folder_of_asset, "strategy/models is a link"),
    "pipe": (put_pipe, "strategy/models/weights.json is no regular file"),
    "missing": (remove_file, "strategy/_levels.py is missing"),
}


def test_whatever_is_changed_in_the_copy_ends_the_next_start_and_executes_nothing(
    workspace: Workspace, manager: DeploymentManager, steady: Snapshot, tmp_path: Path
) -> None:
    running = {name: deploy(manager, name=name, bars_per_s=2) for name in TAMPERINGS}
    kill_supervisor(workspace, manager)
    expected = {}
    for name, (tamper, problem) in TAMPERINGS.items():
        elsewhere, deployment = tmp_path / "elsewhere" / name, manager.show(running[name].id)
        elsewhere.mkdir(parents=True)
        line = f"\nopen({str(elsewhere / 'executed')!r}, 'w').close()\n"
        kill(deployment)
        tamper(code_of(workspace, deployment), elsewhere, line)
        expected[name] = (
            f"deployment {deployment.id}: {problem}, so nothing of it was executed. Put back what was deployed and restart it, "
            f"or deploy the backtest {steady.id} again. What it holds can be closed without it: "
            f"algo-py stop {deployment.id} --close-positions"
        )
    manager.ensure_supervisor()
    assert {name: reach(manager, deployment, "error").reason for name, deployment in running.items()} == expected
    assert list((tmp_path / "elsewhere").glob("*/executed")) == []


def test_after_a_restart_of_everything_a_live_deployment_is_checked_as_well(
    workspace: Workspace, manager: DeploymentManager, steady: Snapshot, tmp_path: Path
) -> None:
    schedule = EveryInterval(every_s=1)
    deployment = manager.deploy(DeploymentRequest(backtest="saved", schedule=schedule, clock=LiveClock(), oms="paper"))
    deployment = reach(manager, deployment, "running")
    kill_supervisor(workspace, manager)
    kill(deployment)
    append(code_of(workspace, deployment) / "steady.py", f"\nopen({str(tmp_path / 'executed')!r}, 'w').close()\n")
    manager.ensure_supervisor()
    assert "strategy/steady.py is not what was saved" in reach(manager, deployment, "error").reason
    assert not (tmp_path / "executed").exists()


def test_what_was_put_back_goes_on_to_the_orders_of_the_backtest(
    workspace: Workspace, manager: DeploymentManager, steady: Snapshot
) -> None:
    deployment = run_on(manager, deploy(manager, bars_per_s=200), 40)
    file = code_of(workspace, deployment) / "steady.py"
    content = file.read_bytes()
    file.write_bytes(content + b"\n")
    kill(deployment)
    reach(manager, deployment, "error")
    file.write_bytes(content)
    manager.restart(deployment.id)
    assert_equal(manager, reach(manager, deployment, "finished", timeout_s=60), steady)


def test_positions_are_closed_without_the_code_that_has_changed(
    workspace: Workspace, manager: DeploymentManager, steady: Snapshot
) -> None:
    deployment = deploy(manager, bars_per_s=20)
    manager.wait_until(deployment.id, lambda d: bool(manager.ledger(d.id).positions), timeout_s=30)
    append(code_of(workspace, deployment) / "steady.py", "\n")
    kill(manager.show(deployment.id))
    reach(manager, deployment, "error")
    assert manager.ledger(deployment.id).positions
    manager.stop(deployment.id, close_positions=True)
    stopped = reach(manager, deployment, "stopped")
    assert stopped.reason == "stopped by request, its positions are closed"
    assert not manager.ledger(deployment.id).positions


def test_compiled_code_beside_the_sources_is_never_used(
    workspace: Workspace, manager: DeploymentManager, steady: Snapshot
) -> None:
    deployment = deploy(manager, bars_per_s=2)
    cache = code_of(workspace, deployment) / "__pycache__"
    cache.mkdir()
    (cache / "steady.twice-1.py313.nbi").write_bytes(b"planted")
    kill(deployment)
    manager.wait_until(deployment.id, lambda d: not cache.exists(), timeout_s=30)
    assert not cache.exists()
    reach(manager, deployment, "running")


def test_a_deployment_of_an_earlier_version_is_recorded_once_and_then_held_to_it(
    workspace: Workspace, manager: DeploymentManager, steady: Snapshot
) -> None:
    database = open_workspace_database(workspace)
    store = DeploymentStore(database)
    deployment = deploy(manager, bars_per_s=2)
    assert store.code_hashes(deployment.id) == steady.code_hashes
    assert {path.removeprefix("strategy/") for path in steady.code_hashes} == {
        *("steady.py", "_levels.py", "models/weights.json", "models/scale.pickle")
    }
    kill_supervisor(workspace, manager)
    kill(manager.show(deployment.id))
    with database.write() as connection:
        connection.execute(deployments.update().values(code_hashes=sa.null()))
    manager.ensure_supervisor()
    manager.wait_until(deployment.id, lambda d: store.code_hashes(d.id) is not None, timeout_s=30)
    assert store.code_hashes(deployment.id) == steady.code_hashes
    append(code_of(workspace, deployment) / "_levels.py", "\n")
    kill(reach(manager, deployment, "running"))
    assert "strategy/_levels.py is not what was saved" in reach(manager, deployment, "error").reason
    database.close()


def test_the_files_of_the_day_have_no_effect(workspace: Workspace, manager: DeploymentManager, steady: Snapshot) -> None:
    write_steady(workspace.strategies, level=0.5)
    (workspace.strategies / MODEL).write_text('{"1": -1.0}', encoding="utf-8")
    assert len(steady.trades()) > 3
    (workspace.strategies / "models" / "scale.pickle").unlink()
    assert_equal(manager, replay(manager), steady)


def test_an_asset_that_changes_while_it_trades_fails_runs_until_it_is_put_back(
    workspace: Workspace, manager: DeploymentManager, steady: Snapshot
) -> None:
    deployment = run_on(manager, deploy(manager, bars_per_s=20), 5)
    model = code_of(workspace, deployment) / MODEL
    content = model.read_bytes()
    model.write_bytes(content.replace(b"0.5", b"0.6"))
    changed = run_on(manager, deployment, 2)
    assert changed.pid == deployment.pid
    assert f"the last run failed: the asset {model} is not what was saved" in changed.reason
    model.write_bytes(content)
    healed = run_on(manager, deployment, 2)
    assert (healed.status, healed.pid, healed.reason) == ("running", deployment.pid, "")
    assert manager.runs(deployment.id, last=1)[0].outcome == "ok"


def test_a_backtest_that_was_changed_is_not_deployed(workspace: Workspace, manager: DeploymentManager, steady: Snapshot) -> None:
    append(steady.folder / "strategy" / MODEL, " ")
    request = DeploymentRequest(backtest="saved", schedule=OnBarClose(), clock=Replay(bars_per_s=None))
    with pytest.raises(Damaged, match=r"strategy/models/weights\.json is not what was saved"):
        manager.deploy(request)
    assert not workspace.deployments.exists() or not list(workspace.deployments.iterdir())
