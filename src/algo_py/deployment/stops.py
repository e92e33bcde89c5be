"""Stops of open positions: resting at the venue where it can hold them, elsewhere looked at when a bar has closed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

import numpy as np

from algo_py.deployment.config import DeploymentConfig
from algo_py.engine import Account
from algo_py.market import Instrument
from algo_py.oms import Capabilities
from algo_py.orders.execution import Executor
from algo_py.orders.journal import Journal
from algo_py.orders.model import Fill, Leg, OrderRequest, OrderType, Side, client_order_id, from_float
from algo_py.orders.risk import in_lots, in_ticks
from algo_py.strategy import Bars


class Stops:
    """The stops of one deployment; their levels are the engine's (docs/engine.md, rule 2)."""

    def __init__(
        self,
        config: DeploymentConfig,
        capabilities: Capabilities,
        rules: Mapping[str, Instrument],
        *,
        journal: Journal,
        executor: Executor,
    ) -> None:
        self._config = config
        self._rules = rules
        self._journal = journal
        self._executor = executor
        self._symbols = config.backtest.symbols
        money = config.backtest
        self._are_wanted = any(level is not None for level in (money.stop_loss, money.take_profit, money.trailing_stop))
        self._rest = can_rest(capabilities)

    def hits(self, account: Account, bars: Bars, row: int) -> dict[str, str]:
        """Return the reason of each stop that a closed bar hits, where the venue holds no stops: they then act at this run."""
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
        """Let a stop rest at the venue for each position, at the levels of the coming bar; replace one whose levels moved.

        `bar_time` is the open time of the last handled bar. Return the fills that this brought or came across.
        """
        if not (self._are_wanted and self._rest):
            return []
        new: list[Fill] = []
        orders = self._journal.orders(only_open=True)
        busy = {order.request.symbol for order in orders if order.request.type is not OrderType.STOP}
        for symbol in self._symbols:
            if symbol in busy:
                continue
            resting = [order for order in orders if order.request.symbol == symbol]
            wanted = self._request(account, symbol, bar_time)
            if wanted is not None and any(_same_stop(order.request, wanted) for order in resting):
                continue
            if resting:
                crossed = self._executor.cancel_resting(symbol, "its levels have moved")
                new += crossed
                is_left = any(order.request.symbol == symbol for order in self._journal.orders(only_open=True))
                if crossed or is_left:
                    continue  # it fired meanwhile, or the venue has not said what became of it: the next look decides
            if wanted is not None and self._journal.plan_now(wanted):
                new += self._executor.place([wanted])
        return new

    def _request(self, account: Account, symbol: str, bar_time: datetime) -> OrderRequest | None:
        held = self._journal.held(symbol)
        levels = account.stop_levels(symbol)
        if not held or (levels.stop is None and levels.take_profit is None):
            return None
        side, rules = Side.SELL if held > 0 else Side.BUY, self._rules.get(symbol)
        quantity = abs(held)
        stop = None if levels.stop is None else in_ticks(from_float(levels.stop), rules)
        target = None if levels.take_profit is None else in_ticks(from_float(levels.take_profit), rules)
        kind = f"stop {stop} {target} {quantity}"
        return OrderRequest(
            client_order_id=client_order_id(self._config.id, bar_time, symbol, side, Leg.EXIT, kind=kind),
            symbol=symbol,
            side=side,
            leg=Leg.EXIT,
            quantity=quantity if rules is None else in_lots(quantity, rules),
            bar_time=bar_time,
            reference_price=stop or target or Decimal(0),
            type=OrderType.STOP,
            stop_price=stop,
            target_price=target,
            reason=levels.stop_reason or "take_profit",
        )


def can_rest(capabilities: Capabilities) -> bool:
    """Return whether a venue can hold stops with their targets; elsewhere they act at the next run, not inside the bar."""
    return OrderType.STOP in capabilities.order_types and capabilities.holds_targets


def _same_stop(one: OrderRequest, other: OrderRequest) -> bool:
    return (one.stop_price, one.target_price, one.quantity) == (other.stop_price, other.target_price, other.quantity)
