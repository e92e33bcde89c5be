"""The results of a sweep: all sets in a table, a map of them, how the choice held on later bars."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from algo_py.dashboard.components.table import Order, table
from algo_py.dashboard.context import Context
from algo_py.dashboard.format import counted, listed, period, plain
from algo_py.dashboard.screens.sweep.chosen import choose, chosen_set, save_chosen
from algo_py.dashboard.screens.sweep.heat import show_heat_map
from algo_py.dashboard.screens.sweep.rows import (
    STATUS,
    columns_of,
    first_order,
    fold_headings,
    fold_rows,
    heading,
    headings,
    in_order,
    parameters_of,
    rows_of,
    worded,
)
from algo_py.dashboard.screens.sweep.run import Swept
from algo_py.market import get_market

_ORDER = "sweep.order"
_MOST_ROWS = 200


def show_result(context: Context, swept: Swept, *, is_outdated: bool) -> None:
    """Show the results. Those that the form no longer describes are marked, and stay as they are."""
    result = swept.result
    config, results = result.config, result.results
    if is_outdated:
        st.warning("The form has changed since this sweep. **Run Sweep** shows its results; what follows is the one before.")
    st.markdown(
        f"**{plain(config.strategy)}** on {plain(listed(config.symbols, 5))}, {config.timeframe} bars, "
        f"{plain(period(config.start, config.end, get_market(config.market).time_zone))}: "
        f"{counted(len(results), 'parameter set')}, {result.failed:,} failed"
    )
    if result.is_cancelled:
        st.warning(f"Cancelled: {len(results):,} of {counted(result.total, 'parameter set')} are done. Others may be better.")
    if results.empty:
        return
    names = parameters_of(results)
    several = [name for name in names if results[name].nunique() > 1]
    chosen = chosen_set(swept)
    save_chosen(context, swept, chosen, several or names)
    parts = ["Parameter sets", "Heat map", *(["Walk-forward"] if result.folds is not None else [])]
    sets, heat, *walked = st.tabs(parts)
    with sets:
        _sets(swept, several or names, chosen)
    with heat:
        show_heat_map(results, several, result.rank, chosen=chosen, currency=config.quote_label)
    if walked and result.folds is not None:
        with walked[0]:
            _folds(result.folds, several or names, result.rank, config.quote_label)


def _sets(swept: Swept, names: list[str], chosen: pd.Series | None) -> None:
    result = swept.result
    columns = columns_of(names, result.rank)
    order = _order(swept, columns)
    ordered = in_order(result.results, columns, order)

    def sort(column: int) -> None:
        was = _order(swept, columns)
        now = first_order(columns, column)
        if was == now:
            now = Order(column, is_ascending=not now.is_ascending)
        st.session_state[_ORDER] = (swept, now)

    table(
        "Parameter sets",
        headings(columns),
        rows_of(ordered.head(_MOST_ROWS), columns, swept.result.config.quote_label),
        key="sweep.table",
        selected=None if chosen is None else str(chosen.name),
        on_select=lambda number: choose(swept, int(number)),
        order=order,
        on_sort=sort,
        height=430,
    )
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(
            (f"The first {_MOST_ROWS:,} of {len(ordered):,} sets. " if len(ordered) > _MOST_ROWS else "")
            + "A click on a heading sorts, a second one turns it round."
        )
        st.download_button(
            "Download all as CSV",
            lambda: ordered.to_csv(index=False),
            file_name=f"sweep-{result.config.strategy}.csv",
            mime="text/csv",
            type="tertiary",
            key="sweep.csv",
            on_click="ignore",
        )


def _order(swept: Swept, columns: list[str]) -> Order:
    """Return how the sets are sorted: as chosen for this result, else best first by the rank metric."""
    kept: tuple[Swept, Order] | None = st.session_state.get(_ORDER)
    if kept is not None and kept[0] is swept:
        return kept[1]
    return first_order(columns, columns.index(swept.result.rank))


def _folds(folds: pd.DataFrame, names: list[str], rank: str, currency: str) -> None:
    """Show the folds, and what is left of the in-sample figure on average."""
    if folds.empty:
        st.info("No fold is done.")
        return
    done = folds[folds[STATUS] == "ok"]
    pair = done[[f"in_sample_{rank}", f"out_of_sample_{rank}"]].astype("float64").dropna()
    if not pair.empty:
        inside, outside = (worded(rank, float(value), currency) for value in pair.mean())
        st.markdown(
            f"{heading(rank)} on average: **{plain(inside)}** on the bars that each set was chosen on, **{plain(outside)}** on "
            f"the bars that followed ({counted(len(pair), 'fold')})."
        )
    table("Walk-forward", fold_headings(rank), fold_rows(folds, names, rank, currency), key="sweep.folds.table", height=430)
    st.caption("Each fold chooses its best set on the bars before and trades it from the initial cash. Times are UTC.")
