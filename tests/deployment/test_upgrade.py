"""Deployments that the first version of the schema knows go on with today's program, as if nothing had been."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

import algo_py.migrations
from algo_py.database import SCHEMA_HEAD, Database, schema_version
from algo_py.deployment import DeploymentManager
from algo_py.deployment.config import DeploymentConfig
from algo_py.settings import Workspace
from tests.deployment.conftest import Save
from tests.deployment.test_lives import deploy, reach, run_on
from tests.deployment.test_manager import request
from tests.deployment.test_replay import assert_equal
from tests.processes import stop_everything

TABLES = ("deployments", "runs", "equity_points", "orders", "order_events", "fills", "paper_orders", "paper_fills")
# What configurations have got since.
NEWER = ("limits", "order", "late_entries", "enter_open_position", "use_provisional")


def _at_first_version(url: str) -> Database:
    database = Database(url)
    config = Config()
    config.set_main_option("script_location", str(Path(algo_py.migrations.__file__).parent))
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    return database


def _reflected(database: Database) -> dict[str, sa.Table]:
    metadata = sa.MetaData()
    with database.read() as connection:
        metadata.reflect(connection)
    return {name: metadata.tables[name] for name in TABLES}


def _as_first_version(table: str, row: dict[str, Any]) -> dict[str, Any]:
    if table != "deployments":
        return row
    config = json.loads(row["config"])
    old = {name: value for name, value in config.items() if name not in NEWER}
    old["schedule"] = {"kind": "bar_close", "delay_s": 0}
    return row | {"config": json.dumps(old | {"schema_version": 1, "max_order_notional": None})}


def test_a_deployment_of_the_first_schema_goes_on(workspace: Workspace, manager: DeploymentManager, save: Save) -> None:
    snapshot = save()
    deployment = run_on(manager, deploy(manager, bars_per_s=100), 60)
    stop_everything(workspace)
    file = workspace.database_file
    newest = Database(f"sqlite:///{file}")
    tables = _reflected(newest)
    with newest.read() as connection:
        rows = {name: [dict(row) for row in connection.execute(sa.select(table)).mappings()] for name, table in tables.items()}
    newest.close()
    assert rows["fills"]
    for path in file.parent.glob("algo.db*"):
        path.unlink()
    first = _at_first_version(f"sqlite:///{file}")
    with first.write() as connection:
        for name, table in _reflected(first).items():
            known = {column.name for column in table.columns}
            for row in rows[name]:
                kept = {key: value for key, value in _as_first_version(name, row).items() if key in known}
                connection.execute(table.insert().values(**kept))
    assert schema_version(first) == "0001"
    first.close()

    upgraded = DeploymentManager(workspace)
    assert upgraded.show(deployment.id).status == "restarting"
    upgraded.ensure_supervisor()
    assert_equal(upgraded, reach(upgraded, deployment, "finished", timeout_s=60), snapshot)
    database = Database(f"sqlite:///{file}")
    assert schema_version(database) == SCHEMA_HEAD
    database.close()


@pytest.mark.parametrize("version", [2, 3])
def test_configurations_of_each_version_are_read(manager: DeploymentManager, save: Save, version: int) -> None:
    save()
    config, _ = manager.configure(request())
    values = config.model_dump(mode="json") | {"schema_version": version}
    if version == 2:
        values = {name: value for name, value in values.items() if name not in ("late_entries", "enter_open_position")}
    assert DeploymentConfig.model_validate(values) == config
