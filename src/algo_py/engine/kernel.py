"""The compiled step: the rules that turn signals into fills, as functions of values, and the loop over bars that calls them.

The backtest runs `run`; the live worker's `Account` calls the same functions one by one. All compiled code of a run stands in
this file on purpose: numba's cache on disk notices a change of a function's own file only, and a kernel that was compiled with
yesterday's fill rule would be wrong in silence. Constants live here for the same reason.

All numbers are float64. `s` is a symbol's place in the universe, `t` a bar's row; `side` is +1 to buy and -1 to sell,
`direction` +1 long and -1 short. The rules take and return named tuples, not arrays: numba counts the references to an array in
each function that it is passed to, which costs more than a rule does.
"""

# ruff: noqa: FBT001 - compiled functions take their arguments by position

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

Array = np.ndarray


class Position(NamedTuple):
    """What is held of a symbol: the first columns of its row in the book."""

    units: float  # below 0 when short
    last: float  # the price it was last marked at
    held: float  # the symbol's own bars since the entry, the entry's bar included
    best: float  # the best price since the entry
    entry_price: float
    entry_fees: float
    borrowed: float  # paid for borrowing since the entry
    realized: float  # profit of the parts already closed


class Pool(NamedTuple):
    """Cash and the tally of closed trades: a pool's row, whose last column is the initial cash."""

    cash: float
    short_proceeds: float  # of all open shorts
    shorts: float  # how many are open
    fees: float
    borrow: float
    trades: float
    wins: float
    gains: float
    losses: float


class Options(NamedTuple):
    """What does not change during a run. 0 switches a stop, the holding limit or borrowing off."""

    size: float
    size_type: float
    slippage: float
    allow_partial: float
    close_fills: float
    stop_loss: float
    take_profit: float
    trailing_stop: float
    max_hold: float
    borrow_per_bar: float


class Rates(NamedTuple):
    """Fees as fractions of notional by side and liquidity, and the fixed part of an order by side."""

    buy: float
    sell: float
    buy_maker: float
    sell_maker: float
    buy_fixed: float
    sell_fixed: float


class Rule(NamedTuple):
    """A symbol's order rules; lots_per_unit is 1 / lot where that is whole, else 0."""

    lot: float
    lots_per_unit: float
    quantity_min: float
    notional_min: float


class Fill(NamedTuple):
    """What became of an order; a reason from DENIED on means that nothing has changed."""

    quantity: float
    price: float
    fee: float
    reason: float


class Choice(NamedTuple):
    """What a close asks for: why to leave (NONE: stay), the direction to enter (0: none) and its quantity."""

    leave: float
    enter: float
    quantity: float


class Tape(NamedTuple):
    """What happened: bars and signals, symbol x time, each symbol's row contiguous, read-only.

    A close that is NaN means that the symbol has no bar. Signals that were not given are one row of no bars.
    """

    opens: Array
    highs: Array
    lows: Array
    closes: Array
    entries: Array
    exits: Array
    short_entries: Array
    short_exits: Array
    active: Array  # time: whether any symbol has any signal on the bar; empty where symbols do not share a pool
    costs: Array  # segment x the fields of Rates
    cost_rows: Array  # int64: the first row of each segment


# book: one row per symbol: the fields of Position, what is due at its next bar, the fields of Rule
UNITS, LAST, HELD, BEST, ENTRY_PRICE, ENTRY_FEES, BORROWED, REALIZED = range(8)
DUE_EXIT, DUE_ENTRY, DUE_QUANTITY, DUE_ROW, LOT, LOTS_PER_UNIT, QUANTITY_MIN, NOTIONAL_MIN = range(8, 16)
BOOK_COLUMNS = 16

# pools: one row per pool of cash: the fields of Pool, the initial cash
CASH, SHORT_PROCEEDS, SHORTS, FEES, BORROW, TRADES, WINS, GAINS, LOSSES, INITIAL = range(10)
POOL_COLUMNS = 10

