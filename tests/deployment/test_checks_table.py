"""The table of checks in docs/orders.md, row by row: each check is made to fail at its own mechanism, and what closes goes out.

The answers are read from the table, so that neither can drift: `sent` and `tried` reach the venue, `waits` reaches it once the
cause is gone, `denied` and `refused` never do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from algo_py.clock import FrozenClock
from algo_py.deployment import DeploymentManager
from algo_py.deployment.store import DeploymentStore
from algo_py.errors import AlgoPyError
from algo_py.finstore.sources import limits as venue_limits
from algo_py.orders.entries import EntryKind, LedgerEntry
from algo_py.orders.halts import ALL, BY_PERSON, halt, halted_symbols
from algo_py.orders.model import Leg, OrderRequest, OrderType, Side, client_order_id
from algo_py.orders.risk import Limits
from algo_py.settings import Workspace
from tests.deployment.conftest import Save
from tests.deployment.nse_story import IN, NseStory, at, kite
from tests.venues.kite import error
from tests.venues.kite_phases import PhasedKite
from tests.venues.kite_trading import placing
from tests.venues.server import Fault, distorted

DOCS = Path(__file__).parents[2] / "docs" / "orders.md"
DAY, NEXT = "2026-08-10", "2026-08-11"
INFY, SBIN = "INFY", "SBIN"


def table() -> dict[str, tuple[str, str]]:
    """Return the answers for an entry and for what closes, by check."""
    text = DOCS.read_text().split("## Between a decision and the venue")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")][2:]
    return {row[0].strip(): (row[1].strip(), row[2].strip()) for row in rows}


@dataclass
class Desk:
    """A deployment that holds 40 INFY at 10:00, and what a check needs to be made to fail."""

    story: NseStory
    server: PhasedKite
    patch: pytest.MonkeyPatch

    def sent(self, side: str, symbol: str = INFY) -> int:
        """How many orders of a side the venue was asked to take."""
        asked = [request.values for request in self.server.requests if placing(request)]
        return sum(values["transaction_type"] == side and values["tradingsymbol"] == symbol for values in asked)

    def limit(self, **values: object) -> None:
        DeploymentStore(self.story.database).set_limits(self.story.id, Limits.model_validate(values))
        self.story.pipeline._guard.limits = Limits.model_validate(values)

    def halt(self, scope: str, symbol: str | None = None) -> None:
        halt(self.story.database, scope, reason="a test", by=BY_PERSON, at=self.story.clock.now(), symbol=symbol)

    def enter(self, quantity: int = 10, *, type_: OrderType = OrderType.MARKET) -> None:
        request = self.request(Side.BUY, Leg.ENTRY, quantity)
        self._place(replace(request, type=type_, stop_price=None if type_ is OrderType.MARKET else Decimal(1000)))

    def leave(self) -> None:
        """Close what is held as a person does who stops the deployment, then look a few times."""
        for _ in range(3):
            with suppress(AlgoPyError):
                self.story.pipeline.close_positions(self.story.clock.now())
            self.story.clock.sleep(3)

    def request(self, side: Side, leg: Leg, quantity: int) -> OrderRequest:
        bar_time = self.story.clock.now()
        return OrderRequest(
            client_order_id=client_order_id(self.story.id, bar_time, INFY, side, leg, kind="test"),
            symbol=INFY,
            side=side,
            leg=leg,
            quantity=Decimal(quantity),
            bar_time=bar_time,
            reference_price=Decimal(1000),
            reason=str(leg),
        )

    def watch(self) -> None:
        """Let the price fall through the stop, and look a few times."""
        self.server.set_price(INFY, "930.0")
        for _ in range(4):
            self.story.clock.sleep(3)
            self.story.pipeline.follow(self.story.clock.now())

    def jump(self, moment: str) -> None:
        self.story._go_to(moment)

    def _place(self, request: OrderRequest) -> None:
        self.story.journal.plan_now(request)
        with suppress(AlgoPyError):
            self.story.pipeline._executor.place([request])


@pytest.fixture
def desk(
    workspace: Workspace, manager: DeploymentManager, save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Desk]:
    clock = FrozenClock(at(f"{DAY}T09:15:00"))
    with kite(clock) as server:
        plan = {INFY: {f"{DAY}T09:30": IN}, SBIN: {f"{DAY}T09:45": IN}}
        story = NseStory(workspace, manager, save, server, clock, tmp_path, plan, stop_loss=0.05)
        story.run(f"{DAY}T09:45:01")
        story.follow(f"{DAY}T09:45:03")
        story._go_to(f"{DAY}T09:50:00")
        assert story.journal.held(INFY) == 40
        yield Desk(story, server, monkeypatch)


Step = Callable[[Desk], object]


@dataclass(frozen=True)
class Check:
    """How a check is made to fail, what enters and closes then, how its cause goes away, and which symbol would be entered."""

    fails: Step
    enters: Step = lambda desk: desk.enter()
    leaves: Step = lambda desk: desk.leave()
    ends: Step | None = None
    entered: str = INFY


def _fault(path: str, **fields: object) -> Step:
    def apply(desk: Desk) -> None:
        reply = error(503, "NetworkException", "Gateway timed out.")
        desk.server.fail(Fault(applies=lambda request: path in request.path, reply=reply), times=500)

    return apply


def _lose(desk: Desk) -> None:
    """Have the charges of the purchase be the loss, as a run sees it that handles a bar."""
    desk.limit(max_daily_loss=1)
    desk.story.run(f"{DAY}T10:00:01")
    desk.server.forget()


def _book_away(desk: Desk) -> None:
    desk.story.journal.book(
        LedgerEntry(
            entry_id="gone", symbol=INFY, kind=EntryKind.TRANSFER, quantity=Decimal(-40), note="", by="", time=at(f"{DAY}T09:50")
        )
    )


def _large_lots(desk: Desk) -> None:
    rules = desk.story.pipeline._guard.rules
    desk.story.pipeline._guard.rules = {**rules, INFY: replace(rules[INFY], lot_size=Decimal(100), quantity_min=Decimal(100))}


def _small_orders(desk: Desk) -> None:
    desk.server.freeze_quantity = 15
    rules = desk.story.pipeline._guard.rules
    most = Decimal(15)
    desk.story.pipeline._guard.rules = {**rules, INFY: replace(rules[INFY], quantity_max=most, market_quantity_max=most)}


def _without_list(desk: Desk) -> None:
    """Start anew while Kite does not give its list, and none of earlier is kept."""
    for file in (desk.story.folder / "kite").rglob("*"):
        if file.is_file():
            file.unlink()
    _fault("/instruments/NSE")(desk)
    desk.story.live()


def _without_bars(*symbols: str) -> Step:
    def apply(desk: Desk) -> None:
        desk.story.lose_bars(*symbols)
        desk.story.run(f"{DAY}T10:00:01")

    return apply


def _sell_by_hand(desk: Desk) -> None:
    desk.server.by_hand(INFY, "SELL", 5)
    for _ in range(2):
        desk.story.pipeline._reconcile()
        desk.story.clock.sleep(3)
    assert INFY in halted_symbols(desk.story.database, desk.story.id)
    desk.server.forget()


def _nonsense(desk: Desk) -> None:
    desk.server.fail(distorted(lambda request: request.path.endswith("/trades"), average_price=5_000_000.0))
    desk.enter()
    with suppress(AlgoPyError):
        desk.story.pipeline._executor.follow()
    assert INFY in halted_symbols(desk.story.database, desk.story.id)
    desk.server.forget()


def _unknown_outcome(desk: Desk) -> None:
    desk.server.fail(Fault(applies=placing, drop=True))
    desk.enter()
    desk.story.clock.sleep(70)
    desk.server.forget()


def _enter_by_signal(desk: Desk) -> None:
    desk.story.run(f"{DAY}T10:00:01")


def _end_token(desk: Desk) -> None:
    desk.story.desk.values["ZERODHA_ACCESS_TOKEN_EXPIRES"] = (desk.story.clock.now() - timedelta(seconds=1)).isoformat()


def _renew_token(desk: Desk) -> None:
    desk.story.desk.values["ZERODHA_ACCESS_TOKEN_EXPIRES"] = (desk.story.clock.now() + timedelta(days=2)).isoformat()
    desk.story.clock.sleep(70)


def _refuse_key(desk: Desk) -> None:
    desk.server.access_token = "another"
    halt(desk.story.database, desk.story.id, reason="the venue refuses the key", by="credentials", at=desk.story.clock.now())


def _other_account(desk: Desk) -> None:
    desk.story.desk.values["ZERODHA_ACCESS_TOKEN"] = desk.server.issue_token("ZZ9999")


def _own_account(desk: Desk) -> None:
    desk.story.desk.values["ZERODHA_ACCESS_TOKEN"] = desk.server.issue_token()
    desk.server.token_ends_at = desk.story.clock.now() + timedelta(days=1)
    desk.story.clock.sleep(70)


def _silence(desk: Desk) -> None:
    desk.patch.setattr(venue_limits, "URGENT_MOST_S", 0.3)
    for limit in (desk.story.pipeline._oms._kite._orders._limit,):  # type: ignore[attr-defined]
        limit.silence(60.0)


class _Behind(FrozenClock):
    """The exchange's clock, two seconds behind ours."""

    def __init__(self, ours: FrozenClock) -> None:
        self._ours = ours

    def now(self) -> datetime:
        return self._ours.now() - timedelta(seconds=2)


