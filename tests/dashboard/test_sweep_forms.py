"""What a person chooses becomes values to try, and results become rows and a map: pure functions and forms."""

from __future__ import annotations

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from algo_py.dashboard.components.parameter_form import ParameterField
from algo_py.dashboard.components.table import Order
from algo_py.dashboard.figures import heat_figure
from algo_py.dashboard.screens.sweep.heat import best_over
from algo_py.dashboard.screens.sweep.ranges import Range, suggested_range
from algo_py.dashboard.screens.sweep.rows import columns_of, first_order, in_order, parameters_of, rows_of
from algo_py.dashboard.screens.sweep.run import progress_text
from algo_py.engine.sweep import SweepProgress
from algo_py.engine.sweep_rank import METRICS
from algo_py.errors import InvalidInput


def _results(rows: list[tuple[int, int, float | None, str | None]]) -> pd.DataFrame:
    """Return results with fast, slow, Sharpe ratio (None: undefined) and error; other metrics are undefined."""
    frame = pd.DataFrame(rows, columns=["fast", "slow", "sharpe_ratio", "error"])
    for name in METRICS:
        frame[name] = frame["sharpe_ratio"].astype("float64") if name == "sharpe_ratio" else float("nan")
    frame["status"] = ["ok" if error is None else "failed" for *_, error in rows]
    return frame[["fast", "slow", *METRICS, "status", "error"]]


def test_a_range_has_exact_steps_and_both_ends() -> None:
    assert Range(5, 20, 5).values("fast", whole=True) == [5, 10, 15, 20]
    assert Range(5, 19, 5).values("fast", whole=True) == [5, 10, 15]
    assert Range(0.1, 0.3, 0.1).values("share", whole=False) == [0.1, 0.2, 0.3]
    assert Range(7, 7, 1).values("fast", whole=True) == [7]