# orders: one row per order, denied ones included
ROW, SYMBOL, SIDE, QUANTITY, PRICE, FEE, REASON, DECIDED, ORDER_BORROWED, ORDER_HELD = range(10)
ORDER_COLUMNS = 10

# reasons of orders; from DENIED on the order was denied
NONE, ENTRY, EXIT, BY_STOP_LOSS, BY_TRAILING_STOP, BY_TAKE_PROFIT, BY_MAX_HOLD = (float(code) for code in range(7))
NO_CASH, BELOW_LOT, BELOW_QUANTITY_MIN, BELOW_NOTIONAL_MIN = (float(code) for code in range(10, 14))
DENIED = NO_CASH

# Options.size_type
PERCENT, VALUE, AMOUNT = 0.0, 1.0, 2.0

# Between fills that are at most this far apart, prices are read ahead (see `stream`).
STREAMED_BARS = 512

# A quantity may miss a lot, a minimum or the cash by this fraction: it is rounding, not a decision.
TOLERANCE = 1e-9

# Signatures are left to the first call, which loads them from the cache on disk; callers keep the types of arguments constant.
compiled = njit(cache=True, error_model="numpy", forceinline=True)


@compiled
def fee_of(rates: Rates, side: float, maker: bool, notional: float) -> float:
    """Rule 8: a fraction of the notional and a fixed part per order."""
    if side > 0.0:
        return notional * (rates.buy_maker if maker else rates.buy) + rates.buy_fixed
    return notional * (rates.sell_maker if maker else rates.sell) + rates.sell_fixed


@compiled
def affordable(rates: Rates, side: float, budget: float, price: float) -> float:
    """Return the largest quantity whose notional and fees stay within `budget`; 0 where not even the fixed fee does."""
    rate, fixed = (rates.buy, rates.buy_fixed) if side > 0.0 else (rates.sell, rates.sell_fixed)
    quantity = (budget - fixed) / (price * (1.0 + rate))
    if not quantity > 0.0:
        return 0.0
    for _ in range(8):  # the division may have rounded up by a bit or two
        if quantity * price + fee_of(rates, side, False, quantity * price) <= budget:
            break
        quantity = np.nextafter(quantity, 0.0)
    return quantity


@compiled
def round_lot(rule: Rule, quantity: float) -> float:
    """Rule 4: round down to whole lots, with a tolerance of 1e-9 lot."""
    if rule.lot <= 0.0:
        return quantity
    lots: float = np.floor(quantity / rule.lot + TOLERANCE)
    # 3 / 10 is the double nearest to 0.3, 3 * 0.1 is not
    return lots / rule.lots_per_unit if rule.lots_per_unit > 0.0 else lots * rule.lot


