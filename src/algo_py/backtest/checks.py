"""What a person should know about a backtest before believing it: thin data, a silent strategy, a look into the future."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

import numpy as np
import pandas as pd

from algo_py.backtest.config import BacktestConfig
from algo_py.clock import format_time, monotonic_s
from algo_py.engine import Portfolio
from algo_py.errors import StrategyBroken
from algo_py.finstore import FinStore
from algo_py.market import get_market
from algo_py.strategy import COLUMNS, Bars, Signals, Strategy, evaluate

_MICROSECOND = timedelta(microseconds=1)
_FRAMES = ("entries", "exits", "short_entries", "short_exits")
# Parts of the bars on which a strategy runs again: all but the last bar, then steps of the golden ratio, which keep clear of
# whatever rhythm the signals have.
_PREFIX_FRACTIONS = (1.0, *((step * 0.6180339887) % 1 for step in range(1, 8)))
_LOOK_AHEAD_BUDGET_S = 1.0


def data_warnings(
    store: FinStore, config: BacktestConfig, frames: Mapping[str, pd.DataFrame], warm_up_bars: int
) -> Iterator[str]:
    """Yield a line for each symbol whose bars begin late, end early or lack some in between, or are too few to warm up."""
    calendar = get_market(config.market).calendar
    for symbol, frame in frames.items():
        first, last = frame.index[0].to_pydatetime(), frame.index[-1].to_pydatetime()
        if next(calendar.bar_opens(config.timeframe, config.start, first), None) is not None:
            yield f"the bars of {symbol} begin late, at {format_time(first)} (the period at {format_time(config.start)})"
        # A calendar need not know the whole period; two weeks, or two bars, hold a session of every market.
        beyond = min(config.end, last + max(timedelta(days=14), 2 * config.timeframe.delta))
        if next(calendar.bar_opens(config.timeframe, last + _MICROSECOND, beyond), None) is not None:
            yield f"the bars of {symbol} end early, at {format_time(last)} (the period at {format_time(config.end)})"
        gaps = store.coverage(config.market, config.timeframe, symbol).gaps
        inside = [gap for gap in gaps if first < gap.first and gap.last < last]
        if inside:
            longest = max(inside, key=lambda gap: gap.bars)
            yield (
                f"{symbol} lacks {_counted(sum(gap.bars for gap in inside), 'bar')} in {_counted(len(inside), 'gap')}, "
                f"the longest from {format_time(longest.first)} to {format_time(longest.last)}"
            )
        if len(frame) < warm_up_bars:
            yield f"{symbol} has {_counted(len(frame), 'bar')}, but the strategy needs {warm_up_bars} before its first signal"


def order_warnings(portfolio: Portfolio) -> Iterator[str]:
    """Yield a line when nothing was traded, and when the charges are those of trades that it did not make."""
    orders = portfolio.orders
    if orders.empty:
        yield "no trades: the strategy gave no signal that could be followed"
    elif (orders["status"] != "FILLED").all():
        yield f"no trades: all {len(orders)} orders were denied, the first because of {orders['reason'].iloc[0]}"
    elif portfolio.trades.empty:
        yield "no closed trades: what was opened is still open at the end"
    if portfolio.config.cost_schedule == "nse_intraday":
        zone, trades = get_market("indian_equity").time_zone, portfolio.trades
        days = [pd.DatetimeIndex(trades[name]).tz_convert(zone).normalize() for name in ("entry_time", "exit_time")]
        count = int((days[0] != days[1]).sum()) + len(portfolio.open_positions)
        if count:
            yield (
                f"{_counted(count, 'position')} held over night or at the end, which pay more than cost_schedule nse_intraday "
                "charges: square_off_at closes them each day"
            )


def look_ahead_warnings(
    strategy: Strategy, bars: Bars, signals: Signals, *, warm_up_bars: int, one_run_s: float
) -> Iterator[str]:
    """Yield a line when signals change once later bars are taken away: then they were not known at their time.

    The strategy runs again on up to eight prefixes of the bars; on as many as, by `one_run_s`, take about a second altogether.
    """
    total = len(bars.index)
    starts = [int(np.argmax(~np.isnan(bars.array("close")[:, column]))) for column in range(len(bars.symbols))]
    enough = max(warm_up_bars, *starts) + 1
    began_s = monotonic_s()
    for fraction in _PREFIX_FRACTIONS:
        cut = min(int(total * fraction), total - 1)
        if cut <= enough:
            continue
        if monotonic_s() - began_s + one_run_s * fraction > _LOOK_AHEAD_BUDGET_S:
            return
        prefix = _prefix(bars, cut)
        try:
            known_then = evaluate(strategy, prefix)
        except StrategyBroken as error:
            yield f"it could not be checked whether the strategy looks ahead: on the first {cut} bars alone {error}"
            return
        for name in _FRAMES:
            now, then = signals.array(name, bars), known_then.array(name, prefix)
            differs = _difference(now, then, cut)
            if differs is not None:
                moment, symbol = format_time(bars.index[differs[0]].to_pydatetime()), bars.symbols[differs[1]]
                yield (
                    f"the strategy looks ahead: its {name} of {symbol} at {moment} change when the bars after "
                    f"{format_time(bars.index[cut - 1].to_pydatetime())} are taken away, so no live run can repeat this result"
                )
                return


def _difference(now: np.ndarray | None, then: np.ndarray | None, cut: int) -> tuple[int, int] | None:
    if now is None and then is None:
        return None
    if now is None or then is None:
        return cut - 1, 0
    rows, columns = np.nonzero(now[:cut] != then)
    return (int(rows[0]), int(columns[0])) if len(rows) else None


def _prefix(bars: Bars, rows: int) -> Bars:
    fields = {name: bars.array(name)[:rows] for name in COLUMNS}
    return Bars(bars.index[:rows], bars.symbols, fields, market=bars.market, timeframe=bars.timeframe)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
