"""What a deployment sees of the market, and when it sees it.

At a bar's boundary the close of one bar comes before the open of the next. A feed keeps that order: `see_closes` shows the bars
that have closed, and only after the orders are out does `see_opens` show the open at which the paper venue fills them.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np
import pandas as pd

from algo_py.clock import monotonic_s
from algo_py.deployment.config import DeploymentConfig, Replay
from algo_py.engine.auctions import traded_bars
from algo_py.errors import Damaged, NoData
from algo_py.finstore import FinStore
from algo_py.finstore.fill_report import FillReport
from algo_py.finstore.frames import Block, to_frame
from algo_py.market import Calendar, latest_closed_open, latest_final_open
from algo_py.market.phases import MARKET, PhaseKind
from algo_py.oms.triggers import PriceBar
from algo_py.orders.execution import ExecutionLog
from algo_py.strategy import Bars

# An order that is sent this soon after a bar's open is one of that open: the run itself takes a moment.
_OPEN_TOLERANCE = timedelta(seconds=60)


class Feed(Protocol):
    """The bars of one deployment, from the start of its snapshot on, so that indicators mean what they meant in the backtest."""

    def see_closes(self, now: datetime, *, as_stored: bool = False) -> Bars | None:
        """Return the bars that are final by `now`, of a deployment that uses provisional ones those that have closed; None when
        there are none. Raises NoData when no symbol's can be trusted.

        `as_stored` is for what is past: nothing is fetched, and bars may be stale.
        """

    @property
    def incomplete(self) -> Mapping[str, str]:
        """Why the bars of a symbol cannot be trusted, as of the last `see_closes`: something is missing or stale."""

    @property
    def no_bar_since(self) -> datetime | None:
        """When the newest bar closed, where a newer one should be there by now and has not come for any symbol; None where
        bars have come, or something else is wrong, as of the last `see_closes`."""

    def see_opens(self, now: datetime) -> None:
        """From here on fills may use the opens of bars that have begun by `now`."""

    def fill_price(self, symbol: str, bar_time: datetime, submitted_at: datetime) -> tuple[datetime, float] | None:
        """Return when and at what raw price an order decided on `bar_time` fills; None as long as that is not known."""

    def bars_since(self, symbol: str, submitted_at: datetime) -> Iterable[PriceBar]:
        """Yield the closed bars that began when an order of `submitted_at` was resting already, ascending."""


class ReplayFeed:
    """Past bars, shown as the replay clock reaches them."""

    def __init__(self, store: FinStore, config: DeploymentConfig) -> None:
        self._bars = _read(store, config, end=config.end)
        self._end = config.end
        self._closes = self._bars.close_times()
        self._traded = traded_bars(self._bars, config.backtest.portfolio_config())
        self._own = {symbol: self._traded.open[symbol].dropna() for symbol in self._bars.symbols}
        self._close_of = dict(zip(self._bars.index, self._closes, strict=True))
        self._opens_seen = pd.Timestamp.min.tz_localize("UTC")
        self._rows_closed = 0
        self.incomplete: Mapping[str, str] = {}  # as the backtest saw them
        self.no_bar_since: datetime | None = None

    def see_closes(self, now: datetime, *, as_stored: bool = False) -> Bars | None:
        # At the window's end its last bar counts as closed, as in a backtest, even if its session ends a little later.
        is_over = self._end is not None and now >= self._end
        rows = len(self._closes) if is_over else int(self._closes.searchsorted(pd.Timestamp(now), side="right"))
        if not rows:
            return None
        self._rows_closed = rows
        self.see_opens(self._bars.index[rows - 1].to_pydatetime())  # of a bar that has closed the open is known too
        return self._bars.head(rows)

    def see_opens(self, now: datetime) -> None:
        self._opens_seen = max(self._opens_seen, pd.Timestamp(now))

    def fill_price(self, symbol: str, bar_time: datetime, submitted_at: datetime) -> tuple[datetime, float] | None:
        opens = self._own[symbol]
        earliest = max(self._close_of[pd.Timestamp(bar_time)], pd.Timestamp(submitted_at - _OPEN_TOLERANCE))
        row = int(opens.index.searchsorted(earliest, side="left"))
        if row == len(opens) or opens.index[row] > self._opens_seen:
            return None
        return opens.index[row].to_pydatetime(), float(opens.iloc[row])

    def bars_since(self, symbol: str, submitted_at: datetime) -> Iterable[PriceBar]:
        return _price_bars(self._traded, symbol, submitted_at, self._rows_closed)


class LiveFeed:
    """Bars of FinStore, brought up to date by `fill` (None: they arrive by other ways).

    Orders on paper fill at the market's last price, which `quote` asks for; where nobody says it, at the last known close. While
    their symbol does not trade continuously they wait, at night as in a closing auction (but for `auction_fills`), and then fill
    at the price after the opening: what `quote` says, else the open of the first bar.
    """

    def __init__(
        self,
        store: FinStore,
        config: DeploymentConfig,
        *,
        fill: Callable[[], FillReport] | None,
        log: ExecutionLog,
        quote: Callable[[str], float | None] | None = None,
    ) -> None:
        self._store = store
        self._config = config
        self._fill = fill
        self._quote = quote
        self._log = log
        self._bars: Bars | None = None
        self._traded: Bars | None = None  # of the bars that are seen, made when somebody asks
        self._now: datetime | None = None
        self._money = config.backtest.portfolio_config()
        self._failed: frozenset[str] = frozenset()  # what could not be asked for, other than what has not come
        self.incomplete: Mapping[str, str] = {}
        self.no_bar_since: datetime | None = None

    def see_closes(self, now: datetime, *, as_stored: bool = False) -> Bars | None:
        self._now = now
        self.no_bar_since = None
        problems = self._fill_gaps(self._fill) if self._fill is not None and not as_stored else {}
        frames, unreadable = _frames(self._store, self._config)
        early = self._provisional({symbol: frame for symbol, frame in frames.items() if symbol not in unreadable})
        if early and self._config.use_provisional:
            if not as_stored:
                self._log.info("run.provisional_bars", bars={symbol: str(moments[-1]) for symbol, moments in early.items()})
        else:
            frames = {symbol: _final(frame, early.get(symbol)) for symbol, frame in frames.items()}
            unreadable |= {symbol: f"no bar of {symbol} is final yet" for symbol in early if not len(frames[symbol])}
        if len(unreadable) == len(frames):
            raise NoData("; ".join(dict.fromkeys(unreadable.values())), remedy="Bring FinStore up to date.")
        bars = _bars_of(frames, self._config, may_lack=unreadable)
        problems = unreadable | problems
        if not as_stored:
            problems = self._stale(bars, now) | problems
            self.incomplete = problems
        if not as_stored and len(problems) == len(bars.symbols):
            if len(bars.index) and not unreadable and not self._failed:
                self.no_bar_since = bars.close_times()[-1].to_pydatetime()
            told = "; ".join(f"{', '.join(symbols)}: {problem}" for problem, symbols in _by_problem(problems).items())
            raise NoData(f"the bars are not complete: {told}", remedy="Nothing is decided on such bars.")
        rows = int(bars.close_times().searchsorted(pd.Timestamp(now), side="right"))
        self._bars, self._traded = bars.head(rows), None
        return self._bars

    def _fill_gaps(self, fill: Callable[[], FillReport]) -> dict[str, str]:
        """Bring the bars up to date; return why those of a symbol are not."""
        began_s = monotonic_s()
        report = fill()
        self._log.info(
            "run.fill_gap",
            duration_ms=round((monotonic_s() - began_s) * 1000, 1),
            fetched=report.fetched,
            absent=report.absent,
            revised=report.revised,
            settled=report.settled,
            requests=report.requests,
        )
        self._failed = frozenset(symbol for symbol, one in report.by_symbol.items() if one.problem)
        return {
            symbol: one.problem or "the newest bar is not there yet"
            for symbol, one in report.by_symbol.items()
            if not one.is_complete
        }

    def _stale(self, bars: Bars, now: datetime) -> dict[str, str]:
        """Return the symbols whose newest bar is missing: when it is missing for all, or when nobody has looked where it is."""
        latest, word = (
            (latest_closed_open, "has closed") if self._config.use_provisional else (latest_final_open, "is final by now")
        )
        calendars = {symbol: self._config.market.calendar_of(symbol) for symbol in bars.symbols}
        expected = {calendar: latest(calendar, self._config.timeframe, now) for calendar in set(calendars.values())}
        newest = {symbol: bars[symbol].index[-1] for symbol in bars.symbols if len(bars[symbol])}
        stale = {symbol: moment for symbol, moment in newest.items() if moment < pd.Timestamp(expected[calendars[symbol]])}
        if len(stale) < len(newest) and self._fill is not None:
            return {}
        return {
            symbol: f"its newest bar opened at {moment:%Y-%m-%d %H:%M} UTC, but the one of "
            f"{expected[calendars[symbol]]:%Y-%m-%d %H:%M} {word}"
            for symbol, moment in stale.items()
        }

    def _provisional(self, frames: Mapping[str, pd.DataFrame]) -> dict[str, list[pd.Timestamp]]:
        """Return the provisional bars at the end of each symbol's frame, of the symbols that have some."""
        market, timeframe = self._config.backtest.market, self._config.backtest.timeframe
        found: dict[str, list[pd.Timestamp]] = {}
        for symbol, frame in frames.items():
            opens = self._store.provisional(market, timeframe, symbol)
            rows = len(frame)
            while rows and frame.index[rows - 1].to_pydatetime() in opens:
                rows -= 1
            if rows < len(frame):
                found[symbol] = list(frame.index[rows:])
        return found

    def see_opens(self, now: datetime) -> None:
        """Take over what time it is: a live price is known as soon as it is stored."""
        self._now = now

    def fill_price(self, symbol: str, bar_time: datetime, submitted_at: datetime) -> tuple[datetime, float] | None:
        if self._bars is None:
            return None
        now = submitted_at if self._now is None else max(self._now, submitted_at)
        calendar = self._config.market.calendar_of(symbol)
        is_open = calendar.is_open(now)
        price = self._quote(symbol) if is_open and self._quote is not None else None
        if not is_open or not calendar.is_open(submitted_at):
            return (now, price) if price is not None else self._after_waiting(self._bars, calendar, symbol, submitted_at)
        if price is not None:
            return submitted_at, price
        closes = self._bars.array("close")[:, self._bars.symbols.index(symbol)]
        known = closes[~np.isnan(closes)]
        return (submitted_at, float(known[-1])) if len(known) else None

    def _after_waiting(
        self, bars: Bars, calendar: Calendar, symbol: str, submitted_at: datetime
    ) -> tuple[datetime, float] | None:
        """Return the first open after it was sent at which an order fills that its symbol's hours have kept waiting."""
        traded = self._traded_of(bars)
        opens = traded.array("open")[:, traded.symbols.index(symbol)]
        first = int(traded.index.searchsorted(pd.Timestamp(submitted_at), side="left"))
        entry = calendar.next_entry(MARKET, submitted_at)
        for row in (first + np.flatnonzero(~np.isnan(opens[first:]))).tolist():
            time = traded.index[row].to_pydatetime()
            is_auction = calendar.is_auction(time, self._config.timeframe)
            if not is_auction or (entry.kind is PhaseKind.CLOSING_AUCTION and entry.end <= time):
                return time, float(opens[row])
        return None

    def _traded_of(self, bars: Bars) -> Bars:
        if self._traded is None:
            self._traded = traded_bars(bars, self._money)
        return self._traded

    def bars_since(self, symbol: str, submitted_at: datetime) -> Iterable[PriceBar]:
        if self._bars is None:
            return ()
        return _price_bars(self._traded_of(self._bars), symbol, submitted_at, len(self._bars.index))


