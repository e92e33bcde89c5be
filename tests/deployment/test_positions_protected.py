"""A position at a venue that refuses, falls silent or has changed its mind: it is protected at every moment, or says why not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from algo_py.clock import SystemClock
from algo_py.deployment import DeploymentManager
from algo_py.deployment.config import OrderChoice
from algo_py.deployment.protection_rows import ProtectedBy
from algo_py.orders.halts import ALL, halt
from algo_py.orders.model import OrderStatus
from algo_py.settings import Workspace
from tests.deployment.conftest import Save
from tests.deployment.story import IN, OUT, Story
from tests.oms.binance_desk import KEY, SECRET
from tests.venues.binance_books import Ticket
from tests.venues.binance_faults import is_exit, is_price, is_replacement, is_stop
from tests.venues.binance_trading import BinanceTradingServer

Tell = Callable[..., Story]


@pytest.fixture
def server() -> Iterator[BinanceTradingServer]:
    with BinanceTradingServer(key=KEY, secret=SECRET) as server:
        yield server


@pytest.fixture
def tell(workspace: Workspace, manager: DeploymentManager, save: Save, server: BinanceTradingServer, tmp_path: Path) -> Tell:
    return partial(Story, workspace, manager, save, server, tmp_path)


def test_an_exit_goes_out_while_it_is_halted_and_takes_its_stop_along(tell: Tell) -> None:
    story = tell({"BTC/USDT": {0: IN, 3: OUT}}, stop_loss=0.05)
    story.hour(2)
    assert story.stops() == [story.held()] != [0]
    assert story.protection().by is ProtectedBy.VENUE_STOP
    halt(story.database, ALL, reason="the news", by="a person", at=SystemClock().now())
    story.hour()
    assert story.stops() == [story.held()], "a halt leaves the stop where it is"
    story.hour(2)
    assert story.newest().status is OrderStatus.FILLED
    story.assert_nothing_is_left()


def test_a_trailing_stop_moves_while_it_is_halted(tell: Tell) -> None:
    story = tell({"BTC/USDT": {0: IN}}, trailing_stop=0.05)
    story.hour(2)
    halt(story.database, story.id, reason="max_daily_loss", by="max_daily_loss", at=SystemClock().now())
    story.server.matching.orders[-1].stop_price = Decimal("90.00")  # as if its level had moved since
    story.hour(2)
    assert story.stops() == [story.held()]


@pytest.mark.parametrize(
    "code", [(-2010, "Account has insufficient balance for requested action."), (-1013, "Filter failure: LOT_SIZE")]
)
def test_where_the_venue_refuses_an_exit_the_stop_rests_again(
    tell: Tell, server: BinanceTradingServer, code: tuple[int, str]
) -> None:
    story = tell({"BTC/USDT": {0: IN, 2: OUT}}, stop_loss=0.05)
    story.hour(2)
    server.fail(server.refuse(*code, applies=is_exit), times=3)
    story.hour()
    assert story.held() > 0
    assert story.stops() == [story.held()]
    assert story.protection().by is ProtectedBy.VENUE_STOP
    server.forget()
    story.hour()
    story.assert_nothing_is_left()


def test_lots_that_have_changed_are_read_anew_and_kept(tell: Tell, server: BinanceTradingServer) -> None:
    story = tell({"BTC/USDT": {0: IN, 3: OUT}}, stop_loss=0.05, size=0.333333)
    story.hour(2)
    assert story.held() % 1 != 0
    server.set_filter("BTC/USDT", step_size="1.00000000", quantity_min="1.00000000")
    story.hour(3)
    assert story.held() < 1
    assert story.there() == story.held() + sum(story.journal.ledger.written_off().values(), Decimal(0))
    assert story.events("rules.changed")


def test_an_exit_above_what_one_order_may_be_is_sent_in_parts(tell: Tell, server: BinanceTradingServer) -> None:
    story = tell({"BTC/USDT": {0: IN, 3: OUT}}, stop_loss=0.05)
    story.hour(2)
    held = story.held()
    server.set_filter("BTC/USDT", market_quantity_max="15.00000000")
    story.hour(3)
    sold = [order for order in story.journal.orders() if order.request.side == "SELL" and order.status is OrderStatus.FILLED]
    assert sum((order.filled_quantity for order in sold), Decimal(0)) == held
    assert len(sold) == 3
    story.assert_nothing_is_left()


def test_a_stop_that_would_fire_at_once_becomes_the_exit(tell: Tell, server: BinanceTradingServer) -> None:
    story = tell({"BTC/USDT": {0: IN}}, stop_loss=0.05)
    server.fail(server.moves_after("BTC/USDT", "90.00"))
    story.hour()
    assert story.newest().request.reason == "stop_loss"
    assert story.newest().status is OrderStatus.FILLED
    story.assert_nothing_is_left()


def test_a_stop_of_unknown_outcome_is_followed_between_runs(tell: Tell, server: BinanceTradingServer) -> None:
    story = tell({"BTC/USDT": {0: IN}}, stop_loss=0.05)
    server.fail(server.server_error(taken=False, applies=is_stop))
    story.hour()
    assert story.orders()[-1] == ("STOP", "SELL", "UNKNOWN")
    assert story.protection().by is not ProtectedBy.VENUE_STOP
    assert story.pipeline.needs_following
    story.follow()
    story.venue_catches_up()
    story.follow(2)
    assert story.stops() == [story.held()]
    assert story.protection().by is ProtectedBy.VENUE_STOP


def test_where_no_stop_may_rest_any_more_the_price_is_watched(tell: Tell, server: BinanceTradingServer) -> None:
    story = tell({"BTC/USDT": {0: IN}}, stop_loss=0.05)
    server.deposit("BTC", "5")
    for number in range(5):
        server.matching.place(
            Ticket(
                symbol="BTCUSDT", client_id=f"anothers{number}", side="SELL", type="STOP_LOSS",
                quantity=Decimal("0.5"), stop_price=Decimal(50),
            )
        )  # fmt: skip
    story.hour()
    assert story.protection().by is ProtectedBy.WORKER
    assert "took no stop" in story.protection().reason
    assert story.pipeline.needs_following
    assert list(story.pipeline.watched) == ["the price of BTC/USDT"], "a stop of the deployment goes on watching that"
    server.fail(server.too_many(0, applies=is_price))
    story.follow()
    assert story.protection().by is ProtectedBy.WORKER, "others may have used the limit up: the next look is soon"
    server.forget()
    server.set_price("BTC/USDT", "96.00")
    story.follow(3)
    assert story.held() > 0
    server.set_price("BTC/USDT", "94.00")
    story.follow(1)
    assert story.held() > 0, "one look may be wrong"
    story.follow(2)
    assert story.held() == 0
    assert story.newest().request.reason == "stop_loss"


def test_a_position_nobody_can_protect_is_said_so(tell: Tell, server: BinanceTradingServer) -> None:
    story = tell({"BTC/USDT": {0: IN}}, stop_loss=0.05)
    server.fail(server.refuse(-2010, "This symbol is not permitted for this account.", applies=is_stop), times=50)
    story.hour()
    server.fail(server.server_error(taken=False, applies=is_price), times=50)
    story.follow(3)
    assert story.protection().is_missing
    assert story.events("position.unprotected")
    server.forget()
    story.follow(3)
    assert not story.protection().is_missing


def test_the_part_of_a_limit_entry_that_has_filled_is_protected(tell: Tell, server: BinanceTradingServer) -> None:
    story = tell({"BTC/USDT": {0: IN}}, stop_loss=0.05, order=OrderChoice(type="limit", offset_bps=-100.0, timeout_s=7200.0))
    story.hour()
    entry = story.newest()
    assert (entry.request.type, entry.status) == ("LIMIT", OrderStatus.ACCEPTED)
    server.fill(entry.request.client_order_id, Decimal(10))
    story.follow()
    assert story.held() == 10
    assert story.stops() == [Decimal(10)]
    server.fill(entry.request.client_order_id, Decimal(5))
    story.follow()
    assert story.stops() == [Decimal(15)]


def test_an_exit_that_rests_with_a_limit_gives_way_when_the_stop_is_passed(tell: Tell, server: BinanceTradingServer) -> None:
    story = tell({"BTC/USDT": {0: IN, 2: OUT}}, stop_loss=0.05)
    story.hour(2)
    story.pipeline._config = story.config.model_copy(
        update={"order": OrderChoice(type="limit", offset_bps=-500.0, timeout_s=86_000.0)}
    )
    story.pipeline._executor._limit_policy = type(story.pipeline._executor._limit_policy)(
        timeout=story.clock.now() - story._began
    )
    story.hour()
    assert story.orders()[-1] == ("LIMIT", "SELL", "ACCEPTED")
    assert story.protection().by is ProtectedBy.EXIT
    server.set_price("BTC/USDT", "94.00")
    story.follow(3)
    story.assert_nothing_is_left()


def test_a_venue_that_has_forgotten_a_stop_gets_another_one(tell: Tell, server: BinanceTradingServer) -> None:
    story = tell({"BTC/USDT": {0: IN}}, stop_loss=0.05)
    story.hour(2)
    held = story.held()
    server.begin_anew(USDT="10000", BTC=f"{held:f}")
    story.venue_catches_up()
    story.follow(3)
    assert ("STOP", "SELL", "EXPIRED") in story.orders()
    assert story.stops() == [held]


def test_trade_numbers_that_begin_anew_are_no_old_trades(tell: Tell, server: BinanceTradingServer) -> None:
    story = tell({"BTC/USDT": {0: IN, 3: OUT}}, stop_loss=0.05)
    story.hour(2)
    held = story.held()
    server.begin_anew(USDT="6000", BTC=f"{held:f}")
    story.venue_catches_up()
    story.hour(2)
    story.follow(2)
    assert story.held() == 0
    assert len({fill.trade_id for fill in story.journal.fills()}) == len(story.journal.fills())
    assert len(story.journal.fills()) > 1


def test_a_stop_is_replaced_in_one_request_and_a_refusal_leaves_the_old_one(tell: Tell, server: BinanceTradingServer) -> None:
    story = tell({"BTC/USDT": {0: IN}}, trailing_stop=0.05)
    story.hour(2)
    asked = len(server.requests)
    story.pipeline._fold.account._book[0, story.pipeline._fold.account._kernel.BEST] = 104.0  # the market has been higher
    server.set_price("BTC/USDT", "104.00")
    server.fail(server.refuse(-1013, "Filter failure: PRICE_FILTER", applies=is_replacement))
    story.follow()
    assert story.stops() == [story.held()], "the old one still rests"
    assert story.protection().by is ProtectedBy.VENUE_STOP
    assert [order.stop_price for order in server.matching.orders if order.is_open] == [Decimal("95.00")]
    story.pipeline._protector._refused.clear()
    story.follow()
    assert [order.stop_price for order in server.matching.orders if order.is_open] == [Decimal("98.80")]
    assert not [one for one in server.requests[asked:] if one.method == "DELETE"], "no moment without a stop"
    assert story.orders()[-3:] == [("STOP", "SELL", "CANCELED"), ("STOP", "SELL", "REJECTED"), ("STOP", "SELL", "ACCEPTED")]


@pytest.mark.parametrize("taken", [True, False])
def test_a_replacement_of_unknown_outcome_is_cleared_up(tell: Tell, server: BinanceTradingServer, *, taken: bool) -> None:
    story = tell({"BTC/USDT": {0: IN}}, trailing_stop=0.05)
    story.hour(2)
    story.pipeline._fold.account._book[0, story.pipeline._fold.account._kernel.BEST] = 104.0
    server.set_price("BTC/USDT", "104.00")
    server.fail(server.drop(taken=taken, applies=is_replacement))
    story.follow(2)
    story.venue_catches_up()
    story.follow(3)
    assert [order.stop_price for order in server.matching.orders if order.is_open] == [Decimal("98.80")]
    assert story.stops() == [story.held()]
