"""Deleting a deployment for good: its rows, whatever table they are in, and its folder."""

from __future__ import annotations

import shutil

import sqlalchemy as sa

from algo_py.database import Database
from algo_py.deployment.tables import alerts, deployments, equity_points, protection, runs
from algo_py.errors import Refused
from algo_py.oms.tables import paper_fills, paper_orders
from algo_py.oms.telegram.tables import telegram_orders
from algo_py.orders.records import orders_of
from algo_py.orders.tables import fills, halts, ledger_entries, order_events, orders, symbol_halts
from algo_py.settings import Workspace


def purge_deployment(workspace: Workspace, database: Database, deployment_id: str) -> None:
    """Delete everything that is known of an ended deployment; all of it in one transaction, then its folder.

    Raises Refused while the outcome of one of its orders is open: somebody may still have to look it up.
    """
    waiting = orders_of(database, deployment_id, only_open=True)
    if waiting:
        raise Refused(
            f"order {waiting[0].request.client_order_id} of {deployment_id} is {waiting[0].status}",
            remedy="Restart the deployment, which settles its orders, and stop it again.",
        )
    ids = sa.select(orders.c.client_order_id).where(orders.c.deployment_id == deployment_id)
    with database.write() as connection:
        connection.execute(telegram_orders.delete().where(telegram_orders.c.client_order_id.in_(ids)))
        connection.execute(paper_fills.delete().where(paper_fills.c.account == deployment_id))
        connection.execute(paper_orders.delete().where(paper_orders.c.account == deployment_id))
        connection.execute(order_events.delete().where(order_events.c.client_order_id.in_(ids)))
        for table in (fills, ledger_entries, orders, runs, equity_points, alerts, protection, symbol_halts):
            connection.execute(table.delete().where(table.c.deployment_id == deployment_id))
        connection.execute(halts.delete().where(halts.c.scope == deployment_id))
        connection.execute(deployments.delete().where(deployments.c.id == deployment_id))
    shutil.rmtree(workspace.deployments / deployment_id, ignore_errors=True)
