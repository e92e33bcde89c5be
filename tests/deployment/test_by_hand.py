"""An order whose outcome nobody but a person can find out."""

from __future__ import annotations

from decimal import Decimal

import pytest

from algo_py.clock import SystemClock, parse_time
from algo_py.deployment import Deployment, DeploymentManager
from algo_py.deployment.by_hand import SETTLED_BY_HAND, Outcome
from algo_py.deployment.status import State, Wanted
from algo_py.deployment.store import DeploymentStore
from algo_py.errors import InvalidInput, NotFound, Refused
from algo_py.orders.journal import Journal
from algo_py.orders.model import Leg, OrderRequest, OrderStatus, Side
from algo_py.settings import Workspace
from algo_py.workspace_database import open_workspace_database
from tests.deployment.conftest import Save
from tests.deployment.test_manager import request

ID = "unknown0order0000001"


@pytest.fixture
def lost(workspace: Workspace, manager: DeploymentManager, save: Save) -> Deployment:
    """A stopped deployment with an order of ten units that the venue has forgotten."""
    save()
    config, _ = manager.configure(request(name="mine"))
    database, now = open_workspace_database(workspace), SystemClock().now()
    store = DeploymentStore(database)
    store.add(config, created_at=now)
    store.want(config.id, Wanted.STOPPED, at=now)
    store.set_state(config.id, State.STOPPED, reason="stopped by request", at=now)
    journal = Journal(database, SystemClock(), deployment_id=config.id, venue="zerodha", account="AB1234")
    journal.plan_now(
        OrderRequest(
            client_order_id=ID,
            symbol="INFY",
            side=Side.BUY,
            leg=Leg.ENTRY,
            quantity=Decimal(10),
            bar_time=parse_time("2025-06-02"),
            reference_price=Decimal(1500),
            reason="entry",
        )
    )
    for status in (OrderStatus.SUBMITTING, OrderStatus.UNKNOWN):
        journal.mark(ID, status)
    database.close()
    return manager.show(config.id)


@pytest.mark.parametrize(
    ("filled", "status", "cash"),
    [("10", OrderStatus.FILLED, "-15023.5"), ("4", OrderStatus.CANCELED, "-6009.4"), ("0", OrderStatus.CANCELED, None)],
)
def test_it_ends_with_what_was_found(
    manager: DeploymentManager, lost: Deployment, filled: str, status: OrderStatus, cash: str | None
) -> None:
    before = manager.ledger("mine").cash
    outcome = Outcome(filled_quantity=Decimal(filled), price=Decimal("1502.35"))
    settled = manager.settle("mine", ID, outcome)
    assert (settled.status, settled.reason, settled.filled_quantity) == (status, SETTLED_BY_HAND, Decimal(filled))
    assert manager.ledger("mine").cash - before == Decimal(cash or "0")
    with pytest.raises(Refused, match=f"order {ID} is {status}"):
        manager.settle("mine", ID, outcome)


def test_what_cannot_be_is_refused(workspace: Workspace, manager: DeploymentManager, lost: Deployment) -> None:
    with pytest.raises(InvalidInput, match=r"filled must be from 0 to 10 \(was 11\)"):
        manager.settle("mine", ID, Outcome(filled_quantity=Decimal(11), price=Decimal(1)))
    with pytest.raises(InvalidInput, match="needs a price"):
        manager.settle("mine", ID, Outcome(filled_quantity=Decimal(1)))
    with pytest.raises(NotFound, match="has no order nobody"):
        manager.settle("mine", "nobody", Outcome(filled_quantity=Decimal(0)))
    with pytest.raises(Refused, match="is UNKNOWN"):
        manager.clear("mine", purge=True)
    store = DeploymentStore(open_workspace_database(workspace))
    store.want(lost.id, Wanted.RUNNING, at=SystemClock().now(), state=State.NEW)
    with pytest.raises(Refused, match="Stop it first"):
        manager.settle("mine", ID, Outcome(filled_quantity=Decimal(0)))
