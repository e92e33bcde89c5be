"""The built-in strategies: their rules in plain words, their warm-up to the bar, holes, the future, and the sample bars."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from algo_py.backtest import BacktestConfig, BacktestResult, run_backtest
from algo_py.errors import InvalidInput
from algo_py.finstore import FinStore
from algo_py.finstore.sample import install_sample
from algo_py.settings import Workspace
from algo_py.strategy import Bars, Signals, Strategy, evaluate
from algo_py.strategy.library.bollinger_reversion import BollingerReversion
from algo_py.strategy.library.donchian_breakout import DonchianBreakout
from algo_py.strategy.library.ema_cross import EmaCross
from algo_py.strategy.library.macd_trend import MacdTrend
from algo_py.strategy.library.momentum_rotation import MomentumRotation
from algo_py.strategy.library.pairs_reversion import PairsReversion
from algo_py.strategy.library.rsi_reversion import RsiReversion
from algo_py.strategy.library.supertrend_flip import SupertrendFlip
from algo_py.strategy.registry import StrategyRegistry

from .formulas import closes_of, own_frame, plain_bollinger, plain_ema, plain_macd, plain_supertrend, plain_zscore, records

FRAMES = ("entries", "exits", "short_entries", "short_exits")
ROWS = 120
HOLES = [0, 3, 4, 30, 57, 58, 59, 90, 101, 119]


@dataclass(frozen=True)
class Case:
    """A strategy with parameters that let it signal soon, and what it needs."""

    strategy: Strategy
    symbols: int = 3
    alone: bool = True  # each symbol by itself, whatever the others do

    @property
    def name(self) -> str:
        return f"{self.strategy.kebab_name()} {' '.join(str(value) for value in self.strategy.model_dump().values())}"


CASES = [
    Case(EmaCross(fast=2, slow=5)),
    Case(EmaCross(fast=4, slow=9)),
    Case(RsiReversion(length=2, lower=40, upper=60)),
    Case(RsiReversion(length=5, lower=45, upper=55)),
    Case(MacdTrend(fast=3, slow=6, signal=4, trend=5)),
    Case(MacdTrend(fast=2, slow=4, signal=3, trend=12)),
    Case(BollingerReversion(length=4, deviations=1)),
    Case(BollingerReversion(length=10, deviations=1.5)),
    Case(DonchianBreakout(entry_bars=6, exit_bars=3)),
    Case(DonchianBreakout(entry_bars=2, exit_bars=5)),
    Case(SupertrendFlip(length=3, multiplier=0.5)),
    Case(SupertrendFlip(length=1, multiplier=1)),
    Case(MomentumRotation(lookback=5, top=1, every=3), alone=False),
    Case(MomentumRotation(lookback=8, top=2, every=1, floor=-1), alone=False),
    Case(PairsReversion(length=6, entry=1.2, exit=0.2, stop=2), symbols=2, alone=False),
    Case(PairsReversion(length=10, entry=1.5, stop=2.5), symbols=2, alone=False),
]
every_strategy = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
SHORT_SELLERS: list[type[Strategy]] = [MacdTrend, BollingerReversion, DonchianBreakout, SupertrendFlip, PairsReversion]
BUILT_IN: list[type[Strategy]] = sorted({type(case.strategy) for case in CASES}, key=lambda found: found.__name__)
every_class = pytest.mark.parametrize("found", BUILT_IN, ids=lambda found: found.__name__)


def universe(symbols: int, *, rows: int = ROWS, seed: int = 0, holes: bool = False) -> Bars:
    frames = {"ABC"[i]: own_frame(rows, seed=seed + i) for i in range(symbols)}
    if holes:
        frames["A"] = frames["A"].drop(frames["A"].index[[row for row in HOLES if row < rows]])
        frames["B"] = frames["B"].iloc[7 : rows - 9]
    return Bars.from_frames(frames)


def any_signal(signals: Signals) -> np.ndarray:
    """Return the rows on which there is any signal of any symbol."""
    given_frames = [frame for name in FRAMES if (frame := getattr(signals, name)) is not None]
    result: np.ndarray = np.any([frame.to_numpy().any(axis=1) for frame in given_frames], axis=0)
    return result


def test_every_built_in_strategy_is_tested_here(tmp_path: Path) -> None:
    entries = StrategyRegistry.discover(Workspace(tmp_path / "nowhere"), plugins=[]).entries
    assert {entry.usable_class() for entry in entries} == set(BUILT_IN)


@every_class
def test_a_screen_can_show_it(found: type[Strategy]) -> None:
    title = inspect.cleandoc(found.__doc__ or "").splitlines()[0]
    assert title.endswith(".")
    assert 40 < len(title) < 130
    for field in found.model_fields.values():
        assert field.description
        assert {type(bound).__name__ for bound in field.metadata} & {"Ge", "Gt"}
        assert {type(bound).__name__ for bound in field.metadata} & {"Le", "Lt"}
    assert found().warm_up_bars > 1


@every_class
def test_it_is_documented_with_its_parameters(found: type[Strategy]) -> None:
    lines = (Path(__file__).parents[2] / "docs" / "strategies.md").read_text(encoding="utf-8").splitlines()
    idea, parameters = (line for line in lines if line.startswith(f"| `{found.kebab_name()}` |"))
    assert " both |" in idea if found in SHORT_SELLERS else " long |" in idea
    for name, field in found.model_fields.items():
        shown = re.search(rf"`{name}` \(([-0-9.]+)\)", parameters)
        assert shown is not None, name
        assert float(shown[1]) == field.default


@every_strategy
def test_its_first_signal_can_stand_on_its_warm_up_bar_and_not_before(case: Case) -> None:
    """Warm-up is the number of that bar, counted from 1. It is neither too low nor too high."""
    first = case.strategy.warm_up_bars - 1
    on_that_bar = 0
    for seed in range(30):
        rows = any_signal(evaluate(case.strategy, universe(case.symbols, rows=first + 8, seed=3 * seed)))
        assert not rows[:first].any()
        on_that_bar += rows[first]
    assert on_that_bar


@every_class
def test_its_defaults_keep_quiet_before_their_warm_up_and_trade_after_it(found: type[Strategy]) -> None:
    strategy = found()
    symbols = 2 if found is PairsReversion else 3
    seen = set[str]()
    for seed in range(4):
        signals = evaluate(strategy, universe(symbols, rows=400, seed=100 + 3 * seed))
        assert not any_signal(signals)[: strategy.warm_up_bars - 1].any()
        seen |= {name for name in FRAMES if (frame := getattr(signals, name)) is not None and frame.to_numpy().any()}
    assert {"entries", "exits"} <= seen


@every_strategy
@settings(max_examples=10, deadline=None, phases=[Phase.generate])
@given(rows=st.integers(1, ROWS - 1), seed=st.integers(10, 1_000_000))
def test_later_bars_change_nothing(case: Case, rows: int, seed: int) -> None:
    bars = universe(case.symbols, holes=True)
    rows = min(rows, len(bars.index) - 1)
    last = bars.index[rows - 1]
    frames = {}
    for place, symbol in enumerate(bars.symbols):
        kept, other = bars[symbol], own_frame(seed=seed + place)
        frames[symbol] = pd.concat([kept[kept.index <= last], other[other.index > last]])
    altered = Bars.from_frames(frames)
    known_then = evaluate(case.strategy, bars.head(rows))
    for later in (bars, altered):
        assert later.index[:rows].equals(bars.index[:rows])
        known_now = evaluate(case.strategy, later)
        for name in FRAMES:
            now, then = known_now.array(name, later), known_then.array(name, bars.head(rows))
            if now is None or then is None:
                assert now is then
            else:
                np.testing.assert_array_equal(now[:rows], then)


@every_strategy
def test_no_signal_on_a_missing_bar(case: Case) -> None:
    bars = universe(case.symbols, holes=True)
    signals = evaluate(case.strategy, bars)
    for name in FRAMES:
        flags = signals.array(name, bars)
        assert flags is None or not flags[np.isnan(bars.array("close"))].any()


@pytest.mark.parametrize("case", [case for case in CASES if case.alone], ids=lambda case: case.name)
def test_a_symbol_among_others_has_the_signals_that_it_has_alone(case: Case) -> None:
    bars = universe(3, holes=True)
    together = evaluate(case.strategy, bars)
    for symbol in bars.symbols:
        own = Bars.from_frames({symbol: bars[symbol]})
        apart = evaluate(case.strategy, own)
        for name in FRAMES:
            one, other = getattr(together, name), getattr(apart, name)
            assert (one is None) == (other is None)
            if one is not None:
                assert one[symbol][own.index].tolist() == other[symbol].tolist()


@every_strategy
def test_a_universe_without_a_bar_yet_gives_no_signal_and_no_error(case: Case) -> None:
    bars = universe(case.symbols, holes=True)
    for rows in (0, 1, 2):
        assert not any_signal(evaluate(case.strategy, bars.head(rows))).any()


# Each rule once more, bar by bar, in plain Python on one symbol (or a universe) without holes.

Flags = dict[str, list[bool]]


def crossed(left: list[float], right: list[float], *, upward: bool) -> list[bool]:
    def beyond(t: int) -> bool:
        return left[t] > right[t] if upward else left[t] < right[t]

    def known(t: int) -> bool:
        return t >= 0 and not math.isnan(left[t]) and not math.isnan(right[t])

    return [known(t) and known(t - 1) and beyond(t) and not beyond(t - 1) for t in range(len(left))]


def plain_macd_trend(frame: pd.DataFrame, chosen: MacdTrend) -> Flags:
    bars = records(frame)
    closes, trend = closes_of(bars), plain_ema(closes_of(bars), chosen.trend)
    line, signal, _ = plain_macd(bars, chosen.fast, chosen.slow, chosen.signal)
    up, down = crossed(line, signal, upward=True), crossed(line, signal, upward=False)
    rows = range(len(bars))
    return {
        "entries": [up[t] and closes[t] > trend[t] for t in rows],
        "exits": [down[t] and trend[t] > 0 for t in rows],
        "short_entries": [down[t] and closes[t] < trend[t] for t in rows],
        "short_exits": [up[t] and trend[t] > 0 for t in rows],
    }


def plain_bollinger_reversion(frame: pd.DataFrame, chosen: BollingerReversion) -> Flags:
    bars = records(frame)
    closes = closes_of(bars)
    upper, middle, lower = plain_bollinger(bars, chosen.length, chosen.deviations)
    return {
        "entries": crossed(closes, lower, upward=False),
        "exits": crossed(closes, middle, upward=True),
        "short_entries": crossed(closes, upper, upward=True),
        "short_exits": crossed(closes, middle, upward=False),
    }


def plain_donchian_breakout(frame: pd.DataFrame, chosen: DonchianBreakout) -> Flags:
    bars = records(frame)
    result: Flags = {name: [] for name in FRAMES}
    for t, bar in enumerate(bars):
        ready = t >= max(chosen.entry_bars, chosen.exit_bars)
        entry, leave = (bars[max(t - n, 0) : t] or [bar] for n in (chosen.entry_bars, chosen.exit_bars))
        result["entries"].append(ready and bar["close"] > max(old["high"] for old in entry))
        result["exits"].append(ready and bar["close"] < min(old["low"] for old in leave))
        result["short_entries"].append(ready and bar["close"] < min(old["low"] for old in entry))
        result["short_exits"].append(ready and bar["close"] > max(old["high"] for old in leave))
    return result


def plain_supertrend_flip(frame: pd.DataFrame, chosen: SupertrendFlip) -> Flags:
    _, direction = plain_supertrend(records(frame), chosen.length, chosen.multiplier)
    up = [t > 0 and direction[t] > 0 > direction[t - 1] for t in range(len(direction))]
    down = [t > 0 and direction[t] < 0 < direction[t - 1] for t in range(len(direction))]
    return {"entries": up, "exits": down, "short_entries": down, "short_exits": up}


RULES: list[tuple[Any, Callable[[pd.DataFrame, Any], Flags]]] = [
    (MacdTrend(fast=3, slow=6, signal=4, trend=15), plain_macd_trend),
    (BollingerReversion(length=8, deviations=1.2), plain_bollinger_reversion),
    (DonchianBreakout(entry_bars=6, exit_bars=3), plain_donchian_breakout),
    (SupertrendFlip(length=4, multiplier=1), plain_supertrend_flip),
]


@pytest.mark.parametrize(("strategy", "rule"), RULES, ids=lambda value: getattr(value, "__name__", ""))
def test_its_signals_are_those_of_its_rule(strategy: Strategy, rule: Callable[[pd.DataFrame, Strategy], Flags]) -> None:
    seen = set[str]()
    for seed in range(8):
        frame = own_frame(ROWS, seed=seed)
        signals = evaluate(strategy, Bars.from_frames({"A": frame}))
        for name, flags in rule(frame, strategy).items():
            assert getattr(signals, name)["A"].tolist() == flags, name
            if any(flags):
                seen.add(name)
    assert seen == set(FRAMES)


def test_pairs_follow_their_z_score() -> None:
    """Low is when A is cheap against B; what leaves A leaves B's other side."""
    strategy = PairsReversion(length=12, entry=1.5, exit=0.5, stop=2.5)
    counts = dict.fromkeys(("low", "high", "low over", "high over", "given up"), 0)
    for seed in range(10):
        bars = universe(2, seed=seed * 2)
        logs = [{"close": math.log(a / b)} for a, b in bars.close.to_numpy().tolist()]
        (score,) = plain_zscore(logs, 12)
        signals = evaluate(strategy, bars)
        for t in range(1, ROWS):
            before, now = score[t - 1], score[t]
            low, high = before >= -1.5 > now, before <= 1.5 < now
            lost_low, lost_high = before >= -2.5 > now, before <= 2.5 < now
            low_over, high_over = before <= -0.5 < now or lost_low, before >= 0.5 > now or lost_high
            found = [[bool(getattr(signals, name)[symbol].iloc[t]) for name in FRAMES] for symbol in "AB"]
            assert found == [[low, low_over, high, high_over], [high, high_over, low, low_over]]
            for name, flag in zip(counts, (low, high, low_over, high_over, lost_low or lost_high), strict=True):
                counts[name] += flag
    assert all(counts.values())


