"""Positions under attack: states that follow each other in an order which nobody has planned for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from algo_py.deployment import DeploymentManager
from algo_py.deployment.booking import Correction, TradeMade, Transfer, book
from algo_py.deployment.config import OrderChoice
from algo_py.deployment.pipeline import RunResult
from algo_py.deployment.protection_rows import ProtectedBy, leave_unwatched
from algo_py.deployment.run_border import RunBorder
from algo_py.deployment.store import DeploymentStore
from algo_py.errors import Refused
from algo_py.orders.entries import EntryKind, LedgerEntry
from algo_py.orders.model import OrderStatus, Side
from algo_py.orders.risk import Limits
from algo_py.settings import Workspace
from tests.deployment.conftest import Save
from tests.deployment.story import IN, OUT, Story
from tests.oms.binance_desk import KEY, SECRET
from tests.venues.binance_faults import is_cancel, is_exit, is_look_up, is_order, is_price, is_stop
from tests.venues.binance_trading import BinanceTradingServer
from tests.venues.server import distorted

Tell = Callable[..., Story]


@pytest.fixture
def server() -> Iterator[BinanceTradingServer]:
    with BinanceTradingServer(key=KEY, secret=SECRET) as server:
        yield server


@pytest.fixture
def tell(workspace: Workspace, manager: DeploymentManager, save: Save, server: BinanceTradingServer, tmp_path: Path) -> Tell:
    return partial(Story, workspace, manager, save, server, tmp_path)


def _followed(story: Story) -> RunResult:
    story.pipeline.follow(story.clock.now())
    return RunResult(outcome="idle", detail={})


def close(story: Story, times: int = 12) -> list[str]:
    """Close as the worker does: again as long as something is under way."""
    for _ in range(times):
        story.clock.sleep(1)
        left, is_under_way = story.pipeline.close_positions(story.clock.now())
        if not left or not is_under_way:
            break
    return left


def test_closing_that_came_to_nothing_can_be_asked_for_again(tell: Tell, server: BinanceTradingServer) -> None:
    story = tell({"BTC/USDT": {0: IN}}, stop_loss=0.05)
    story.hour(2)
    server.fail(server.refuse(-1013, "Market is closed.", applies=is_exit), times=100)
    assert close(story) == ["BTC/USDT"]
    server.forget()
    story.live()
    assert close(story) == []
    story.assert_nothing_is_left()


def test_a_pair_for_what_the_account_has_rests_and_stays(tell: Tell, server: BinanceTradingServer) -> None:
    story = tell({"BTC/USDT": {0: IN}}, stop_loss=0.05, take_profit=0.5)
    story.hour(2)
    held = story.held()
    for order in server.matching.orders:
        if order.is_open:
            server.matching.cancel(order)
    story.take_away(Decimal(5))
    for _ in range(4):
        story.follow()
        for refused in story.pipeline._protector._refused.values():
            refused.not_before_s = 0.0
    assert sum(story.stops()) == held - 5
    sent = len(story.journal.orders())
    story.follow(6)
    assert len(story.journal.orders()) - sent <= 1
    assert sum(story.stops()) == held - 5


def test_the_end_of_the_window_leaves_the_stop_where_it_is(tell: Tell, server: BinanceTradingServer) -> None:
    story = tell({"BTC/USDT": {0: IN}}, stop_loss=0.05)
    story.hour(2)
    story.clock.sleep(3600)
    story.pipeline.finish(story.clock.now(), reason="the end of its window was reached")
    assert story.held() > 0
    assert story.stops() == [story.held()]
    assert story.protection().by is ProtectedBy.VENUE_STOP


def test_a_watched_position_whose_key_is_refused_is_said_to_be_unprotected(tell: Tell, server: BinanceTradingServer) -> None:
    story = tell({"BTC/USDT": {0: IN}}, stop_loss=0.05)
    server.fail(server.refuse(-2010, "This symbol is not permitted for this account.", applies=is_stop), times=500)
    story.hour()
    story.follow()
    assert story.protection().by is ProtectedBy.WORKER
    border = RunBorder(story.id, story.database, log=story.log, mask=str, after=lambda: None)
    server.revoke_key()
    server.set_price("BTC/USDT", "90.00")
    for _ in range(3):
        story.clock.sleep(2)
        border.once(story.pipeline, story.clock.now(), 0, partial(_followed, story))
    assert story.held() > 0
    assert story.protection().is_missing
    server.restore_key()
    border.try_credentials(story.pipeline.try_credentials)
    story.venue_catches_up()
    story.follow(4)
    assert story.held() == 0


def test_a_delisted_symbol_keeps_the_others_from_nothing(tell: Tell, server: BinanceTradingServer) -> None:
    story = tell({"BTC/USDT": {0: IN}, "ETH/USDT": {0: IN, 4: OUT}}, stop_loss=0.05)
    server.fail(server.refuse(-2010, "This symbol is not permitted for this account.", applies=is_stop), times=500)
    story.hour()
    story.follow()
    server.delist("BTC/USDT")
    story.follow(2)
    assert story.protection("BTC/USDT").is_missing
    assert story.protection("ETH/USDT").by is ProtectedBy.WORKER
    server.set_price("ETH/USDT", "90.00")
    story.follow(3)
    assert story.held("ETH/USDT") == 0


def test_a_deployment_lives_again_when_a_symbol_of_it_is_delisted(tell: Tell, server: BinanceTradingServer) -> None:
    story = tell({"BTC/USDT": {0: IN}, "ETH/USDT": {0: IN, 4: OUT}}, stop_loss=0.05)
    story.hour(2)
    server.delist("BTC/USDT")
    story.live()
    story.follow(2)
    assert story.protection("BTC/USDT").is_missing
    assert story.stops("ETH/USDT") == [story.held("ETH/USDT")]
    story.hour(4)
    assert story.held("ETH/USDT") == 0


def test_an_entry_whose_price_is_not_known_spends_no_more_than_the_ledger_has(tell: Tell, server: BinanceTradingServer) -> None:
    limits = Limits(price_collar_fraction=None)
    story = tell({"BTC/USDT": {0: IN}, "ETH/USDT": {2: IN}}, size=0.9, limits=limits)
    story.hour(2)
    server.deposit("USDT", "100000")
    story.journal.book(
        LedgerEntry(
            entry_id="paid-out", symbol="BTC/USDT", kind=EntryKind.CASH, quantity=Decimal(0), cash=Decimal(-900),
            note="", by="a person", time=story.clock.now(),
        )
    )  # fmt: skip
    server.fail(distorted(is_price, price="NaN"), times=50)
    story.hour()
    assert story.journal.ledger.cash >= 0


def test_a_price_that_is_none_lets_nothing_in(tell: Tell, server: BinanceTradingServer) -> None:
    story = tell({"BTC/USDT": {0: IN}}, stop_loss=0.05)
    server.fail(distorted(is_price, price="NaN"), times=50)
    story.hour()
    assert story.held() == 0


def test_an_exit_at_a_level_that_was_filled_in_part_goes_on(tell: Tell, server: BinanceTradingServer) -> None:
    story = tell({"BTC/USDT": {0: IN}}, stop_loss=0.05)
    story.hour(2)
    held = story.held()
    server.set_depth("BTC/USDT", "10")
    server.set_price("BTC/USDT", "94.00")
    server.set_depth("BTC/USDT", "10")
    story.pipeline.recover(story.clock.now())  # one look, and no second one at an empty book
    assert story.held() == held - 20, "the stop has sold a part, and so has the exit after it"
    server.set_depth("BTC/USDT", "1000")
    story.follow(3)
    story.assert_nothing_is_left()


def test_a_symbol_that_is_delisted_while_it_is_held_is_said_to_be_unprotected(tell: Tell, server: BinanceTradingServer) -> None:
    story = tell({"BTC/USDT": {0: IN}, "ETH/USDT": {0: IN}}, stop_loss=0.05)
    story.hour(2)
    assert story.protection("BTC/USDT").by is ProtectedBy.VENUE_STOP
    server.delist("BTC/USDT")
    story.follow(2)
    assert story.protection("BTC/USDT").is_missing
    assert story.protection("ETH/USDT").by is ProtectedBy.VENUE_STOP


def test_what_a_process_watched_that_does_not_reach_its_venue_is_said_to_be_unprotected(
    tell: Tell, server: BinanceTradingServer
) -> None:
    story = tell({"BTC/USDT": {0: IN}, "ETH/USDT": {0: IN}}, stop_loss=0.05)
    applies = lambda request: is_stop(request) and request.values["symbol"] == "BTCUSDT"  # noqa: E731
    server.fail(server.refuse(-2010, "This symbol is not permitted for this account.", applies=applies), times=500)
    story.hour()
    story.follow()
    assert story.protection().by is ProtectedBy.WORKER
    now = story.clock.now()
    missing = leave_unwatched(story.database, story.id, reason="no network", at=now)
    assert [one.symbol for one in missing] == ["BTC/USDT"]
    assert leave_unwatched(story.database, story.id, reason="no network", at=now) == [], "it is told once"
    assert story.protection("BTC/USDT").is_missing
    assert story.protection("ETH/USDT").by is ProtectedBy.VENUE_STOP
    story.live()
    assert story.protection("BTC/USDT").by is ProtectedBy.WORKER


def test_a_restart_in_the_middle_of_each_step_of_an_exit(tell: Tell, server: BinanceTradingServer) -> None:
    story = tell({"BTC/USDT": {0: IN, 2: OUT}}, stop_loss=0.05, take_profit=0.5)
    story.hour(2)
    server.fail(server.drop(taken=True, applies=is_cancel))
    story.hour()
    story.live()
    server.fail(server.drop(taken=True, applies=is_exit))
    story.follow()
    story.live()
    story.venue_catches_up()
    story.follow(3)
    story.live()
    story.assert_nothing_is_left()


def test_a_stop_that_a_person_has_cancelled_rests_again(tell: Tell, server: BinanceTradingServer) -> None:
    story = tell({"BTC/USDT": {0: IN}}, stop_loss=0.05, take_profit=0.5)
    story.hour(2)
    for order in server.matching.orders:
        if order.is_open:
            server.matching.cancel(order)
            break
    story.follow(2)
    assert story.stops() == [story.held()]
    assert story.protection().by is ProtectedBy.VENUE_STOP


def test_a_pair_that_no_longer_fits_the_venue_s_number_of_stops_is_watched(tell: Tell, server: BinanceTradingServer) -> None:
    story = tell({"BTC/USDT": {0: IN}}, trailing_stop=0.05, take_profit=0.5)
    story.hour(2)
    server.set_filter("BTC/USDT", stops_max=0)
    story.pipeline._fold.account._book[0, story.pipeline._fold.account._kernel.BEST] = 104.0
    server.set_price("BTC/USDT", "104.00")
    story.follow(3)
    assert story.protection().by is ProtectedBy.WORKER
    server.set_price("BTC/USDT", "98.00")
    story.follow(3)
    assert story.held() == 0


def test_a_sale_booked_while_an_exit_is_under_way(tell: Tell, server: BinanceTradingServer) -> None:
    story = tell({"BTC/USDT": {0: IN, 2: OUT}}, stop_loss=0.05)
    story.hour(2)
    held = story.held()
    server.fail(server.drop(taken=True, applies=is_exit))
    story.hour()
    row = DeploymentStore(story.database).get(story.id)
    sale = TradeMade(symbol="BTC/USDT", side=Side.SELL, quantity=held, price=Decimal(100))
    for booking in (sale, Transfer(symbol="BTC/USDT", quantity=-held)):
        with pytest.raises(Refused, match="is selling 40"):
            book(story.database, story.clock, row, booking)
    story.venue_catches_up()
    story.follow(3)
    story.assert_nothing_is_left()


def test_nothing_is_bought_for_books_that_went_below_nothing(tell: Tell, server: BinanceTradingServer) -> None:
    story = tell({"BTC/USDT": {0: IN}}, stop_loss=0.05)
    story.hour(2)
    entry = LedgerEntry(
        entry_id="wrong", symbol="BTC/USDT", kind=EntryKind.CORRECTION, quantity=-2 * story.held(), cash=Decimal(8000),
        price=Decimal(100), note="", by="a person", time=story.clock.now(),
    )  # fmt: skip
    assert story.journal.book(entry)
    story.follow(3)
    assert story.held() < 0
    assert story.protection().is_missing
    server.set_price("BTC/USDT", "150.00")
    story.follow(3)
    assert close(story) == ["BTC/USDT"]
    assert len([order for order in server.matching.orders if order.side == "BUY"]) == 1


def test_a_correction_of_the_entry_takes_its_stop_along(tell: Tell, server: BinanceTradingServer) -> None:
    story = tell({"BTC/USDT": {0: IN}}, trailing_stop=0.05)
    story.hour(3)
    row = DeploymentStore(story.database).get(story.id)
    for fill in story.journal.fills():
        book(story.database, story.clock, row, Correction(of=fill.trade_id))
    story.follow(3)
    assert story.held() == 0
    assert story.stops() == []
    story.hour(2)
    assert story.held() == 0


def test_dust_returns_while_an_entry_waits(tell: Tell, server: BinanceTradingServer) -> None:
    story = tell({"BTC/USDT": {0: IN, 2: OUT, 4: IN, 7: OUT}}, stop_loss=0.05, size=0.333333)
    story.hour(2)
    server.set_filter("BTC/USDT", step_size="1.00000000", quantity_min="1.00000000")
    story.hour(2)
    server.fail(server.drop(taken=True, applies=is_order))
    story.hour()
    story.live()
    story.venue_catches_up()
    story.follow(3)
    story.hour(4)
    assert story.there() == story.held() + sum(story.journal.ledger.written_off().values(), Decimal(0))


def test_an_entry_that_fills_while_it_is_being_stopped_is_protected(tell: Tell, server: BinanceTradingServer) -> None:
    story = tell({"BTC/USDT": {0: IN}}, stop_loss=0.05, order=OrderChoice(type="limit", offset_bps=-100.0, timeout_s=7200.0))
    story.hour()
    entry = story.newest().request.client_order_id
    server.fail(server.drop(taken=False, applies=is_cancel))
    story.pipeline.stop_entering(story.clock.now())
    assert story.newest().status is OrderStatus.ACCEPTED
    server.fill(entry, Decimal(10))
    story.follow(2)
    assert story.stops() == [Decimal(10)]
    story.clock.sleep(7200)
    story.follow(2)
    assert not [order for order in server.matching.orders if order.is_open and order.side == "BUY"]


def test_an_exit_that_breaks_off_without_its_stop_is_not_shown_as_protected_by_it(
    tell: Tell, server: BinanceTradingServer
) -> None:
    story = tell({"BTC/USDT": {0: IN, 2: OUT}}, stop_loss=0.05)
    story.hour(2)
    border = RunBorder(story.id, story.database, log=story.log, mask=str, after=lambda: None)
    words = "Invalid API-key, IP, or permissions for action."
    server.fail(server.refuse(-2015, words, status=401, applies=is_exit), times=100)
    story.clock.sleep(3600)
    border.once(story.pipeline, story.clock.now(), 0, lambda: story.pipeline.run(story.clock.now()))
    assert story.stops() == []
    assert story.protection().by is not ProtectedBy.VENUE_STOP
    border.once(story.pipeline, story.clock.now(), 0, partial(_followed, story))
    assert story.protection().is_missing
    server.forget()
    border.try_credentials(story.pipeline.try_credentials)
    story.venue_catches_up()
    story.follow(3)
    story.assert_nothing_is_left()


@pytest.mark.parametrize("cancelled", [True, False])
def test_a_pair_whose_cancel_got_no_answer_is_not_said_to_protect(
    tell: Tell, server: BinanceTradingServer, *, cancelled: bool
) -> None:
    story = tell({"BTC/USDT": {0: IN}}, stop_loss=0.05, trailing_stop=0.05, take_profit=0.5)
    story.hour(2)
    story.pipeline._fold.account._book[0, story.pipeline._fold.account._kernel.BEST] = 104.0  # the market has been higher
    server.set_price("BTC/USDT", "104.00")
    server.fail(server.server_error(taken=cancelled, applies=is_cancel), times=50)
    server.fail(server.server_error(taken=False, applies=is_look_up), times=50)
    story.follow(2)
    story.live()
    story.follow()
    protection = story.protection()
    assert (protection.by, protection.is_missing) == (ProtectedBy.WORKER, False)
    assert "has not said yet whether the stop rests" in protection.reason
    server.forget()
    story.venue_catches_up()
    story.follow(3)
    assert story.stops() == [story.held()]
    assert story.protection().by is ProtectedBy.VENUE_STOP
