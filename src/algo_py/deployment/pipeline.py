"""One run of a deployment: bars -> signals -> intents -> orders -> fills -> equity.

Every stage is a line in the log with its duration. The run decides by the same compiled step as the backtest, on a state that
is folded from what was recorded alone. What follows orders and protects positions comes first and last, whatever the data are
like.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from algo_py.clock import Clock, format_time, monotonic_s
from algo_py.database import Database
from algo_py.deployment.account_fold import AccountFold
from algo_py.deployment.account_view import VenueAccount, sensible
from algo_py.deployment.closing import closing_orders
from algo_py.deployment.config import DeploymentConfig, Replay
from algo_py.deployment.feed import Feed
from algo_py.deployment.opinion import Opinion, opinion_of, within_windows
from algo_py.deployment.protection import WATCH_EVERY_S, Protector
from algo_py.deployment.safety import CONFIRM_AFTER_S, Safety
from algo_py.deployment.store import DeploymentStore, EquityPoint
from algo_py.deployment.stuck import StuckOrders
from algo_py.deployment.time_limit import time_limit
from algo_py.engine import Decision, simulate
from algo_py.engine.auctions import traded_bars
from algo_py.engine.costs import cost_table
from algo_py.engine.windows import SQUARE_OFF, Windows, windows_of
from algo_py.errors import NoData, RateLimited, VenueDown, VenueError
from algo_py.formatting import with_currency
from algo_py.oms import OMS, PhasedOMS, StopReplacer
from algo_py.orders.entries import LedgerEntry
from algo_py.orders.execution import ExecutionLog, Executor, LimitPolicy
from algo_py.orders.guard import Guard
from algo_py.orders.halts import halt_of
from algo_py.orders.journal import Journal
from algo_py.orders.model import Fill, Leg, OrderRequest, OrderStatus, OrderType, Side, client_order_id, from_float
from algo_py.orders.records import JournaledOrder
from algo_py.orders.risk import in_lots, in_ticks
from algo_py.strategy import Bars, Signals, Strategy, evaluate

# How often resting stops are asked for between two runs: one that has fired is to be known before the next bar.
_LOOK_AT_STOPS_S = 30.0
# From the last bar before a long weekend with holidays on both sides to the evening of its last day.
_CLOSED_AT_LONGEST = timedelta(days=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What a run came to. `outcome` is ok, idle (no new bar), skipped (the data cannot be trusted, or the market is closed after
    all) or end.

    incomplete: why the bars of a symbol cannot be trusted; its entries wait, everything else goes on. seems_closed: it was
    skipped since no bar has come on a day of which nobody knows whether the market trades.
    """

    outcome: str
    detail: Mapping[str, Any]
    incomplete: Mapping[str, str] = field(default_factory=dict)
    seems_closed: bool = False