@pytest.mark.parametrize(
    ("chosen", "refusal"),
    [
        (Range(1, 5, 0), "the step of fast must be above 0 (was 0)"),
        (Range(5, 1, 1), "fast must end at 5 or above, where it begins (was 1)"),
        (Range(0, 1, 0.00001), "fast must have at most 10,000 values (was 100,001). Use a larger step."),
    ],
)
def test_a_range_that_cannot_be_is_refused_by_name(chosen: Range, refusal: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        chosen.values("fast", whole=False)
    assert str(refused.value) == refusal


def test_a_first_range_lies_around_the_default_and_within_the_bounds() -> None:
    def field(default: object, **bounds: float) -> ParameterField:
        return ParameterField(name="x", kind="integer" if isinstance(default, int) else "number", default=default, **bounds)  # type: ignore[arg-type]

    assert suggested_range(field(50, minimum=3, maximum=500)) == Range(25, 100, 15)
    assert suggested_range(field(2, minimum=2, maximum=3)) == Range(2, 3, 1)
    assert suggested_range(field(2.0)) == Range(1.0, 4.0, 0.6)
    assert suggested_range(field(-2.0)) == Range(-4.0, -1.0, 0.6)
    assert suggested_range(field(0)) is None
    assert suggested_range(ParameterField(name="x", kind="boolean", default=True)) is None


def _page() -> None:
    from typing import Literal

    import streamlit as st

    from algo_py.dashboard.components.parameter_form import fields_of
    from algo_py.dashboard.screens.sweep.parameters import parameters_form
    from algo_py.strategy import Bars, Field, Signals, Strategy

    class Everything(Strategy):
        length: int = Field(10, ge=2, le=200)
        share: float = 0.25
        third: int = 7
        stop: float | None = None
        is_strict: bool = False
        kind: Literal["a", "b"] = "b"
        label: str = "x"

        def run(self, bars: Bars) -> Signals:
            raise NotImplementedError

    st.session_state.read = parameters_form(fields_of(Everything), key="p")


def test_each_parameter_has_one_value_or_values_to_try() -> None:
    app = AppTest.from_function(_page).run()
    read = app.session_state["read"]
    assert list(read.searched) == ["length", "share"]
    assert read.fixed == {"third": 7, "stop": None, "is_strict": False, "kind": "b", "label": "x"}
    assert read.grid()["length"] == [5, 8, 11, 14, 17, 20]

    app.checkbox(key="p.search.share").uncheck()
    app.checkbox(key="p.search.is_strict").check()
    app.checkbox(key="p.search.kind").check().run()
    app.number_input(key="p.length.to").set_value(6)
    app.number_input(key="p.length.step").set_value(1).run()
    read = app.session_state["read"]
    assert read.fixed["share"] == 0.25
    assert read.grid() == {"length": [5, 6], "is_strict": [False, True], "kind": ["a", "b"]}

    app.multiselect(key="p.kind.values").set_value([]).run()
    with pytest.raises(InvalidInput, match="kind must have at least one value"):
        app.session_state["read"].grid()
    for name in ("length", "is_strict", "kind"):
        app.checkbox(key=f"p.search.{name}").uncheck()
    app.run()
    with pytest.raises(InvalidInput, match="must search at least one parameter"):
        app.session_state["read"].grid()


def test_sets_are_sorted_with_the_undefined_and_the_failed_last() -> None:
    results = _results([(1, 5, 0.5, None), (2, 5, None, None), (3, 5, 1.5, None), (9, 5, None, "ema: no")])
    assert parameters_of(results) == ["fast", "slow"]
    columns = columns_of(["fast"], "sharpe_ratio")
    assert columns[:3] == ["fast", "sharpe_ratio", "total_return_fraction"]
    best_first = first_order(columns, 1)
    assert best_first == Order(1, is_ascending=False)
    assert in_order(results, columns, best_first)["fast"].tolist() == [3, 1, 2, 9]
    assert in_order(results, columns, Order(1, is_ascending=True))["fast"].tolist() == [1, 3, 2, 9]
    assert in_order(results, columns, Order(0, is_ascending=False))["fast"].tolist() == [3, 2, 1, 9]
    by_status = first_order(columns, columns.index("status"))
    assert in_order(results, columns, by_status)["fast"].tolist() == [9, 1, 2, 3]
    failed = rows_of(results, columns, "USDT")[-1]
    assert (failed.id, failed.cells[-1].text, failed.cells[-1].note, failed.cells[1].text) == ("3", "failed", "ema: no", "–")


def test_the_map_shows_the_best_over_the_other_parameters() -> None:
    results = _results([(1, 5, 0.5, None), (1, 5, 0.9, None), (2, 5, None, "no"), (1, 7, -1.0, None), (2, 7, 2.0, None)])
    table = best_over(results, "fast", "slow", "sharpe_ratio")
    assert table.isna().to_numpy()[0].tolist() == [False, True]
    assert (table.loc[5, 1], table.loc[7, 1], table.loc[7, 2]) == (0.9, -1.0, 2.0)
    less = best_over(results.assign(volatility_fraction=results["sharpe_ratio"]), "fast", "slow", "volatility_fraction")
    assert less.loc[5, 1] == 0.5


def test_the_heat_figure_marks_the_chosen_field() -> None:
    table = pd.DataFrame([[1.0, 2.0]], index=["5"], columns=["1", "2"])
    text = pd.DataFrame([["1.00", "2.00"]], index=["5"], columns=["1", "2"])
    field, ring = heat_figure(
        table, text, x="Fast", y="Slow", name="Sharpe", is_less_better=True, is_written=True, marked=("2", "5")
    ).data
    assert (field.type, field.z.tolist(), field.reversescale) == ("heatmap", [[1.0, 2.0]], True)
    assert (list(ring.x), list(ring.y)) == (["2"], ["5"])


def test_progress_in_words() -> None:
    now = SweepProgress(done=50, total=200, failed=2, elapsed_s=10.0, remaining_s=30.4)
    assert progress_text(now, is_cancelled=False) == (0.25, "50 of 200 runs, 2 failed, about 30 s left")
    assert progress_text(now, is_cancelled=True) == (0.25, "50 of 200 runs, 2 failed, cancelling")
    assert progress_text(None, is_cancelled=False) == (0.0, "Reading bars")
