"""A universe has one quote currency: what is said in it, and what is refused where there are several."""

from __future__ import annotations

import numpy as np
import pytest

from algo_py.backtest import BacktestResult, SnapshotStore, run_backtest
from algo_py.backtest.report import ReportData, render_report
from algo_py.backtest.sweep import run_sweep
from algo_py.engine.sweep import SweepPlan
from algo_py.errors import InvalidInput
from algo_py.finstore import FinStore
from algo_py.settings import Workspace
from tests.backtest.conftest import LONG_AFTER, bars, config

MIXED = ("BTC/USDT", "ETH/BTC")
REFUSAL = "BTC/USDT is quoted in USDT, ETH/BTC in BTC: a universe has one quote currency"


@pytest.fixture
def coins(workspace: Workspace) -> Workspace:
    """ETH/BTC at 0.05, going the way that the strategy `wave` trades when it is told the levels."""
    frame = bars(level=0.05)
    FinStore(workspace.finstore).append("crypto_binance", "1h", {"ETH/BTC": frame}, now=LONG_AFTER)
    (workspace.strategies / "_levels.py").write_text("LOWER = 0.0475\n", encoding="utf-8")
    return workspace


def _in_btc(coins: Workspace) -> BacktestResult:
    return run_backtest(coins, config(symbols=("ETH/BTC",), params={"upper": 0.0525}))


def test_a_pair_in_btc_is_backtested_in_btc(coins: Workspace) -> None:
    result = _in_btc(coins)
    assert (result.config.quote_currency, result.config.initial_cash) == ("BTC", 1.0)
    assert result.to_json()["quote_currency"] == "BTC"
    filled = result.portfolio.orders[result.portfolio.orders["status"] == "FILLED"]
    assert len(filled) > 1
    assert np.all(filled["quantity"] * filled["price"] < 5), "five of the currency is a rule of USDT"


def test_the_report_is_in_btc_with_all_its_digits(coins: Workspace) -> None:
    page = render_report(ReportData.of_result(_in_btc(coins)))
    assert "USDT" not in page
    assert "1.00 BTC, one symbol" in page
    assert '"currency":"BTC"' in page.replace(": ", ":")
    fees = _in_btc(coins).portfolio.trades["fees"].iloc[0]
    assert f"{fees:.8f}".rstrip("0") in page, "a fee of a thousandth is not 0.00"


def test_several_quote_currencies_are_refused_by_name(coins: Workspace) -> None:
    mixed = config(symbols=MIXED)
    with pytest.raises(InvalidInput) as refused:
        run_backtest(coins, mixed)
    assert str(refused.value).startswith(REFUSAL)
    with pytest.raises(InvalidInput, match="a universe has one quote currency"):
        run_sweep(coins, mixed, SweepPlan(grid={"upper": [1.0, 2.0]}))


def test_a_saved_backtest_of_several_is_read_and_not_run(coins: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an earlier version saved them."""
    with monkeypatch.context() as earlier:
        earlier.setattr("algo_py.market.markets.Market.quote_over", lambda *_: "USDT")
        saved = SnapshotStore(coins).save(run_backtest(coins, config(symbols=MIXED)), "old")
    found = SnapshotStore(coins).load(saved.id)
    assert found.to_json()["quote_currency"] is None
    assert found.config.quote_label == "USDT and BTC"
    assert "USDT and BTC" in render_report(ReportData.of_snapshot(found))
    (listed,) = [one.to_json() for one in SnapshotStore(coins).list()]
    assert listed["quote_currency"] is None
    with pytest.raises(InvalidInput, match="a universe has one quote currency"):
        run_backtest(coins, found.config)