class Pipeline:
    """Carries one deployment from bar to bar."""

    def __init__(
        self,
        *,
        config: DeploymentConfig,
        database: Database,
        feed: Feed,
        strategy: Strategy,
        journal: Journal,
        oms: OMS,
        account: str,
        log: ExecutionLog,
        clock: Clock,
        last_bar_time: datetime | None,
        began_at: datetime,
        strategy_timeout_s: float = 120.0,
        tick: Callable[[], object] = lambda: None,
        is_ending: bool = False,
        watch_every_s: float = WATCH_EVERY_S,
        confirm_after_s: float = CONFIRM_AFTER_S,
    ) -> None:
        self._config = config
        self._database = database
        self._money = money = config.backtest.portfolio_config()
        self._guard = Guard(
            journal=journal,
            clock=clock,
            limits=config.limits,
            halted=lambda symbol: halt_of(database, config.id, symbol),
            live_price=self._live_price,
            free_cash=self._free_cash,
            # What the backtest reckons with, or what the market takes as a rule: the ledger pays whatever it is.
            cost_fraction=from_float(max(cost_table(money).newest_buying_fraction, config.market.fees) + money.slippage),
            allow_partial=money.allow_partial,
            can_short=oms.capabilities.can_short,
        )
        try:
            self._guard.rules = dict(oms.instruments(config.backtest.symbols))
        except (VenueDown, RateLimited) as error:  # a list that cannot be had must not keep a position from being left
            self._guard.are_rules_known = False
            log.warning("rules.not_read", reason=str(error))
        self._oms = oms
        self._account = VenueAccount(
            config.id, config.backtest.symbols, oms, guard=self._guard, journal=journal, database=database, clock=clock, log=log
        )
        policy = LimitPolicy(timeout=timedelta(seconds=config.order.timeout_s), then=config.order.then)
        self._executor = Executor(
            journal,
            oms,
            self._guard,
            log,
            deployment_id=config.id,
            clock=clock,
            limit_policy=policy,
            account=self._account,
            tick=tick,
            replace=oms.replace if oms.capabilities.replaces_stops and isinstance(oms, StopReplacer) else None,
            times=oms.times if isinstance(oms, PhasedOMS) else None,
        )
        self._store = DeploymentStore(database)
        self._feed = feed
        self._strategy = strategy
        self._journal = journal
        self._log = log
        self._clock = clock
        self._last_bar_time = last_bar_time
        self._began_at = began_at
        self._symbols = config.backtest.symbols
        self._fold = AccountFold(self._symbols, money, journal=journal, database=database, deployment_id=config.id)
        self._strategy_timeout_s = strategy_timeout_s
        self._is_in_doubt = False
        self._was_incomplete = False
        self._changed: set[str] = set()
        self._is_ending = is_ending
        self._closing_tries: dict[str, int] = {}
        self._next_stops_s = 0.0
        self._protector = Protector(
            config,
            oms.capabilities,
            journal=journal,
            executor=self._executor,
            guard=self._guard,
            database=database,
            clock=clock,
            log=log,
            prices=lambda symbols: oms.last_prices(symbols, urgent=True),
            sellable=self._account.sellable,
            times=oms.times if isinstance(oms, PhasedOMS) else None,
            watch_every_s=watch_every_s,
        )
        self._safety = Safety(
            config,
            oms,
            account=account,
            database=database,
            journal=journal,
            guard=self._guard,
            clock=clock,
            log=log,
            confirm_after_s=confirm_after_s,
        )
        self._stuck = StuckOrders(
            database,
            config,
            journal=journal,
            clock=clock,
            log=log,
            waits=lambda own_id: self._executor.wait_of(own_id) is not None,
        )

    def try_credentials(self) -> None:
        """Ask the venue for the account, to see whether it accepts the credentials. Raises AuthFailed, VenueDown, RateLimited."""
        self._oms.connect()

    def _free_cash(self) -> Decimal | None:
        """Return how much of the account's free quote currency is nobody's coins; None at a venue that does not say."""
        free = sensible(self._oms.free_cash())
        return None if free is None else max(Decimal(0), free - self._safety.coins_of_others())

    def _live_price(self, symbol: str) -> Decimal | None:
        """Return the price of a symbol; None at a venue that knows none. Raises VenueDown where it should and does not."""
        price = sensible(self._oms.last_prices([symbol]).get(symbol))
        if price is None and self._oms.capabilities.tells_prices:
            raise VenueDown(f"{self._oms.name} says no price of {symbol}", remedy="It is asked again with the next entry.")
        return price

    @property
    def cash(self) -> Decimal:
        return from_float(self._fold.account.cash)

    @property
    def equity(self) -> Decimal:
        return from_float(self._fold.account.equity)

    @property
    def open_orders(self) -> Sequence[str]:
        """What more may still happen to, in words."""
        return [
            f"{order}: {order.reason}" if self._executor.wait_of(order.request.client_order_id) else str(order)
            for order in self._journal.orders(only_open=True)
        ]

    @property
    def waits(self) -> Sequence[str]:
        """The exits that wait for their venue to take them, in words; empty while anything else is under way, or one is due."""
        now, told = self._clock.now(), list[str]()
        for order in self._journal.orders(only_open=True):
            wait = self._executor.wait_of(order.request.client_order_id)
            if wait is None and order.request.type is OrderType.STOP:
                continue
            if wait is None or wait.until <= now:
                return []
            told.append(f"{order.request.symbol} {wait.told(now)}")
        return told

    @property
    def watched(self) -> Sequence[str]:
        """The prices that this process looks at since no stop rests for what is held, in words."""
        return [f"the price of {symbol}" for symbol in self._protector.watched]

    @property
    def holdings(self) -> Sequence[str]:
        """What is held, in words, with its value at the last close."""
        found = []
        for symbol, one in self._journal.positions().items():
            value = abs(one.quantity) * self._guard.closes.get(symbol, one.average_price)
            told = with_currency(value, self._config.market.quote_of(symbol))
            found.append(f"{one.quantity.normalize():f} {symbol} ({told})")
        return found

    @property
    def why_not_closed(self) -> str:
        """What the venue, or the last check, has said of the closing orders; empty where nothing was said."""
        reasons = [order.reason for symbol in self._journal.positions() if (order := self._journal.newest_of(symbol)) is not None]
        told = [reason for reason in dict.fromkeys(reasons) if reason]
        return f": {'; '.join(told)}" if told else ""

    def recover(self, now: datetime) -> None:
        """Settle what an earlier process left behind, before anything new is decided."""
        bars, _ = self._see_closes(now, as_stored=True)  # the first run fetches what is new; a start must not wait for it
        self._executor.recover(self._comes_too_late(now))
        self._feed.see_opens(now)
        self._executor.follow()
        self._rebuild(bars)
        self._reconcile()
        if bars is not None:
            self._protect()

    @property
    def needs_following(self) -> bool:
        """Whether something is to be looked after between two runs: at a venue that fills on its own time."""
        return (
            any(self._is_unsettled(order) for order in self._journal.orders(only_open=True))
            or self._protector.needs_watch
            or self._safety.is_suspicious
            or self._fold.is_behind
            or monotonic_s() >= self._next_stops_s
        )

    def follow(self, now: datetime) -> None:
        """Look after orders and positions between two runs: a venue may forget overnight what nobody has asked it."""
        self._next_stops_s = monotonic_s() + _LOOK_AT_STOPS_S
        self._feed.see_opens(now)  # on paper an order may be waiting for the opening
        try:
            bars = self._see_closes(now, as_stored=True)[0] if self._needs_rebuilding else None
            self._catch_up(now, bars)
            if self._safety.is_suspicious:
                self._reconcile()
            self._protect()
            self._watch()
        except VenueError:
            self._protector.record(self._fold.account)  # what keeps this from its end may be what keeps positions unprotected
            raise
        self._stuck.look()

    def run(self, now: datetime) -> RunResult:
        """Do everything that is due at `now`. Orders are followed even when the data do not allow new ones."""
        try:
            return self._run(now)
        except VenueError:
            self._protector.record(self._fold.account)  # as it broke off, an exit may have taken its stop along already
            raise

    def _run(self, now: datetime) -> RunResult:
        self._guard.limits = self._store.limits(self._config.id)
        self._account.read_rules_daily()
        with self._stage("run.data") as told:
            bars, problem = self._see_closes(now)
            told["bars"] = 0 if bars is None else len(bars.index)
        incomplete = dict(self._feed.incomplete)
        self._is_in_doubt = self._is_in_doubt or self._was_incomplete  # bars of before may be here now
        self._catch_up(now, bars)
        self._reconcile()
        if bars is None and self._seems_closed(now):
            self._protect()
            return RunResult(outcome="skipped", detail={"reason": "the market seems closed"}, seems_closed=True)
        if bars is None:
            self._protect()
            outcome = "skipped" if problem else "idle"
            return RunResult(outcome=outcome, detail={"reason": problem or "no bar has closed yet"}, incomplete=incomplete)
        self._was_incomplete = bool(incomplete)
        if incomplete:
            self._log.warning("run.incomplete_bars", symbols=sorted(incomplete), reason=next(iter(incomplete.values())))
        first_new = self._first_new_row(bars)
        if self._config.enter_open_position and self._last_bar_time is None:
            first_new = min(first_new, len(bars.index) - 1)  # it need not wait for another bar
        if first_new == len(bars.index):
            self._protect()
            return RunResult(outcome="idle", detail={"reason": "no new bar"}, incomplete=incomplete)
        return self._handle(now, bars, first_new, incomplete)

    def _handle(self, now: datetime, bars: Bars, first_new: int, incomplete: Mapping[str, str]) -> RunResult:
        """Decide on the newest bar, and carry that out."""
        self._is_in_doubt = True
        hits: dict[str, str] = {}
        traded = traded_bars(bars, self._money, first=first_new)
        for row in range(len(traded.index)):
            hits |= self._protector.hits(self._fold.account, traded, row)
            self._fold.mark(traded, row)
        self._safety.check_losses(self.equity, now)
        with self._stage("run.signals") as told:
            with time_limit(self._strategy_timeout_s, what=f"run of {self._config.backtest.strategy}"):
                signals = evaluate(self._strategy, bars, changed=self._tell_changed)
            told["new_bars"] = len(bars.index) - first_new
        with self._stage("run.orders") as told:
            planned = self._decide(now, bars, signals, first_new, hits, incomplete)
            told["intents"] = len(planned)
            fills = self._executor.place(planned)
            self._feed.see_opens(now)
            fills += self._executor.follow()
            self._take(fills)
            told["fills"] = len(fills)
        self._is_in_doubt = False
        self._protect()
        detail = {"bar_time": format_time(self._last_bar_time), "intents": len(planned), "fills": len(fills)}
        return RunResult(outcome="ok", detail=detail, incomplete=incomplete)

    def finish(self, end: datetime, *, reason: str) -> RunResult:
        """Take the fills that are still due before the window's end, cancel entries that wait, and mark the last bar. A replay
        ends with everything, so its stops and exits are cancelled too.

        The last bar's signals are not looked at: what they ask for would fill after the end.
        """
        self._feed.see_opens(end - timedelta(microseconds=1))
        bars, _ = self._see_closes(end)
        self._catch_up(end, bars)
        if isinstance(self._config.clock, Replay):
            self._take(self._executor.cancel_open(reason))
        else:
            # What is held is held on: its stop and an exit that is under way stay, and are followed to their end.
            self._is_ending = True
            self._take(self._executor.cancel_entries(reason))
            self._protect()
        if bars is None or self._first_new_row(bars) == len(bars.index):
            return RunResult(outcome="idle", detail={"reason": reason})
        traded = traded_bars(bars, self._money, first=self._first_new_row(bars))
        for row in range(len(traded.index)):
            self._fold.mark(traded, row)
        with self._database.write() as connection:
            self._store.mark_bar(connection, self._config.id, bars.index[-1].to_pydatetime(), self._point(bars))
        return RunResult(outcome="end", detail={"reason": reason})

    def close_positions(self, now: datetime) -> tuple[list[str], bool]:
        """Go on closing every position; return the symbols that are left, and whether anything is under way for them.

        To be called again as long as something is. Entries that wait are cancelled; an order that closes is followed like any
        other, and one that failed is tried again a few times.
        """
        self._is_ending = True
        self._feed.see_opens(now)
        self._catch_up(now, self._see_closes(now, as_stored=True)[0] if self._needs_rebuilding else None)
        self._take(self._executor.cancel_entries("the deployment is being stopped"))
        bar_time = self._last_bar_time or self._began_at
        requests = closing_orders(
            self._journal, self._guard, deployment_id=self._config.id, bar_time=bar_time, tries=self._closing_tries
        )
        planned = [request for request in requests if self._journal.plan_now(request)]
        self._take(self._executor.place(planned))
        self._feed.see_opens(now)
        self._take(self._executor.follow())
        self._fold.take(self._safety.sweep_dust(now))
        busy = {order.request.symbol for order in self._journal.orders(only_open=True)}
        self._protect()
        return sorted(busy | set(self._journal.positions())), bool(planned or busy)

    def stop_entering(self, now: datetime) -> None:
        """Cancel entries that wait: nobody will look at what they were decided for any more."""
        self._is_ending = True
        self._catch_up(now, self._see_closes(now, as_stored=True)[0] if self._needs_rebuilding else None)
        self._take(self._executor.cancel_entries("the deployment is being stopped"))
        self._protect()

    def _see_closes(self, now: datetime, *, as_stored: bool = False) -> tuple[Bars | None, str]:
        try:
            bars = self._feed.see_closes(now, as_stored=as_stored)
        except NoData as error:
            if not as_stored and self._seems_closed(now):
                self._log.info(
                    "run.market_seems_closed", reason="no bar has come, and nobody has said that the market trades today"
                )
            elif not as_stored:
                self._log.warning("run.stale_data", reason=str(error))
            return None, str(error)
        if bars is not None:
            self._guard.closes = _last_closes(bars)
        return bars, ""

    def _seems_closed(self, now: datetime) -> bool:
        """Return whether an assumed trading day looks like a holiday: not one bar of it has come, and nothing else is wrong.

        Not for longer than an exchange is ever closed in a row: a source that has died must not pass for a holiday.
        """
        since, zone = self._feed.no_bar_since, self._config.market.time_zone
        if since is None or now - since > _CLOSED_AT_LONGEST or since.astimezone(zone).date() >= now.astimezone(zone).date():
            return False
        return self._config.calendar.is_assumed(now)

    @property
    def _needs_rebuilding(self) -> bool:
        return self._is_in_doubt or self._fold.is_behind

    def _catch_up(self, now: datetime, bars: Bars | None) -> None:
        """Take what has happened at the venue since. After a run that broke off, and after something that a person has booked,
        the account is folded anew from what is recorded."""
        is_behind = self._needs_rebuilding
        fills = self._executor.recover(self._comes_too_late(now)) + self._executor.follow()
        if is_behind:
            self._rebuild(self._see_closes(now, as_stored=True)[0] if bars is None else bars)
        else:
            self._take(fills)

    def _comes_too_late(self, now: datetime) -> Callable[[datetime], bool]:
        """Return whether an entry decided on the bar with this open time is by now older than one bar. Any is, once it ends."""
        if self._is_ending:
            return lambda _bar_time: True
        calendar, timeframe = self._config.calendar, self._config.timeframe
        return lambda bar_time: now - calendar.bar_close(bar_time, timeframe) > timeframe.delta

    def _decide(
        self,
        now: datetime,
        bars: Bars,
        signals: Signals,
        first_new: int,
        hits: Mapping[str, str],
        incomplete: Mapping[str, str],
    ) -> list[OrderRequest]:
        """Turn the newest bar's signals into journaled intents, in one transaction with the mark that this bar is handled."""
        row = len(bars.index) - 1
        closes = bars.array("close")[row]
        bar_time = bars.index[row].to_pydatetime()
        wanted = self._opinion(now, bars, signals, first_new, incomplete)
        squared = {symbol: SQUARE_OFF for symbol, is_one in zip(self._symbols, wanted.square_off, strict=True) if is_one}
        exits = wanted.exits | wanted.square_off | np.array([symbol in hits for symbol in self._symbols])
        # A symbol without a bar of its own is left at its last price: an exit does not wait for data.
        known = np.array([float(self._guard.closes.get(symbol, Decimal("nan"))) for symbol in self._symbols])
        prices = np.where(np.isnan(closes) & exits, known, closes)
        decisions = self._fold.account.decide(
            prices,
            wanted.entries,
            exits,
            wanted.short_entries,
            wanted.short_exits | wanted.square_off,
            moment=bar_time,
        )
        reasons = squared | dict(hits)
        requests = [self._request(decision, bar_time, prices, reasons, hits) for decision in decisions]
        with self._database.write(durable=bool(requests)) as connection:
            planned = self._journal.plan(connection, requests)
            self._store.mark_bar(connection, self._config.id, bar_time, self._point(bars))
        self._last_bar_time = bar_time
        return planned

    def _opinion(self, now: datetime, bars: Bars, signals: Signals, first_new: int, incomplete: Mapping[str, str]) -> Opinion:
        """Return what counts now. A symbol whose order is still open is not entered: its outcome comes first. Only an exit that
        is under way keeps it from being left."""
        opened = [order.request for order in self._journal.orders(only_open=True) if order.request.type is not OrderType.STOP]
        waiting = {request.symbol for request in opened}
        leaving = {request.symbol for request in opened if request.leg is Leg.EXIT}
        if waiting:
            self._log.info("run.order_still_open", symbols=sorted(waiting))
        held = self._fold.positions
        held_since = {symbol: self._row_after_entry(bars, symbol) for symbol in held if symbol in self._symbols}
        found = opinion_of(
            signals,
            bars,
            first_new=first_new,
            held_since=held_since,
            is_short={symbol: quantity < 0 for symbol, quantity in held.items()},
            late_entries=self._config.late_entries,
            open_already=self._open_already(bars, signals),
        )
        found = within_windows(
            found,
            bars,
            self._windows(now, bars, first_new),
            first_new=first_new,
            held_since=held_since,
            needs_bar=isinstance(self._config.clock, Replay),
        )
        free = np.array([symbol not in leaving for symbol in bars.symbols])
        complete = np.array([symbol not in waiting and symbol not in incomplete for symbol in bars.symbols])
        return Opinion(
            entries=found.entries & complete,
            exits=found.exits & free,
            short_entries=found.short_entries & complete,
            short_exits=found.short_exits & free,
            square_off=found.square_off & free,
        )

    def _windows(self, now: datetime, bars: Bars, first_new: int) -> Windows | None:
        """Return what the times of day say of the new bars. A run that is late by more than a bar counts by its own time."""
        if not self._money.windows:
            return None
        closed = bars.close_times()[-1].to_pydatetime()
        is_late = now - closed > self._config.timeframe.delta
        return windows_of(bars, self._money, first=first_new, not_before=now if is_late else None)

    def _row_after_entry(self, bars: Bars, symbol: str) -> int:
        """Return the first row at whose close a held position could have been left: that of its fill. Its order may have waited
        for the end of an auction."""
        entered = self._journal.ledger.entry_bar(symbol)
        if entered is None:
            return 0
        row, place = int(bars.index.searchsorted(pd.Timestamp(entered), side="right")), self._symbols.index(symbol)
        following = traded_bars(bars.head(min(row + 1, len(bars.index))), self._money, first=row)
        has_waited = ~np.isnan(following.array("close")[:, place]) & np.isnan(following.array("open")[:, place])
        return row + int(has_waited.any())

    def _open_already(self, bars: Bars, signals: Signals) -> frozenset[str]:
        """Return what the strategy would hold by now, when the first run is to enter it."""
        if not self._config.enter_open_position or self._last_bar_time is not None:
            return frozenset()
        positions = simulate(bars, signals, self._money).open_positions
        held = frozenset(str(symbol) for symbol in positions["symbol"])
        self._log.info("run.open_positions", symbols=sorted(held))
        return held

    def _request(
        self,
        decision: Decision,
        bar_time: datetime,
        closes: np.ndarray,
        reasons: Mapping[str, str],
        hits: Mapping[str, str],
    ) -> OrderRequest:
        side, leg, symbol = Side(decision.side), Leg(decision.leg), decision.symbol
        rules, close = self._guard.rules.get(symbol), from_float(closes[self._symbols.index(symbol)])
        # What leaves is what the ledger holds, to the last digit; on paper that is the engine's own quantity.
        quantity = from_float(decision.quantity) if leg is Leg.ENTRY else abs(self._fold.held(symbol))
        order = OrderRequest(
            client_order_id=client_order_id(self._config.id, bar_time, symbol, side, leg),
            symbol=symbol,
            side=side,
            leg=leg,
            quantity=quantity if rules is None else in_lots(quantity, rules),
            bar_time=bar_time,
            reference_price=close,
            reason=reasons.get(symbol, decision.reason) if leg is Leg.EXIT else decision.reason,
        )
        if self._config.order.type == "market" or (leg is Leg.EXIT and symbol in hits):
            return order
        offset = from_float(self._config.order.offset_bps) / 10_000 * (1 if side is Side.BUY else -1)
        return replace(order, type=OrderType.LIMIT, limit_price=in_ticks(close * (1 + offset), rules))

    def _reconcile(self) -> None:
        self._take(self._safety.reconcile(self._executor.follow))
        if self._fold.is_behind:  # fees that the venue took out of a position
            self._rebuild(self._see_closes(self._clock.now(), as_stored=True)[0])

    def _protect(self) -> None:
        if self._last_bar_time is not None:
            self._take(self._protector.protect(self._fold.account, self._last_bar_time))

    def _watch(self) -> None:
        if self._last_bar_time is not None:
            self._take(self._protector.watch(self._fold.account, self._last_bar_time))

    def _first_new_row(self, bars: Bars) -> int:
        """Return the first row that has not been handled; what closed before the deployment began is history and stays so."""
        if self._last_bar_time is not None:
            return int(bars.index.searchsorted(pd.Timestamp(self._last_bar_time), side="right"))
        return int(bars.close_times().searchsorted(pd.Timestamp(self._began_at), side="right"))

    def _take(self, fills: Sequence[Fill]) -> None:
        """Take over fills that were recorded, and end what they have left that is too little to trade."""
        if fills:
            self._fold.take(fills)
            self._fold.take(self._safety.sweep_dust(self._clock.now()))

    def _point(self, bars: Bars) -> EquityPoint:
        return EquityPoint(time=bars.close_times()[-1].to_pydatetime(), cash=self.cash, equity=self.equity)

    def _rebuild(self, bars: Bars | None) -> None:
        self._fold.rebuild(bars, 0 if bars is None else self._first_new_row(bars))
        dust: Sequence[LedgerEntry] = self._safety.sweep_dust(self._clock.now())
        self._fold.take(dust)
        self._is_in_doubt = False

    def _is_unsettled(self, order: JournaledOrder) -> bool:
        """Return whether an order is to be looked after every few seconds: all but stops that rest, and exits that wait."""
        wait = self._executor.wait_of(order.request.client_order_id)
        if wait is not None and self._clock.now() < wait.until:
            return False  # it is looked at with the stops all the same: what is known of the day may change
        return order.request.type is not OrderType.STOP or order.status not in (
            OrderStatus.ACCEPTED,
            OrderStatus.PARTIALLY_FILLED,
        )

    def _tell_changed(self, names: Sequence[str]) -> None:
        """Say once what the strategy changes of its process; it was put back already."""
        new = [name for name in names if name not in self._changed]
        self._changed.update(new)
        if new:
            self._log.warning("strategy.changed_process", what=", ".join(new), reason="put back after the run")

    @contextmanager
    def _stage(self, event: str) -> Iterator[dict[str, Any]]:
        told: dict[str, Any] = {}
        began = monotonic_s()
        yield told
        self._log.info(event, duration_ms=round((monotonic_s() - began) * 1000, 1), **told)


def _last_closes(bars: Bars) -> dict[str, Decimal]:
    """Return the last close of each symbol that has one."""
    closes = bars.array("close")
    found: dict[str, Decimal] = {}
    for column, symbol in enumerate(bars.symbols):
        known = np.flatnonzero(~np.isnan(closes[:, column]))
        if len(known):
            found[symbol] = from_float(closes[known[-1], column])
    return found