@compiled
def apply_fill(position: Position, pool: Pool, options: Options, units: float, price: float, fee: float) -> tuple[Position, Pool]:
    """Fold one fill (units > 0 bought, < 0 sold) into position, cash and the tally of closed trades.

    Every fill goes through here, whether it happened in a backtest, on the paper venue or at an exchange.
    """
    before, after = position.units, position.units + units
    if abs(after) <= 1e-12 * abs(units):  # 0.1 + 0.2 - 0.3 is not zero in floats, but it is in units
        after = 0.0
    held, best, entry_price = position.held, position.best, position.entry_price
    entry_fees, borrowed, realized = position.entry_fees, position.borrowed, position.realized
    trades, wins, gains, losses = pool.trades, pool.wins, pool.gains, pool.losses
    opens = after != 0.0 and (before == 0.0 or (after > 0.0) != (before > 0.0))
    opening_fee = fee
    if before != 0.0 and (before > 0.0) == (units > 0.0):  # adds
        entry_price = (before * entry_price + units * price) / after
        entry_fees += fee
    elif before != 0.0:  # reduces, closes or crosses
        closed = min(abs(units), abs(before))
        closing_fee = fee * (closed / abs(units))
        share = closed / abs(before)
        gross = closed * (price - entry_price) if before > 0.0 else closed * (entry_price - price)
        realized += gross - closing_fee - (entry_fees + borrowed) * share
        if after == 0.0 or opens:
            trades += 1.0
            if realized > 0.0:
                wins += 1.0
                gains += realized
            else:
                losses -= realized
            opening_fee = fee - closing_fee
            held, best, entry_price, entry_fees, borrowed, realized = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        else:
            entry_fees *= 1.0 - share
            borrowed *= 1.0 - share
    if opens:
        held = 1.0 if options.close_fills != 0.0 else 0.0  # a close fill's bar is over already
        best, entry_price, entry_fees = price, price, opening_fee
    short_proceeds, shorts = pool.short_proceeds, pool.shorts
    if before < 0.0 or after < 0.0:  # rule 7
        short_proceeds += max(-after, 0.0) * entry_price - max(-before, 0.0) * position.entry_price
        shorts += (1.0 if after < 0.0 else 0.0) - (1.0 if before < 0.0 else 0.0)
        if shorts == 0.0:
            short_proceeds = 0.0
    last = price if position.last == 0.0 else position.last
    return (
        Position(after, last, held, best, entry_price, entry_fees, borrowed, realized),
        Pool(
            pool.cash - (units * price + fee), short_proceeds, shorts,
            pool.fees + fee, pool.borrow, trades, wins, gains, losses,
        ),
    )  # fmt: skip


@compiled
def fill_entry(
    position: Position, pool: Pool, options: Options, rates: Rates, rule: Rule, side: float, wanted: float, raw_price: float
) -> tuple[Fill, Position, Pool]:
    """Rules 1, 4, 7, 8: fill an entry with slippage against us, or deny it.

    Free cash is cash minus twice the proceeds of open shorts. Lack of it shrinks the order, or denies it.
    """
    price = raw_price * (1.0 + side * options.slippage)
    free = pool.cash - 2.0 * pool.short_proceeds
    quantity, reason = wanted, ENTRY
    if not wanted > 0.0:
        quantity, reason = 0.0, BELOW_LOT if free > 0.0 and rule.lot > 0.0 else NO_CASH
    elif wanted * price + fee_of(rates, side, False, wanted * price) > free:
        most = min(affordable(rates, side, free, price), wanted)
        quantity = round_lot(rule, most)
        if quantity <= wanted * TOLERANCE or (options.allow_partial == 0.0 and most < wanted * (1.0 - TOLERANCE)):
            quantity, reason = wanted, NO_CASH
    if reason == ENTRY and quantity < rule.quantity_min * (1.0 - TOLERANCE):
        reason = BELOW_QUANTITY_MIN
    if reason == ENTRY and quantity * price < rule.notional_min * (1.0 - TOLERANCE):
        reason = BELOW_NOTIONAL_MIN
    if reason != ENTRY:
        return Fill(quantity, price, 0.0, reason), position, pool
    fee = fee_of(rates, side, False, quantity * price)
    position, pool = apply_fill(position, pool, options, side * quantity, price, fee)
    return Fill(quantity, price, fee, ENTRY), position, pool


@compiled
def fill_exit(
    position: Position, pool: Pool, options: Options, rates: Rates, quantity: float, raw_price: float, reason: float
) -> tuple[Fill, Position, Pool]:
    """Rules 1, 4, 8: close `quantity` (at most the whole position) with slippage against us; a take-profit pays as maker."""
    side = -1.0 if position.units > 0.0 else 1.0
    price = raw_price * (1.0 + side * options.slippage)
    closed = min(quantity, abs(position.units))
    fee = fee_of(rates, side, reason == BY_TAKE_PROFIT, closed * price)
    position, pool = apply_fill(position, pool, options, side * closed, price, fee)
    return Fill(closed, price, fee, reason), position, pool


