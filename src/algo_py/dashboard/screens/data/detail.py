"""The chosen symbol: its gaps with their reasons, and other values that were offered for its bars."""

from __future__ import annotations

import streamlit as st

from algo_py.dashboard.clients import Clients, forget_coverage
from algo_py.dashboard.components.errors import show as show_error
from algo_py.dashboard.components.errors import shown_as_a_line
from algo_py.dashboard.components.table import table
from algo_py.dashboard.format import counted, plain
from algo_py.dashboard.screens.data import state
from algo_py.dashboard.screens.data.stored import Series, Stored
from algo_py.dashboard.screens.data.symbol_rows import GAP_COLUMNS, REVISION_COLUMNS, gap_row, revision_rows

_MOST_ROWS = 200
_HEIGHT = 330


def show_gaps(here: Stored, one: Series) -> None:
    """Show what the symbol lacks between its first and its last bar, newest first."""
    if one.problem is not None:
        show_error(one.problem)
    if one.coverage is None:
        return
    gaps = one.coverage.gaps
    if not gaps:
        st.info(f"{plain(one.symbol)} has every {here.timeframe} bar from its first to its last.")
        return
    table("Gaps", GAP_COLUMNS, [gap_row(gap) for gap in reversed(gaps[-_MOST_ROWS:])], key="data.gaps", height=_HEIGHT)
    shown = f", the newest {_MOST_ROWS} shown" if len(gaps) > _MOST_ROWS else ""
    st.caption(
        f"{counted(len(gaps), 'gap')} of {plain(one.symbol)}{shown}. From and to are when the first and the last missing bar "
        "open, UTC. *Missing* bars can be fetched; of those *not at* a source it was asked, and does not have them; those *set "
        "aside* were lost with a damaged file."
    )


def show_revisions(clients: Clients, here: Stored, one: Series) -> None:
    """Show what was offered for bars that are stored, and the button that adopts it."""
    market, timeframe = here.market.name, here.timeframe.value
    with shown_as_a_line():
        revisions = clients.bars.revisions(market, timeframe, one.symbol)
        if revisions.empty:
            st.info(f"No source has given other values for a stored bar of {plain(one.symbol)}.")
            return
        table("Revisions", REVISION_COLUMNS, revision_rows(revisions.tail(_MOST_ROWS)), key="data.revisions", height=_HEIGHT)
        shown = f", the newest {_MOST_ROWS} shown" if len(revisions) > _MOST_ROWS else ""
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.caption(
                f"{counted(len(revisions), 'offer')}{shown}. What is stored is used until a revision is adopted.", width="content"
            )
            if one.waiting:
                _adopt(clients, here, one, one.waiting)


def _adopt(clients: Clients, here: Stored, one: Series, waiting: int) -> None:
    what = counted(waiting, "revision")
    with st.popover(f"Adopt {what}"):
        st.markdown(
            f"{counted(waiting, 'stored bar')} of {plain(one.symbol)} get the values that were offered for them last. Backtests "
            "that run from now on use them; saved ones keep the fingerprint of the bars that they ran on. This is not undone."
        )
        if st.button(f"Adopt for {plain(one.symbol)}", type="primary", key="data.adopt"):
            with shown_as_a_line():
                changed = clients.bars.adopt_revisions(
                    here.market.name, here.timeframe.value, one.symbol, now=clients.clock.now()
                )
                forget_coverage()
                state.tell(f"{counted(changed, 'bar')} of {one.symbol} {'has' if changed == 1 else 'have'} new values.")
                st.rerun()
