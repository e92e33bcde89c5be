"""The forms carry the currency of the symbols that are chosen, and refuse several of them before anything is run."""

from __future__ import annotations

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from algo_py.dashboard.figures import account_figure, equity_figure
from algo_py.finstore import FinStore
from algo_py.settings import Workspace
from tests.backtest.conftest import LONG_AFTER, bars
from tests.dashboard.test_options import _app, _config


@pytest.fixture
def coins(workspace: Workspace) -> Workspace:
    FinStore(workspace.finstore).append("crypto_binance", "1h", {"ETH/BTC": bars(level=0.05)}, now=LONG_AFTER)
    return workspace


def _chosen(workspace: Workspace, *symbols: str) -> AppTest:
    return _app(workspace).multiselect(key="f.symbols.crypto_binance.1h").set_value(list(symbols)).run()


def test_labels_and_cash_are_those_of_the_symbols(coins: Workspace) -> None:
    app = _chosen(coins, "ETH/BTC")
    labels = [field.label for field in app.number_input]
    assert {"Initial cash, BTC", "Fixed fees, BTC"} <= set(labels)
    assert not any("USDT" in label for label in labels)
    assert (_config(app).initial_cash, _config(app).quote_currency) == (1.0, "BTC")
    app.selectbox(key="f.size_type").set_value("value").run()
    assert "Size, BTC" in [field.label for field in app.number_input]
    assert _config(app).size == 0.1


def test_without_a_symbol_it_is_the_market_s_currency(coins: Workspace) -> None:
    assert "Initial cash, USDT" in [field.label for field in _chosen(coins).number_input]


def test_several_currencies_are_refused_as_they_are_chosen(coins: Workspace) -> None:
    app = _chosen(coins, "BTC/USDT", "ETH/BTC")
    (error,) = app.error
    assert "quoted in USDT" in error.value
    assert "a universe has one quote currency" in error.value.replace("\\", "")


def test_a_chart_of_small_amounts_tells_them_apart() -> None:
    index = pd.date_range("2025-01-01", periods=3, freq="h", tz="UTC")
    small = pd.Series([1.0, 1.0001, 1.00012345], index=index)
    for figure in (equity_figure(small, initial=1.0, currency="BTC"), account_figure(small, initial=1.0, currency="BTC")):
        assert figure.layout.yaxis.title.text == "Equity, BTC"
        assert figure.layout.yaxis.tickformat == ",.8~g"
        assert figure.data[0].hovertemplate == "%{y:,.8~f} BTC"
    large = account_figure(small * 10_000, initial=10_000.0, currency="USDT")
    assert (large.layout.yaxis.tickformat, large.data[0].hovertemplate) == (",.0f", "%{y:,.2f} USDT")
