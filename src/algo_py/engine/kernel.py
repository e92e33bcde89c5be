"""The compiled step: the rules that turn signals into fills, as scalar functions, and the loop over bars that calls them.

The backtest runs `run`; the live worker's `Account` calls the same scalar functions one by one. All compiled code of a run
stands in this file on purpose: numba's cache on disk notices a change of a function's own file only, and a kernel that was
compiled with yesterday's fill rule would be wrong in silence. Constants live here for the same reason.

All numbers are float64. `s` is a symbol's place in the universe, `t` a bar's row, `pool` a pool of cash, `segment` a period
of the cost schedule; `side` is +1 to buy and -1 to sell, `direction` +1 long and -1 short.
"""

# ruff: noqa: FBT001 - compiled functions take their arguments by position

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

Array = np.ndarray


class Desk(NamedTuple):
    """The state of an account and what governs it; the columns of each array are named below."""

    book: Array  # symbol x BOOK_COLUMNS: positions
    pools: Array  # pool x POOL_COLUMNS: cash
    options: Array  # OPTION_COLUMNS, read-only
    instruments: Array  # symbol x INSTRUMENT_COLUMNS, read-only
    costs: Array  # segment x kind x (RATE, FIXED), read-only


class Tape(NamedTuple):
    """What happened: bars and signals, symbol x time, each symbol's row contiguous, read-only.

    A close that is NaN means that the symbol has no bar. A frame of signals that was not given has no rows.
    """

    opens: Array
    highs: Array
    lows: Array
    closes: Array
    entries: Array
    exits: Array
    short_entries: Array
    short_exits: Array
    cost_rows: Array  # int64: the first row of each segment of the cost schedule


# book: one row per symbol
POSITION, ENTRY_PRICE, ENTRY_FEES, BORROWED, REALIZED, BEST, LAST, HELD = range(8)
DUE_EXIT, DUE_ENTRY, DUE_QUANTITY, DUE_ROW = range(8, 12)
BOOK_COLUMNS = 12

# pools: one row per pool of cash
CASH, INITIAL, SHORT_PROCEEDS, SHORTS, FEES, BORROW, TRADES, WINS, GAINS, LOSSES = range(10)
POOL_COLUMNS = 10

# orders: one row per order, denied ones included
ROW, SYMBOL, SIDE, QUANTITY, PRICE, FEE, REASON, DECIDED, ORDER_BORROWED, ORDER_HELD = range(10)
ORDER_COLUMNS = 10

# options: one vector; 0 switches a stop off
SIZE, SIZE_TYPE, SLIPPAGE, ALLOW_PARTIAL, CLOSE_FILLS = range(5)
STOP_LOSS, TAKE_PROFIT, TRAILING_STOP, MAX_HOLD, BORROW_PER_BAR = range(5, 10)
OPTION_COLUMNS = 10
PERCENT, VALUE, AMOUNT = 0.0, 1.0, 2.0

# instruments: one row per symbol; LOTS_PER_UNIT is 1 / lot_size where that is whole, else 0
LOT, LOTS_PER_UNIT, QUANTITY_MIN, NOTIONAL_MIN = range(4)
INSTRUMENT_COLUMNS = 4

# reasons of orders; from DENIED on the order was denied
NONE, ENTRY, EXIT, BY_STOP_LOSS, BY_TRAILING_STOP, BY_TAKE_PROFIT, BY_MAX_HOLD = range(7)
DENIED = 10
NO_CASH, BELOW_LOT, BELOW_QUANTITY_MIN, BELOW_NOTIONAL_MIN = range(10, 14)

# costs: second axis
BUY_TAKER, SELL_TAKER, BUY_MAKER, SELL_MAKER = range(4)
RATE, FIXED = range(2)

# A quantity may miss a lot, a minimum or the cash by this fraction: it is rounding, not a decision.
TOLERANCE = 1e-9

# Signatures are left to the first call, which loads them from the cache on disk; callers keep the types of arguments constant.
compiled = njit(cache=True, error_model="numpy")


@compiled
def fee_of(desk: Desk, segment: int, side: float, maker: bool, notional: float) -> float:
    """Rule 8: a fraction of the notional and a fixed part per order."""
    kind = (BUY_TAKER if side > 0 else SELL_TAKER) + (2 if maker else 0)
    fee: float = notional * desk.costs[segment, kind, RATE] + desk.costs[segment, kind, FIXED]
    return fee


