"""Orders in a chat: one message each, whatever breaks; one outcome each, whoever presses."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from algo_py.clock import FrozenClock
from algo_py.credentials import Credentials
from algo_py.database import Database
from algo_py.errors import AuthFailed, OutcomeUnknown, RateLimited, Rejected, VenueDown
from algo_py.finstore.sources.limits import SharedLimit
from algo_py.market import get_market
from algo_py.oms.telegram import TelegramOMS
from algo_py.oms.telegram.books import Place
from algo_py.orders.model import Leg, OrderReport, OrderRequest, OrderStatus, OrderType, Side, client_order_id
from tests.finstore.processes import forked
from tests.venues.server import Fault
from tests.venues.telegram import CHAT, TOKEN, Message, TelegramServer, is_sending, too_many

NOW = datetime(2025, 6, 2, 6, 0, tzinfo=UTC)


@dataclass
class Desk:
    server: TelegramServer
    database: Database
    folder: Path
    clock: FrozenClock

    def open(self, account: str = "d1", *, token: str = TOKEN, chat: str = CHAT, url: str = "", **more: object) -> TelegramOMS:
        values = {"TELEGRAM_BOT_TOKEN": token, "TELEGRAM_CHAT_ID": chat, "TELEGRAM_BASE_URL": url or self.server.url}
        return TelegramOMS(
            Credentials(values),
            self.database,
            self.clock,
            account=account,
            deployment_name="My <strategy> & more",
            market=get_market("crypto_binance"),
            fees=0.001,
            limit=SharedLimit("telegram", per_s=1_000, burst=100, folder=self.folder),
            **more,  # type: ignore[arg-type]
        )

    def order(self, number: int = 0, **more: object) -> OrderRequest:
        bar_time = NOW - timedelta(hours=number + 1)
        order = OrderRequest(
            client_order_id=client_order_id("d1", bar_time, "BTC/USDT", Side.BUY, Leg.ENTRY),
            symbol="BTC/USDT",
            side=Side.BUY,
            leg=Leg.ENTRY,
            quantity=Decimal("0.5"),
            bar_time=bar_time,
            reference_price=Decimal("100.5"),
            reason="entry",
        )
        return replace(order, **more)  # type: ignore[arg-type]

    def sent(self, oms: TelegramOMS, order: OrderRequest) -> Message:
        assert oms.submit(order).status is OrderStatus.ACCEPTED
        return self.server.messages[-1]

    def found(self, oms: TelegramOMS, order: OrderRequest) -> OrderReport:
        report = oms.find(order, NOW)
        assert report is not None
        return report


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Iterator[Desk]:
    with TelegramServer() as server:
        yield Desk(server, database, tmp_path / "limits", FrozenClock(NOW))


def test_done_is_a_fill_at_the_reference_price_and_the_message_says_so(desk: Desk) -> None:
    oms, order = desk.open(), desk.order()
    message = desk.sent(oms, order)
    assert "BUY BTC/USDT" in message.text
    assert "My &lt;strategy&gt; &amp; more" in message.text
    assert desk.found(oms, order).status is OrderStatus.ACCEPTED
    desk.server.press(message, "Done at 100.5")
    report = desk.found(oms, order)
    [fill] = report.fills
    assert (report.status, fill.quantity, fill.price, fill.fee) == (
        OrderStatus.FILLED,
        Decimal("0.5"),
        Decimal("100.5"),
        Decimal("0.05025"),
    )
    assert message.buttons == {}
    assert message.text.endswith("<b>done at 100.5</b>")
    assert oms.fills_since(NOW) == [fill]
    assert desk.server.answers == ["Noted."]


def test_another_price_is_asked_for_until_it_is_one(desk: Desk) -> None:
    oms, order = desk.open(), desk.order()
    message = desk.sent(oms, order)
    desk.server.press(message, "Done at another")
    assert desk.found(oms, order).status is OrderStatus.ACCEPTED
    question = desk.server.messages[-1]
    assert question.wants_reply
    for given in ("around <100>", "-5", "0", "NaN", "101,25", "1e2", "١٠١"):
        desk.server.write(given, to=question)
        assert desk.found(oms, order).status is OrderStatus.ACCEPTED
        question = desk.server.messages[-1]
        assert "is not a price" in desk.server.messages[-2].text
    desk.server.write("101", to=desk.server.messages[0])
    desk.server.write("hello")
    assert desk.found(oms, order).status is OrderStatus.ACCEPTED
    desk.server.write(" 101.25 ", to=question)
    report = desk.found(oms, order)
    assert (report.status, report.fills[0].price) == (OrderStatus.FILLED, Decimal("101.25"))


def test_skipped_ends_it_and_a_second_press_changes_nothing(desk: Desk) -> None:
    oms, order = desk.open(), desk.order()
    message = replace(desk.sent(oms, order))
    desk.server.press(message, "Skipped")
    report = desk.found(oms, order)
    assert (report.status, report.reason, report.fills) == (OrderStatus.CANCELED, "skipped by hand", ())
    desk.server.press(message, "Done at")
    assert desk.found(oms, order) == report
    assert desk.server.answers[-1] == "It is settled already: skipped by hand."


def test_a_cancel_and_an_answer_cross_and_the_first_one_counts(desk: Desk) -> None:
    oms, first, second = desk.open(), desk.order(0), desk.order(1)
    message = replace(desk.sent(oms, first))
    oms.cancel(first, NOW)
    desk.server.press(message, "Done at")
    assert desk.found(oms, first).status is OrderStatus.CANCELED
    desk.server.press(desk.sent(oms, second), "Done at")
    desk.found(oms, second)
    oms.cancel(second, NOW)
    assert desk.found(oms, second).status is OrderStatus.FILLED
    oms.cancel(desk.order(9), NOW)
    assert oms.find(desk.order(9), NOW) is None


def test_a_message_that_may_have_been_sent_is_not_sent_again(desk: Desk) -> None:
    oms, order = desk.open(), desk.order()
    desk.server.lose_answer()
    with pytest.raises(OutcomeUnknown):
        oms.submit(order)
    report = desk.found(oms, order)
    assert (report.status, report.reason) == (OrderStatus.ACCEPTED, "may have been sent; look at the chat")
    with pytest.raises(Rejected, match="already used"):
        oms.submit(order)
    assert len(desk.server.messages) == 1
    desk.server.press(desk.server.messages[0], "Done at")
    assert desk.found(oms, order).status is OrderStatus.FILLED


@pytest.mark.parametrize("is_sent", [False, True])
def test_killed_while_it_sends_there_is_at_most_one_message(desk: Desk, is_sent: bool) -> None:
    order = desk.order()

    def die() -> None:
        oms = desk.open()
        real = oms._chat.send

        def send(*arguments: object, **more: object) -> Place:
            if is_sent:
                real(*arguments, **more)  # type: ignore[arg-type]
            os.kill(os.getpid(), signal.SIGKILL)
            return Place(chat_id=CHAT, message_id=0)

        oms._chat.send = send  # type: ignore[method-assign]
        oms.submit(order)

    desk.database.close()
    os.waitpid(forked(die), 0)
    oms = desk.open()
    assert "may have been sent" in desk.found(oms, order).reason
    with pytest.raises(Rejected):
        oms.submit(order)
    assert len(desk.server.messages) == int(is_sent)


def test_too_many_means_not_sent_and_everybody_waits(desk: Desk) -> None:
    oms, order = desk.open(), desk.order()
    desk.server.fail(Fault(applies=is_sending, reply=too_many(30)))
    with pytest.raises(RateLimited) as error:
        oms.submit(order)
    assert error.value.retry_after_s == 30
    assert oms.find(order, NOW) is None
    with pytest.raises(RateLimited):
        desk.open("d2").submit(desk.order(1))
    assert len(desk.server.asked("sendMessage")) == 1


def test_what_never_left_is_not_sent(desk: Desk) -> None:
    oms, order = desk.open(url="http://127.0.0.1:9"), desk.order()
    with pytest.raises(VenueDown):
        oms.submit(order)
    assert oms._books.get(order.client_order_id) is None


@pytest.mark.parametrize(
    ("token", "chat"), [("424242:another-token-that-is-long-enough", CHAT), (TOKEN, "-1002")], ids=["token", "chat"]
)
def test_wrong_credentials_are_said_without_the_token(desk: Desk, token: str, chat: str) -> None:
    with pytest.raises(AuthFailed) as error:
        desk.open(token=token, chat=chat).connect()
    assert token.partition(":")[2] not in str(error.value)
    assert "TELEGRAM_" in str(error.value)


def test_another_chat_is_not_listened_to(desk: Desk) -> None:
    oms, order = desk.open(), desk.order()
    message = desk.sent(oms, order)
    desk.server.press(message, "Done at", chat="-1002")
    assert desk.found(oms, order).status is OrderStatus.ACCEPTED
    assert desk.server.answers == ["This chat gives no orders here."]


def test_two_deployments_read_one_inbox_and_no_answer_is_lost_or_counted_twice(desk: Desk) -> None:
    one, other = desk.open("d1"), desk.open("d2")
    orders = [desk.order(0), desk.order(1)]
    messages = [desk.sent(one, orders[0]), desk.sent(other, orders[1])]
    desk.server.repeats_updates = True
    for message in messages:
        desk.server.press(message, "Done at")
    assert desk.found(other, orders[1]).status is OrderStatus.FILLED
    assert desk.found(one, orders[0]).status is OrderStatus.FILLED
    assert len(one.fills_since(NOW)) == len(other.fills_since(NOW)) == 1
    assert desk.server.answers == ["Noted.", "Noted."]


@pytest.mark.parametrize(
    ("assume", "status", "reason"),
    [("nothing", OrderStatus.CANCELED, "no answer"), ("filled", OrderStatus.FILLED, "assumed: no answer")],
)
def test_without_an_answer_the_policy_decides(desk: Desk, assume: str, status: OrderStatus, reason: str) -> None:
    oms, order = desk.open(assume=assume, answer_within=timedelta(minutes=10)), desk.order()
    desk.sent(oms, order)
    desk.clock.sleep(599)
    assert desk.found(oms, order).status is OrderStatus.ACCEPTED
    desk.clock.sleep(1)
    report = desk.found(oms, order)
    assert (report.status, report.reason) == (status, reason)
    assert reason in desk.server.messages[0].text


@pytest.mark.parametrize("text", ["a <b> & c", "x" * 5_000, "<" * 5_000, "🚀" * 900, "</b>"])
def test_any_text_can_be_sent(desk: Desk, text: str) -> None:
    oms = desk.open()
    assert oms.submit(desk.order(reason=text)).status is OrderStatus.ACCEPTED


def test_what_it_cannot_do_is_refused(desk: Desk) -> None:
    oms = desk.open()
    with pytest.raises(Rejected, match="no STOP orders"):
        oms.submit(desk.order(type=OrderType.STOP))
    assert desk.server.requests == []
    assert oms.connect().account == "@algo_bot/d1"
    assert (oms.positions(), oms.last_prices(["BTC/USDT"])) == (None, {})