@compiled
def stop_levels(position: Position, options: Options) -> tuple[float, float, float]:
    """Rule 2: return the level of the nearer stop, its reason, and the take-profit's level; infinite where there is none."""
    sign = 1.0 if position.units > 0.0 else -1.0
    stop, reason, target = -sign * np.inf, NONE, sign * np.inf
    if options.stop_loss > 0.0:  # 100 + 100 * 0.1 is 110, 100 * (1 + 0.1) is a bit more
        stop, reason = position.entry_price - sign * (position.entry_price * options.stop_loss), BY_STOP_LOSS
    if options.trailing_stop > 0.0:
        level = position.best - sign * (position.best * options.trailing_stop)
        if sign * level > sign * stop:
            stop, reason = level, BY_TRAILING_STOP
    if options.take_profit > 0.0:
        target = position.entry_price + sign * (position.entry_price * options.take_profit)
    return stop, reason, target


@compiled
def stop_hit(position: Position, options: Options, open_price: float, high: float, low: float) -> tuple[float, float]:
    """Rule 2: return the price at which this bar hits a stop of the open position, and its reason (NONE: it does not).

    An open beyond a level fills at the open. Where the bar spans both the stop and the take-profit, the stop is assumed.
    """
    stop, reason, target = stop_levels(position, options)
    is_long = position.units > 0.0
    if open_price <= stop if is_long else open_price >= stop:
        return open_price, reason
    if open_price >= target if is_long else open_price <= target:
        return open_price, BY_TAKE_PROFIT
    if low <= stop if is_long else high >= stop:
        return stop, reason
    if high >= target if is_long else low <= target:
        return target, BY_TAKE_PROFIT
    return 0.0, NONE


@compiled
def pay_borrow(position: Position, pool: Pool, options: Options, price: float) -> tuple[Position, Pool]:
    """Rule 7: charge a short position for one bar, on its value at `price`; a bar in which a stop closes it counts in full."""
    cost = max(-position.units, 0.0) * price * options.borrow_per_bar
    p, q = position, pool
    return (
        Position(p.units, p.last, p.held, p.best, p.entry_price, p.entry_fees, p.borrowed + cost, p.realized),
        Pool(q.cash - cost, q.short_proceeds, q.shorts, q.fees, q.borrow + cost, q.trades, q.wins, q.gains, q.losses),
    )


@compiled
def aged(position: Position) -> Position:
    """Count one more of the symbol's own bars as held."""
    p = position
    return Position(p.units, p.last, p.held + 1.0, p.best, p.entry_price, p.entry_fees, p.borrowed, p.realized)


@compiled
def marked(position: Position, close: float, high: float, low: float) -> Position:
    """Rule 3: take over the close of the symbol's bar (NaN: it has none) and age its position."""
    if close != close:
        return position
    p = position
    if p.units == 0.0:
        return Position(p.units, close, p.held, p.best, p.entry_price, p.entry_fees, p.borrowed, p.realized)
    best = max(p.best, high) if p.units > 0.0 else min(p.best, low)
    return Position(p.units, close, p.held + 1.0, best, p.entry_price, p.entry_fees, p.borrowed, p.realized)


@compiled
def decide(
    position: Position, options: Options, rates: Rates, rule: Rule, equity: float, close: float,
    entry: bool, exit_: bool, short_entry: bool, short_exit: bool,
) -> Choice:  # fmt: skip
    """Rules 3 and 4: turn a bar's signals into what to do; the quantity is fixed at this close."""
    if entry and exit_:
        entry = exit_ = False
    if short_entry and short_exit:
        short_entry = short_exit = False
    if entry and short_entry:
        entry = short_entry = False
    leave, enter, quantity = NONE, 0.0, 0.0
    if position.units == 0.0:
        enter = 1.0 if entry else (-1.0 if short_entry else 0.0)
    else:
        is_long = position.units > 0.0
        if exit_ if is_long else short_exit:
            leave = EXIT
        elif options.max_hold > 0.0 and position.held >= options.max_hold:
            leave = BY_MAX_HOLD
        if leave != NONE and (short_entry if is_long else entry):
            enter = -1.0 if is_long else 1.0
    if enter != 0.0:
        if options.size_type == PERCENT:
            price = close * (1.0 + enter * options.slippage)
            quantity = affordable(rates, enter, options.size * equity, price)
        else:
            quantity = options.size / close if options.size_type == VALUE else options.size
        quantity = round_lot(rule, quantity)
    return Choice(leave, enter, quantity)