@compiled
def affordable(desk: Desk, segment: int, side: float, budget: float, price: float) -> float:
    """Return the largest quantity whose notional and fees stay within `budget`; 0 where not even the fixed fee does."""
    kind = BUY_TAKER if side > 0 else SELL_TAKER
    quantity: float = (budget - desk.costs[segment, kind, FIXED]) / (price * (1.0 + desk.costs[segment, kind, RATE]))
    if not quantity > 0.0:
        return 0.0
    for _ in range(8):  # the division may have rounded up by a bit or two
        if quantity * price + fee_of(desk, segment, side, False, quantity * price) <= budget:
            break
        quantity = np.nextafter(quantity, 0.0)
    return quantity


@compiled
def round_lot(desk: Desk, s: int, quantity: float) -> float:
    """Rule 4: round down to whole lots, with a tolerance of 1e-9 lot."""
    lot = desk.instruments[s, LOT]
    if lot <= 0.0:
        return quantity
    rounded: float = np.floor(quantity / lot + TOLERANCE)
    if desk.instruments[s, LOTS_PER_UNIT] > 0.0:
        rounded /= desk.instruments[s, LOTS_PER_UNIT]  # 3 / 10 is the double nearest to 0.3, 3 * 0.1 is not
    else:
        rounded *= lot
    return rounded


@compiled
def pool_equity(desk: Desk, pool: int, first: int, last: int) -> float:
    """Return cash plus positions at their last prices; symbols first..last-1 belong to the pool."""
    equity: float = desk.pools[pool, CASH]
    for s in range(first, last):
        if desk.book[s, POSITION] != 0.0:
            equity += desk.book[s, POSITION] * desk.book[s, LAST]
    return equity


@compiled
def apply_fill(desk: Desk, s: int, pool: int, units: float, price: float, fee: float) -> None:
    """Fold one fill (units > 0 bought, < 0 sold) into position, cash and the tally of closed trades.

    Every fill goes through here, whether it happened in a backtest, on the paper venue or at an exchange.
    """
    held = desk.book[s, POSITION]
    entry_before = desk.book[s, ENTRY_PRICE]
    after = held + units
    if abs(after) <= 1e-12 * abs(units):  # 0.1 + 0.2 - 0.3 is not zero in floats, but it is in units
        after = 0.0
    desk.pools[pool, CASH] -= units * price + fee
    desk.pools[pool, FEES] += fee
    if desk.book[s, LAST] == 0.0:
        desk.book[s, LAST] = price
    opening = after
    opening_fee = fee
    if held != 0.0 and (held > 0.0) == (units > 0.0):  # adds
        desk.book[s, ENTRY_PRICE] = (held * entry_before + units * price) / after
        desk.book[s, ENTRY_FEES] += fee
        opening = 0.0
    elif held != 0.0:  # reduces, closes or crosses
        closed = min(abs(units), abs(held))
        closing_fee = fee * (closed / abs(units))
        share = closed / abs(held)
        sign = 1.0 if held > 0.0 else -1.0
        costs_before = (desk.book[s, ENTRY_FEES] + desk.book[s, BORROWED]) * share
        desk.book[s, REALIZED] += sign * closed * (price - entry_before) - closing_fee - costs_before
        if after == 0.0 or (after > 0.0) != (held > 0.0):
            profit = desk.book[s, REALIZED]
            desk.pools[pool, TRADES] += 1.0
            if profit > 0.0:
                desk.pools[pool, WINS] += 1.0
                desk.pools[pool, GAINS] += profit
            else:
                desk.pools[pool, LOSSES] -= profit
            desk.book[s, ENTRY_PRICE] = 0.0
            desk.book[s, ENTRY_FEES] = 0.0
            desk.book[s, BORROWED] = 0.0
            desk.book[s, REALIZED] = 0.0
            desk.book[s, HELD] = 0.0
            opening_fee = fee - closing_fee
        else:
            desk.book[s, ENTRY_FEES] *= 1.0 - share
            desk.book[s, BORROWED] *= 1.0 - share
            opening = 0.0
    if opening != 0.0:
        desk.book[s, ENTRY_PRICE] = price
        desk.book[s, ENTRY_FEES] = opening_fee
        desk.book[s, BEST] = price
        desk.book[s, HELD] = 1.0 if desk.options[CLOSE_FILLS] != 0.0 else 0.0  # a close fill's bar is over already
    desk.book[s, POSITION] = after
    if held < 0.0 or after < 0.0:  # rule 7: the proceeds of open shorts
        desk.pools[pool, SHORT_PROCEEDS] += max(-after, 0.0) * desk.book[s, ENTRY_PRICE] - max(-held, 0.0) * entry_before
        desk.pools[pool, SHORTS] += (1.0 if after < 0.0 else 0.0) - (1.0 if held < 0.0 else 0.0)
        if desk.pools[pool, SHORTS] == 0.0:
            desk.pools[pool, SHORT_PROCEEDS] = 0.0