def open_feed(
    store: FinStore,
    config: DeploymentConfig,
    *,
    fill: Callable[[], FillReport] | None,
    quote: Callable[[str], float | None] | None,
    log: ExecutionLog,
) -> Feed:
    """Return the feed that belongs to the deployment's clock; a replay fetches nothing."""
    if isinstance(config.clock, Replay):
        return ReplayFeed(store, config)
    return LiveFeed(store, config, fill=fill, log=log, quote=quote)


def _price_bars(bars: Bars, symbol: str, submitted_at: datetime, rows: int) -> Iterator[PriceBar]:
    """Yield the symbol's own bars among the first `rows` that opened at `submitted_at` or later, give or take a run's length.

    A bar in which no stop is looked at, a closing auction, is not among them.
    """
    column = bars.symbols.index(symbol)
    first = int(bars.index.searchsorted(pd.Timestamp(submitted_at - _OPEN_TOLERANCE), side="left"))
    opens, highs, lows = (bars.array(name)[first:rows, column] for name in ("open", "high", "low"))
    for row in np.flatnonzero(~np.isnan(lows)):
        time = bars.index[first + int(row)].to_pydatetime()
        yield PriceBar(time, float(opens[row]), float(highs[row]), float(lows[row]))


def _final(frame: pd.DataFrame, provisional: list[pd.Timestamp] | None) -> pd.DataFrame:
    """Return the bars before the provisional ones at their end. One that newer final bars follow is better than a hole."""
    return frame if provisional is None else frame.iloc[: len(frame) - len(provisional)]