def _clock_ahead(desk: Desk) -> None:
    desk.jump(f"{NEXT}T09:15:00")
    desk.server.clock = _Behind(desk.story.clock)


def _says_closed(desk: Desk) -> None:
    reply = error(400, "OrderException", "Markets are closed right now. Use after-market orders (AMO).")
    desk.server.fail(Fault(applies=placing, reply=reply), times=100)


def _opens_again(desk: Desk) -> None:
    desk.server.forget()
    desk.story.clock.sleep(301)


def _go(moment: str) -> Step:
    return lambda desk: desk.jump(moment)


def _buys_without_shares(desk: Desk) -> None:
    """The account has fewer shares than the ledger believes, and less cash."""
    desk.server.days[(INFY, "CNC")].bought -= 5
    desk.server.cash = Decimal(0)
    desk.server.refuses_at_entry = True
    desk.story.pipeline._guard.free_cash = lambda: None


CHECKS: dict[str, list[Check]] = {
    "halt of all": [
        Check(lambda desk: desk.halt(ALL)),
        Check(lambda desk: desk.halt(desk.story.id)),
        Check(lambda desk: desk.halt(desk.story.id, INFY)),
    ],
    "order limits": [
        Check(lambda desk: desk.limit(max_order_notional=1)),
        Check(lambda desk: desk.limit(max_position_notional=1)),
        Check(lambda desk: desk.limit(max_gross_exposure=1)),
        Check(lambda desk: desk.limit(max_orders_per_day=1)),
    ],
    "loss limits": [Check(_lose)],
    "price collar": [Check(lambda desk: desk.server.set_price(INFY, "1100.0"))],
    "the venue's price cannot be had": [Check(_fault("/quote/ltp"))],
    "cash": [Check(lambda desk: setattr(desk.server, "cash", Decimal(0)))],
    "nothing, or less, is held": [Check(_book_away)],
    "lots and minimums": [Check(_large_lots)],
    "greatest quantity": [Check(_small_orders, enters=lambda desk: desk.enter(20))],
    "the venue's list of order rules": [Check(_without_list)],
    "the venue refuses it for want": [Check(_buys_without_shares)],
    "bars of the symbol are missing": [
        Check(_without_bars(SBIN), enters=lambda _desk: None, entered=SBIN),
        Check(_without_bars(INFY), enters=lambda _desk: None, leaves=lambda desk: desk.watch()),
    ],
    "bars of another symbol": [Check(_without_bars(SBIN))],
    "bars of every symbol": [Check(_without_bars(INFY, SBIN), enters=lambda _desk: None, leaves=lambda desk: desk.watch())],
    "the account has less": [Check(_sell_by_hand)],
    "what the venue says of an order": [Check(_nonsense)],
    "another order of the symbol": [Check(_unknown_outcome, enters=lambda _desk: None)],
    "the venue has no such type": [
        Check(lambda _desk: None, enters=lambda desk: desk.enter(type_=OrderType.STOP_LIMIT), leaves=lambda desk: desk.watch())
    ],
    "the credentials have ended": [Check(_end_token, ends=_renew_token)],
    "the venue does not accept": [Check(_refuse_key)],
    "the key is of another account": [Check(_other_account, ends=_own_account)],
    "the venue asks for silence": [Check(_silence)],
    "this machine's clock": [Check(_clock_ahead)],
    "the market is known to be closed": [Check(_go(f"{DAY}T20:00:00"), ends=_go(f"{NEXT}T09:15:01"))],
    "no phase takes it now": [Check(_go(f"{DAY}T15:16:00"), ends=_go(f"{DAY}T15:20:01"))],
    "the venue says that it is closed": [Check(_says_closed, ends=_opens_again)],
    "it is not known whether": [Check(_go("2045-06-03T11:00:00"))],
}


