"""The map of two parameters: for each pair of values the best that any set with them reached."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from algo_py.dashboard.figures import heat_figure
from algo_py.dashboard.screens.sweep.rows import heading, worded, written
from algo_py.engine.sweep import plain as python_value
from algo_py.engine.sweep_rank import direction_of

_MOST_WRITTEN = 150


def best_over(results: pd.DataFrame, x: str, y: str, rank: str) -> pd.DataFrame:
    """Return the best `rank` for each value of `y` (rows) and `x` (columns), whatever the other parameters; NaN: none."""
    best = "max" if direction_of(rank) > 0 else "min"
    table: pd.DataFrame = results.astype({rank: "float64"}).groupby([y, x])[rank].agg(best).unstack()
    return table


def show_heat_map(results: pd.DataFrame, names: Sequence[str], rank: str, *, chosen: pd.Series | None, currency: str) -> None:
    """Show the map, with its two parameters to choose where there are more; `names` are those with several values."""
    if len(names) < 2:
        st.info("A heat map needs two parameters with several values each.")
        return
    x, y, others = _axes(names)
    table = best_over(results, x, y, rank)
    if table.isna().all(axis=None):
        st.info(f"No set has a {heading(rank)}, so that there is nothing to draw.")
        return
    text = table.map(lambda value: worded(rank, python_value(value), currency))
    figure = heat_figure(
        table.set_axis([written(value) for value in table.index], axis=0).set_axis(
            [written(value) for value in table.columns], axis=1
        ),
        text,
        x=heading(x),
        y=heading(y),
        name=heading(rank),
        is_less_better=direction_of(rank) < 0,
        is_written=table.size <= _MOST_WRITTEN,
        marked=None if chosen is None else (written(chosen[x]), written(chosen[y])),
    )
    st.plotly_chart(figure, key="sweep.heat", alt=f"{heading(rank)} by {heading(x)} and {heading(y)}")
    differ = " and ".join(heading(name).lower() for name in others)
    over = f"; of the sets that differ only in {differ}, the best" if others else ""
    st.caption(f"{heading(rank)} of each set{over}. The ring marks the chosen set.")


def _axes(names: Sequence[str]) -> tuple[str, str, list[str]]:
    if len(names) == 2:
        return names[0], names[1], []
    left, right = st.columns(2)
    x = left.selectbox("Across", names, format_func=heading, key=f"sweep.heat.x.{'.'.join(names)}")
    rest = [name for name in names if name != x]
    y = right.selectbox("Upwards", rest, format_func=heading, key=f"sweep.heat.y.{x}.{'.'.join(names)}")
    return x, y, [name for name in rest if name != y]
