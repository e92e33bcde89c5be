"""Random orders of a live deployment's executor at the local Kite with NSE's day behind it, on a clock that is moved by hand.

Each step is one decision: an entry, or the exit of what is held, at a moment that lies near a border of a phase as often as not.
Between the steps the executor looks after what is open as a worker does.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

from algo_py.clock import FrozenClock
from algo_py.database import open_database
from algo_py.errors import Rejected
from algo_py.market import get_market
from algo_py.oms.zerodha import ZerodhaOMS
from algo_py.oms.zerodha.hours import Hours
from algo_py.orders.execution import Executor, LimitPolicy
from algo_py.orders.guard import Guard
from algo_py.orders.journal import Journal
from algo_py.orders.model import Leg, OrderRequest, OrderStatus, OrderType, Side, client_order_id
from algo_py.orders.timing import Wait
from tests.oms import zerodha_desk
from tests.orders.making import Notebook
from tests.venues.kite import INDIA, Share
from tests.venues.kite_phases import PhasedKite, Refusal

AUCTIONED, PLAIN = ("INFY", "SBIN", "TCS", "ITC", "WIPRO", "LT"), ("SMALLCO", "TINYCO")
SYMBOLS = (*AUCTIONED, *PLAIN)
_DAYS = 3
# Where a decision falls: at any time of the day, or within a minute of a border of some phase of some era.
_BORDERS = tuple(
    map(
        time.fromisoformat,
        ("09:00", "09:15", "15:15", "15:20", "15:25", "15:28", "15:30", "15:31", "15:35", "15:36", "15:38", "15:40", "15:45"),
    )
)


@dataclass
class Walk:
    """What a walk came to."""

    decided: int = 0
    refused: list[Refusal] = field(default_factory=list)
    held: dict[str, Decimal] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)
    types: set[str] = field(default_factory=set)

    @property
    def refused_for_its_phase(self) -> list[Refusal]:
        """The orders that could have been known to be refused; the random end of the auction's order entry cannot."""
        return [refusal for refusal in self.refused if not refusal.at_random]


class CarelessHours(Hours):
    """The negative control: no look at the phases."""

    def fitted(self, order: OrderRequest) -> OrderRequest | Wait:
        return order

    def trades_continuously(self, symbol: str) -> bool:
        return True

    def refuse(self, order: OrderRequest) -> None:
        return

    def read(self, refusal: Rejected, order: OrderRequest) -> Rejected:
        return refusal