def test_pairs_need_bars_of_both() -> None:
    bars = universe(2, holes=True)
    complete = Bars.from_frames({symbol: bars[symbol][bars.close.notna().all(axis=1)[bars[symbol].index]] for symbol in "AB"})
    strategy = PairsReversion(length=10, entry=1.2)
    signals, expected = evaluate(strategy, bars), evaluate(strategy, complete)
    for name in FRAMES:
        assert getattr(signals, name).loc[complete.index].equals(getattr(expected, name))
        assert not getattr(signals, name).drop(complete.index).to_numpy().any()


def rotation(bars: Bars, chosen: MomentumRotation) -> list[set[str]]:
    """Return what a trader would hold after each bar who follows the signals from the first one on."""
    signals = evaluate(chosen, bars)
    held, history = set[str](), []
    for t in range(len(bars.index)):
        leaving = {symbol for symbol in bars.symbols if signals.exits[symbol].iloc[t]}
        entering = {symbol for symbol in bars.symbols if signals.entries[symbol].iloc[t]}
        assert not leaving & entering
        held = held - leaving | entering
        history.append(set(held))
    return history


@pytest.mark.parametrize("floor", [-1.0, 0.0, 0.05])
def test_the_rotation_holds_the_strongest_since_the_last_choice(floor: float) -> None:
    chosen = MomentumRotation(lookback=7, top=2, every=5, floor=floor)
    bars = Bars.from_frames({f"S{i}": own_frame(ROWS, seed=40 + i) for i in range(6)})
    expected = set[str]()
    for t, held in enumerate(rotation(bars, chosen)):
        if t >= 7 and (t - 7) % 5 == 0:
            change = {s: bars.close[s].iloc[t] / bars.close[s].iloc[t - 7] - 1 for s in bars.symbols}
            best = sorted(bars.symbols, key=lambda symbol: -change[symbol])[:2]
            expected = {symbol for symbol in best if change[symbol] > floor}
        assert held == expected


