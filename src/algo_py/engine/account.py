"""The live account: the backtest's own compiled step, one bar and one fill at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

import numpy as np

from algo_py.engine.config import PortfolioConfig
from algo_py.engine.costs import cost_table
from algo_py.errors import InvalidInput

if TYPE_CHECKING:
    from algo_py.engine.kernel import Rates

SideName = Literal["BUY", "SELL"]
LegName = Literal["exit", "entry"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What a bar's close asks for. `quantity` of an entry may be 0 where it rounds down to no lot: it is denied at the fill."""

    symbol: str
    side: SideName
    leg: LegName
    quantity: float
    reason: str


@dataclass(frozen=True, slots=True)
class Execution:
    """What became of an order. `denied` is None where it filled; else the reason, and nothing has changed."""

    quantity: float
    price: float
    fee: float
    denied: str | None = None


@dataclass(frozen=True, slots=True)
class StopHit:
    """A stop that a bar hits: close `quantity` at `raw_price` before slippage."""

    symbol: str
    side: SideName
    quantity: float
    raw_price: float
    reason: str


@dataclass(frozen=True, slots=True)
class StopLevels:
    """Where the stops of an open position are; None where there is none."""

    stop: float | None
    stop_reason: str | None
    take_profit: float | None


class Account:
    """Cash and positions of one universe, kept by the rules of docs/engine.md.

    For each bar, in this order: `execute` or `apply` what fills at its open, look at `stop_hit`, then `mark` once, then
    `decide`. Arrays have one value per symbol, in the universe's order; a close that is NaN means that the symbol has no bar.
    Folding the same calls in the same order gives the same state to the last bit. Not safe for several threads.
    """

    def __init__(self, symbols: Sequence[str], config: PortfolioConfig) -> None:
        from algo_py.engine import inputs, kernel  # compiled: loaded by the first account

        self.symbols = tuple(symbols)
        self.config = config
        if not self.symbols or len(set(self.symbols)) != len(self.symbols):
            raise InvalidInput(f"symbols must be at least one and each only once (was {list(self.symbols)})")
        self._kernel, self._reason_name, self._reason_code = kernel, inputs.reason_name, inputs.reason_code
        self._places = {symbol: place for place, symbol in enumerate(self.symbols)}
        self._shared = config.cash_sharing
        self._costs = cost_table(config)
        self._rates = [kernel.Rates(*row) for row in self._costs.rates.tolist()]
        self._options = inputs.options_of(config, config.periods_per_year)
        self._book = inputs.book_of(self.symbols, config.instruments)
        self._pools = inputs.pools_of(self.symbols, config)
        count = len(self.symbols)
        self._closes, self._highs, self._lows = np.empty(count), np.empty(count), np.empty(count)
        self._flag, self._signals = np.empty(count, dtype=np.bool_), np.zeros(count, dtype=np.int64)
        self._choices = np.empty((count, 3))
        self._holding = np.empty(count, dtype=np.int64)

    @property
    def cash(self) -> float:
        """Cash of all pools; the proceeds of open shorts are in it."""
        return float(self._pools[:, self._kernel.CASH].sum())

    @property
    def equity(self) -> float:
        """Cash plus positions at the last marked close (before the first one: at the fill's price)."""
        if self._shared:
            return float(self._kernel.account_equity(self._book, self._pools, 0, 0, len(self.symbols), self._holding))
        equity = self._kernel.account_equity
        return sum(float(equity(self._book, self._pools, s, s, s + 1, self._holding)) for s in range(len(self.symbols)))

    def position(self, symbol: str) -> float:
        """Return the units held, below 0 when short."""
        return float(self._book[self._place(symbol), self._kernel.UNITS])

    def entry_price(self, symbol: str) -> float | None:
        """Return the average price of the open position, None where there is none."""
        return float(self._book[self._place(symbol), self._kernel.ENTRY_PRICE]) or None

    def mark(self, closes: np.ndarray, highs: np.ndarray | None = None, lows: np.ndarray | None = None) -> None:
        """Take over a bar's closes; call it once for each bar. It ages positions, charges shorts and moves trailing levels.

        A trailing stop needs the highs and lows too.
        """
        if self.config.trailing_stop is not None and (highs is None or lows is None):
            raise InvalidInput("highs and lows must be given where there is a trailing_stop (was None)")
        self._fill(self._closes, closes, "closes")
        self._fill(self._highs, closes if highs is None else highs, "highs")
        self._fill(self._lows, closes if lows is None else lows, "lows")
        self._kernel.account_mark(self._book, self._pools, self._options, self._shared, self._closes, self._highs, self._lows)

    def decide(
        self,
        closes: np.ndarray,
        entries: np.ndarray,
        exits: np.ndarray,
        short_entries: np.ndarray | None = None,
        short_exits: np.ndarray | None = None,
        *,
        moment: datetime | None = None,
    ) -> list[Decision]:
        """Return the orders that a bar's close asks for (rules 3 and 4): exits first, then entries, in the universe's order.

        It changes nothing. `moment` (the bar's open time) picks the rates of a dated cost schedule; None: the latest.
        """
        kernel = self._kernel
        self._fill(self._closes, closes, "closes")
        direction = self.config.direction
        columns = {
            "entries": entries if direction != "short" else None,
            "exits": exits if direction != "short" else None,
            "short_entries": short_entries if direction != "long" else None,
            "short_exits": short_exits if direction != "long" else None,
        }
        self._signals[:] = 0
        for bit, (name, values) in enumerate(columns.items()):
            if values is None:
                continue
            if values.dtype != np.bool_:
                raise InvalidInput(f"{name} must be boolean (was {values.dtype})")
            self._fill(self._flag, values, name)
            self._signals |= self._flag.astype(np.int64) << bit
        found = kernel.account_decide(
            self._book,
            self._pools,
            self._options,
            self._rates_at(moment),
            self._shared,
            self._closes,
            self._signals,
            self._choices,
        )
        if not found:
            return []
        leaving: list[Decision] = []
        entering: list[Decision] = []
        for symbol, (reason, sign, quantity), book in zip(self.symbols, self._choices.tolist(), self._book, strict=True):
            if reason != kernel.NONE:
                held = float(book[kernel.UNITS])
                side: SideName = "SELL" if held > 0 else "BUY"
                leaving.append(Decision(symbol, side, "exit", abs(held), self._reason_name(reason)))
            if sign != 0.0:
                entering.append(Decision(symbol, "BUY" if sign > 0 else "SELL", "entry", quantity, "entry"))
        return leaving + entering

    def execute(
        self,
        symbol: str,
        side: SideName,
        leg: LegName,
        quantity: float,
        raw_price: float,
        *,
        reason: str = "exit",
        moment: datetime | None = None,
    ) -> Execution:
        """Fill an order at `raw_price` made worse by slippage, or deny it (rules 1, 4, 7 and 8).

        An exit closes at most the whole position. `reason` matters for exits by a stop: they pay a short's borrowing for the
        bar, and a take_profit pays the maker's fee. `moment` (the bar's open time) picks the rates of a dated cost schedule.
        """
        kernel, s = self._kernel, self._place(symbol)
        pool, sign, rates = self._pool(s), self._sign(side), self._rates_at(moment)
        self._refuse_unusable("raw_price", raw_price)
        if leg == "entry":
            if self.config.direction == ("long" if sign < 0 else "short"):
                return Execution(quantity, raw_price, 0.0, "direction_not_allowed")
            fill = kernel.account_enter(
                self._book, self._pools, self._options, rates, s, pool, sign, float(quantity), float(raw_price)
            )
            denied = self._reason_name(fill.reason) if fill.reason >= kernel.DENIED else None
            return Execution(fill.quantity, fill.price, fill.fee, denied)
        if self._book[s, kernel.UNITS] * sign >= 0.0:
            return Execution(quantity, raw_price, 0.0, "no_position")
        self._refuse_unusable("quantity", quantity)
        fill = kernel.account_leave(
            *(self._book, self._pools, self._options, rates, s, pool, float(quantity), float(raw_price)),
            self._reason_code(reason),
        )
        return Execution(fill.quantity, fill.price, fill.fee)

    def apply(self, symbol: str, side: SideName, quantity: float, price: float, fee: float) -> None:
        """Record a fill that happened elsewhere, with the arithmetic of `execute`; nothing is checked against cash."""
        self._refuse_unusable("price", price)
        self._refuse_unusable("quantity", quantity)
        if not math.isfinite(fee):
            raise InvalidInput(f"fee must be a number (was {fee})")
        s = self._place(symbol)
        self._kernel.account_apply(
            self._book, self._pools, self._options, s, self._pool(s), self._sign(side) * float(quantity), float(price), float(fee)
        )

    def adjust(self, symbol: str, *, units: float, cash: float, ratio: float = 1.0, price: float | None = None) -> None:
        """Take over units or cash that came or went without a trade; no fee and no trade is counted.

        ratio: how many new units there are for an old one (2.0 for a split 2:1), by which the position's prices are divided, and
        with them the levels of its stops. price: of units that open or enlarge a position, None as its average.
        """
        for name, value in (("units", units), ("cash", cash)):
            if not math.isfinite(value):
                raise InvalidInput(f"{name} must be a number (was {value})")
        self._refuse_unusable("ratio", ratio)
        kernel, s = self._kernel, self._place(symbol)
        book, held = self._book[s], float(self._book[s, kernel.UNITS])
        self._pools[self._pool(s), kernel.CASH] += cash
        for column in (kernel.ENTRY_PRICE, kernel.BEST):  # the last price comes from bars, which tell of the split themselves
            book[column] /= ratio
        after = held + units
        if after == 0.0 or held * after < 0.0:
            book[[kernel.UNITS, kernel.HELD, kernel.BEST, kernel.ENTRY_PRICE, kernel.ENTRY_FEES, kernel.BORROWED]] = 0.0
            after = 0.0
        elif held == 0.0:
            book[kernel.ENTRY_PRICE] = book[kernel.BEST] = price or book[kernel.LAST]
            book[kernel.LAST] = book[kernel.LAST] or book[kernel.ENTRY_PRICE]
        elif ratio == 1.0 and abs(after) > abs(held) and price is not None:
            book[kernel.ENTRY_PRICE] = (held * book[kernel.ENTRY_PRICE] + units * price) / after
        book[kernel.UNITS] = after

    def stop_levels(self, symbol: str) -> StopLevels:
        """Return where the stops of the symbol's open position are for the coming bar."""
        s = self._place(symbol)
        if self._book[s, self._kernel.UNITS] == 0.0:
            return StopLevels(None, None, None)
        stop, reason, target = self._kernel.account_levels(self._book, self._options, s)
        return StopLevels(
            stop if math.isfinite(stop) else None,
            self._reason_name(reason) if math.isfinite(stop) else None,
            target if math.isfinite(target) else None,
        )

    def stop_hit(self, symbol: str, open_price: float, high: float, low: float) -> StopHit | None:
        """Return the stop that this bar hits (rule 2), if any; it changes nothing: pass the hit on to `execute`."""
        s = self._place(symbol)
        held = float(self._book[s, self._kernel.UNITS])
        if held == 0.0:
            return None
        raw_price, code = self._kernel.account_hit(self._book, self._options, s, float(open_price), float(high), float(low))
        if code == self._kernel.NONE:
            return None
        return StopHit(symbol, "SELL" if held > 0 else "BUY", abs(held), raw_price, self._reason_name(code))

    def _place(self, symbol: str) -> int:
        try:
            return self._places[symbol]
        except KeyError:
            raise InvalidInput(f"symbol must be one of the account's (was {symbol!r})") from None

    def _pool(self, s: int) -> int:
        return 0 if self._shared else s

    def _sign(self, side: str) -> float:
        if side not in ("BUY", "SELL"):
            raise InvalidInput(f"side must be BUY or SELL (was {side!r})")
        return 1.0 if side == "BUY" else -1.0

    def _rates_at(self, moment: datetime | None) -> Rates:
        return self._rates[-1 if moment is None else self._costs.segment_at(moment)]

    def _fill(self, target: np.ndarray, values: np.ndarray, name: str) -> None:
        if np.shape(values) != target.shape:
            raise InvalidInput(f"{name} must have one value for each of the {len(self.symbols)} symbols (was {np.shape(values)})")
        target[:] = values

    def _refuse_unusable(self, name: str, value: float) -> None:
        if not (math.isfinite(value) and value > 0.0):
            raise InvalidInput(f"{name} must be a number above 0 (was {value})")