def _by_problem(problems: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for symbol, problem in problems.items():
        found.setdefault(problem, []).append(symbol)
    return found


def _read(store: FinStore, config: DeploymentConfig, *, end: datetime | None) -> Bars:
    wanted = config.backtest
    frames = {
        symbol: store.read(wanted.market, wanted.timeframe, symbol, start=wanted.start, end=end) for symbol in wanted.symbols
    }
    return _bars_of(frames, config)


def _frames(store: FinStore, config: DeploymentConfig) -> tuple[dict[str, pd.DataFrame], dict[str, str]]:
    """Return the frame of each symbol, and why one cannot be read; such a one is empty."""
    wanted, frames, unreadable = config.backtest, {}, {}
    for symbol in wanted.symbols:
        try:
            frames[symbol] = store.read(wanted.market, wanted.timeframe, symbol, start=wanted.start, end=None)
        except (NoData, Damaged) as error:
            frames[symbol], unreadable[symbol] = to_frame(Block.empty()), str(error)
    return frames, unreadable


def _bars_of(frames: Mapping[str, pd.DataFrame], config: DeploymentConfig, *, may_lack: Container[str] = ()) -> Bars:
    return Bars.from_frames(frames, market=config.backtest.market, timeframe=config.backtest.timeframe, may_lack=may_lack)