@compiled
def fill_entry(
    desk: Desk, segment: int, s: int, pool: int, side: float, wanted: float, raw_price: float
) -> tuple[float, float, float, float]:
    """Rules 1, 4, 7, 8: fill an entry with slippage against us, or deny it. Return quantity, price, fee, reason.

    Free cash is cash minus twice the proceeds of open shorts. Lack of it shrinks the order, or denies it.
    """
    price = raw_price * (1.0 + side * desk.options[SLIPPAGE])
    quantity = wanted
    free = desk.pools[pool, CASH] - 2.0 * desk.pools[pool, SHORT_PROCEEDS]
    if not quantity > 0.0:
        return 0.0, price, 0.0, float(BELOW_LOT if free > 0.0 and desk.instruments[s, LOT] > 0.0 else NO_CASH)
    if quantity * price + fee_of(desk, segment, side, False, quantity * price) > free:
        most = affordable(desk, segment, side, free, price)
        if desk.options[ALLOW_PARTIAL] == 0.0 and most < wanted * (1.0 - TOLERANCE):
            return wanted, price, 0.0, float(NO_CASH)
        quantity = round_lot(desk, s, min(most, wanted))
        if quantity <= wanted * TOLERANCE:
            return wanted, price, 0.0, float(NO_CASH)
    if quantity < desk.instruments[s, QUANTITY_MIN] * (1.0 - TOLERANCE):
        return quantity, price, 0.0, float(BELOW_QUANTITY_MIN)
    if quantity * price < desk.instruments[s, NOTIONAL_MIN] * (1.0 - TOLERANCE):
        return quantity, price, 0.0, float(BELOW_NOTIONAL_MIN)
    fee = fee_of(desk, segment, side, False, quantity * price)
    apply_fill(desk, s, pool, side * quantity, price, fee)
    return quantity, price, fee, float(ENTRY)


@compiled
def fill_exit(
    desk: Desk, segment: int, s: int, pool: int, quantity: float, raw_price: float, maker: bool
) -> tuple[float, float, float]:
    """Rules 1, 4, 8: close `quantity` (at most the whole position) with slippage against us; return quantity, price, fee."""
    side = -1.0 if desk.book[s, POSITION] > 0.0 else 1.0
    price = raw_price * (1.0 + side * desk.options[SLIPPAGE])
    closed = min(quantity, abs(desk.book[s, POSITION]))
    fee = fee_of(desk, segment, side, maker, closed * price)
    apply_fill(desk, s, pool, side * closed, price, fee)
    return closed, price, fee


@compiled
def stop_levels(desk: Desk, s: int) -> tuple[float, float, float]:
    """Rule 2: return the level of the nearer stop, its reason, and the take-profit's level; infinite where there is none."""
    entry = desk.book[s, ENTRY_PRICE]
    sign = 1.0 if desk.book[s, POSITION] > 0.0 else -1.0
    stop, reason, target = -sign * np.inf, float(NONE), sign * np.inf
    if desk.options[STOP_LOSS] > 0.0:
        stop, reason = entry * (1.0 - sign * desk.options[STOP_LOSS]), float(BY_STOP_LOSS)
    if desk.options[TRAILING_STOP] > 0.0:
        level = desk.book[s, BEST] * (1.0 - sign * desk.options[TRAILING_STOP])
        if sign * level > sign * stop:
            stop, reason = level, float(BY_TRAILING_STOP)
    if desk.options[TAKE_PROFIT] > 0.0:
        target = entry * (1.0 + sign * desk.options[TAKE_PROFIT])
    return stop, reason, target


