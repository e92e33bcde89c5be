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

from typing import Any, NamedTuple

import numpy as np
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

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
    """Fees as fractions of notional by side and liquidity, the fixed part of an order by side, and brokerage as a fraction that
    is at most `brokerage_most`.
    """

    buy: float
    sell: float
    buy_maker: float
    sell_maker: float
    buy_fixed: float
    sell_fixed: float
    brokerage: float
    brokerage_most: float


class Rule(NamedTuple):
    """A symbol's order rules; lots_per_unit is 1 / lot where that is whole, else 0."""

    lot: float
    lots_per_unit: float
    quantity_min: float
    notional_min: float


class Fill(NamedTuple):
    """What became of an order; a reason from DENIED on means that nothing has changed."""

    side: float
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

    A close that is NaN means that the symbol has no bar. An open that is NaN beside a close means that nothing can fill in that
    bar, a low that is NaN that no stop is looked at (rule 11). Signals that were not given are one row of no bars.
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
    places: Array  # int64: 16 x symbol + signals of those that have one, bar after bar, in the universe's order
    starts: Array  # int64, time + 1: where each bar's begin in `places`
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
NONE, ENTRY, EXIT, BY_STOP_LOSS, BY_TRAILING_STOP, BY_TAKE_PROFIT, BY_MAX_HOLD, BY_SQUARE_OFF = (float(code) for code in range(8))
NO_CASH, BELOW_LOT, BELOW_QUANTITY_MIN, BELOW_NOTIONAL_MIN = (float(code) for code in range(10, 14))
DENIED = NO_CASH

# Options.size_type
PERCENT, VALUE, AMOUNT = 0.0, 1.0, 2.0

# A quantity may miss a lot, a minimum or the cash by this fraction: it is rounding, not a decision.
TOLERANCE = 1e-9

# Signatures are left to the first call, which loads them from the cache on disk; callers keep the types of arguments constant.
compiled = njit(cache=True, error_model="numpy", forceinline=True)
called = njit(cache=True, error_model="numpy")  # large and called from several places: inlining it would take long to compile


@compiled
def fee_of(rates: Rates, side: float, maker: bool, notional: float) -> float:
    """Rule 8: a fraction of the notional, a fixed part per order, and brokerage."""
    brokerage = min(notional * rates.brokerage, rates.brokerage_most)
    if side > 0.0:
        return notional * (rates.buy_maker if maker else rates.buy) + rates.buy_fixed + brokerage
    return notional * (rates.sell_maker if maker else rates.sell) + rates.sell_fixed + brokerage


@compiled
def affordable(rates: Rates, side: float, budget: float, price: float) -> float:
    """Return the largest quantity whose notional and fees stay within `budget`; 0 where not even the fixed fee does."""
    rate, fixed = (rates.buy, rates.buy_fixed) if side > 0.0 else (rates.sell, rates.sell_fixed)
    quantity = (budget - fixed) / (price * (1.0 + rate + rates.brokerage))
    if rates.brokerage > 0.0:  # of the two bounds of brokerage the lower one counts, so the larger quantity does
        quantity = max(quantity, (budget - fixed - rates.brokerage_most) / (price * (1.0 + rate)))
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


@called
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
        return Fill(side, quantity, price, 0.0, reason), position, pool
    fee = fee_of(rates, side, False, quantity * price)
    position, pool = apply_fill(position, pool, options, side * quantity, price, fee)
    return Fill(side, quantity, price, fee, ENTRY), position, pool


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
    return Fill(side, closed, price, fee, reason), position, pool


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

    An open beyond a level fills at the open. Where the bar spans both the stop and the take-profit, the stop is assumed. A bar
    whose low is not known hits nothing.
    """
    if low != low:
        return 0.0, NONE
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
def moved(position: Position, last: float, held: float, best: float) -> Position:
    """Return the position with another last price, age and best price."""
    p = position
    return Position(p.units, last, held, best, p.entry_price, p.entry_fees, p.borrowed, p.realized)


@compiled
def extremes(high: float, low: float, close: float) -> tuple[float, float]:
    """Return a bar's high and low; one whose are not known, an auction, had one price (rule 11)."""
    return (high, low) if low == low else (close, close)


