"""An order whose outcome nobody but a person can find out."""

from __future__ import annotations

from decimal import Decimal

import pytest

from algo_py.cli.app import run
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
    with pytest.raises(InvalidInput, match="fee must be at most the value of the fill, 15000"):
        manager.settle("mine", ID, Outcome(filled_quantity=Decimal(10), price=Decimal(1500), fee=Decimal(15001)))
    with pytest.raises(InvalidInput, match=r"filled must be from 0 to 10 \(was 11\)"):
        manager.settle("mine", ID, Outcome(filled_quantity=Decimal(11), price=Decimal(1)))
    with pytest.raises(InvalidInput, match="needs a price"):
        manager.settle("mine", ID, Outcome(filled_quantity=Decimal(1)))
    with pytest.raises(NotFound, match="has no order nobody"):
        manager.settle("mine", "nobody", Outcome(filled_quantity=Decimal(0)))
    with pytest.raises(Refused, match="is UNKNOWN"):
        manager.clear("mine", purge=True, holding=True)
    store = DeploymentStore(open_workspace_database(workspace))
    store.want(lost.id, Wanted.RUNNING, at=SystemClock().now(), state=State.NEW)
    with pytest.raises(Refused, match="Stop it first"):
        manager.settle("mine", ID, Outcome(filled_quantity=Decimal(0)))


def settle(workspace: Workspace, *options: str) -> int:
    return run(["--workspace", str(workspace.root), "settle", "mine", ID, *options])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--filled", "10", "--price", "101,25"), "--price has a comma that groups nothing"),
        (("--filled", "10", "--price", "1e9"), "--price is written as a power of ten"),
        (("--filled", "10", "--price", "NaN"), "--price is not a number"),
        (("--filled", "10", "--price", "١٥٠٠"), "--price has digits other than 0 to 9"),
        (("--filled", "10", "--price", "0"), "--price must be above 0"),
        (("--filled", "1_0", "--price", "1500"), "--filled is not a number"),
        (("--filled", "10", "--price", "1500", "--fee", "NaN"), "--fee is not a number"),
        (("--filled", "10", "--price", "1500", "--fee=-5"), "--fee is written with a sign"),
    ],
)
def test_what_only_looks_like_a_number_is_refused_by_name(
    workspace: Workspace, lost: Deployment, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], said: str
) -> None:
    assert settle(workspace, *options) == 2
    assert said in capsys.readouterr().err


def test_a_price_far_from_the_reference_is_booked_only_when_it_is_said_to_be_meant(
    workspace: Workspace, manager: DeploymentManager, lost: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = ("--filled", "10", "--price", "65")
    assert settle(workspace, *typed) == 3
    told = capsys.readouterr().err
    assert "price 65 is 96 % below the reference 1500" in told
    assert "--far-price" in told
    with pytest.raises(Refused, match="96 % below"):
        manager.settle("mine", ID, Outcome(filled_quantity=Decimal(10), price=Decimal(65)))
    assert manager.fills("mine") == []
    assert settle(workspace, *typed, "--far-price") == 0
    assert [fill.price for fill in manager.fills("mine")] == [Decimal(65)]


def test_numbers_in_groups_are_read(workspace: Workspace, manager: DeploymentManager, lost: Deployment) -> None:
    assert settle(workspace, "--filled", "10", "--price", "1,502.35", "--fee", "12.4") == 0
    [fill] = manager.fills("mine")
    assert (fill.price, fill.fee) == (Decimal("1502.35"), Decimal("12.4"))