@compiled
def stop_hit(desk: Desk, s: int, open_price: float, high: float, low: float) -> tuple[float, float]:
    """Rule 2: return the price at which a stop of the open position is hit in this bar, and its reason (NONE: not hit).

    An open beyond a level fills at the open. Where the bar spans both the stop and the take-profit, the stop is assumed.
    """
    stop, reason, target = stop_levels(desk, s)
    if desk.book[s, POSITION] > 0.0:
        if open_price <= stop:
            return open_price, reason
        if open_price >= target:
            return open_price, float(BY_TAKE_PROFIT)
        if low <= stop:
            return stop, reason
        if high >= target:
            return target, float(BY_TAKE_PROFIT)
    else:
        if open_price >= stop:
            return open_price, reason
        if open_price <= target:
            return open_price, float(BY_TAKE_PROFIT)
        if high >= stop:
            return stop, reason
        if low <= target:
            return target, float(BY_TAKE_PROFIT)
    return 0.0, float(NONE)


@compiled
def pay_borrow(desk: Desk, s: int, pool: int, price: float) -> None:
    """Rule 7: charge a short position for one bar, on its value at `price`; a bar in which a stop closes it counts in full."""
    if desk.options[BORROW_PER_BAR] == 0.0 or not desk.book[s, POSITION] < 0.0:
        return
    cost = -desk.book[s, POSITION] * price * desk.options[BORROW_PER_BAR]
    desk.pools[pool, CASH] -= cost
    desk.pools[pool, BORROW] += cost
    desk.book[s, BORROWED] += cost


@compiled
def mark(desk: Desk, s: int, pool: int, close: float, high: float, low: float) -> None:
    """Rule 3: take over the close of the symbol's bar (NaN: it has none); age the position and charge a short's borrowing."""
    if close == close:
        desk.book[s, LAST] = close
        if desk.book[s, POSITION] != 0.0:
            desk.book[s, HELD] += 1.0
            if desk.options[TRAILING_STOP] > 0.0:
                desk.book[s, BEST] = (
                    max(desk.book[s, BEST], high) if desk.book[s, POSITION] > 0.0 else min(desk.book[s, BEST], low)
                )
    pay_borrow(desk, s, pool, desk.book[s, LAST])


@compiled
def choose(
    position: float, held: float, max_hold: float, entry: bool, exit_: bool, short_entry: bool, short_exit: bool
) -> tuple[int, float]:
    """Rule 3: return the reason to leave the position (NONE: stay) and the direction to enter (0: none)."""
    if entry and exit_:
        entry = exit_ = False
    if short_entry and short_exit:
        short_entry = short_exit = False
    if entry and short_entry:
        entry = short_entry = False
    if position == 0.0:
        return NONE, 1.0 if entry else (-1.0 if short_entry else 0.0)
    leave = exit_ if position > 0.0 else short_exit
    reverse = short_entry if position > 0.0 else entry
    reason = NONE
    if leave:
        reason = EXIT
    elif max_hold > 0.0 and held >= max_hold:
        reason = BY_MAX_HOLD
    if reason == NONE or not reverse:
        return reason, 0.0
    return reason, -1.0 if position > 0.0 else 1.0


@compiled
def decide(
    desk: Desk, segment: int, s: int, equity: float, close: float, entry: bool, exit_: bool, short_entry: bool, short_exit: bool
) -> tuple[int, float, float]:
    """Rules 3 and 4: return why to leave (NONE: stay), the direction to enter (0: none) and its quantity, fixed at this close."""
    reason, direction = choose(
        desk.book[s, POSITION], desk.book[s, HELD], desk.options[MAX_HOLD], entry, exit_, short_entry, short_exit
    )
    if direction == 0.0:
        return reason, direction, 0.0
    size = desk.options[SIZE]
    if desk.options[SIZE_TYPE] == PERCENT:
        price = close * (1.0 + direction * desk.options[SLIPPAGE])
        quantity = affordable(desk, segment, direction, size * equity, price)
    elif desk.options[SIZE_TYPE] == VALUE:
        quantity = size / close
    else:
        quantity = size
    return reason, direction, round_lot(desk, s, quantity)


