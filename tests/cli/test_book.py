"""Booking what happened by other hands, typed; and what protects, restores and clears a deployment that holds something."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from algo_py.clock import SystemClock, monotonic_s
from algo_py.deployment import DeploymentManager
from algo_py.deployment.config import Replay
from algo_py.deployment.protection_rows import ProtectedBy, Protection, write_protection
from algo_py.orders.halts import HaltedBy, halt
from algo_py.orders.journal import Journal
from algo_py.orders.model import OrderStatus, OrderType, Side
from algo_py.settings import Workspace
from algo_py.workspace_database import open_workspace_database
from tests.holding import SYMBOL, make_holding, order_of

from .conftest import RUN, Invoke, Outcome

HELD = ("--symbol", SYMBOL)


@dataclass(frozen=True)
class Holding:
    """A stopped deployment on paper that bought 2 units at 100 and has 9,799.80 left of 10,000."""

    id: str
    workspace: Workspace
    manager: DeploymentManager

    def quantity(self) -> Decimal:
        position = self.manager.ledger(self.id).positions.get(SYMBOL)
        return Decimal(0) if position is None else position.quantity


@pytest.fixture
def holding(workspace: Path, invoke: Invoke) -> Iterator[Holding]:
    assert invoke(*RUN, "--start", "2025-01-01", "--end", "2025-03-01", "--stop-loss", "0.1", "--save", "first").code == 0
    place = Workspace(workspace)
    database = open_workspace_database(place)
    yield Holding(make_holding(place, database, backtest="first", name="mine"), place, DeploymentManager(place))
    database.close()


def refused(code: int, outcome: Outcome) -> str:
    assert (outcome.code, outcome.out) == (code, "")
    return outcome.err


def until(reached: Callable[[], Any], what: str, *, timeout_s: float = 40.0) -> Any:
    """Return what `reached` returns once that counts as true."""
    deadline_s = monotonic_s() + timeout_s
    while not (found := reached()):
        if monotonic_s() > deadline_s:
            pytest.fail(f"within {timeout_s:g} s it did not happen that {what}")
        SystemClock().sleep(0.1)
    return found


def test_a_sale_by_hand_is_booked_and_shown(invoke: Invoke, holding: Holding) -> None:
    sale = ("book", "trade", "mine", *HELD, "--side", "sell", "--quantity", "0.5", "--price", "110", "--fee", "0.1")
    outcome = invoke(*sale, "--note", "in the app")
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith(f"Booked: SELL 0.5 {SYMBOL} at 110 (")
    assert outcome.out.endswith(f"mine holds 1.5 {SYMBOL}, and 9,854.70 USDT in cash.\n")
    assert invoke("show", "mine", "--json").json()["positions"] == [{"symbol": SYMBOL, "quantity": 1.5, "average_price": 100.0}]

    [booked] = invoke("book", "list", "mine", "--json").json()
    told = {name: booked[name] for name in ("kind", "quantity", "cash", "price", "by", "note")}
    assert told == {
        "kind": "trade",
        "quantity": -0.5,
        "cash": 54.9,
        "price": 110.0,
        "by": "a person",
        "note": "booked by hand: in the app",
    }
    assert booked["entry_id"] in invoke("book", "list", "mine").out

    assert "mine holds 1.5 BTC/USDT, not 2" in refused(3, invoke(*sale[:-5], "2", "--price", "110"))
    assert "fee must be at most the trade's value" in refused(2, invoke(*sale[:-1], "1000"))
    assert "'DOGE' is none of the symbols" in refused(2, invoke(*sale[:4], "DOGE", *sale[5:]))
    assert "there is no deployment" in refused(4, invoke("book", "list", "nobody"))
    assert holding.quantity() == Decimal("1.5")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("trade", "--side", "sell", "--quantity", "0,5", "--price", "100"), "--quantity has a comma that groups nothing"),
        (("trade", "--side", "sell", "--quantity", "1", "--price", "1e2"), "--price is written as a power of ten"),
        (("trade", "--side", "sell", "--quantity", "1", "--price", "0"), "--price must be above 0"),
        (("trade", "--side", "sell", "--quantity", "1", "--price", "100", "--fee", "nan"), "--fee is not a number"),
        (("transfer", "--quantity=-1"), "--quantity is written with a sign"),
        (("split", "--ratio", "2:1"), "--ratio is not a number"),
    ],
)
def test_what_only_looks_like_a_number_is_refused_by_name(
    invoke: Invoke, holding: Holding, typed: tuple[str, ...], said: str
) -> None:
    assert said in refused(2, invoke("book", typed[0], "mine", *HELD, *typed[1:]))
    assert invoke("book", "list", "mine").out == "Nothing but its own orders has changed its ledger.\n"


def test_a_far_price_is_booked_only_when_it_is_meant(invoke: Invoke, holding: Holding) -> None:
    sale = ("book", "trade", "mine", *HELD, "--side", "sell", "--quantity", "1", "--price", "65")
    told = refused(3, invoke(*sale))
    assert "price 65 is 35 % below the reference 100. If it is right, say so: --far-price." in told
    came_in = ("book", "transfer", "mine", *HELD, "--quantity", "1", "--price", "1000")
    assert "price 1000 is 900 % above the reference 100" in refused(3, invoke(*came_in))
    assert holding.quantity() == 2
    assert invoke(*sale, "--far-price", "--json").json()["cash"] == pytest.approx(9864.8)
    assert holding.quantity() == 1
    assert holding.manager.reference_price("mine", SYMBOL) == 65


def test_a_split_gives_other_units_at_another_price_and_the_newest_price_goes_with_it(invoke: Invoke, holding: Holding) -> None:
    outcome = invoke("book", "split", "mine", *HELD, "--ratio", "2.5", "--cash", "3", "--quantity", "4.9", "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json()["positions"] == [{"symbol": SYMBOL, "quantity": 4.9, "average_price": 40.0}]
    assert outcome.json()["cash"] == pytest.approx(9802.8)
    assert holding.manager.reference_price("mine", SYMBOL) == 40
    assert "quantity must be above 0 and at most 9.8" in refused(
        2, invoke("book", "split", "mine", *HELD, "--ratio", "2", "--quantity", "10")
    )
    sale = ("book", "trade", "mine", *HELD, "--side", "sell", "--quantity", "1")
    assert "150 % above the reference 40" in refused(3, invoke(*sale, "--price", "100"))
    assert invoke(*sale, "--price", "41").code == 0


def test_units_and_cash_come_and_go(invoke: Invoke, holding: Holding) -> None:
    assert invoke("book", "transfer", "mine", *HELD, "--quantity", "0.5", "--out", "--note", "to the vault").code == 0
    assert holding.quantity() == Decimal("1.5")
    assert "mine holds 1.5 BTC/USDT" in refused(3, invoke("book", "transfer", "mine", *HELD, "--quantity", "2", "--out"))
    assert invoke("book", "cash", "mine", "--amount", "1,000", "--out").out.endswith("and 8,799.80 USDT in cash.\n")
    assert invoke("book", "cash", "mine", "--amount", "12.5", "--note", "dividend").code == 0
    assert "mine has 8,812.30 USDT in cash" in refused(3, invoke("book", "cash", "mine", "--amount", "9000", "--out"))
    booked = invoke("book", "list", "mine", "--json").json()
    assert [(one["kind"], one["quantity"], one["cash"]) for one in booked] == [
        ("transfer", -0.5, 0.0),
        ("cash", 0.0, -1000.0),
        ("cash", 0.0, 12.5),
    ]


def test_what_was_booked_wrong_is_answered_by_a_counter_entry_once(invoke: Invoke, holding: Holding) -> None:
    sale = ("book", "trade", "mine", *HELD, "--side", "sell", "--quantity", "0.5", "--price", "90")
    assert invoke(*sale).code == 0
    [booked] = invoke("book", "list", "mine", "--json").json()
    # What was sold of it keeps the purchase from being taken back.
    assert "would hold -0.5 BTC/USDT" in refused(3, invoke("book", "correct", "mine", "trade-mine"))
    assert invoke("book", "correct", "mine", booked["entry_id"], "--note", "twice").code == 0
    assert (holding.quantity(), holding.manager.ledger("mine").cash) == (Decimal(2), Decimal("9799.8"))
    [_, counter] = invoke("book", "list", "mine", "--json").json()
    assert (counter["kind"], counter["reverses"], counter["quantity"]) == ("correction", booked["entry_id"], 0.5)
    assert "is booked already" in refused(3, invoke("book", "correct", "mine", booked["entry_id"]))
    assert "has no fill and no entry 'nothing'" in refused(4, invoke("book", "correct", "mine", "nothing"))


def test_what_holds_is_not_cleared_unless_told_to_and_comes_back(invoke: Invoke, holding: Holding) -> None:
    told = refused(3, invoke("clear", "mine"))
    assert "mine holds 2 BTC/USDT (bought for 200.00 USDT)" in told
    assert "--close-positions; or clear it with --holding" in told
    assert invoke("clear").out.splitlines() == [
        "There was nothing to clear.",
        "Left on the list, since they hold something or have open orders: mine.",
    ]
    assert invoke("clear", "mine", "--holding").out == f"Cleared {holding.id}.\n"
    assert invoke("ps", "--json").json() == []
    assert invoke("restore", holding.id).out == f"mine ({holding.id}) is stopped: stopped by request.\n"
    assert "mine is not in the archive" in refused(3, invoke("restore", holding.id))
    assert [one["name"] for one in invoke("ps", "--json").json()] == ["mine"]
    assert holding.quantity() == 2


def test_an_open_order_is_named_before_it_is_forgotten(invoke: Invoke, holding: Holding) -> None:
    database = open_workspace_database(holding.workspace)
    journal = Journal(database, SystemClock(), deployment_id=holding.id, venue="paper")
    journal.plan_now(order_of("resting", Side.SELL, OrderType.STOP))
    journal.mark("resting", OrderStatus.SUBMITTING)
    journal.mark("resting", OrderStatus.ACCEPTED)
    database.close()
    told = refused(3, invoke("clear", "mine"))
    assert "holds 2 BTC/USDT (bought for 200.00 USDT) and has open orders: STOP SELL 2 BTC/USDT (ACCEPTED)" in told


def test_protect_says_what_protects_each_position(invoke: Invoke, holding: Holding) -> None:
    [row] = invoke("protect", "mine", "--json").json()
    assert (row["symbol"], row["by"], row["is_missing"]) == (SYMBOL, "none", True)
    table = invoke("protect").out
    assert "NOTHING" in table
    assert "its process has not looked at it yet" in table

    database = open_workspace_database(holding.workspace)
    rests = Protection(
        symbol=SYMBOL,
        quantity=Decimal(2),
        by=ProtectedBy.VENUE_STOP,
        is_wanted=True,
        stop_price=Decimal(90),
        reason="",
        since=SystemClock().now(),
    )
    write_protection(database, holding.id, [rests])
    database.close()
    [row] = invoke("protect", "mine", "--json").json()
    why = "a stop on paper acts while its process runs"
    assert (row["by"], row["stop_price"], row["reason"]) == ("none", 90.0, why)
    assert invoke("ps").out.endswith(f"NOT PROTECTED: mine holds 2 BTC/USDT: {why}\n")

    assert invoke("book", "transfer", "mine", *HELD, "--quantity", "2", "--out").code == 0
    assert invoke("protect", "mine").out == "Nothing is held.\n"
    assert "NOT PROTECTED" not in invoke("ps").out


def test_resume_tells_what_was_lifted_and_what_comes_back(invoke: Invoke, holding: Holding) -> None:
    database = open_workspace_database(holding.workspace)
    why = "the account has 1 BTC/USDT, and its ledgers hold 2"
    now = SystemClock().now()
    halt(database, holding.id, reason=why, by=HaltedBy.RECONCILIATION, at=now, symbol=SYMBOL)
    database.close()
    assert invoke("halt", "mine", "--reason", "a look").code == 0
    halts = invoke("show", "mine", "--json").json()["halts"]
    assert [(one["symbol"], one["by"]) for one in halts] == [(None, "a person"), (SYMBOL, "reconciliation")]
    assert invoke("resume", "mine").out.splitlines() == [
        "It was halted: a look",
        f"{SYMBOL} was halted: {why}",
        "What still differs is halted again when it is looked at next: book what happened with algo-py book.",
        "It goes on.",
    ]
    assert invoke("resume", "mine").out == "It was neither halted nor paused.\n"


def test_what_an_ended_replay_holds_is_nobodys(invoke: Invoke, holding: Holding) -> None:
    database = open_workspace_database(holding.workspace)
    make_holding(holding.workspace, database, backtest="first", name="past", clock=Replay())
    database.close()
    [row] = invoke("protect", "past", "--json").json()
    assert (row["by"], row["is_missing"], row["reason"]) == ("none", False, "what a replay holds is nobody's")
    assert invoke("clear", "past").code == 0