@compiled
def read_position(book: Array, s: int) -> Position:
    row = book[s]
    return Position(row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7])


@compiled
def write_position(book: Array, s: int, position: Position) -> None:
    row = book[s]
    row[0], row[1], row[2], row[3] = position.units, position.last, position.held, position.best
    row[4], row[5], row[6], row[7] = position.entry_price, position.entry_fees, position.borrowed, position.realized


@compiled
def read_rule(book: Array, s: int) -> Rule:
    return Rule(book[s, LOT], book[s, LOTS_PER_UNIT], book[s, QUANTITY_MIN], book[s, NOTIONAL_MIN])


@compiled
def read_pool(pools: Array, pool: int) -> Pool:
    row = pools[pool]
    return Pool(row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7], row[8])


@compiled
def write_pool(pools: Array, pool: int, value: Pool) -> None:
    row = pools[pool]
    row[0], row[1], row[2], row[3], row[4] = value.cash, value.short_proceeds, value.shorts, value.fees, value.borrow
    row[5], row[6], row[7], row[8] = value.trades, value.wins, value.gains, value.losses


@compiled
def read_rates(costs: Array, segment: int) -> Rates:
    row = costs[segment]
    return Rates(row[0], row[1], row[2], row[3], row[4], row[5])


@compiled
def pool_equity(book: Array, pools: Array, pool: int, first: int, last: int) -> float:
    """Return cash plus positions at their last prices; symbols first..last-1 belong to the pool."""
    equity: float = pools[pool, CASH]
    for s in range(first, last):
        if book[s, UNITS] != 0.0:
            equity += book[s, UNITS] * book[s, LAST]
    return equity


@compiled
def record(orders: Array, count: int, row: int, s: int, side: float, fill: Fill, decided: float, before: Position) -> int:
    """Write one order's row, with what the position was `before` it, and return the new count."""
    order = orders[count]
    order[0], order[1], order[2], order[3], order[4] = row, s, side, fill.quantity, fill.price
    order[5], order[6], order[7], order[8], order[9] = fill.fee, fill.reason, decided, before.borrowed, before.held
    return count + 1


@compiled
def find_flag(flags: Array, others: Array, row: int, stop_row: int) -> int:
    """Return the first row from `row` on at which either array is True, or `stop_row`. An array may be empty."""
    t = row
    while t + 64 <= stop_row:  # slices of one length become a few vector instructions
        found = np.uint8(0)
        if flags.shape[0] > 0:
            part = flags[t : t + 64]
            for k in range(64):
                found |= np.uint8(part[k])
        if others.shape[0] > 0:
            part = others[t : t + 64]
            for k in range(64):
                found |= np.uint8(part[k])
        if found != 0:
            break
        t += 64
    while t < stop_row and not ((flags.shape[0] > 0 and flags[t]) or (others.shape[0] > 0 and others[t])):
        t += 1
    return t


@compiled
def mark_along(curve: Array, closes: Array, units: float, price: float) -> tuple[float, int]:
    """Add a position's value at each close to `curve`; return its last price and how many bars there were (NaN: none)."""
    missing = 0
    for t in range(closes.shape[0]):
        missing += closes[t] != closes[t]
    if missing == 0 and closes.shape[0] > 0:
        for t in range(closes.shape[0]):
            curve[t] += units * closes[t]
        return closes[closes.shape[0] - 1], closes.shape[0]
    for t in range(closes.shape[0]):
        if closes[t] == closes[t]:
            price = closes[t]
        curve[t] += units * price
    return price, closes.shape[0] - missing