@compiled
def mark_bar(desk: Desk, shared: bool, closes: Array, highs: Array, lows: Array) -> None:
    """`mark` for every symbol, in the universe's order; for the live account."""
    for s in range(closes.shape[0]):
        mark(desk, s, 0 if shared else s, closes[s], highs[s], lows[s])


@compiled
def decide_bar(desk: Desk, segment: int, shared: bool, closes: Array, signals: Array, decisions: Array) -> int:
    """`decide` for every symbol with a bar; for the live account. Return how many of them want something.

    `signals` is symbol x (entry, exit, short entry, short exit), `decisions` symbol x (reason, direction, quantity), written.
    """
    found = 0
    equity = pool_equity(desk, 0, 0, closes.shape[0]) if shared else 0.0
    for s in range(closes.shape[0]):
        reason, direction, quantity = NONE, 0.0, 0.0
        if closes[s] == closes[s]:
            value = equity if shared else pool_equity(desk, s, s, s + 1)
            reason, direction, quantity = decide(
                desk, segment, s, value, closes[s], signals[s, 0], signals[s, 1], signals[s, 2], signals[s, 3]
            )
        decisions[s, 0], decisions[s, 1], decisions[s, 2] = reason, direction, quantity
        found += (reason != NONE) + (direction != 0.0)
    return found


@compiled
def record(
    orders: Array, count: int, row: int, s: int, side: float, quantity: float, price: float, fee: float,
    reason: float, decided: float, borrowed: float, held: float,
) -> int:  # fmt: skip
    """Write one order's row and return the new count."""
    orders[count, ROW] = row
    orders[count, SYMBOL] = s
    orders[count, SIDE] = side
    orders[count, QUANTITY] = quantity
    orders[count, PRICE] = price
    orders[count, FEE] = fee
    orders[count, REASON] = reason
    orders[count, DECIDED] = decided
    orders[count, ORDER_BORROWED] = borrowed
    orders[count, ORDER_HELD] = held
    return count + 1


@compiled
def due_exit(desk: Desk, segment: int, s: int, pool: int, raw_price: float, orders: Array, count: int, row: int) -> int:
    """Fill the exit that is due for a symbol, if there is one."""
    reason = desk.book[s, DUE_EXIT]
    if reason == NONE:
        return count
    desk.book[s, DUE_EXIT] = NONE
    side = -1.0 if desk.book[s, POSITION] > 0.0 else 1.0
    borrowed, held = desk.book[s, BORROWED], desk.book[s, HELD]
    quantity, price, fee = fill_exit(desk, segment, s, pool, abs(desk.book[s, POSITION]), raw_price, False)
    return record(orders, count, row, s, side, quantity, price, fee, reason, desk.book[s, DUE_ROW], borrowed, held)


@compiled
def due_entry(desk: Desk, segment: int, s: int, pool: int, raw_price: float, orders: Array, count: int, row: int) -> int:
    """Fill or deny the entry that is due for a symbol, if there is one."""
    side = desk.book[s, DUE_ENTRY]
    if side == 0.0:
        return count
    desk.book[s, DUE_ENTRY] = 0.0
    wanted = desk.book[s, DUE_QUANTITY]
    quantity, price, fee, reason = fill_entry(desk, segment, s, pool, side, wanted, raw_price)
    return record(orders, count, row, s, side, quantity, price, fee, reason, desk.book[s, DUE_ROW], 0.0, 0.0)


@compiled
def stop_out(
    desk: Desk, segment: int, s: int, pool: int, open_price: float, high: float, low: float, orders: Array, count: int, row: int
) -> int:
    """Rule 2 for one open position: fill the stop that this bar hits, if it hits one."""
    raw_price, reason = stop_hit(desk, s, open_price, high, low)
    if reason == NONE:
        return count
    side = -1.0 if desk.book[s, POSITION] > 0.0 else 1.0
    pay_borrow(desk, s, pool, raw_price)  # the fill below clears what it adds up
    borrowed, held = desk.book[s, BORROWED], desk.book[s, HELD] + 1.0
    maker = reason == BY_TAKE_PROFIT
    quantity, price, fee = fill_exit(desk, segment, s, pool, abs(desk.book[s, POSITION]), raw_price, maker)
    return record(orders, count, row, s, side, quantity, price, fee, reason, row, borrowed, held)