@compiled
def marked(position: Position, close: float, high: float, low: float) -> Position:
    """Rule 3: take over the close of the symbol's bar (NaN: it has none), age its position and follow its best price."""
    p = position
    if close != close:
        return p
    best = max(p.best, high) if p.units > 0.0 else min(p.best, low)
    return moved(p, close, p.held + 1.0, best) if p.units != 0.0 else moved(p, close, p.held, p.best)


@compiled
def decide(position: Position, options: Options, rates: Rates, rule: Rule, equity: float, close: float, signals: int) -> Choice:
    """Rules 3 and 4: turn a bar's signals (see `signals_at`) into what to do; the quantity is fixed at this close."""
    entry, exit_, short_entry, short_exit = signals & 1 != 0, signals & 2 != 0, signals & 4 != 0, signals & 8 != 0
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
    return Rates(row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7])


@compiled
def pool_equity(book: Array, pools: Array, pool: int, holding: Array, held: int) -> float:
    """Return cash plus positions at their last prices; the first `held` of `holding` are the pool's symbols with a position."""
    equity: float = pools[pool, CASH]
    for k in range(held):
        equity += book[holding[k], UNITS] * book[holding[k], LAST]
    return equity


@compiled
def list_open(book: Array, first: int, last: int, holding: Array) -> int:
    """Write the symbols that have a position, in the universe's order, and return how many there are."""
    held = 0
    for s in range(first, last):
        holding[held] = s
        held += book[s, UNITS] != 0.0
        if held == holding.shape[0]:
            break
    return held


@compiled
def insert_ordered(places: Array, count: int, s: int) -> int:
    """Insert `s` into the first `count` ascending places and return the new count."""
    k = count
    while k > 0 and places[k - 1] > s:
        places[k] = places[k - 1]
        k -= 1
    places[k] = s
    return count + 1


@compiled
def record(orders: Array, count: int, row: int, s: int, fill: Fill, decided: float, before: Position) -> int:
    """Write one order's row, with what the position was `before` it, and return the new count."""
    order = orders[count]
    order[0], order[1], order[2], order[3], order[4] = row, s, fill.side, fill.quantity, fill.price
    order[5], order[6], order[7], order[8], order[9] = fill.fee, fill.reason, decided, before.borrowed, before.held
    return count + 1


@compiled
def rows_of(flags: Array, rows: int) -> Array:
    """Return the rows at which flags are set, ascending, and `rows` at the end; there may be no flags at all."""
    count = 0
    for t in range(flags.shape[0]):
        count += flags[t]
    found = np.empty(count + 9, dtype=np.int64)
    count = 0
    whole = flags.shape[0] - flags.shape[0] % 8
    words = flags[:whole].view(np.uint64)
    for word in range(words.shape[0]):
        if words[word] != 0:
            for t in range(8 * word, 8 * word + 8):  # without a branch on each flag, which nobody could predict
                found[count] = t
                count += flags[t]
    for t in range(whole, flags.shape[0]):
        found[count] = t
        count += flags[t]
    found[count] = rows
    return found


@compiled
def first_from(found: Array, place: int, t: int) -> int:
    """Return the place in `rows_of`, from `place` on, of the first row that is not before `t`."""
    while found[place] < t:
        place += 1
    return place


@compiled
def signals_at(entries: Array, exits: Array, short_entries: Array, short_exits: Array, t: int) -> int:
    """Return a bar's signals of a symbol as one number: 1 entry, 2 exit, 4 short entry, 8 short exit."""
    signals = 0
    if entries.shape[0] > 0:
        signals |= int(entries[t])
    if exits.shape[0] > 0:
        signals |= int(exits[t]) << 1
    if short_entries.shape[0] > 0:
        signals |= int(short_entries[t]) << 2
    if short_exits.shape[0] > 0:
        signals |= int(short_exits[t]) << 3
    return signals


@compiled
def own_row(rows: Array, s: int) -> Array:
    """Return a symbol's row; signals that were not given have one empty row for all."""
    row: Array = rows[s if rows.shape[1] > 0 else 0]
    return row


