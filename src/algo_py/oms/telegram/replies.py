"""What a person's press or answer means for an order. It answers only while the order is open; otherwise that is said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from algo_py.amounts import far_from, parse_amount
from algo_py.clock import Clock
from algo_py.errors import InvalidInput, VenueError
from algo_py.oms.telegram import texts
from algo_py.oms.telegram.books import Books, Entry, Place
from algo_py.oms.telegram.chat import Chat
from algo_py.oms.telegram.showing import Showing

_QUESTIONS_MOST: Final = 10


class Replies:
    """Acts on updates of one chat, as Telegram tells them. To act twice on one changes nothing."""

    def __init__(self, books: Books, chat: Chat, showing: Showing, clock: Clock) -> None:
        self._books = books
        self._chat = chat
        self._showing = showing
        self._clock = clock

    def act(self, update: Mapping[str, Any]) -> None:
        """Act on one update: a press, an answer to a question, or the word that the chat has another id."""
        query, message = _inner(update, "callback_query"), _inner(update, "message")
        if query:
            self._pressed(query)
        elif message:
            self._note_move(message)
            self._written(message)

    def _pressed(self, query: Mapping[str, Any]) -> None:
        message = _inner(query, "message")
        place = _place_of(message)
        query_id = str(query.get("id", ""))
        if place is None or not self._is_ours(message):
            self._answer(query_id, "This chat gives no orders here.")
            return
        kind, _, client_order_id = str(query.get("data", "")).partition(":")
        order = self._open(client_order_id)
        if order is None:
            self._answer(query_id, "This order is not known any more.")
        elif order.outcome:
            self._answer(query_id, f"It is settled already: {order.told}.")
            if order.message_id is None:
                self._books.found(client_order_id, place)
                self._showing.show(self._books.get(client_order_id))
        elif kind == texts.ASK:
            self._quietly(lambda: self._ask_price(order))
            self._answer(query_id, "At which price?")
        else:
            if kind == texts.FILL:
                self._settle(order, place, price=order.reference_price)
            elif kind == texts.SKIP:
                self._settle(order, place, reason="skipped by hand")
            self._answer(query_id, "Noted.")

    def _written(self, message: Mapping[str, Any]) -> None:
        asked = _place_of(_inner(message, "reply_to_message"), chat=_inner(message, "chat"))
        order = self._books.by_question(asked.message_id) if asked is not None and self._is_ours(message) else None
        if order is None:
            return
        order = self._open(order.client_order_id) or order
        if order.outcome:
            told = order.told
            self._quietly(lambda: self._chat.send(texts.settled_text(order.text, f"It is settled already: {told}")))
            return
        self._priced(order, str(message.get("text", "")))

    def _priced(self, order: Entry, given: str) -> None:
        """Take the price that was typed. One that is far from the reference is booked once it was typed twice."""
        try:
            price = parse_amount(given, name="the price")
        except InvalidInput as error:
            why = str(error)
            self._quietly(lambda: self._chat.send(texts.no_price_text(given, why)))
            self._ask_again(order, None)
            return
        if price != order.asked_price and far_from(price, order.reference_price):
            self._ask_again(order, price)
            return
        self._settle(order, None, price=price)

    def _ask_again(self, order: Entry, price: Decimal | None) -> None:
        if order.questions >= _QUESTIONS_MOST:
            self._quietly(lambda: self._chat.send(texts.no_more_questions_text(order.client_order_id)))
            return
        self._quietly(lambda: self._ask_price(order, price))

    def _ask_price(self, order: Entry, price: Decimal | None = None) -> None:
        text = texts.question_text(order.client_order_id, order.symbol, order.side)
        if price is not None:
            text = texts.far_price_text(order.client_order_id, price, order.reference_price)
        question = self._chat.send(text, wants_reply=True)
        self._books.asked(order.client_order_id, question.message_id, price=price)

    def _settle(self, order: Entry, place: Place | None, *, price: Decimal | None = None, reason: str = "") -> None:
        own_id, now = order.client_order_id, self._clock.now()
        self._showing.show(self._books.settle(own_id, at=now, price=price, reason=reason, place=place))

    def _open(self, client_order_id: str) -> Entry | None:
        """Return an order. One that has ended in the journal ends here too: nobody would ask for what is answered now."""
        order = self._books.get(client_order_id)
        if order is not None and not order.outcome:
            ended = self._books.ended_elsewhere(client_order_id)
            if ended is not None:
                reason = f"{ended.lower()}, and not in this chat"
                self._showing.show(self._books.settle(client_order_id, at=self._clock.now(), price=None, reason=reason))
                return self._books.get(client_order_id)
        return order

    def _note_move(self, message: Mapping[str, Any]) -> None:
        """Heed Telegram's word that a group has become a supergroup; it stands in the old chat, and in the new one."""
        chat_id = str(_inner(message, "chat").get("id"))
        moved_to, moved_from = message.get("migrate_to_chat_id"), message.get("migrate_from_chat_id")
        if moved_to is not None and chat_id in self._chat.ids:
            self._chat.has_moved(chat_id, moved_to)
        elif moved_from is not None and str(moved_from) in self._chat.ids:
            self._chat.has_moved(str(moved_from), chat_id)

    def _is_ours(self, message: Mapping[str, Any]) -> bool:
        return str(_inner(message, "chat").get("id")) in self._chat.ids

    def _answer(self, query_id: str, text: str) -> None:
        self._quietly(lambda: self._chat.answer(query_id, text))

    def _quietly(self, tell: Callable[[], object]) -> None:
        """Tell the person something; what was decided stands whether or not it reaches the chat."""
        try:
            tell()
        except VenueError:
            return


def _inner(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a part of an update, empty where it has none."""
    part = content.get(name)
    return part if isinstance(part, Mapping) else {}


def _place_of(message: Mapping[str, Any], *, chat: Mapping[str, Any] | None = None) -> Place | None:
    """Return where a message stands; `chat` is said beside it where the message itself does not say it."""
    number, chat_id = message.get("message_id"), (_inner(message, "chat") or chat or {}).get("id")
    if not isinstance(number, int) or chat_id is None:
        return None
    return Place(chat_id=str(chat_id), message_id=number)