@compiled
def stream(prices: Array) -> float:
    """Read one price of each cache line. The fills to come then find their prices in the cache: fetching a single price from
    the middle of a long array takes longer than all the rules of a fill.
    """
    total = 0.0
    for t in range(0, prices.shape[0], 8):
        total += prices[t]
    return total


@compiled
def pass_quiet_bars(
    book: Array, cash: float, closes: Array, first: int, last: int, row: int, end: int, equity: Array, exposed: Array
) -> None:
    """Live bars row..end-1, on which nothing happens but marking: `marked` and `pool_equity`, symbol by symbol."""
    curve, risk = equity[row:end], exposed[row:end]
    for t in range(curve.shape[0]):
        curve[t] = cash
    for s in range(first, last):
        if book[s, UNITS] != 0.0:
            for t in range(risk.shape[0]):
                risk[t] = 1
            book[s, LAST], bars = mark_along(curve, closes[s, row:end], book[s, UNITS], book[s, LAST])
            book[s, HELD] += bars


@compiled
def run(
    book: Array, pools: Array, options: Options, tape: Tape, first: int, last: int, pool: int, row: int, stop_row: int,
    orders: Array, count: int, equity: Array, exposed: Array,
) -> tuple[int, int]:  # fmt: skip
    """Live bars row..stop_row-1 of symbols first..last-1, which share a pool; return the next row and the count of orders.

    The pool's equity is written to `equity`; `exposed` becomes 1 where a position was at risk. It returns early when `orders`
    might overflow: call it again with more room and the row that it returned.
    """
    opens, highs, lows, closes, active = tape.opens, tape.highs, tape.lows, tape.closes, tape.active
    entries, exits, short_entries, short_exits = tape.entries, tape.exits, tape.short_entries, tape.short_exits
    has_entries, has_exits = entries.shape[1] > 0, exits.shape[1] > 0
    has_short_entries, has_short_exits = short_entries.shape[1] > 0, short_exits.shape[1] > 0
    no_flags = active[:0]
    own_entries, own_exits = entries[first if has_entries else 0], exits[first if has_exits else 0]
    own_short_entries = short_entries[first if has_short_entries else 0]
    own_short_exits = short_exits[first if has_short_exits else 0]
    fill_stage, max_hold, has_borrow = int(options.close_fills), options.max_hold, options.borrow_per_bar > 0.0
    has_stops = options.stop_loss > 0.0 or options.trailing_stop > 0.0 or options.take_profit > 0.0
    has_trail = options.trailing_stop > 0.0
    is_watched = has_stops or has_borrow or max_hold > 0.0  # then a bar with an open position is never quiet
    single = last - first == 1
    segment, due, held = 0, 0, 0
    rates = read_rates(tape.costs, 0)
    waits = np.zeros(last, dtype=np.uint8)
    for s in range(first, last):
        waits[s] = book[s, DUE_EXIT] != NONE or book[s, DUE_ENTRY] != 0.0
        due += waits[s]
        held += book[s, UNITS] != 0.0
    t = row
    while t < stop_row:
        if due == 0 and (held == 0 or not is_watched):
            end = t
            if not single:
                end = find_flag(active, no_flags, t, stop_row)
            elif held == 0:
                end = find_flag(own_entries, own_short_entries, t, stop_row)
            elif book[first, UNITS] > 0.0:
                end = find_flag(own_exits, no_flags, t, stop_row)
            else:
                end = find_flag(own_short_exits, no_flags, t, stop_row)
            if single and end - t < STREAMED_BARS:
                book[first, DUE_QUANTITY] = stream(opens[first, t:end])  # nothing is due: the column is free
                if held == 0:
                    book[first, DUE_QUANTITY] += stream(closes[first, t:end])
            pass_quiet_bars(book, pools[pool, CASH], closes, first, last, t, end, equity, exposed)
            t = end
            if t == stop_row:
                break
        if count + 3 * (last - first) > orders.shape[0]:  # an exit, an entry and a stop of each symbol
            return t, count
        while segment + 1 < tape.cost_rows.shape[0] and t >= tape.cost_rows[segment + 1]:
            segment += 1
            rates = read_rates(tape.costs, segment)
        for stage in range(2):  # the open, then the rest of the bar
            if stage == 1:
                if has_stops:  # rule 2
                    for s in range(first, last):
                        if book[s, UNITS] != 0.0:
                            exposed[t] = 1
                            before = read_position(book, s)
                            price, reason = stop_hit(before, options, opens[s, t], highs[s, t], lows[s, t])
                            if reason != NONE and closes[s, t] == closes[s, t]:
                                before, cash = pay_borrow(before, read_pool(pools, pool), options, price)
                                before = aged(before)
                                fill, position, cash = fill_exit(before, cash, options, rates, np.inf, price, reason)
                                write_position(book, s, position)
                                write_pool(pools, pool, cash)
                                count = record(orders, count, t, s, -np.sign(before.units), fill, t, before)
                for s in range(first, last):  # rule 3
                    if book[s, UNITS] != 0.0:
                        exposed[t] = 1
                        close = closes[s, t]
                        high, low = (highs[s, t], lows[s, t]) if has_trail else (close, close)  # spare the memory
                        position = marked(read_position(book, s), close, high, low)
                        if has_borrow:
                            position, cash = pay_borrow(position, read_pool(pools, pool), options, position.last)
                            write_pool(pools, pool, cash)
                        write_position(book, s, position)
                if single or active[t] or max_hold > 0.0:
                    value = pool_equity(book, pools, pool, first, last)
                    for s in range(first, last):
                        entry, exit_ = has_entries and entries[s, t], has_exits and exits[s, t]
                        short_entry = has_short_entries and short_entries[s, t]
                        short_exit = has_short_exits and short_exits[s, t]
                        close = closes[s, t]
                        if (entry or exit_ or short_entry or short_exit or max_hold > 0.0) and close == close:
                            choice = decide(
                                read_position(book, s), options, rates, read_rule(book, s), value, close,
                                entry, exit_, short_entry, short_exit,
                            )  # fmt: skip
                            if choice.leave != NONE or choice.enter != 0.0:
                                book[s, DUE_EXIT], book[s, DUE_ENTRY] = choice.leave, choice.enter
                                book[s, DUE_QUANTITY], book[s, DUE_ROW], book[s, LAST] = choice.quantity, t, close
                                waits[s] = 1
                                due += 1
            if due > 0 and stage == fill_stage:  # rules 1 and 6: exits first, then entries; a symbol without a bar waits
                for s in range(first, last):
                    if waits[s] != 0 and book[s, DUE_EXIT] != NONE and closes[s, t] == closes[s, t]:
                        before, price = read_position(book, s), closes[s, t] if stage == 1 else opens[s, t]
                        fill, position, cash = fill_exit(
                            before, read_pool(pools, pool), options, rates, np.inf, price, book[s, DUE_EXIT]
                        )
                        write_position(book, s, position)
                        write_pool(pools, pool, cash)
                        count = record(orders, count, t, s, -np.sign(before.units), fill, book[s, DUE_ROW], before)
                for s in range(first, last):
                    if waits[s] != 0 and closes[s, t] == closes[s, t]:
                        side = book[s, DUE_ENTRY]
                        if side != 0.0:
                            before, price = read_position(book, s), closes[s, t] if stage == 1 else opens[s, t]
                            fill, position, cash = fill_entry(
                                before, read_pool(pools, pool), options, rates, read_rule(book, s), side,
                                book[s, DUE_QUANTITY], price,
                            )  # fmt: skip
                            write_position(book, s, position)
                            write_pool(pools, pool, cash)
                            count = record(orders, count, t, s, side, fill, book[s, DUE_ROW], before)
                        book[s, DUE_EXIT], book[s, DUE_ENTRY], waits[s] = NONE, 0.0, 0
                        due -= 1
        equity[t] = pool_equity(book, pools, pool, first, last)
        held = 0
        for s in range(first, last):
            held += book[s, UNITS] != 0.0
        t += 1
    return stop_row, count