@compiled
def list_signals(
    entries: Array, exits: Array, short_entries: Array, short_exits: Array, symbols: int, active: Array
) -> tuple[Array, Array]:
    """Fill `active` (time) and return `Tape.places` and `Tape.starts`, so that a bar need not ask every symbol for a signal."""
    rows = active.shape[0]
    starts, cursor = np.zeros(rows + 1, dtype=np.int64), np.zeros(rows, dtype=np.int64)
    some, codes = np.empty(rows, dtype=np.uint8), np.zeros((symbols, rows), dtype=np.uint8)
    for s in range(symbols):
        code = codes[s]
        own = own_row(entries, s)
        for t in range(own.shape[0]):
            code[t] |= own[t]
        own = own_row(exits, s)
        for t in range(own.shape[0]):
            code[t] |= own[t] << 1
        own = own_row(short_entries, s)
        for t in range(own.shape[0]):
            code[t] |= own[t] << 2
        own = own_row(short_exits, s)
        for t in range(own.shape[0]):
            code[t] |= own[t] << 3
        for t in range(rows):
            starts[t + 1] += code[t] != 0
    for t in range(rows):
        active[t] = starts[t + 1] > 0
        starts[t + 1] += starts[t]
        cursor[t] = starts[t]
    places = np.empty(starts[rows], dtype=np.int64)
    for s in range(symbols):
        code = codes[s]
        for t in range(rows):
            some[t] = code[t] != 0
        found, k = rows_of(some, rows), 0
        while found[k] < rows:
            t = found[k]
            places[cursor[t]] = s * 16 + code[t]
            cursor[t] += 1
            k += 1
    return places, starts


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