@pytest.mark.parametrize(("missing", "after"), [([4], [{"A", "B"}, {"B"}]), ([4, 5], [{"A", "B"}, {"A", "B"}])])
def test_a_symbol_that_lacks_the_bar_of_a_choice_is_sold_on_its_next_bar(missing: list[int], after: list[set[str]]) -> None:
    """Choices are made on rows 2, 4 and 6; when A is back on row 6, it is the strongest again and stays."""
    prices = {"A": [1.0, 2, 3, 4, 5, 6, 7, 8], "B": [1.0] * 8, "C": [8.0, 7, 6, 5, 4, 3, 2, 1]}
    frames = {symbol: own_frame(8).assign(close=values) for symbol, values in prices.items()}
    frames["A"] = frames["A"].drop(frames["A"].index[missing])
    history = rotation(Bars.from_frames(frames), MomentumRotation(lookback=2, top=1, every=2, floor=-1))
    assert history == [set(), set(), {"A"}, {"A"}, *after, {"A"}, {"A"}]


def test_a_rotation_needs_more_symbols_than_it_holds() -> None:
    with pytest.raises(InvalidInput, match=r"top must be below the number of symbols, 2 \(was 2\). Lower top or add symbols."):
        evaluate(MomentumRotation(top=2), universe(2))


