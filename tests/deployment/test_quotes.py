"""Deployments that pay in another currency than USDT, at a local Binance: balances, fees, books and promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from algo_py.deployment import DeploymentManager, DeploymentRequest
from algo_py.deployment.account_binding import bind, promised_cash, short_of_cash
from algo_py.deployment.report import deployment_json
from algo_py.deployment.schedule import OnBarClose
from algo_py.deployment.store import DeploymentStore
from algo_py.errors import InvalidInput
from algo_py.oms import AccountSummary
from algo_py.orders.halts import HaltedBy, halt_of
from algo_py.settings import Workspace
from tests.deployment.conftest import Save
from tests.deployment.story import IN, OUT, Story
from tests.oms.binance_desk import KEY, SECRET
from tests.venues.binance_trading import BinanceTradingServer

Tell = Callable[..., Story]
PAIR = "ETH/BTC"


@pytest.fixture
def server() -> Iterator[BinanceTradingServer]:
    with BinanceTradingServer(key=KEY, secret=SECRET) as server:
        server.list_symbol(PAIR, "0.05", tick_size="0.00001000", notional_min="0.00010000", step_size="0.00010000")
        server.deposit("BTC", "2")
        yield server


@pytest.fixture
def tell(workspace: Workspace, manager: DeploymentManager, save: Save, server: BinanceTradingServer, tmp_path: Path) -> Tell:
    return partial(Story, workspace, manager, save, server, tmp_path, close={PAIR: 0.05})


def _in_btc(tell: Tell, server: BinanceTradingServer, *, fee_asset: str = "BTC", **changes: object) -> Story:
    story = tell({PAIR: {0: IN, 4: OUT}}, **changes)
    server.matching.fee_asset = fee_asset
    return story


def test_it_buys_with_btc_and_its_books_are_the_account_s(tell: Tell, server: BinanceTradingServer) -> None:
    story = _in_btc(tell, server)
    story.hour(2)
    assert story.held(PAIR) == story.there(PAIR) == Decimal(8)  # 0.4 of 1 BTC at 0.05
    balance = server.matching.balance("BTC")
    assert story.journal.ledger.cash - 1 == balance.free + balance.locked - 2
    assert server.matching.balance("USDT").free == 10_000
    story.hour(3)
    assert story.held(PAIR) == story.there(PAIR) == 0
    assert story.journal.ledger.cash - 1 == balance.free + balance.locked - 2 == -_fees(story)
    assert story.halts() == {}


@pytest.mark.parametrize("fee_asset", ["BTC", "ETH", "BNB"])
def test_a_fee_is_booked_by_what_it_is_worth_in_btc(tell: Tell, server: BinanceTradingServer, fee_asset: str) -> None:
    server.list_symbol("BNB/BTC", "0.01")
    server.list_symbol("BNB/USDT", "600")
    server.deposit("BNB", "5")
    story = _in_btc(tell, server, fee_asset=fee_asset)
    story.hour(2)
    paid = Decimal(8) * Decimal("0.05") * server.matching.fee_rate
    assert _fees(story) == pytest.approx(paid, rel=Decimal("0.01"))
    assert story.held(PAIR) == story.there(PAIR)
    assert story.halts() == {}


def test_a_fee_that_another_currency_s_trade_takes_is_paid_in_one_s_own(tell: Tell, server: BinanceTradingServer) -> None:
    """BNB that one deployment holds in USDT pays the fee of another's trade in BTC."""
    server.list_symbol("BNB/BTC", "0.01")
    server.list_symbol("BNB/USDT", "600")
    holder = tell({"BNB/USDT": {0: IN}}, name="holder", close={"BNB/USDT": 600.0})
    holder.hour(2)
    held = holder.held("BNB/USDT")
    payer = _in_btc(tell, server, fee_asset="BNB", name="payer")
    payer.hour(2)
    taken = held - holder.there("BNB/USDT")
    assert taken > 0
    cash = holder.journal.ledger.cash
    holder.hour()
    assert holder.held("BNB/USDT") == held - taken
    assert holder.journal.ledger.cash - cash == taken * 600
    assert (holder.halts(), payer.halts()) == ({}, {})


def test_a_shortage_of_btc_makes_the_entry_smaller_and_one_of_usdt_does_not(tell: Tell, server: BinanceTradingServer) -> None:
    story = _in_btc(tell, server)
    server.matching.balance("USDT").free = Decimal(0)
    server.matching.balance("BTC").free = Decimal("0.1")
    story.hour()
    assert Decimal("1.9") < story.held(PAIR) <= 2