@compiled
def count_due(desk: Desk, first: int, last: int) -> int:
    """Return how many orders wait for their symbol's next bar."""
    due = 0
    for s in range(first, last):
        due += (desk.book[s, DUE_EXIT] != NONE) + (desk.book[s, DUE_ENTRY] != 0.0)
    return due


@compiled
def run(
    desk: Desk, tape: Tape, first: int, last: int, pool: int, row: int, stop_row: int,
    orders: Array, count: int, equity: Array, exposed: Array,
) -> tuple[int, int]:  # fmt: skip
    """Live bars row..stop_row-1 of symbols first..last-1, which share a pool; return the next row and the count of orders.

    It adds the pool's equity to `equity` and sets `exposed` where a position was at risk. It returns early when `orders` might
    overflow: call it again with more room and the row that it returned.
    """
    opens, highs, lows, closes = tape.opens, tape.highs, tape.lows, tape.closes
    close_fills = desk.options[CLOSE_FILLS] != 0.0
    has_stops = desk.options[STOP_LOSS] > 0.0 or desk.options[TRAILING_STOP] > 0.0 or desk.options[TAKE_PROFIT] > 0.0
    max_hold = desk.options[MAX_HOLD]
    has_entries, has_exits = tape.entries.shape[0] > 0, tape.exits.shape[0] > 0
    has_short_entries, has_short_exits = tape.short_entries.shape[0] > 0, tape.short_exits.shape[0] > 0
    room = 3 * (last - first)
    segment = 0
    due = count_due(desk, first, last)
    for t in range(row, stop_row):
        if count + room > orders.shape[0]:
            return t, count
        while segment + 1 < tape.cost_rows.shape[0] and t >= tape.cost_rows[segment + 1]:
            segment += 1
        if due > 0 and not close_fills:  # rule 1: exits first, then entries; a symbol without a bar waits
            for s in range(first, last):
                if closes[s, t] == closes[s, t]:
                    count = due_exit(desk, segment, s, pool, opens[s, t], orders, count, t)
            for s in range(first, last):
                if closes[s, t] == closes[s, t]:
                    count = due_entry(desk, segment, s, pool, opens[s, t], orders, count, t)
            due = count_due(desk, first, last)
        if has_stops:
            for s in range(first, last):
                if desk.book[s, POSITION] != 0.0:
                    exposed[t] = 1
                    if closes[s, t] == closes[s, t]:
                        count = stop_out(desk, segment, s, pool, opens[s, t], highs[s, t], lows[s, t], orders, count, t)
        for s in range(first, last):
            if desk.book[s, POSITION] != 0.0:
                exposed[t] = 1
            mark(desk, s, pool, closes[s, t], highs[s, t], lows[s, t])
        value = pool_equity(desk, pool, first, last)
        for s in range(first, last):
            entry = has_entries and tape.entries[s, t]
            exit_ = has_exits and tape.exits[s, t]
            short_entry = has_short_entries and tape.short_entries[s, t]
            short_exit = has_short_exits and tape.short_exits[s, t]
            aged = max_hold > 0.0 and desk.book[s, HELD] >= max_hold
            if (entry or exit_ or short_entry or short_exit or aged) and closes[s, t] == closes[s, t]:
                reason, direction, quantity = decide(desk, segment, s, value, closes[s, t], entry, exit_, short_entry, short_exit)
                desk.book[s, DUE_EXIT] = reason
                desk.book[s, DUE_ENTRY] = direction
                desk.book[s, DUE_QUANTITY] = quantity
                desk.book[s, DUE_ROW] = t
                due += (reason != NONE) + (direction != 0.0)
        if due > 0 and close_fills:  # rule 6
            for s in range(first, last):
                count = due_exit(desk, segment, s, pool, closes[s, t], orders, count, t)
            for s in range(first, last):
                count = due_entry(desk, segment, s, pool, closes[s, t], orders, count, t)
            due = 0
            value = pool_equity(desk, pool, first, last)
        equity[t] += value
    return stop_row, count