def row_of(check: str) -> tuple[str, str]:
    (found,) = [answers for name, answers in table().items() if name.startswith(check)]
    return found


def test_every_row_of_the_table_is_tried_and_each_begins_with_a_known_answer() -> None:
    rows = table()
    assert len(rows) == len(CHECKS) > 20
    for check in CHECKS:
        entry, exit_ = row_of(check)
        assert {entry, exit_} <= {"sent", "tried", "waits", "denied", "refused"}


CASES = [pytest.param(check, one, id=f"{check} {n}") for check, cases in CHECKS.items() for n, one in enumerate(cases)]


@pytest.mark.parametrize(("check", "case"), CASES)
def test_the_entry_is_held_back_and_the_exit_goes_out(desk: Desk, check: str, case: Check) -> None:
    entry, exit_ = row_of(check)
    by_run, bought = case.entered == SBIN, desk.sent("BUY", case.entered)
    case.fails(desk)
    bought = bought if by_run else desk.sent("BUY", case.entered)
    desk_filled = desk.story.journal.held(INFY)
    case.enters(desk)
    orders = [(str(order), order.reason) for order in desk.story.journal.orders()]
    if entry in ("denied", "waits"):
        assert desk.sent("BUY", case.entered) == bought, orders
    elif entry == "sent":
        assert desk.sent("BUY", case.entered) > bought, orders
    else:
        assert desk.story.journal.held(INFY) == desk_filled, orders

    sold = desk.sent("SELL")
    case.leaves(desk)
    orders = [(str(order), order.reason) for order in desk.story.journal.orders()]
    if exit_ in ("sent", "tried"):
        assert desk.sent("SELL") > sold, orders
    if exit_ == "sent":
        assert desk.story.journal.held(INFY) in (0, 5), orders  # 5: sold by hand before
    if exit_ in ("waits", "denied"):
        assert desk.story.journal.held(INFY) == (0 if exit_ == "denied" else 40), orders
    if exit_ == "waits":
        assert case.ends is not None
        case.ends(desk)
        desk.leave()
        if check == "no phase takes it now":
            desk.jump(f"{DAY}T15:36:00")
            desk.leave()
        orders = [(str(order), order.reason) for order in desk.story.journal.orders()]
        assert desk.story.journal.held(INFY) == 0, orders
