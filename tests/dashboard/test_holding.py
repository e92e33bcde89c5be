"""A deployment that holds something, in the browser: what is not protected, what is booked, and what is not forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
from playwright.sync_api import expect

from algo_py.backtest import Snapshot, SnapshotStore, run_backtest
from algo_py.clock import SystemClock
from algo_py.database import Database
from algo_py.deployment import DeploymentManager
from algo_py.deployment.protection_rows import ProtectedBy, Protection, write_protection
from algo_py.orders.halts import HaltedBy, halt
from algo_py.settings import Workspace
from algo_py.workspace_database import open_workspace_database
from tests.dashboard.conftest import Open, Serve
from tests.dashboard.person import Person, eventually
from tests.holding import SYMBOL, make_holding


@pytest.fixture
def database(workspace: Workspace) -> Iterator[Database]:
    database = open_workspace_database(workspace)
    yield database
    database.close()


@pytest.fixture
def holding(workspace: Workspace, database: Database, saved: Snapshot) -> str:
    """A stopped deployment with a stop-loss that holds 2 units at 100; its worker once let a stop rest on paper."""
    config = saved.config.model_copy(update={"stop_loss": 0.1})
    SnapshotStore(workspace).save(run_backtest(workspace, config), "with-stop")
    own_id = make_holding(workspace, database, backtest="with-stop", name="mine")
    rests = Protection(
        symbol=SYMBOL,
        quantity=Decimal(2),
        by=ProtectedBy.VENUE_STOP,
        is_wanted=True,
        stop_price=Decimal(90),
        reason="",
        since=SystemClock().now(),
    )
    write_protection(database, own_id, [rests])
    why = "the account has 1 BTC/USDT"
    halt(database, own_id, reason=why, by=HaltedBy.RECONCILIATION, at=SystemClock().now(), symbol=SYMBOL)
    return own_id


def test_a_visit(serve: Serve, sit_down: Open, manager: DeploymentManager, holding: str) -> None:
    person = sit_down(serve())
    person.opens("deployment")
    assert "Not protected: mine holds 2 BTC/USDT: a stop on paper acts while its process runs" in person.alerts()
    look_at_its_positions(person)
    book_a_sale(person, manager)
    clear_it_all_the_same(person, manager)
    bring_it_back(person, manager)


def look_at_its_positions(person: Person) -> None:
    person.chooses("View", "Positions")
    row = person.row("Protection", SYMBOL)
    assert (row["Quantity"], row["Protected by"], row["Stop"]) == ("2", "nothing", "90")
    assert any("BTC/USDT: the account has 1 BTC/USDT" in text for text in person.alerts())


def book_a_sale(person: Person, manager: DeploymentManager) -> None:
    person.chooses("View", "Booking")
    expect(person.page.get_by_text("Nothing but its own orders has changed its ledger.")).to_be_visible()
    sell(person, quantity="0.5", price="1e2")
    expect(person.page.get_by_text("Price is written as a power of ten")).to_be_visible()
    assert manager.ledger("mine").positions[SYMBOL].quantity == 2

    sell(person, quantity="0.5", price="65")
    expect(person.page.get_by_text("Price 65 is 35 % below the reference 100.")).to_be_visible()
    assert manager.ledger("mine").positions[SYMBOL].quantity == 2
    person.presses("Do not book it")
    expect(person.page.get_by_text("is 35 % below")).not_to_be_visible()
    person.presses("Book it")
    person.presses("It is right, book it")
    expect(person.page.get_by_text("Booked for mine: SELL 0.5 BTC/USDT at 65")).to_be_visible()
    assert manager.ledger("mine").positions[SYMBOL].quantity == Decimal("1.5")
    assert person.row("Booked", "trade")["Units"] == "-0.5"
    person.sees("Quantity", "")


def sell(person: Person, *, quantity: str, price: str) -> None:
    person.page.get_by_label("Quantity", exact=True).fill(quantity)
    person.page.get_by_label("Price, USDT", exact=True).fill(price)
    person.presses("Book it")


def clear_it_all_the_same(person: Person, manager: DeploymentManager) -> None:
    person.presses("Clear")
    expect(person.page.get_by_text("mine holds 1.5 BTC/USDT (bought for 150.00 USDT)")).to_be_visible()
    person.presses("Keep it on the list")
    expect(person.page.get_by_text("bought for 150.00 USDT")).not_to_be_visible()
    assert [one.name for one in manager.list()] == ["mine"]
    person.presses("Clear")
    person.presses("Clear although it holds")
    expect(person.page.get_by_text("Nothing is deployed")).to_be_visible()


def bring_it_back(person: Person, manager: DeploymentManager) -> None:
    person.chooses("Deployments shown", "Archive")
    person.page.get_by_role("table", name="Deployments").get_by_role("row").filter(has_text="mine").click()
    person.presses("Restore")
    expect(person.page.get_by_text("mine is on the list again.")).to_be_visible()
    eventually(lambda: [one.name for one in manager.list()] == ["mine"], "it is on the list again")
