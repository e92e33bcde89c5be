"""Where a workspace's database is, and that its password stays in `config/.env`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

from algo_py.backtest import BacktestConfig, SnapshotStore, run_backtest
from algo_py.clock import parse_time
from algo_py.database import SCHEMA_HEAD, open_database, schema_version
from algo_py.deployment import DeploymentManager, DeploymentRequest
from algo_py.deployment.config import Replay
from algo_py.deployment.schedule import OnBarClose
from algo_py.errors import InvalidInput
from algo_py.settings import Workspace
from algo_py.workspace_database import open_workspace_database
from tests.postgresql import ENCODED_PASSWORD, PASSWORD, PostgresServer
from tests.processes import NO_NETWORK, processes_of, stop_everything


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path / "workspace")
    workspace.settings_file.parent.mkdir(parents=True)
    workspace.settings_file.write_text("[supervisor]\nheartbeat_s = 0.2\n" + NO_NETWORK)
    return workspace


@pytest.mark.parametrize("name", ["bots?a", "bots?mode=memory", "100%20", "a#b", "a&b=c", "ä ö", "semi;colon", "file:x"])
def test_each_workspace_has_its_own_file_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    for workspace in (Workspace(tmp_path / name), Workspace(tmp_path / f"{name}2")):
        database = open_workspace_database(workspace)
        assert schema_version(database) == SCHEMA_HEAD
        database.close()
        assert workspace.database_file.is_file()
    assert {path.name for path in tmp_path.iterdir()} == {name, f"{name}2"}


@pytest.fixture
def url(postgresql: PostgresServer, workspace: Workspace) -> Iterator[str]:
    """An empty database that the workspace's `config/.env` names."""
    with postgresql.database() as url:
        workspace.credentials_file.write_text(f"DATABASE_URL={url}\n")
        workspace.credentials_file.chmod(0o600)
        yield url


def test_a_workspace_without_credentials_has_a_file_of_its_own(workspace: Workspace) -> None:
    database = open_workspace_database(workspace)
    assert schema_version(database) == SCHEMA_HEAD
    assert workspace.database_file.is_file()


def test_a_workspace_is_where_its_credentials_say(workspace: Workspace, url: str) -> None:
    database = open_workspace_database(workspace)
    with database.write() as connection:
        connection.execute(sa.text("CREATE TABLE proof (n INTEGER)"))
    database.close()
    assert not workspace.database_file.exists()
    there = open_database(url)
    with there.read() as connection:
        assert sa.inspect(connection).has_table("proof")
    there.close()


@pytest.mark.parametrize("url", ["mysql://algo:sw0rd@localhost/algo", "sqlite:///elsewhere.db?sw0rd", "sw0rd"])
def test_only_postgresql_can_be_named(workspace: Workspace, url: str) -> None:
    workspace.credentials_file.write_text(f"DATABASE_URL={url}\n")
    with pytest.raises(InvalidInput, match=r"must begin with postgresql://.*leave it out") as caught:
        open_workspace_database(workspace)
    assert "sw0rd" not in str(caught.value)


def test_a_deployment_lives_on_postgresql_and_tells_nobody_the_password(
    workspace: Workspace, url: str, sample_folder: Path, postgresql: PostgresServer
) -> None:
    """The whole way: the manager in this process, the supervisor in its own, the deployment in one more."""
    shutil.copytree(sample_folder, workspace.finstore)
    config = BacktestConfig.model_validate(
        {
            "strategy": "ema-cross",
            "params": {"fast": 5, "slow": 20},
            "market": "crypto_binance",
            "timeframe": "1h",
            "symbols": ("BTC/USDT",),
            "start": parse_time("2025-01-01"),
            "end": parse_time("2025-01-10"),
            "size": 0.5,
        }
    )
    SnapshotStore(workspace).save(run_backtest(workspace, config), "saved")
    manager = DeploymentManager(workspace)
    try:
        request = DeploymentRequest(backtest="saved", schedule=OnBarClose(), clock=Replay(bars_per_s=None))
        deployment = manager.deploy(request)
        commands = [arguments(process) for process in processes_of(workspace)]
        ended = manager.wait_until(deployment.id, lambda found: found.status.has_ended, timeout_s=60)
        assert (ended.status, ended.row.state) == ("finished", "finished"), ended.reason
        assert manager.orders(deployment.id)
        assert manager.fills(deployment.id)
        assert commands
    finally:
        stop_everything(workspace)
        manager._database.close()
    assert not workspace.database_file.exists()
    with postgresql.connect(url.rpartition("/")[2]) as connection:
        assert connection.execute("SELECT count(*) > 0 FROM orders").fetchone() == (True,)
    written = [path.read_bytes() for path in workspace.root.rglob("*") if path.is_file() and path != workspace.credentials_file]
    assert len(written) > 5
    for content in (*written, *commands):
        for secret in (PASSWORD, ENCODED_PASSWORD):
            assert secret.encode() not in content


def arguments(process: psutil.Process) -> bytes:
    """Return what everybody on the machine can see of a process, and what its owner can see of its environment."""
    return "\n".join([*process.cmdline(), *process.environ().values()]).encode()
