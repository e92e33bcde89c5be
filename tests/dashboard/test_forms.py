"""A strategy's fields become a form: kinds, bounds, defaults. The scheduler's form, and what it says of the next runs."""

from __future__ import annotations

from datetime import time
from enum import StrEnum
from typing import Literal

from streamlit.testing.v1 import AppTest

from algo_py.clock import parse_time
from algo_py.dashboard.components.parameter_form import ParameterField, fields_of
from algo_py.dashboard.screens.deployment.schedule import FIXED_INTERVAL
from algo_py.deployment.schedule import AtTime, EveryInterval, OnBarClose
from algo_py.market import Timeframe
from algo_py.strategy import Bars, Field, Signals, Strategy
from tests.deployment.fire_oracle import deployed


class _Mode(StrEnum):
    FAST = "fast"
    SLOW = "slow"


class _Everything(Strategy):
    length: int = Field(14, ge=2, le=200, description="Length, bars")
    above: int = Field(5, gt=3, lt=10)
    share: float = Field(0.25, gt=0, lt=1, description="A share.")
    stop: float | None = Field(None, ge=0.1)
    is_strict: bool = False
    mode: _Mode = _Mode.SLOW
    kind: Literal["a", "b"] = "b"
    label: str = "x"
    levels: tuple[int, ...] = (1, 2)
    needed: int = Field(ge=1)

    def run(self, bars: Bars) -> Signals:
        raise NotImplementedError


def test_each_kind_of_field() -> None:
    fields = {field.name: field for field in fields_of(_Everything)}
    assert list(fields) == ["length", "above", "share", "stop", "is_strict", "mode", "kind", "label", "levels", "needed"]
    length = fields["length"]
    assert (length.kind, length.default, length.minimum, length.maximum) == ("integer", 14, 2, 200)
    assert (length.label, length.help) == ("Length", "Length, bars (2 to 200)")
    assert (fields["above"].minimum, fields["above"].maximum) == (4, 9)
    share = fields["share"]
    assert (share.kind, share.minimum, share.maximum, share.help) == ("number", None, None, "A share (above 0, below 1)")
    stop = fields["stop"]
    assert (stop.kind, stop.default, stop.minimum, stop.may_be_empty) == ("number", None, 0.1, True)
    assert fields["is_strict"].kind == "boolean"
    assert (fields["mode"].choices, fields["mode"].default) == (("fast", "slow"), "slow")
    assert (fields["kind"].choices, fields["kind"].default) == (("a", "b"), "b")
    assert (fields["label"].kind, fields["label"].is_json) == ("text", False)
    assert (fields["levels"].kind, fields["levels"].is_json) == ("text", True)
    assert fields["needed"].default is None


def _page() -> None:
    import streamlit as st

    from algo_py.dashboard.components.parameter_form import fill_parameters, parameter_form

    if st.session_state.get("fill"):
        fill_parameters(st.session_state.fields, st.session_state.fill, key="p")
        st.session_state.fill = None
    st.session_state.read = parameter_form(st.session_state.fields, key="p")


def _app() -> AppTest:
    app = AppTest.from_function(_page)
    app.session_state["fields"] = fields_of(_Everything)
    return app.run()


def test_the_form_gives_back_what_the_strategy_takes() -> None:
    app = _app()
    values = app.session_state["read"]
    assert "needed" not in values
    strategy = _Everything.from_params(values | {"needed": 1})
    assert strategy == _Everything(needed=1)
    assert strategy.levels == (1, 2)


def test_filling_in_replaces_what_stands_there_and_survives_the_next_click() -> None:
    app = _app()
    app.number_input(key="p.length").set_value(50).run()
    assert app.session_state["read"]["length"] == 50
    app.session_state["fill"] = {"length": 20, "stop": 0.5, "mode": "fast", "levels": [7], "needed": 3}
    app.run()
    app.run()
    filled = app.session_state["read"]
    assert (filled["length"], filled["stop"], filled["mode"], filled["levels"], filled["needed"]) == (20, 0.5, "fast", [7], 3)
    assert (filled["share"], filled["kind"]) == (0.25, "b")


def test_a_field_says_its_name_in_words() -> None:
    assert ParameterField(name="take_profit_at", kind="number").label == "Take profit at"


def _schedule_page() -> None:
    import streamlit as st

    from algo_py.dashboard.screens.deployment.schedule import schedule_form
    from algo_py.market import get_market

    st.session_state.built = schedule_form(get_market("crypto_binance"), key="s")()


def test_an_interval_is_aligned_to_the_clock_or_to_the_start() -> None:
    app = AppTest.from_function(_schedule_page).run()
    app.segmented_control(key="s.kind").set_value(FIXED_INTERVAL).run()
    assert app.session_state["built"] == EveryInterval(every_s=3600)
    app.number_input(key="s.every").set_value(2)
    app.selectbox(key="s.align").select("the start").run()
    assert app.session_state["built"] == EveryInterval(every_s=120, align="start")


def _next_runs_page() -> None:
    import streamlit as st

    from algo_py.dashboard.screens.deployment.request import show_next_runs

    show_next_runs(st.session_state.config, st.session_state.now)


def test_the_next_runs_stand_with_what_will_not_work_then() -> None:
    app = AppTest.from_function(_next_runs_page)
    app.session_state["config"] = deployed(OnBarClose(), "indian_equity", Timeframe.D1, oms="zerodha")
    app.session_state["now"] = parse_time("2025-06-03T05:00")
    app.run()
    assert app.markdown[0].value.replace("\\", "") == "**Next runs** 2025-06-03 14:30, 2025-06-04 14:30, 2025-06-05 14:30 UTC"
    [warning] = [shown.value.replace("\\", "") for shown in app.warning]
    assert warning.startswith("No order can be sent: Indian equities (NSE) is closed when a run sees a new bar")
    app.session_state["config"] = deployed(
        AtTime(at=time(9, 20), tz="Asia/Kolkata"),
        "indian_equity",
        Timeframe.D1,
        oms="zerodha",
        end=parse_time("2025-06-04T12:00"),
    )
    app.run()
    shown = app.markdown[0].value.replace("\\", "")
    assert shown == "**Next runs** 2025-06-04 03:50 UTC (2025-06-04 09:20 Asia/Kolkata), then none"
    assert not app.warning
