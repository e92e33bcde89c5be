"""What stands behind "More options": empty is none, percent become fractions, and all of it reaches the backtest."""

from __future__ import annotations

from datetime import time

import pytest
from streamlit.testing.v1 import AppTest

from algo_py.backtest import BacktestConfig
from algo_py.errors import InvalidInput
from algo_py.settings import Workspace


def _page() -> None:
    import streamlit as st

    from algo_py.dashboard.components.setup import setup_form
    from algo_py.finstore import FinStore

    st.session_state.read = setup_form(FinStore(st.session_state.folder), key="f")


def _app(workspace: Workspace) -> AppTest:
    app = AppTest.from_function(_page)
    app.session_state["folder"] = workspace.finstore
    return app.run()


def _config(app: AppTest) -> BacktestConfig:
    config = app.session_state["read"].config("ema-cross", {"fast": 3})
    assert isinstance(config, BacktestConfig)
    return config


def test_untouched_it_is_a_backtest_with_nothing_special(workspace: Workspace) -> None:
    config = _config(_app(workspace))
    plain = BacktestConfig(
        strategy="ema-cross",
        params={"fast": 3},
        market="crypto_binance",
        timeframe="1h",
        symbols=("BNB/USDT",),
        start=config.start,
        end=config.end,
    )
    assert config == plain


def test_every_option_reaches_the_backtest(workspace: Workspace) -> None:
    app = _app(workspace)
    app.selectbox(key="f.direction").set_value("both").run()
    for name, value in {
        "stop_loss": 2.5,
        "take_profit": 7.0,
        "trailing_stop": 0.1,
        "max_hold_bars": 48,
        "borrow": 12.0,
        "fixed_fees.USDT": 1.5,
        "maker_fees.crypto_binance": 0.02,
    }.items():
        app.number_input(key=f"f.{name}").set_value(value)
    app.selectbox(key="f.execution").set_value("close")
    app.checkbox(key="f.cash_sharing").uncheck()
    app.checkbox(key="f.auction_fills").check()
    app.time_input(key="f.no_entry_before").set_value(time(9, 30))
    app.time_input(key="f.square_off_at").set_value(time(15, 10))
    app.checkbox(key="f.allow_partial").uncheck().run()
    config = _config(app)
    assert (config.stop_loss, config.take_profit, config.trailing_stop, config.max_hold_bars) == (0.025, 0.07, 0.001, 48)
    assert (config.direction, config.borrow_rate_annual, config.execution) == ("both", 0.12, "close")
    assert (config.cash_sharing, config.allow_partial) == (False, False)
    assert (config.fixed_fees, config.maker_fees) == (1.5, 0.0002)
    assert (config.no_entry_before, config.no_entry_after, config.square_off_at) == (time(9, 30), None, time(15, 10))
    assert config.auction_fills

    app.number_input(key="f.stop_loss").set_value(None).run()
    assert _config(app).stop_loss is None
    app.number_input(key="f.stop_loss").set_value(150.0).run()
    with pytest.raises(InvalidInput, match=r"stop_loss must be less than 1 \(was 1.5\)"):
        _config(app)


def test_a_cost_schedule_takes_the_place_of_fees(workspace: Workspace) -> None:
    app = _app(workspace)
    app.selectbox(key="f.market").set_value("indian_equity").run()
    assert _config(app).fees > 0
    app.selectbox(key="f.cost_schedule.indian_equity").set_value("nse_delivery").run()
    config = _config(app)
    assert (config.cost_schedule, config.fees, config.maker_fees) == ("nse_delivery", 0.0, None)
    assert app.number_input(key="f.fees.indian_equity").disabled
