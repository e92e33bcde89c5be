"""One run of a deployment: bars -> signals -> intents -> orders -> fills -> equity.

Every stage is a line in the log with its duration. The run decides by the same compiled step as the backtest, on a state that
is folded from recorded fills alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from algo_py.clock import Clock, format_time, monotonic_s
from algo_py.database import Database
from algo_py.deployment.closing import closing_orders
from algo_py.deployment.config import DeploymentConfig
from algo_py.deployment.feed import Feed
from algo_py.deployment.opinion import Opinion, opinion_of
from algo_py.deployment.safety import Safety
from algo_py.deployment.stops import Stops
from algo_py.deployment.store import DeploymentStore, EquityPoint
from algo_py.deployment.time_limit import time_limit
from algo_py.engine import Account, Decision, simulate
from algo_py.errors import NoData
from algo_py.oms import OMS
from algo_py.orders.execution import ExecutionLog, Executor, LimitPolicy
from algo_py.orders.guard import Guard
from algo_py.orders.halts import halt_of
from algo_py.orders.journal import Journal
from algo_py.orders.ledger import apply_fill
from algo_py.orders.model import Fill, Leg, OrderRequest, OrderType, Side, client_order_id, from_float
from algo_py.orders.risk import in_lots, in_ticks
from algo_py.strategy import Bars, Signals, Strategy, evaluate


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What a run came to. `outcome` is ok, idle (no new bar), skipped (the data cannot be trusted) or end."""

    outcome: str
    detail: Mapping[str, Any]


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
    ) -> None:
        self._config = config
        self._database = database
        self._rules = dict(oms.instruments(config.backtest.symbols))
        self._guard = Guard(
            journal=journal,
            clock=clock,
            limits=config.limits,
            halted=lambda: halt_of(database, config.id),
            rules=self._rules,
            live_price=lambda symbol: oms.last_prices([symbol]).get(symbol),
        )
        policy = LimitPolicy(timeout=timedelta(seconds=config.order.timeout_s), then=config.order.then)
        executor = Executor(journal, oms, self._guard, log, deployment_id=config.id, clock=clock, limit_policy=policy)
        self._store = DeploymentStore(database)
        self._feed = feed
        self._strategy = strategy
        self._journal = journal
        self._executor = executor
        self._log = log
        self._last_bar_time = last_bar_time
        self._began_at = began_at
        self._symbols = config.backtest.symbols
        self._account = Account(self._symbols, config.backtest.portfolio_config())
        self._held: dict[str, Decimal] = {}
        self._entry_bars: dict[str, datetime | None] = {}
        self._strategy_timeout_s = strategy_timeout_s
        self._is_in_doubt = False
        self._stops = Stops(config, oms.capabilities, self._rules, journal=journal, executor=executor)
        self._safety = Safety(
            config,
            oms,
            account=account,
            rules=self._rules,
            database=database,
            journal=journal,
            guard=self._guard,
            clock=clock,
            log=log,
        )

    @property
    def cash(self) -> Decimal:
        return from_float(self._account.cash)

    @property
    def equity(self) -> Decimal:
        return from_float(self._account.equity)

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
    def has_unsettled(self) -> bool:
        """Whether an order is under way at a venue that fills on its own time, a resting stop aside."""
        return any(order.request.type is not OrderType.STOP for order in self._journal.orders(only_open=True))

    def follow(self, now: datetime) -> None:
        """Look after orders that are under way, between two runs: a venue may forget overnight what nobody has asked it."""
        if not self._is_in_doubt:
            self._take(self._executor.recover(self._comes_too_late(now)) + self._executor.follow())
            self._protect()

    def run(self, now: datetime) -> RunResult:
        """Do everything that is due at `now`. Orders are followed even when the data do not allow new ones."""
        self._guard.limits = self._store.limits(self._config.id)
        with self._stage("run.data") as told:
            bars, problem = self._see_closes(now)
            told["bars"] = 0 if bars is None else len(bars.index)
        self._catch_up(now, bars)
        self._reconcile()
        if bars is None:
            outcome = "skipped" if problem else "idle"
            return RunResult(outcome=outcome, detail={"reason": problem or "no bar has closed yet"})
        first_new = self._first_new_row(bars)
        if self._config.enter_open_position and self._last_bar_time is None:
            first_new = min(first_new, len(bars.index) - 1)  # it need not wait for another bar
        if first_new == len(bars.index):
            return RunResult(outcome="idle", detail={"reason": "no new bar"})
        self._is_in_doubt = True
        hits: dict[str, str] = {}
        for row in range(first_new, len(bars.index)):
            hits |= self._stops.hits(self._account, bars, row)
            self._mark(bars, row)
        self._safety.check_losses(self.equity, now)
        with self._stage("run.signals") as told:
            with time_limit(self._strategy_timeout_s, what=f"run of {self._config.backtest.strategy}"):
                signals = evaluate(self._strategy, bars)
            told["new_bars"] = len(bars.index) - first_new
        with self._stage("run.orders") as told:
            planned = self._decide(bars, signals, first_new, hits)
            told["intents"] = len(planned)
            fills = self._executor.place(planned)
            self._feed.see_opens(now)
            fills += self._executor.follow()
            self._take(fills)
            told["fills"] = len(fills)
        self._is_in_doubt = False
        self._protect()
        detail = {"bar_time": format_time(self._last_bar_time), "intents": len(planned), "fills": len(fills)}
        return RunResult(outcome="ok", detail=detail)

    def finish(self, end: datetime, *, reason: str) -> RunResult:
        """Take the fills that are still due before the window's end, cancel what is open, and mark the last bar.

        The last bar's signals are not looked at: what they ask for would fill after the end.
        """
        self._feed.see_opens(end - timedelta(microseconds=1))
        bars, _ = self._see_closes(end)
        self._catch_up(end, bars)
        self._take(self._executor.cancel_open(reason))
        if bars is None or self._first_new_row(bars) == len(bars.index):
            return RunResult(outcome="idle", detail={"reason": reason})
        for row in range(self._first_new_row(bars), len(bars.index)):
            self._mark(bars, row)
        with self._database.write() as connection:
            self._store.mark_bar(connection, self._config.id, bars.index[-1].to_pydatetime(), self._point(bars))
        return RunResult(outcome="end", detail={"reason": reason})

    def close_positions(self, now: datetime) -> tuple[list[str], bool]:
        """Go on closing every position; return the symbols that are left, and whether anything is under way for them.

        To be called again as long as something is. Entries that wait are cancelled; an order that closes is followed like any
        other, and one that failed is tried again a few times. A halt holds these orders back too.
        """
        self._feed.see_opens(now)
        self._catch_up(now, self._see_closes(now, as_stored=True)[0] if self._is_in_doubt else None)
        self._take(self._executor.cancel_entries("the deployment is being stopped"))
        bar_time = self._last_bar_time or self._began_at
        requests = closing_orders(self._journal, self._rules, deployment_id=self._config.id, bar_time=bar_time)
        planned = [request for request in requests if self._journal.plan_now(request)]
        self._take(self._executor.place(planned))
        self._feed.see_opens(now)
        self._take(self._executor.follow())
        self._fold(self._safety.sweep_dust(bar_time))
        busy = {order.request.symbol for order in self._journal.orders(only_open=True)}
        return sorted(busy | set(self._journal.positions())), bool(planned or busy)

    def _see_closes(self, now: datetime, *, as_stored: bool = False) -> tuple[Bars | None, str]:
        try:
            return self._feed.see_closes(now, as_stored=as_stored), ""
        except NoData as error:
            self._log.warning("run.stale_data", reason=str(error))
            return None, str(error)

    def _catch_up(self, now: datetime, bars: Bars | None) -> None:
        """Take what has happened at the venue since; after a run that broke off, fold the account anew from the journal."""
        fills = self._executor.recover(self._comes_too_late(now)) + self._executor.follow()
        if self._is_in_doubt:
            self._rebuild(bars)
        else:
            self._take(fills)

    def _comes_too_late(self, now: datetime) -> Callable[[datetime], bool]:
        """Return whether an entry decided on the bar with this open time is by now older than one bar."""
        calendar, timeframe = self._config.market.calendar, self._config.timeframe
        return lambda bar_time: now - calendar.bar_close(bar_time, timeframe) > timeframe.delta

    def _decide(self, bars: Bars, signals: Signals, first_new: int, hits: Mapping[str, str]) -> list[OrderRequest]:
        """Turn the newest bar's signals into journaled intents, in one transaction with the mark that this bar is handled."""
        row = len(bars.index) - 1
        closes = bars.array("close")[row]
        bar_time = bars.index[row].to_pydatetime()
        wanted = self._opinion(bars, signals, first_new)
        exits = wanted.exits | np.array([symbol in hits for symbol in self._symbols])
        decisions = self._account.decide(closes, wanted.entries, exits, wanted.short_entries, wanted.short_exits, moment=bar_time)
        requests = [self._request(decision, bar_time, closes, hits) for decision in decisions]
        self._guard.closes = {
            symbol: from_float(close) for symbol, close in zip(self._symbols, closes, strict=True) if not np.isnan(close)
        }
        with self._database.write(durable=bool(requests)) as connection:
            planned = self._journal.plan(connection, requests)
            self._store.mark_bar(connection, self._config.id, bar_time, self._point(bars))
        self._last_bar_time = bar_time
        return planned

    def _opinion(self, bars: Bars, signals: Signals, first_new: int) -> Opinion:
        """Return what counts now. A symbol whose order is still open gives no opinion: its outcome comes first."""
        waiting = {
            order.request.symbol for order in self._journal.orders(only_open=True) if order.request.type is not OrderType.STOP
        }
        if waiting:
            self._log.info("run.order_still_open", symbols=sorted(waiting))
        held = {symbol: quantity for symbol, quantity in self._held.items() if quantity}
        # An exit that a halt forbids is recorded once, and made up for after it.
        earliest = first_new if self._guard.halted() is not None else 0
        found = opinion_of(
            signals,
            bars,
            first_new=first_new,
            held_since={symbol: max(earliest, self._row_after_entry(bars, symbol)) for symbol in held},
            is_short={symbol: quantity < 0 for symbol, quantity in held.items()},
            late_entries=self._config.late_entries,
            open_already=self._open_already(bars, signals),
        )
        free = np.array([symbol not in waiting for symbol in bars.symbols])
        return Opinion(
            entries=found.entries & free,
            exits=found.exits & free,
            short_entries=found.short_entries & free,
            short_exits=found.short_exits & free,
        )

    def _row_after_entry(self, bars: Bars, symbol: str) -> int:
        """Return the first row at whose close a held position could have been left."""
        if symbol not in self._entry_bars:
            self._entry_bars[symbol] = self._journal.entry_bar(symbol)
        entered = self._entry_bars[symbol]
        return 0 if entered is None else int(bars.index.searchsorted(pd.Timestamp(entered), side="right"))

    def _open_already(self, bars: Bars, signals: Signals) -> frozenset[str]:
        """Return what the strategy would hold by now, when the first run is to enter it."""
        if not self._config.enter_open_position or self._last_bar_time is not None:
            return frozenset()
        positions = simulate(bars, signals, self._config.backtest.portfolio_config()).open_positions
        held = frozenset(str(symbol) for symbol in positions["symbol"])
        self._log.info("run.open_positions", symbols=sorted(held))
        return held

    def _request(self, decision: Decision, bar_time: datetime, closes: np.ndarray, hits: Mapping[str, str]) -> OrderRequest:
        side, leg, symbol = Side(decision.side), Leg(decision.leg), decision.symbol
        rules, close = self._rules.get(symbol), from_float(closes[self._symbols.index(symbol)])
        # What leaves is what the ledger holds, to the last digit; on paper that is the engine's own quantity.
        quantity = from_float(decision.quantity) if leg is Leg.ENTRY else abs(self._held.get(symbol, Decimal(0)))
        order = OrderRequest(
            client_order_id=client_order_id(self._config.id, bar_time, symbol, side, leg),
            symbol=symbol,
            side=side,
            leg=leg,
            quantity=quantity if rules is None else in_lots(quantity, rules),
            bar_time=bar_time,
            reference_price=close,
            reason=hits.get(symbol, decision.reason) if leg is Leg.EXIT else decision.reason,
        )
        if self._config.order.type == "market" or (leg is Leg.EXIT and symbol in hits):
            return order
        offset = from_float(self._config.order.offset_bps) / 10_000 * (1 if side is Side.BUY else -1)
        return replace(order, type=OrderType.LIMIT, limit_price=in_ticks(close * (1 + offset), rules))

    def _reconcile(self) -> None:
        self._take(self._safety.reconcile(self._executor.follow))

    def _protect(self) -> None:
        if self._last_bar_time is not None and self._guard.halted() is None:
            self._take(self._stops.protect(self._account, self._last_bar_time))

    def _first_new_row(self, bars: Bars) -> int:
        """Return the first row that has not been handled; what closed before the deployment began is history and stays so."""
        if self._last_bar_time is not None:
            return int(bars.index.searchsorted(pd.Timestamp(self._last_bar_time), side="right"))
        return int(bars.close_times().searchsorted(pd.Timestamp(self._began_at), side="right"))

    def _take(self, fills: list[Fill]) -> None:
        """Take over fills that were recorded, and end what they have left that is too little to trade."""
        if fills:
            self._fold(self._in_engine_order(fills))
            self._fold(self._safety.sweep_dust(self._last_bar_time or self._began_at))

    def _fold(self, fills: list[Fill]) -> None:
        """Apply fills in this order. What ends a position by the ledger ends it in the account, whatever floats make of it."""
        for fill in fills:
            held = self._held.get(fill.symbol, Decimal(0)) + (fill.quantity if fill.side is Side.BUY else -fill.quantity)
            self._held[fill.symbol] = held
            self._entry_bars.pop(fill.symbol, None)
            whole = abs(self._account.position(fill.symbol))
            apply_fill(self._account, fill if held or not whole else replace(fill, quantity=from_float(whole)))

    def _point(self, bars: Bars) -> EquityPoint:
        return EquityPoint(time=bars.close_times()[-1].to_pydatetime(), cash=self.cash, equity=self.equity)

    def _mark(self, bars: Bars, row: int) -> None:
        self._account.mark(bars.array("close")[row], bars.array("high")[row], bars.array("low")[row])

    def _rebuild(self, bars: Bars | None) -> None:
        """Fold the account anew: the recorded fills and the handled bars, in the order of their times."""
        self._account = Account(self._symbols, self._config.backtest.portfolio_config())
        self._held, self._entry_bars = {}, {}
        fills = self._in_engine_order(self._journal.fills())
        if bars is not None:
            closes = bars.close_times()
            first = 0 if not fills else int(closes.searchsorted(pd.Timestamp(fills[0].time), side="right"))
            for row in range(first, self._first_new_row(bars)):
                while fills and fills[0].time < closes[row]:
                    self._fold([fills.pop(0)])
                self._mark(bars, row)
        self._fold(fills)
        self._fold(self._safety.sweep_dust(self._last_bar_time or self._began_at))
        self._is_in_doubt = False

    def _in_engine_order(self, fills: list[Fill]) -> list[Fill]:
        """Sort fills as the engine executes them, so that folding them gives its state to the last bit."""
        if len(fills) < 2:
            return fills
        turns = {order.request.client_order_id: _turn(order.request) for order in self._journal.orders()}
        rank = {symbol: position for position, symbol in enumerate(self._symbols)}
        return sorted(fills, key=lambda f: (f.time, turns[f.client_order_id], rank[f.symbol]))

    @contextmanager
    def _stage(self, event: str) -> Iterator[dict[str, Any]]:
        told: dict[str, Any] = {}
        began = monotonic_s()
        yield told
        self._log.info(event, duration_ms=round((monotonic_s() - began) * 1000, 1), **told)


def _turn(request: OrderRequest) -> int:
    """Return an order's turn within its bar: exits at the open, entries at the open, then stops inside it."""
    if request.type is OrderType.STOP:
        return 2
    return 0 if request.leg is Leg.EXIT else 1