# The same functions on one row of the state, for the live account.


@compiled
def account_mark(book: Array, pools: Array, options: Options, shared: bool, closes: Array, highs: Array, lows: Array) -> None:
    """Mark every symbol at its close (NaN: no bar) and charge every short for the bar, in the universe's order."""
    for s in range(closes.shape[0]):
        pool = 0 if shared else s
        position = marked(read_position(book, s), closes[s], highs[s], lows[s])
        if options.borrow_per_bar > 0.0:
            position, cash = pay_borrow(position, read_pool(pools, pool), options, position.last)
            write_pool(pools, pool, cash)
        write_position(book, s, position)


@compiled
def account_decide(
    book: Array, pools: Array, options: Options, rates: Rates, shared: bool, closes: Array, signals: Array, choices: Array
) -> int:
    """Decide for every symbol with a bar, and return how many want something.

    `signals` is symbol x (entry, exit, short entry, short exit); `choices`, symbol x the fields of Choice, is written.
    """
    found = 0
    equity = pool_equity(book, pools, 0, 0, closes.shape[0]) if shared else 0.0
    for s in range(closes.shape[0]):
        choice = Choice(NONE, 0.0, 0.0)
        if closes[s] == closes[s]:
            value = equity if shared else pool_equity(book, pools, s, s, s + 1)
            choice = decide(
                read_position(book, s), options, rates, read_rule(book, s), value, closes[s],
                signals[s, 0], signals[s, 1], signals[s, 2], signals[s, 3],
            )  # fmt: skip
        choices[s, 0], choices[s, 1], choices[s, 2] = choice.leave, choice.enter, choice.quantity
        found += choice.leave != NONE or choice.enter != 0.0
    return found