def test_coins_of_another_deployment_are_not_spent(tell: Tell, server: BinanceTradingServer) -> None:
    holder = tell({"BTC/USDT": {0: IN}}, name="holder", size=0.9)
    server.matching.balance("BTC").free = Decimal("0.1")
    holder.hour(2)
    held = holder.held("BTC/USDT")
    assert held > 80
    payer = tell({PAIR: {0: IN}}, name="payer")
    payer.hour(2)
    assert 0 < payer.held(PAIR) <= 2
    assert server.matching.balance("BTC").free >= held
    holder.hour()
    assert (holder.halts(), payer.halts()) == ({}, {})


def test_coins_that_a_resting_stop_has_locked_are_not_taken_off_twice(tell: Tell, server: BinanceTradingServer) -> None:
    holder = tell({"BTC/USDT": {0: IN}}, name="holder", size=0.9, stop_loss=0.05)
    holder.hour(2)
    assert holder.stops("BTC/USDT") == [holder.held("BTC/USDT")]
    payer = tell({PAIR: {0: IN}}, name="payer")
    payer.hour(2)
    assert payer.held(PAIR) == 8


def test_the_same_coins_under_two_symbols_are_added_up(tell: Tell, server: BinanceTradingServer) -> None:
    dollars = tell({"ETH/USDT": {0: IN}}, name="dollars")
    coins = tell({PAIR: {0: IN}}, name="coins")
    dollars.hour(2)
    coins.hour(2)
    assert dollars.there("ETH/USDT") == dollars.held("ETH/USDT") + coins.held(PAIR)
    dollars.hour()
    coins.hour()
    assert (dollars.halts(), coins.halts()) == ({}, {})
    dollars.take_away(Decimal(1), "ETH/USDT")
    coins.hour()
    assert (set(dollars.halts()), set(coins.halts())) == ({"ETH/USDT"}, {PAIR})
    assert "ETH/USDT and ETH/BTC: the deployments hold" in coins.halts()[PAIR].reason


def test_promises_are_added_up_by_currency(tell: Tell, server: BinanceTradingServer) -> None:
    dollars = tell({"ETH/USDT": {0: IN}}, name="dollars")
    coins = tell({PAIR: {0: IN}}, name="coins")
    for story in (dollars, coins):
        bind(story.database, story.config, "binance-1", at=story.clock.now(), log=story.log)
    assert promised_cash(coins.database, "binance-1", "USDT") == 10_000
    assert promised_cash(coins.database, "binance-1", "BTC") == 1
    rich, poor = (AccountSummary(account="binance-1", cash=Decimal(cash)) for cash in ("1.5", "0.00012345"))
    live = coins.config.model_copy(update={"oms": "binance"})
    assert short_of_cash(coins.database, live, rich, venue="binance") == ()
    (told,) = short_of_cash(coins.database, live, poor, venue="binance")
    assert told.startswith("the account has 0.00012345 BTC free, and its deployments may spend 1.00: ")


def test_what_it_is_said_to_hold_is_in_btc(tell: Tell, server: BinanceTradingServer) -> None:
    story = _in_btc(tell, server)
    story.hour(2)
    assert story.pipeline.holdings == ["8 ETH/BTC (0.40 BTC)"]
    assert deployment_json(story.manager.show(story.id))["quote_currency"] == "BTC"


def test_a_backtest_of_several_currencies_is_not_deployed(
    manager: DeploymentManager, tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    _save_mixed(tell, monkeypatch)
    with pytest.raises(InvalidInput, match=r"ETH/BTC is quoted in BTC, BTC/USDT in USDT: a universe has one quote currency"):
        manager.configure(DeploymentRequest(backtest="mixed", schedule=OnBarClose()))


def test_one_that_an_earlier_version_deployed_enters_nothing(tell: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    story = _save_mixed(tell, monkeypatch)
    bind(story.database, story.config, "binance-1", at=story.clock.now(), log=story.log)
    halted = halt_of(story.database, story.id)
    assert halted is not None
    assert halted.by == HaltedBy.QUOTES
    assert "a universe has one quote currency" in halted.reason
    story.hour(2)
    assert story.held(PAIR) == story.held("BTC/USDT") == 0
    assert deployment_json(story.manager.show(story.id))["quote_currency"] is None
    assert DeploymentStore(story.database).get(story.id).config.backtest.quote_label == "BTC and USDT"


def _save_mixed(tell: Tell, monkeypatch: pytest.MonkeyPatch) -> Story:
    """Save and deploy as an earlier version did."""
    with monkeypatch.context() as earlier:
        earlier.setattr("algo_py.market.markets.Market.quote_over", lambda *_: "USDT")
        return tell({PAIR: {0: IN}, "BTC/USDT": {0: IN}}, name="mixed")


def _fees(story: Story) -> Decimal:
    return story.manager.ledger(story.id).fees_paid
