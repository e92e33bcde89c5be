"""What protects each held position: a stop that rests at the venue, an exit that is under way, or this process, which looks
itself.

For each held quantity with a stop configured there is at every moment one of the three, or a reason that is recorded, shown in
red and told to a person. A stop rests where the venue can hold it. Where it cannot (the venue has none, or refuses this one), the
price is looked at every few seconds, and a level that it has passed twice in a row closes the position at the market. A stop
that would fire at once is such a level. Levels are the engine's (docs/engine.md, rule 2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import numpy as np

from algo_py.clock import Clock, monotonic_s
from algo_py.database import Database
from algo_py.deployment.config import DeploymentConfig
from algo_py.deployment.protection_rows import ProtectedBy, Protection, protection_of, write_protection
from algo_py.engine import Account
from algo_py.errors import RateLimited, VenueError
from algo_py.market import Instrument
from algo_py.market.phases import TRADED_KINDS, PhaseKind
from algo_py.oms import Capabilities
from algo_py.orders.execution import ExecutionLog, Executor
from algo_py.orders.guard import NOT_SHORT, Guard
from algo_py.orders.halts import HaltedBy, own_halt_of
from algo_py.orders.journal import Journal
from algo_py.orders.model import Fill, Leg, OrderRequest, OrderStatus, OrderType, Side, client_order_id, from_float
from algo_py.orders.records import JournaledOrder
from algo_py.orders.risk import below_minimum, in_lots, in_parts, in_ticks
from algo_py.orders.timing import OrderTimes
from algo_py.strategy import Bars

WATCH_EVERY_S = 5.0
# How long a stop that the venue has refused is not tried again: seconds after the first refusal, the second, and so on.
_RETRY_S = (2.0, 10.0, 60.0, 300.0)
# An exit that was sent for a level and came to nothing is not sent again before that.
_EXIT_AGAIN_S = 60.0
_LOOKS_NEEDED = 2
# A price that nobody could ask for since others used the venue's limit up is not known after so long.
_BLIND_MOST_S = 60.0
_RESTS = (OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED)


@dataclass(slots=True)
class _Refused:
    """A stop that the venue did not take."""

    key: tuple[Decimal | None, Decimal | None, Decimal]
    reason: str
    tries: int
    not_before_s: float


class Protector:
    """Keeps the positions of one deployment protected, and says what protects each.

    prices asks the venue for the prices of symbols; sellable says how much of a position the account really has; times is the
    venue's day, None where it trades round the clock or knows none.
    """

    def __init__(
        self,
        config: DeploymentConfig,
        capabilities: Capabilities,
        *,
        journal: Journal,
        executor: Executor,
        guard: Guard,
        database: Database,
        clock: Clock,
        log: ExecutionLog,
        prices: Callable[[Sequence[str]], Mapping[str, Decimal]],
        sellable: Callable[[str], Decimal | None],
        watch_every_s: float = WATCH_EVERY_S,
        times: OrderTimes | None = None,
    ) -> None:
        self._config = config
        self._journal = journal
        self._executor = executor
        self._guard = guard
        self._database = database
        self._clock = clock
        self._log = log
        self._prices = prices
        self._sellable = sellable
        self._times = times
        self._watch_every_s = watch_every_s
        self._symbols = config.backtest.symbols
        money = config.backtest
        self._are_wanted = any(level is not None for level in (money.stop_loss, money.take_profit, money.trailing_stop))
        self._rest = can_rest(capabilities)
        self._refused: dict[str, _Refused] = {}
        self._passed: dict[str, int] = {}  # how often in a row the price was seen beyond a level
        self._exit_not_before_s: dict[str, float] = {}
        self._no_price: dict[str, str] = {}
        self._next_watch_s = 0.0
        self._looked_s = monotonic_s()
        self._known: dict[str, Protection] | None = None

    def hits(self, account: Account, bars: Bars, row: int) -> dict[str, str]:
        """Return the reason of each stop that a closed bar hits, where the venue holds no stops."""
        if self._rest or not self._are_wanted:
            return {}
        found: dict[str, str] = {}
        for column, symbol in enumerate(self._symbols):
            prices = [float(bars.array(name)[row, column]) for name in ("open", "high", "low")]
            hit = None if np.isnan(prices[0]) else account.stop_hit(symbol, *prices)
            if hit is not None:
                found[symbol] = hit.reason
        return found

    def protect(self, account: Account, bar_time: datetime) -> list[Fill]:
        """See that each position is protected at the levels of the coming bar, and record what protects it.

        `bar_time` is the open time of the last handled bar. Return the fills that this brought or came across.
        """
        new: list[Fill] = []
        if self._are_wanted and self._rest:
            orders = self._by_symbol()
            for symbol in self._symbols:
                new += self._let_rest(account, symbol, bar_time, orders.get(symbol, []))
        self.record(account)
        return new

    def watch(self, account: Account, bar_time: datetime) -> list[Fill]:
        """Look at the prices of positions that no stop protects at the venue, if it is time to; close what has passed a level."""
        if monotonic_s() < self._next_watch_s or not self.needs_watch:
            return []
        self._next_watch_s = monotonic_s() + self._watch_every_s
        new = self._look(account, self._watched(), bar_time)
        self.record(account)
        return new

    @property
    def needs_watch(self) -> bool:
        """Whether the price of any position is to be looked at."""
        return self._are_wanted and bool(self._watched())

    @property
    def watched(self) -> list[str]:
        """The symbols whose price this process looks at: no stop rests for them, and the venue says what they cost."""
        known = self._known or {}
        is_told = [symbol for symbol, one in known.items() if one.by is ProtectedBy.WORKER and symbol not in self._no_price]
        return sorted(is_told) if self._are_wanted else []

    def _watched(self) -> list[str]:
        known = self._known or {}
        return [symbol for symbol, one in known.items() if one.is_wanted and one.by is not ProtectedBy.VENUE_STOP]

    # Stops at the venue

    def _let_rest(self, account: Account, symbol: str, bar_time: datetime, orders: Sequence[JournaledOrder]) -> list[Fill]:
        """Let a stop rest for the position at its present levels; replace one whose levels or quantity are others."""
        if any(_is_exit(order) for order in orders):
            return []
        resting = [order for order in orders if order.request.type is OrderType.STOP]
        wanted = self._request(account, symbol, bar_time)
        if not self._journal.held(symbol):
            self._refused.pop(symbol, None)
        if wanted is not None and any(_same_stop(order.request, wanted) and not order.is_leaving for order in resting):
            return []
        if wanted is not None and not self._may_try(wanted):
            return []
        new: list[Fill] = []
        if wanted is not None and self._executor.can_replace(resting, wanted):
            if self._journal.plan_now(wanted):
                new += self._executor.replace_stop(resting[0], wanted)
                new += self._after_placing(account, wanted, bar_time)
            return new
        if resting:
            reason = "its levels have moved" if wanted is not None else "nothing is held any more that it could close"
            new += self._executor.cancel_resting(symbol, reason)
            if new or any(order.request.type is OrderType.STOP for order in self._by_symbol().get(symbol, [])):
                return new  # it fired meanwhile, or the venue has not said what became of it: the next look decides
        if wanted is None or not self._journal.plan_now(wanted):
            return new
        new += self._executor.place([wanted])
        return new + self._after_placing(account, wanted, bar_time)

    def _after_placing(self, account: Account, wanted: OrderRequest, bar_time: datetime) -> list[Fill]:
        symbol = wanted.symbol
        placed = self._journal.order(wanted.client_order_id)
        if placed is None or placed.status not in (OrderStatus.REJECTED, OrderStatus.DENIED):
            if not self._is_short_of(wanted):
                self._refused.pop(symbol, None)
            return []
        earlier, key = self._refused.get(symbol), _key(wanted)
        tries = earlier.tries + 1 if earlier is not None and earlier.key == key else 1
        pause_s = _RETRY_S[min(tries, len(_RETRY_S)) - 1]
        self._refused[symbol] = _Refused(key, placed.reason, tries, monotonic_s() + pause_s)
        # The venue's no may mean that the level has been passed: then this look is the second one.
        self._passed[symbol] = max(self._passed.get(symbol, 0), _LOOKS_NEEDED - 1)
        return self._look(account, [symbol], bar_time)

    def _is_short_of(self, wanted: OrderRequest) -> bool:
        """Whether a stop is for less than what is held, because the account has no more: what it was refused for still holds."""
        held, rules = abs(self._journal.held(wanted.symbol)), self._guard.rules.get(wanted.symbol)
        return wanted.quantity < (held if rules is None else in_lots(held, rules))

    def _may_try(self, wanted: OrderRequest) -> bool:
        refused = self._refused.get(wanted.symbol)
        return refused is None or refused.key != _key(wanted) or monotonic_s() >= refused.not_before_s

    def _request(self, account: Account, symbol: str, bar_time: datetime) -> OrderRequest | None:
        held, levels = self._journal.held(symbol), account.stop_levels(symbol)
        if not held or self._is_mistaken(held) or (levels.stop is None and levels.take_profit is None):
            return None
        rules = self._guard.rules.get(symbol)
        quantity = self._quantity(symbol, abs(held), rules)
        if quantity <= 0 or len(in_parts(quantity, rules, is_market=True)) > 1:
            return None
        side = Side.SELL if held > 0 else Side.BUY
        stop = None if levels.stop is None else in_ticks(from_float(levels.stop), rules)
        target = None if levels.take_profit is None else in_ticks(from_float(levels.take_profit), rules)
        kind = f"stop {self._journal.next_number()}"
        return OrderRequest(
            client_order_id=client_order_id(self._config.id, bar_time, symbol, side, Leg.EXIT, kind=kind),
            symbol=symbol,
            side=side,
            leg=Leg.EXIT,
            quantity=quantity,
            bar_time=bar_time,
            reference_price=stop or target or Decimal(0),
            type=OrderType.STOP,
            stop_price=stop,
            target_price=target,
            reason=levels.stop_reason or "take_profit",
        )

    def _is_mistaken(self, held: Decimal) -> bool:
        """Whether a position cannot be: below 0 at a venue that knows no short ones, so that nothing may be bought for it."""
        return held < 0 and not self._guard.can_short

    def _quantity(self, symbol: str, held: Decimal, rules: Instrument | None) -> Decimal:
        """Return what a stop is to close: the whole position, or what the account has of it, where a stop was refused before."""
        there = self._sellable(symbol) if symbol in self._refused else None
        quantity = held if there is None else min(held, there)
        return quantity if rules is None else in_lots(quantity, rules)

    # Looking at the price

    def _look(self, account: Account, symbols: Sequence[str], bar_time: datetime) -> list[Fill]:
        """Ask for the prices of these symbols, and close the positions of which the level was passed often enough in a row."""
        held = {symbol: self._journal.held(symbol) for symbol in symbols}
        open_now = [symbol for symbol, quantity in held.items() if quantity and not self._is_mistaken(quantity)]
        open_now = [symbol for symbol in open_now if not self._is_closed(symbol)]
        if not open_now:
            return []
        try:
            prices = self._prices(open_now)
        except RateLimited as error:
            # Many look at prices of one venue: a look that comes too late is made the next time, as long as that is soon.
            if monotonic_s() - self._looked_s > _BLIND_MOST_S:
                self._no_price |= dict.fromkeys(open_now, f"its price is not known: {error.message}")
            return []
        except VenueError as error:
            self._no_price |= dict.fromkeys(open_now, f"its price is not known: {error.message}")
            return []
        self._looked_s = monotonic_s()
        new: list[Fill] = []
        for symbol in open_now:
            price = self._plausible(symbol, prices.get(symbol))
            reason = None if price is None else self._level_passed(account, symbol, price)
            self._passed[symbol] = self._passed.get(symbol, 0) + 1 if reason is not None else 0
            if reason is not None and price is not None and self._passed[symbol] >= _LOOKS_NEEDED:
                new += self._close(symbol, reason, price, bar_time)
        return new

    def _plausible(self, symbol: str, price: Decimal | None) -> Decimal | None:
        """Return a price that can be true; note why another one is not believed."""
        if price is None or not price.is_finite() or price <= 0:
            self._no_price[symbol] = "the venue does not say its price"
            return None
        close, most = self._guard.closes.get(symbol), self._config.market.plausible_move_fraction
        if close and abs(price / close - 1) > most:
            self._no_price[symbol] = (
                f"the price {price:f} is more than {most:.0%} away from the last close {close:f}: look whether it was split "
                "(algo-py book split), or sell it by hand"
            )
            return None
        self._no_price.pop(symbol, None)
        return price

    def _level_passed(self, account: Account, symbol: str, price: Decimal) -> str | None:
        levels, is_long = account.stop_levels(symbol), self._journal.held(symbol) > 0
        value = float(price)
        if levels.stop is not None and (value <= levels.stop if is_long else value >= levels.stop):
            return levels.stop_reason or "stop_loss"
        if levels.take_profit is not None and (value >= levels.take_profit if is_long else value <= levels.take_profit):
            return "take_profit"
        return None

    def _close(self, symbol: str, reason: str, price: Decimal, bar_time: datetime) -> list[Fill]:
        """Close a position at the market, once; an exit that rests with a limit is taken out of the way."""
        if monotonic_s() < self._exit_not_before_s.get(symbol, 0.0):
            return []
        if self._stands_in_the_auction(symbol):
            return []
        new = self._executor.cancel_exits(symbol, "the price has passed the stop")
        held = self._journal.held(symbol)
        if not held or any(_is_exit(order) for order in self._by_symbol().get(symbol, [])):
            return new
        side, rules = Side.SELL if held > 0 else Side.BUY, self._guard.rules.get(symbol)
        request = OrderRequest(
            client_order_id=client_order_id(
                self._config.id, bar_time, symbol, side, Leg.EXIT, kind=f"level {self._journal.next_number()}"
            ),
            symbol=symbol,
            side=side,
            leg=Leg.EXIT,
            quantity=abs(held) if rules is None else in_lots(abs(held), rules),
            bar_time=bar_time,
            reference_price=price,
            reason=reason,
        )
        self._log.warning("stop.passed", symbol=symbol, price=str(price), reason=reason)
        if self._journal.plan_now(request):
            new += self._executor.place([request])
        if self._journal.held(symbol) == held:  # what has sold a part goes on with the rest at the next look
            self._exit_not_before_s[symbol] = monotonic_s() + _EXIT_AGAIN_S
        return new

    def _is_closed(self, symbol: str) -> bool:
        """Whether a symbol is known not to be traded now; on days that nobody knows it is taken to be."""
        now = self._clock.now()
        phase = self._config.market.calendar_of(symbol).phase(now)
        is_traded = phase is not None and phase.kind in TRADED_KINDS
        return not is_traded and not self._config.market.calendar.is_assumed(now)

    def _stands_in_the_auction(self, symbol: str) -> bool:
        """Whether an exit of a symbol is at the venue while there is no continuous trading: it stands until the matching."""
        if self._times is None or self._times.trades_continuously(symbol):
            return False
        return any(_is_exit(order) and order.status in _RESTS for order in self._by_symbol().get(symbol, []))

    def _not_before(self, symbol: str) -> str:
        """Return from when on the price is looked at again, empty while it is: no alarm, since it is so every evening."""
        if self._times is None or self._times.trades_continuously(symbol):
            return ""
        phase = self._config.market.calendar_of(symbol).phase(self._clock.now())
        in_auction = phase is not None and phase.kind is PhaseKind.CLOSING_AUCTION
        opens = self._times.next_open(symbol)
        at = opens.until.astimezone(opens.zone)
        return f"not protected until {at:%Y-%m-%d %H:%M}: {PhaseKind.CLOSING_AUCTION if in_auction else 'the market is closed'}"

    # Saying what protects

    def record(self, account: Account) -> None:
        """Write down what protects each position, if that has changed, and call a person for what nothing protects."""
        if self._known is None:
            self._known = {one.symbol: one for one in protection_of(self._database, self._config.id)}
        orders, now = self._by_symbol(), self._clock.now()
        found: dict[str, Protection] = {}
        for symbol, position in self._journal.positions().items():
            by, reason = self._how(account, symbol, position.quantity, orders.get(symbol, []))
            level = account.stop_levels(symbol).stop if symbol in self._symbols else None
            one = Protection(
                symbol=symbol,
                quantity=position.quantity,
                by=by,
                is_wanted=self._are_wanted,
                stop_price=None if level is None else from_float(level),
                reason=reason,
                since=now,
            )
            known = self._known.get(symbol)
            found[symbol] = known if known is not None and one.is_same(known) else one
        changed = [one for symbol, one in found.items() if self._known.get(symbol) is not one]
        if changed or set(found) != set(self._known):
            write_protection(self._database, self._config.id, list(found.values()))
        for one in changed:
            before = self._known.get(one.symbol)
            if one.is_missing and (before is None or not before.is_missing):
                self._log.error(
                    "position.unprotected",
                    symbol=one.symbol,
                    quantity=str(one.quantity),
                    reason=one.reason,
                    since=now.isoformat(),
                )
        self._known = found

    def _how(self, account: Account, symbol: str, quantity: Decimal, orders: Sequence[JournaledOrder]) -> tuple[ProtectedBy, str]:
        """Return what protects a position, and what is to be said about it."""
        if self._is_mistaken(quantity):
            return ProtectedBy.NONE, NOT_SHORT
        exits = [order for order in orders if _is_exit(order)]
        if exits and (any(order.status in _RESTS for order in exits) or self._refused_credentials() is None):
            waits = next((order.reason for order in exits if self._executor.wait_of(order.request.client_order_id)), "")
            return ProtectedBy.EXIT, f"its exit {waits}" if waits else "it is being closed"
        if not self._are_wanted:
            return ProtectedBy.NONE, "no stop is configured"
        rules = self._guard.rules.get(symbol)
        if rules is None and self._guard.rules:
            return ProtectedBy.NONE, "the venue does not trade it now: no order for it can be sent, and none rests"
        stops = [order for order in orders if order.request.type is OrderType.STOP]
        resting = [order for order in stops if order.status in _RESTS and not order.is_leaving]
        covered = sum((order.request.quantity - order.filled_quantity for order in resting), Decimal(0))
        whole = abs(quantity) if rules is None else in_lots(abs(quantity), rules)
        if covered and covered >= whole:
            return ProtectedBy.VENUE_STOP, ""
        price = self._guard.closes.get(symbol)
        minimum = None if rules is None or price is None else below_minimum(whole, price, rules)
        if minimum is not None:
            return ProtectedBy.NONE, f"the venue takes no order so small: {minimum}"
        return self._without_venue_stop(symbol, covered, stops)

    def _without_venue_stop(self, symbol: str, covered: Decimal, stops: Sequence[JournaledOrder]) -> tuple[ProtectedBy, str]:
        refused = self._refused.get(symbol)
        if refused is not None:
            why = f"the venue took no stop ({refused.reason})"
        elif covered:
            why = f"a stop rests for {covered.normalize():f} only"
        elif stops:
            why = "the venue has not said yet whether the stop rests"
        elif self._rest:
            why = "no stop rests yet"
        else:
            why = "the venue holds no stops"
        if (refusal := self._refused_credentials()) is not None:
            return ProtectedBy.NONE, f"{why}, and the venue refuses the credentials: {refusal}"
        if symbol in self._no_price:
            if not self._rest and self._no_price[symbol] == "the venue does not say its price":
                return ProtectedBy.WORKER, f"{why}: it acts at the next run, not inside the bar"
            return ProtectedBy.NONE, f"{why}, and {self._no_price[symbol]}"
        if not_before := self._not_before(symbol):
            return ProtectedBy.WORKER, f"{why}; {not_before}"
        return ProtectedBy.WORKER, f"{why}: the price is looked at every {self._watch_every_s:g} s"

    def _refused_credentials(self) -> str | None:
        """Return what the venue has said of credentials that it refuses: as long as it does, this process can close nothing."""
        halted = own_halt_of(self._database, self._config.id)
        return halted.reason if halted is not None and halted.by == HaltedBy.CREDENTIALS else None

    def _by_symbol(self) -> dict[str, list[JournaledOrder]]:
        found: dict[str, list[JournaledOrder]] = {}
        for order in self._journal.orders(only_open=True):
            found.setdefault(order.request.symbol, []).append(order)
        return found


def can_rest(capabilities: Capabilities) -> bool:
    """Return whether a venue can hold stops with their targets."""
    return OrderType.STOP in capabilities.order_types and capabilities.holds_targets


def _is_exit(order: JournaledOrder) -> bool:
    return order.request.leg is Leg.EXIT and order.request.type is not OrderType.STOP


def _key(request: OrderRequest) -> tuple[Decimal | None, Decimal | None, Decimal]:
    return request.stop_price, request.target_price, request.quantity


def _same_stop(one: OrderRequest, other: OrderRequest) -> bool:
    return _key(one) == _key(other)