class Trader:
    """An executor with its books at the local Kite; `careless` sends whatever it has, whenever."""

    def __init__(self, folder: Path, first: date, seed: int, *, careless: bool = False, auction_fills: bool = False) -> None:
        self.chance = random.Random(f"{seed} {first}")
        self.clock = FrozenClock(datetime.combine(first, time(8, 30), INDIA))
        self.server = PhasedKite(
            self.clock,
            seed=seed,
            api_key=zerodha_desk.API_KEY,
            api_secret=zerodha_desk.API_SECRET,
            access_token=zerodha_desk.TOKEN,
            cash=Decimal(10**12),
        )
        self.folder, self.careless, self.auction_fills = folder, careless, auction_fills
        self.walked = Walk()
        self._numbers = 0

    def walk(self, count: int, *, until: date) -> Walk:
        """Decide `count` times from the first day on, evenly over the days to `until`, then let everything come to its end."""
        with self.server:
            self._open()
            per_day = max(1, count // max(1, (until - self._today()).days))
            while self.walked.decided < count:
                self._next_morning()
                for moment in self._moments(min(per_day, count - self.walked.decided)):
                    self._go_to(moment)
                    self._decide()
            self._end()
            self.database.close()
        self.walked.refused = self.server.refused
        return self.walked

    def _open(self) -> None:
        desk = zerodha_desk.Desk(self.server, self.clock, self.folder)
        self.server.orders_per_s = None
        self.server.shares = {symbol: Share(token=256 * (number + 1)) for number, symbol in enumerate(SYMBOLS)}
        self.server.prices = {symbol: Decimal(1000) for symbol in SYMBOLS}
        self.server.auctioned = set(AUCTIONED)
        self.oms: ZerodhaOMS = desk.open(settling_s=1.0, auction_fills=self.auction_fills)
        self.database = open_database(f"sqlite:///{self.folder / 'walk.db'}")
        self.journal = Journal(
            self.database, self.clock, deployment_id="walk", venue="zerodha", account="A", initial_cash=Decimal(10**12)
        )
        if self.careless:
            self.oms.times = CarelessHours(get_market("indian_equity"), self.clock, last_price=lambda _symbol: None)
        self.executor = Executor(
            self.journal,
            self.oms,
            Guard(journal=self.journal, clock=self.clock),
            Notebook(),
            deployment_id="walk",
            clock=self.clock,
            limit_policy=LimitPolicy(timeout=timedelta(minutes=2)),
            times=self.oms.times,
        )

    def _today(self) -> date:
        return self.clock.now().astimezone(INDIA).date()

    def _next_morning(self) -> None:
        local = self.clock.now().astimezone(INDIA)
        if local.time() > time(8, 30) or self.walked.decided:
            self.executor.follow()
            self.server.new_day(keeps_token=True)
            self._set(datetime.combine(local.date() + timedelta(days=1), time(8, 30), INDIA))
        self.server.token_ends_at = self.clock.now() + timedelta(hours=20)

    def _moments(self, count: int) -> Sequence[datetime]:
        found = []
        for _ in range(count):
            if self.chance.random() < 0.6:
                border = datetime.combine(self._today(), self.chance.choice(_BORDERS), INDIA)
                found.append(border + timedelta(seconds=self.chance.uniform(-60, 60)))
            else:
                found.append(datetime.combine(self._today(), time(9), INDIA) + timedelta(hours=self.chance.uniform(0, 7)))
        return sorted(max(moment, self.clock.now()) for moment in found)

    def _go_to(self, moment: datetime) -> None:
        """Let time pass, with looks at what is open: each exit that waits is looked at as its phase begins."""
        while self.clock.now() < moment:
            due = [wait.until for order in self._opened() if (wait := self.executor.wait_of(order)) is not None]
            step = min([one for one in due if one > self.clock.now()], default=moment)
            self._set(min(step, moment))
            self._move_prices()
            self._look()

    def _look(self) -> None:
        self.executor.recover(lambda _bar_time: True)
        self.executor.follow()

    def _opened(self) -> list[str]:
        return [order.request.client_order_id for order in self.journal.orders(only_open=True)]

    def _set(self, moment: datetime) -> None:
        self.clock.sleep((moment - self.clock.now()).total_seconds())

    def _move_prices(self) -> None:
        with self.server._lock:
            self.server.keep_hours()
            for symbol in SYMBOLS:
                last = self.server.prices[symbol]
                self.server.set_price(symbol, f"{last * Decimal(repr(self.chance.choice((0.998, 1, 1.002)))):.1f}")
                self.server.auction_prices[symbol] = last * Decimal(repr(self.chance.choice((0.975, 0.995, 1, 1.01))))
                self.server.auction_depth[symbol] = self.chance.choice((0, 3, 10**6))

    def _decide(self) -> None:
        opened = {order.request.symbol for order in self.journal.orders(only_open=True)}
        free = [symbol for symbol in SYMBOLS if symbol not in opened]
        leaves = self.chance.random() < 0.5
        fitting = [symbol for symbol in free if (self.journal.held(symbol) > 0) is leaves]
        if not fitting:
            self._look()
            return
        self.walked.decided += 1
        symbol = self.chance.choice(fitting)
        held = self.journal.held(symbol)
        request = self._request(symbol, Leg.EXIT if held > 0 else Leg.ENTRY, held if held > 0 else Decimal(10))
        self.journal.plan_now(request)
        self.executor.place([request])
        self._look()

    def _request(self, symbol: str, leg: Leg, quantity: Decimal) -> OrderRequest:
        self._numbers += 1
        bar_time = self.clock.now() + timedelta(microseconds=self._numbers)
        side = Side.BUY if leg is Leg.ENTRY else Side.SELL
        last = self.server.prices[symbol]
        limit = last * Decimal(repr(self.chance.choice((0.995, 1.002, 1.05)))) if self.chance.random() < 0.2 else None
        return OrderRequest(
            client_order_id=client_order_id("walk", bar_time, symbol, side, leg),
            symbol=symbol,
            side=side,
            leg=leg,
            quantity=quantity,
            bar_time=bar_time,
            reference_price=last,
            type=OrderType.MARKET if limit is None else OrderType.LIMIT,
            limit_price=None if limit is None else Decimal(f"{limit:.1f}"),
            reason=str(leg),
        )

    def _end(self) -> None:
        """Give everything that waits the days that it needs, and close what is held."""
        for _ in range(_DAYS):
            self._go_to(datetime.combine(self._today(), time(17), INDIA))
            self._next_morning()
            while self.clock.now().astimezone(INDIA).weekday() > 4:
                self._next_morning()
            self._go_to(datetime.combine(self._today(), time(9, 16), INDIA))
            self._go_to(datetime.combine(self._today(), time(9, 30), INDIA))
        orders = self.journal.orders()
        self.walked.unfinished = [f"{order}: {order.reason}" for order in orders if order.status.is_open]
        self.walked.types = {
            f"{order.request.leg} {order.request.type}" for order in orders if order.status is OrderStatus.FILLED
        }
        self.walked.held = {symbol: self.journal.held(symbol) for symbol in SYMBOLS}