@compiled
def account_enter(
    book: Array, pools: Array, options: Options, rates: Rates, s: int, pool: int, side: float, quantity: float, price: float
) -> Fill:
    """Fill or deny an entry."""
    fill, position, cash = fill_entry(
        read_position(book, s), read_pool(pools, pool), options, rates, read_rule(book, s), side, quantity, price
    )
    write_position(book, s, position)
    write_pool(pools, pool, cash)
    return fill


@compiled
def account_leave(
    book: Array, pools: Array, options: Options, rates: Rates, s: int, pool: int, quantity: float, price: float, reason: float
) -> Fill:
    """Fill an exit; one by a stop pays the borrowing of its bar first."""
    position, cash = read_position(book, s), read_pool(pools, pool)
    if reason in (BY_STOP_LOSS, BY_TRAILING_STOP, BY_TAKE_PROFIT):
        position, cash = pay_borrow(position, cash, options, price)
    fill, position, cash = fill_exit(position, cash, options, rates, quantity, price, reason)
    write_position(book, s, position)
    write_pool(pools, pool, cash)
    return fill


@compiled
def account_apply(book: Array, pools: Array, options: Options, s: int, pool: int, units: float, price: float, fee: float) -> None:
    """Fold a fill that happened elsewhere."""
    position, cash = apply_fill(read_position(book, s), read_pool(pools, pool), options, units, price, fee)
    write_position(book, s, position)
    write_pool(pools, pool, cash)


@compiled
def account_levels(book: Array, options: Options, s: int) -> tuple[float, float, float]:
    """Return a position's stop level, its reason and its take-profit level."""
    return stop_levels(read_position(book, s), options)


@compiled
def account_hit(book: Array, options: Options, s: int, open_price: float, high: float, low: float) -> tuple[float, float]:
    """Return the price and the reason of the stop that a bar hits."""
    return stop_hit(read_position(book, s), options, open_price, high, low)
