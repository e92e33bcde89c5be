"""The Telegram OMS: each order is one message with buttons, and what a person presses is what happened.

Telegram cannot be asked what was sent. So an order is written into books of its own before its message leaves, and a message that
may have been sent is never sent again: at most once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal
from urllib.parse import urlsplit

from algo_py.clock import Clock, monotonic_s
from algo_py.credentials import Credentials
from algo_py.database import Database
from algo_py.errors import AuthFailed, RateLimited, Rejected, VenueDown, VenueError
from algo_py.finstore.sources.limits import SharedLimit, shared_folder
from algo_py.market import Instrument, Market
from algo_py.oms.protocol import AccountSummary, Capabilities, PositionReport
from algo_py.oms.telegram import texts
from algo_py.oms.telegram.books import FILLED, Books, Entry
from algo_py.oms.telegram.chat import Chat
from algo_py.oms.telegram.inbox import Inbox
from algo_py.oms.telegram.moves import Moves
from algo_py.oms.telegram.replies import Replies
from algo_py.oms.telegram.showing import Showing
from algo_py.orders.model import Fill, Leg, OrderReport, OrderRequest, OrderStatus, OrderType, Side

_PER_S, _BURST = 1.0, 3.0
_WAIT_S = 20.0
_MAY_BE_SENT = "may have been sent; look at the chat"


class TelegramOMS:
    """One chat. `fees` is the fraction of its value that a fill is assumed to cost.

    assume: what an order is that nobody has answered `answer_within`: nothing (it ends as canceled) or filled at its reference
    price. None waits for ever.
    """

    name = "telegram"
    capabilities = Capabilities(
        order_types=frozenset({OrderType.MARKET, OrderType.LIMIT}),
        can_short=False,
        can_look_up_by_client_id=True,  # in its own books, which say when nobody can tell
        accepts_replay_clock=False,
    )

    def __init__(
        self,
        credentials: Credentials,
        database: Database,
        clock: Clock,
        *,
        account: str,
        deployment_name: str,
        market: Market,
        fees: float = 0.0,
        assume: Literal["nothing", "filled"] = "nothing",
        answer_within: timedelta | None = None,
        limit: SharedLimit | None = None,
    ) -> None:
        token, chat_id = credentials.secret("TELEGRAM_BOT_TOKEN"), credentials.secret("TELEGRAM_CHAT_ID")
        base_url = credentials.base_url("telegram")
        host = urlsplit(base_url or "https://api.telegram.org").netloc
        bot = token.get_secret_value().partition(":")[0][:32]
        self._limit = limit or SharedLimit(f"telegram-{bot}-{host}", per_s=_PER_S, burst=_BURST)
        moves = Moves(database, bot)
        self._chat = Chat(token, chat_id.get_secret_value(), base_url=base_url, limit=self._limit, moves=moves, clock=clock)
        self._books = Books(database)
        self._showing = Showing(self._books, self._chat)
        replies = Replies(self._books, self._chat, self._showing, clock)
        lock = shared_folder() / f"telegram-{bot}-{host.replace(':', '-')}.inbox.lock"
        self._inbox = Inbox(database, self._chat, clock, bot=bot, lock=lock, act=replies.act)
        self._clock = clock
        self._account = account
        self._deployment_name = deployment_name
        self._market = market
        self._fees = Decimal(repr(fees))
        self._assume = assume
        self._answer_within = answer_within

    def connect(self) -> AccountSummary:
        """Look whether the bot and the chat are there, and read what was answered; raises AuthFailed or VenueDown."""
        name = self._chat.check()
        self._read()
        ids = self._chat.ids
        warnings = []
        if len(ids) > 1:
            warnings.append(
                f"the group has become a supergroup, and orders go there: write TELEGRAM_CHAT_ID={ids[-1]} into config/.env"
            )
        return AccountSummary(account=f"@{name}/{self._account}", cash=None, warnings=tuple(warnings))

    def instruments(self, symbols: Sequence[str]) -> Mapping[str, Instrument]:
        """Return the market's usual rules: the person trades somewhere."""
        return {symbol: self._market.instrument(symbol) for symbol in symbols}

    def submit(self, order: OrderRequest) -> OrderReport:
        """Send the order's message, once."""
        if order.type not in self.capabilities.order_types:
            raise Rejected(f"the Telegram OMS has no {order.type} orders")
        self._limit.acquire(1.0, deadline_s=monotonic_s() + _WAIT_S, urgent=order.leg is Leg.EXIT)
        text = texts.order_text(order, deployment_name=self._deployment_name, market=self._market)
        if not self._books.begin(order, account=self._account, text=text, at=self._clock.now()):
            raise Rejected(f"the client order id {order.client_order_id} is already used")
        try:
            place = self._chat.send(text, _keyboard(order))
        except (Rejected, RateLimited, AuthFailed, VenueDown):
            self._books.forget(order.client_order_id)  # Telegram has not taken it
            raise
        self._books.sent(order.client_order_id, place)
        return self._report(self._entry(order))

    def find(self, order: OrderRequest, planned_at: datetime) -> OrderReport | None:
        """Read what was answered, then report the order from the books; None means that its message was never begun.

        What is settled is settled, whether or not Telegram can be asked.
        """
        known = self._books.get(order.client_order_id)
        if known is None:
            return None
        if known.outcome:
            with suppress(VenueError):  # somebody may have pressed again, and is told
                self._read()
        else:
            self._read()
        self._assume_what_nobody_said(self._entry(order))
        return self._report(self._entry(order))

    def cancel(self, order: OrderRequest, planned_at: datetime) -> None:
        """Take an order back that nobody has answered; an answer that came first stands.

        Its message then says so, and has no buttons any more: where that does not succeed now, it is tried again later.
        """
        with suppress(VenueError):  # who answered what cannot be read now is told that it came too late
            self._inbox.read()
        entry = self._books.settle(order.client_order_id, at=self._clock.now(), price=None, reason="canceled on request")
        self._showing.show(entry)

    def fills_since(self, moment: datetime) -> Sequence[Fill]:
        """Return the fills that were answered at `moment` or later, oldest first."""
        self._read()
        return [fill for entry in self._books.filled_since(self._account, moment) for fill in self._fills(entry)]

    def positions(self) -> Sequence[PositionReport] | None:
        """Return None: a chat does not say what is held."""
        return None

    def last_prices(self, symbols: Sequence[str], *, urgent: bool = False) -> Mapping[str, Decimal]:
        """Return none: a chat knows no price."""
        return {}

    def free_cash(self) -> Decimal | None:
        """Return None: a chat does not say what can be spent."""
        return None

    def _assume_what_nobody_said(self, entry: Entry) -> None:
        if entry.outcome or self._answer_within is None or self._clock.now() - entry.sent_at < self._answer_within:
            return
        price = entry.reference_price if self._assume == "filled" else None
        reason = "assumed: no answer" if price is not None else "no answer"
        self._showing.show(self._books.settle(entry.client_order_id, at=self._clock.now(), price=price, reason=reason))

    def _read(self) -> None:
        self._inbox.read()
        self._showing.show_what_is_left()

    def _entry(self, order: OrderRequest) -> Entry:
        entry = self._books.get(order.client_order_id)
        if entry is None:
            raise Rejected(f"the message of order {order.client_order_id} was never begun")
        return entry

    def _report(self, entry: Entry) -> OrderReport:
        status, reason = OrderStatus.ACCEPTED, "" if entry.message_id is not None else _MAY_BE_SENT
        if entry.outcome:
            status, reason = (OrderStatus.FILLED if entry.outcome == FILLED else OrderStatus.CANCELED), entry.reason
        return OrderReport(
            client_order_id=entry.client_order_id,
            venue_order_id="" if entry.message_id is None else str(entry.message_id),
            status=status,
            reason=reason,
            fills=self._fills(entry),
        )

    def _fills(self, entry: Entry) -> tuple[Fill, ...]:
        if entry.outcome != FILLED or entry.price is None or entry.settled_at is None:
            return ()
        fill = Fill(
            trade_id=f"{entry.client_order_id}-1",
            client_order_id=entry.client_order_id,
            symbol=entry.symbol,
            side=Side(entry.side),
            quantity=entry.quantity,
            price=entry.price,
            fee=entry.quantity * entry.price * self._fees,
            time=entry.settled_at,
        )
        return (fill,)


def _keyboard(order: OrderRequest):  # type: ignore[no-untyped-def]
    from telegram import InlineKeyboardButton, InlineKeyboardMarkup

    price = f"{order.reference_price.normalize():f}"
    rows = [
        [InlineKeyboardButton(f"Done at {price}", callback_data=f"{texts.FILL}:{order.client_order_id}")],
        [
            InlineKeyboardButton("Done at another price", callback_data=f"{texts.ASK}:{order.client_order_id}"),
            InlineKeyboardButton("Skipped", callback_data=f"{texts.SKIP}:{order.client_order_id}"),
        ],
    ]
    return InlineKeyboardMarkup(rows)