def _prefetch(context: Any, prices: Any, t: Any) -> Any:
    """Ask the memory for prices[t] without waiting for it: fetching a price from the middle of a long array takes longer than
    all the rules of a fill. LLVM has an instruction for it, numba no name.
    """

    def generate(target: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = target.make_array(signature.args[0])(target, builder, args[0])
        place = _llvm.get_item_pointer(target, builder, signature.args[0], array, [args[1]])
        number, address = _llvm.ir.IntType(32), _llvm.voidptr_t
        kind = _llvm.ir.FunctionType(_llvm.ir.VoidType(), [address, number, number, number])
        function = _llvm.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        # to read, into every level of the cache, data
        builder.call(function, [builder.bitcast(place, address), number(0), number(3), number(1)])
        return target.get_dummy_value()

    return types.void(prices, t), generate


_llvm: Any = cgutils
prefetch: Any = intrinsic(_prefetch)


@called
def run_alone(
    book: Array, pools: Array, options: Options, tape: Tape, s: int, pool: int, row: int, stop_row: int,
    orders: Array, count: int, equity: Array, exposed: Array,
) -> tuple[int, int]:  # fmt: skip
    """`run` for a symbol that has a pool of its own: nothing happens between its signals, so those bars are only marked."""
    opens, highs, lows, closes = tape.opens[s], tape.highs[s], tape.lows[s], tape.closes[s]
    entries, exits = own_row(tape.entries, s), own_row(tape.exits, s)
    short_entries, short_exits = own_row(tape.short_entries, s), own_row(tape.short_exits, s)
    entry_rows, exit_rows = rows_of(entries, stop_row), rows_of(exits, stop_row)
    short_entry_rows, short_exit_rows = rows_of(short_entries, stop_row), rows_of(short_exits, stop_row)
    at_entry, at_exit, at_short_entry, at_short_exit = 0, 0, 0, 0
    has_stops = options.stop_loss > 0.0 or options.trailing_stop > 0.0 or options.take_profit > 0.0
    has_borrow, ages = options.borrow_per_bar > 0.0, options.max_hold > 0.0
    is_watched = has_stops or has_borrow or ages  # then a bar with an open position is never quiet
    close_fills, has_trail = options.close_fills != 0.0, options.trailing_stop > 0.0
    position, cash, rule = read_position(book, s), read_pool(pools, pool), read_rule(book, s)
    leave, enter, quantity, decided = book[s, DUE_EXIT], book[s, DUE_ENTRY], book[s, DUE_QUANTITY], book[s, DUE_ROW]
    segment, rates = 0, read_rates(tape.costs, 0)
    t = row
    while t < stop_row:
        if leave == NONE and enter == 0.0 and (position.units == 0.0 or not is_watched):
            if position.units == 0.0:
                at_entry = first_from(entry_rows, at_entry, t)
                at_short_entry = first_from(short_entry_rows, at_short_entry, t)
                end = min(entry_rows[at_entry], short_entry_rows[at_short_entry], stop_row)
                at_exit = first_from(exit_rows, at_exit, end)
                ahead = exit_rows[at_exit]
            elif position.units > 0.0:
                at_exit = first_from(exit_rows, at_exit, t)
                end = min(exit_rows[at_exit], stop_row)
                at_entry = first_from(entry_rows, at_entry, end)
                ahead = entry_rows[at_entry]
            else:
                at_short_exit = first_from(short_exit_rows, at_short_exit, t)
                end = min(short_exit_rows[at_short_exit], stop_row)
                at_short_entry = first_from(short_entry_rows, at_short_entry, end)
                ahead = short_entry_rows[at_short_entry]
            if ahead + 1 < stop_row:  # the signal after the next one, by which time its prices are in the cache
                prefetch(closes, ahead)
                prefetch(opens, ahead + 1)
            curve = equity[t:end]
            for k in range(curve.shape[0]):
                curve[k] = cash.cash
            if position.units != 0.0:
                risk = exposed[t:end]
                for k in range(risk.shape[0]):
                    risk[k] = 1
                last, bars = mark_along(curve, closes[t:end], position.units, position.last)
                position = moved(position, last, position.held + bars, position.best)
            t = end
            if t == stop_row:
                break
        if count + 3 > orders.shape[0]:  # an exit, an entry and a stop
            break
        while segment + 1 < tape.cost_rows.shape[0] and t >= tape.cost_rows[segment + 1]:
            segment += 1
            rates = read_rates(tape.costs, segment)
        close = closes[t]
        if close == close:
            for stage in range(2):  # the open, then the rest of the bar
                if stage == 1:
                    if position.units != 0.0:
                        exposed[t] = 1
                        if has_stops:  # rule 2
                            price, reason = stop_hit(position, options, opens[t], highs[t], lows[t])
                            if reason != NONE:
                                position, cash = pay_borrow(position, cash, options, price)
                                before = moved(position, position.last, position.held + 1.0, position.best)
                                fill, position, cash = fill_exit(before, cash, options, rates, np.inf, price, reason)
                                count = record(orders, count, t, s, fill, t, before)
                    high, low = extremes(highs[t], lows[t], close) if has_trail else (close, close)  # spare the memory
                    position = marked(position, close, high, low)  # rule 3
                    if has_borrow:
                        position, cash = pay_borrow(position, cash, options, close)
                    signals = signals_at(entries, exits, short_entries, short_exits, t)
                    if (signals != 0 or ages) and leave == NONE and enter == 0.0:  # rule 11: what waits is not decided anew
                        value = cash.cash + position.units * close
                        choice = decide(position, options, rates, rule, value, close, signals)
                        leave, enter, quantity, decided = choice.leave, choice.enter, choice.quantity, float(t)
                if (leave != NONE or enter != 0.0) and close_fills == (stage == 1) and opens[t] == opens[t]:  # rules 1, 6 and 11
                    price = close if stage == 1 else opens[t]
                    if leave != NONE:
                        before = position
                        fill, position, cash = fill_exit(position, cash, options, rates, np.inf, price, leave)
                        count = record(orders, count, t, s, fill, decided, before)
                    if enter != 0.0:
                        before = position
                        fill, position, cash = fill_entry(position, cash, options, rates, rule, enter, quantity, price)
                        count = record(orders, count, t, s, fill, decided, before)
                    leave, enter = NONE, 0.0
        elif position.units != 0.0:
            exposed[t] = 1
            position, cash = pay_borrow(position, cash, options, position.last)
        equity[t] = cash.cash + position.units * position.last if position.units != 0.0 else cash.cash
        t += 1
    write_position(book, s, position)
    write_pool(pools, pool, cash)
    book[s, DUE_EXIT], book[s, DUE_ENTRY], book[s, DUE_QUANTITY], book[s, DUE_ROW] = leave, enter, quantity, decided
    return t, count


@called
def run_together(
    book: Array, pools: Array, options: Options, tape: Tape, row: int, stop_row: int,
    orders: Array, count: int, equity: Array, exposed: Array,
) -> tuple[int, int]:  # fmt: skip
    """`run` for symbols that share a pool: the symbols of each bar one after the other, rule by rule."""
    opens, highs, lows, closes = tape.opens, tape.highs, tape.lows, tape.closes
    symbols = book.shape[0]
    has_stops = options.stop_loss > 0.0 or options.trailing_stop > 0.0 or options.take_profit > 0.0
    has_borrow, ages = options.borrow_per_bar > 0.0, options.max_hold > 0.0
    close_fills, has_trail = options.close_fills != 0.0, options.trailing_stop > 0.0
    is_watched = has_stops or has_borrow or ages  # then a bar with an open position is never quiet
    signal_rows, at_signal = rows_of(tape.active, stop_row), 0
    segment, rates = 0, read_rates(tape.costs, 0)
    waiting, due = np.empty(symbols, dtype=np.int64), 0  # symbols with an order that is due, in the universe's order
    for s in range(symbols):
        if book[s, DUE_EXIT] != NONE or book[s, DUE_ENTRY] != 0.0:
            waiting[due] = s
            due += 1
    holding = np.empty(symbols, dtype=np.int64)  # symbols with a position, likewise
    held = list_open(book, 0, symbols, holding)
    t = row
    while t < stop_row:
        if due == 0 and (held == 0 or not is_watched):
            at_signal = first_from(signal_rows, at_signal, t)
            end = min(signal_rows[at_signal], stop_row)
            curve = equity[t:end]
            for k in range(curve.shape[0]):
                curve[k] = pools[0, CASH]
            for k in range(held):
                s = holding[k]
                book[s, LAST], bars = mark_along(curve, closes[s, t:end], book[s, UNITS], book[s, LAST])
                book[s, HELD] += bars
            if held > 0:
                risk = exposed[t:end]
                for k in range(risk.shape[0]):
                    risk[k] = 1
            t = end
            if t == stop_row:
                break
        if count + 3 * symbols > orders.shape[0]:  # an exit, an entry and a stop of each symbol
            break
        while segment + 1 < tape.cost_rows.shape[0] and t >= tape.cost_rows[segment + 1]:
            segment += 1
            rates = read_rates(tape.costs, segment)
        value = 0.0
        for stage in range(2):  # the open, then the rest of the bar
            if stage == 1:
                if held > 0:
                    exposed[t] = 1
                if has_stops:  # rule 2
                    for k in range(held):
                        s = holding[k]
                        before = read_position(book, s)
                        price, reason = stop_hit(before, options, opens[s, t], highs[s, t], lows[s, t])
                        if reason != NONE and closes[s, t] == closes[s, t]:
                            before, cash = pay_borrow(before, read_pool(pools, 0), options, price)
                            before = moved(before, before.last, before.held + 1.0, before.best)
                            fill, position, cash = fill_exit(before, cash, options, rates, np.inf, price, reason)
                            write_position(book, s, position)
                            write_pool(pools, 0, cash)
                            count = record(orders, count, t, s, fill, t, before)
                    held = list_open(book, 0, symbols, holding)
                for k in range(held):  # rule 3
                    s = holding[k]
                    close = closes[s, t]
                    high, low = extremes(highs[s, t], lows[s, t], close) if has_trail else (close, close)  # spare the memory
                    write_position(book, s, marked(read_position(book, s), close, high, low))
                    if has_borrow:
                        position, cash = pay_borrow(read_position(book, s), read_pool(pools, 0), options, book[s, LAST])
                        write_position(book, s, position)
                        write_pool(pools, 0, cash)
                value = pool_equity(book, pools, 0, holding, held)
                begin, end = (0, symbols) if ages else (tape.starts[t], tape.starts[t + 1])
                for k in range(begin, end):
                    if ages:
                        entry, leave = own_row(tape.entries, k), own_row(tape.exits, k)
                        short_entry, short_leave = own_row(tape.short_entries, k), own_row(tape.short_exits, k)
                        s, signals = k, signals_at(entry, leave, short_entry, short_leave, t)
                    else:
                        s, signals = tape.places[k] >> 4, tape.places[k] & 15
                    close = closes[s, t]
                    if close == close and book[s, DUE_EXIT] == NONE and book[s, DUE_ENTRY] == 0.0:  # rule 11: what waits stays
                        choice = decide(read_position(book, s), options, rates, read_rule(book, s), value, close, signals)
                        if choice.leave != NONE or choice.enter != 0.0:
                            book[s, DUE_EXIT], book[s, DUE_ENTRY] = choice.leave, choice.enter
                            book[s, DUE_QUANTITY], book[s, DUE_ROW], book[s, LAST] = choice.quantity, t, close
                            due = insert_ordered(waiting, due, s)
            if due > 0 and close_fills == (stage == 1):  # rules 1, 6 and 11: a symbol without a bar, or in an auction, waits
                for k in range(due):
                    s = waiting[k]
                    if book[s, DUE_EXIT] != NONE and opens[s, t] == opens[s, t]:
                        before, price = read_position(book, s), closes[s, t] if stage == 1 else opens[s, t]
                        reason = book[s, DUE_EXIT]
                        fill, position, cash = fill_exit(before, read_pool(pools, 0), options, rates, np.inf, price, reason)
                        write_position(book, s, position)
                        write_pool(pools, 0, cash)
                        count = record(orders, count, t, s, fill, book[s, DUE_ROW], before)
                left = 0
                for k in range(due):
                    s = waiting[k]
                    if opens[s, t] == opens[s, t]:
                        if book[s, DUE_ENTRY] != 0.0:
                            before, price = read_position(book, s), closes[s, t] if stage == 1 else opens[s, t]
                            fill, position, cash = fill_entry(
                                before, read_pool(pools, 0), options, rates, read_rule(book, s),
                                book[s, DUE_ENTRY], book[s, DUE_QUANTITY], price,
                            )  # fmt: skip
                            write_position(book, s, position)
                            write_pool(pools, 0, cash)
                            count = record(orders, count, t, s, fill, book[s, DUE_ROW], before)
                        book[s, DUE_EXIT], book[s, DUE_ENTRY] = NONE, 0.0
                    else:
                        waiting[left] = s
                        left += 1
                due = left
                held = list_open(book, 0, symbols, holding)
                if stage == 1:
                    value = pool_equity(book, pools, 0, holding, held)
        equity[t] = value
        t += 1
    return t, count


def run(
    book: Array, pools: Array, options: Options, tape: Tape, first: int, last: int, pool: int, row: int, stop_row: int,
    orders: Array, count: int, equity: Array, exposed: Array,
) -> tuple[int, int]:  # fmt: skip
    """Live bars row..stop_row-1 of symbols first..last-1: one with a pool of its own, or all that share pool 0.

    Return the next row and the count of orders. The pool's equity is written to `equity`; `exposed` becomes 1 where a position
    was at risk. It returns early when `orders` might overflow: call it again with more room and the row that it returned.
    """
    if last - first == 1:
        return run_alone(book, pools, options, tape, first, pool, row, stop_row, orders, count, equity, exposed)
    return run_together(book, pools, options, tape, row, stop_row, orders, count, equity, exposed)


# The same functions on one row of the state, for the live account.


@compiled
def account_mark(book: Array, pools: Array, options: Options, shared: bool, closes: Array, highs: Array, lows: Array) -> None:
    """Mark every symbol at its close (NaN: no bar) and charge every short for the bar, in the universe's order."""
    for s in range(closes.shape[0]):
        pool = 0 if shared else s
        high, low = extremes(highs[s], lows[s], closes[s])
        write_position(book, s, marked(read_position(book, s), closes[s], high, low))
        if options.borrow_per_bar > 0.0 and book[s, UNITS] < 0.0:
            position, cash = pay_borrow(read_position(book, s), read_pool(pools, pool), options, book[s, LAST])
            write_position(book, s, position)
            write_pool(pools, pool, cash)


@compiled
def account_equity(book: Array, pools: Array, pool: int, first: int, last: int, holding: Array) -> float:
    """Return a pool's equity; symbols first..last-1 belong to it and `holding` has room for them."""
    return pool_equity(book, pools, pool, holding, list_open(book, first, last, holding))


@compiled
def account_decide(
    book: Array, pools: Array, options: Options, rates: Rates, shared: bool, closes: Array, signals: Array, choices: Array
) -> int:
    """Decide for every symbol with a bar, and return how many want something.

    `signals` has a number per symbol as `signals_at` makes it; `choices`, symbol x the fields of Choice, is written.
    """
    found = 0
    holding = np.empty(closes.shape[0], dtype=np.int64)
    equity = account_equity(book, pools, 0, 0, closes.shape[0], holding) if shared else 0.0
    for s in range(closes.shape[0]):
        choice = Choice(NONE, 0.0, 0.0)
        if closes[s] == closes[s]:
            value = equity if shared else account_equity(book, pools, s, s, s + 1, holding)
            choice = decide(read_position(book, s), options, rates, read_rule(book, s), value, closes[s], signals[s])
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