@pytest.mark.parametrize("symbols", [1, 3])
def test_a_pair_is_two_symbols(symbols: int) -> None:
    message = rf"pairs-reversion needs exactly two symbols \(was {symbols}\). Choose two that usually move together."
    with pytest.raises(InvalidInput, match=message):
        evaluate(PairsReversion(), universe(symbols))


@pytest.mark.parametrize(
    ("found", "params", "message"),
    [
        (MacdTrend, {"fast": 26}, "fast must be below slow (was 26 and 26)"),
        (BollingerReversion, {"length": 5}, "deviations must be below 2, the farthest that a close can be with length 5 (was 2)"),
        (PairsReversion, {"exit": 2.0}, "exit, entry and stop must rise (was 2, 2 and 4)"),
        (PairsReversion, {"stop": 1.0}, "exit, entry and stop must rise (was 0, 2 and 1)"),
        (PairsReversion, {"length": 5}, "entry must be below 2, the largest z-score with length 5 (was 2)"),
        (DonchianBreakout, {"entry_bars": 1}, "entry_bars"),
        (SupertrendFlip, {"multiplier": 0}, "multiplier"),
        (MomentumRotation, {"every": 0}, "every"),
    ],
)
def test_parameters_that_cannot_work_are_refused(found: type[Strategy], params: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        found.from_params(params)
    assert message in str(refusal.value)
    assert found.kebab_name() in str(refusal.value)


# The bundled bars, through the whole of a backtest.

CRYPTO = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "BNB/USDT", "XRP/USDT")
NSE = ("RELIANCE", "TCS", "INFY", "HDFCBANK", "ICICIBANK", "SBIN", "ITC", "LT", "AXISBANK", "BHARTIARTL")
PLACES = {"crypto_binance": ("1h", CRYPTO, CRYPTO[:2]), "indian_equity": ("1d", NSE, ("HDFCBANK", "ICICIBANK"))}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    found = Workspace(tmp_path_factory.mktemp("sample") / "workspace")
    install_sample(FinStore(found.finstore))
    return found


