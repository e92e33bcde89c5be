"""Running a backtest: which bars are used, what the result says of itself, and what it warns of."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from algo_py.backtest import run_backtest
from algo_py.backtest.summary import METRICS
from algo_py.engine import simulate
from algo_py.errors import InvalidInput, NoData, NotFound, StrategyBroken
from algo_py.finstore import FinStore
from algo_py.settings import Workspace
from algo_py.strategy import Bars, evaluate

from .conftest import FIRST, LONG_AFTER, bars, config


def test_the_config_of_a_result_is_complete(workspace: Workspace) -> None:
    result = run_backtest(workspace, config(symbols=("ETH/USDT", "BTC/USDT")))
    assert result.config.params == {"upper": 105.0}
    assert (result.config.start, result.config.end) == (datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 1, 13, 12, tzinfo=UTC))
    assert result.bars.symbols == ("ETH/USDT", "BTC/USDT")
    assert list(result.entry.sources) == ["wave.py", "_levels.py"]


def test_it_is_what_the_engine_says_on_the_same_bars(workspace: Workspace) -> None:
    given = config(params={"upper": "104"}, initial_cash=5_000)
    result = run_backtest(workspace, given)
    own = Bars.from_frames({"BTC/USDT": bars()}, market="crypto_binance", timeframe="1h")
    strategy = result.entry.usable_class().from_params({"upper": 104})
    expected = simulate(own, evaluate(strategy, own), given.portfolio_config())
    assert result.config.params == {"upper": 104.0}
    pd.testing.assert_frame_equal(result.portfolio.orders, expected.orders)
    assert result.portfolio.metrics == expected.metrics
    assert len(result.portfolio.orders) > 5


def test_bars_lie_within_start_and_end_exclusive(workspace: Workspace) -> None:
    result = run_backtest(workspace, config(start="2025-01-02T00:00", end="2025-01-03T00:00"))
    seen = result.fingerprint["BTC/USDT"]
    assert (seen.first, seen.last, seen.rows) == (datetime(2025, 1, 2, tzinfo=UTC), datetime(2025, 1, 2, 23, tzinfo=UTC), 24)
    assert not any("begin" in warning or "end early" in warning for warning in result.warnings)


def test_the_fingerprint_depends_on_the_bars_alone(workspace: Workspace, tmp_path: Path) -> None:
    first = run_backtest(workspace, config()).fingerprint["BTC/USDT"]
    assert run_backtest(workspace, config(initial_cash=1)).fingerprint["BTC/USDT"] == first
    other = Workspace(tmp_path / "other")
    changed = bars()
    changed.loc[changed.index[7], "volume"] = 1.000000001
    FinStore(other.finstore).append("crypto_binance", "1h", {"BTC/USDT": changed}, now=LONG_AFTER)
    second = run_backtest(other, config(strategy="ema-cross")).fingerprint["BTC/USDT"]
    assert (second.first, second.last, second.rows) == (first.first, first.last, first.rows)
    assert second.sha256 != first.sha256


def test_json_has_the_agreed_keys(workspace: Workspace) -> None:
    found = run_backtest(workspace, config()).to_json()
    assert list(found) == [
        *("id", "name", "strategy", "params", "market", "timeframe", "symbols", "start", "end", "initial_cash"),
        *("quote_currency", "fingerprint", "warnings", "metrics"),
    ]
    assert (found["id"], found["name"], found["start"], found["end"]) == (
        None,
        None,
        "2025-01-01T00:00:00Z",
        "2025-01-13T12:00:00Z",
    )
    assert tuple(found["metrics"]) == METRICS
    assert type(found["metrics"]["trades"]) is int


def test_what_is_not_there_is_named(workspace: Workspace) -> None:
    with pytest.raises(NoData, match=r"no 1h bars of 'BTC/EUR' on crypto_binance"):
        run_backtest(workspace, config(symbols=("BTC/EUR",)))
    with pytest.raises(NoData, match=r"Choose a period within 2025-01-01T00:00:00Z to 2025-01-13T11:00:00Z"):
        run_backtest(workspace, config(start="2019-01-01", end="2020-01-01"))
    with pytest.raises(NotFound, match=r"no strategy 'wav'\. Did you mean 'wave'\?"):
        run_backtest(workspace, config(strategy="wav"))
    with pytest.raises(InvalidInput, match=r"wave has no parameter 'uper'\. Did you mean 'upper'\?"):
        run_backtest(workspace, config(params={"uper": 1}))


def test_a_strategy_that_fails_is_named_with_its_line(workspace: Workspace) -> None:
    file = workspace.strategies / "wave.py"
    good = file.read_text(encoding="utf-8")
    file.write_text(good.replace("entries=bars.close < LOWER", "entries=bars.close / (1 // 0)"), encoding="utf-8")
    with pytest.raises(StrategyBroken, match=r"wave failed in wave\.py line 16: ZeroDivisionError"):
        run_backtest(workspace, config())
    file.write_text(good.replace("return 2", "return 1 / 0"), encoding="utf-8")
    with pytest.raises(StrategyBroken, match=r"warm_up_bars failed in wave\.py line 13: ZeroDivisionError"):
        run_backtest(workspace, config())


def test_progress_rises_to_one(workspace: Workspace) -> None:
    seen: list[tuple[str, float]] = []
    run_backtest(workspace, config(), lambda stage, fraction: seen.append((stage, fraction)))
    fractions = [fraction for _, fraction in seen]
    assert fractions == sorted(fractions)
    assert seen[-1] == ("done", 1.0)


def test_thin_data_is_warned_of(workspace: Workspace) -> None:
    result = run_backtest(workspace, config(symbols=("BTC/USDT", "ETH/USDT"), start="2025-01-01", end="2025-02-01"))
    assert result.warnings[:4] == (
        "the bars of BTC/USDT end early, at 2025-01-13T11:00:00Z (the period at 2025-02-01T00:00:00Z)",
        "the bars of ETH/USDT begin late, at 2025-01-03T02:00:00Z (the period at 2025-01-01T00:00:00Z)",
        "the bars of ETH/USDT end early, at 2025-01-13T11:00:00Z (the period at 2025-02-01T00:00:00Z)",
        "ETH/USDT lacks 3 bars in 2 gaps, the longest from 2025-01-07T06:00:00Z to 2025-01-07T07:00:00Z",
    )
    short = run_backtest(workspace, config(strategy="ema-cross", end="2025-01-02"))
    assert "BTC/USDT has 24 bars, but the strategy needs 51 before its first signal" in short.warnings


def test_nse_weekends_and_holidays_are_no_gaps(workspace: Workspace) -> None:
    from algo_py.market import Timeframe, get_market

    calendar = get_market("indian_equity").calendar
    opens = list(calendar.bar_opens(Timeframe.D1, datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 6, 1, tzinfo=UTC)))
    frame = bars(len(opens)).set_axis(pd.DatetimeIndex(opens).as_unit("us"))
    FinStore(workspace.finstore).append(
        "indian_equity", "1d", {"SBIN": frame, "ITC": frame.drop(frame.index[30])}, now=LONG_AFTER
    )
    given = config(market="indian_equity", timeframe="1d", symbols=("SBIN", "ITC"))
    result = run_backtest(workspace, given)
    missing = opens[30].isoformat().replace("+00:00", "Z")
    assert result.warnings == (f"ITC lacks 1 bar in 1 gap, the longest from {missing} to {missing}",)
    assert result.config.end == calendar.bar_close(opens[-1], Timeframe.D1)
    assert result.config.end > FIRST


def test_a_silent_strategy_is_warned_of(workspace: Workspace) -> None:
    held = run_backtest(workspace, config(params={"upper": 1000}))
    assert held.warnings == ("no closed trades: what was opened is still open at the end",)
    (workspace.strategies / "_levels.py").write_text("LOWER = 1.0\n", encoding="utf-8")
    assert run_backtest(workspace, config()).warnings == ("no trades: the strategy gave no signal that could be followed",)
    (workspace.strategies / "_levels.py").write_text("LOWER = 95.0\n", encoding="utf-8")
    denied = run_backtest(workspace, config(initial_cash=1.0))
    assert denied.warnings[0].startswith("no trades: all")


def test_the_example_of_the_documentation_works(workspace: Workspace) -> None:
    page = (Path(__file__).parents[2] / "docs" / "writing-a-strategy.md").read_text(encoding="utf-8")
    code = page.split("```python\n")[1].split("```")[0]
    (workspace.strategies / "breakout.py").write_text(code, encoding="utf-8")
    result = run_backtest(workspace, config(strategy="breakout", symbols=("BTC/USDT", "ETH/USDT")))
    assert len(result.portfolio.trades) > 3
    assert not any("looks ahead" in warning for warning in result.warnings)