def on_the_sample(workspace: Workspace, found: type[Strategy], market: str, **changes: Any) -> BacktestResult:
    timeframe, symbols, pair = PLACES[market]
    values = {
        "strategy": found.kebab_name(),
        "market": market,
        "timeframe": timeframe,
        "symbols": pair if found is PairsReversion else symbols,
        "size": 0.5,
    }
    return run_backtest(workspace, BacktestConfig(**(values | changes)))


@every_class
@pytest.mark.parametrize("market", PLACES)
def test_it_trades_on_the_sample_bars_and_does_not_look_ahead(workspace: Workspace, found: type[Strategy], market: str) -> None:
    result = on_the_sample(workspace, found, market)
    assert result.warnings == ()
    assert len(result.portfolio.trades) >= 5
    assert set(result.portfolio.trades["direction"]) == {"long"}
    again = on_the_sample(workspace, found, market)
    pd.testing.assert_frame_equal(result.portfolio.trades, again.portfolio.trades, check_exact=True)


@pytest.mark.parametrize("found", SHORT_SELLERS, ids=lambda found: found.__name__)
def test_it_sells_short_where_the_direction_allows_it(workspace: Workspace, found: type[Strategy]) -> None:
    result = on_the_sample(workspace, found, "crypto_binance", direction="both", size=0.2)
    assert set(result.portfolio.trades["direction"]) == {"long", "short"}


def test_a_pair_is_held_long_and_short_at_once(workspace: Workspace) -> None:
    trades = on_the_sample(workspace, PairsReversion, "crypto_binance", direction="both", size=0.4).portfolio.trades
    by_entry = trades.groupby("entry_time")
    assert (by_entry.size() == 2).all()
    assert (by_entry["direction"].nunique() == 2).all()
    assert (by_entry["exit_time"].nunique() == 1).all()


def test_a_rotation_with_equal_parts_never_holds_more_than_its_top(workspace: Workspace) -> None:
    portfolio = on_the_sample(workspace, MomentumRotation, "indian_equity", params={"top": 3}, size=1 / 3).portfolio
    changes = sorted(
        [(time, 1) for time in portfolio.trades["entry_time"]] + [(time, -1) for time in portfolio.trades["exit_time"]]
    )
    held = np.cumsum([change for _, change in changes])
    assert held.max() == 3
    assert len(portfolio.open_positions) <= 3
