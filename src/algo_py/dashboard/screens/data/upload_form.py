"""The form that stores the bars of a file of the trader's own."""

from __future__ import annotations

import tempfile
from pathlib import Path, PurePath

import pandas as pd
import streamlit as st

from algo_py.dashboard.clients import Clients, forget_coverage
from algo_py.dashboard.components.errors import shown_as_a_line
from algo_py.dashboard.format import counted, plain
from algo_py.dashboard.screens.data import state
from algo_py.dashboard.screens.data.place import place_form
from algo_py.errors import InvalidInput, NotFound
from algo_py.finstore import AppendReport
from algo_py.finstore.sources.bar_files import read_bar_file
from algo_py.market import Market, Timeframe

_MOST_MB = 100
_SUFFIXES = ("csv", "parquet")


def upload_form(clients: Clients) -> None:
    """Show the form, and store what it is given."""
    market, timeframe = place_form(key="data.upload", first=Timeframe.D1)
    symbol = st.text_input(
        "Symbol", placeholder=market.symbol_example, key=f"data.upload.symbol.{market.name}", persist_state="session"
    ).strip()
    file = st.file_uploader(
        "CSV or parquet file",
        type=_SUFFIXES,
        max_upload_size=_MOST_MB,
        key="data.upload.file",
        help="Columns timestamp (when the bar opens), open, high, low, close, volume. A time without an offset is UTC; "
        f"a date alone, for daily and weekly bars, is a day of the market's own ({market.time_zone.key}).",
    )
    place = st.container()
    if st.button("Store the file's bars", type="primary", width="stretch", disabled=file is None, key="data.upload.store"):
        with place, shown_as_a_line(), st.spinner("Storing"):
            if file is not None:
                _store(clients, market, timeframe, symbol, name=file.name, content=file.getvalue())


def _store(clients: Clients, market: Market, timeframe: Timeframe, symbol: str, *, name: str, content: bytes) -> None:
    if not symbol:
        raise InvalidInput("symbol must be named", remedy=f"Write it like {market.symbol_example}.")
    market.check_symbol(symbol)
    frame = bars_in(content, name, market, timeframe)
    report = clients.bars.append(market.name, timeframe.value, {symbol: frame}, now=clients.clock.now(), source=f"file {name}")
    forget_coverage()
    state.look_at(market.name, timeframe.value, symbol)
    st.success(plain(in_words(report, f"{symbol} {timeframe}")))


def bars_in(content: bytes, name: str, market: Market, timeframe: Timeframe) -> pd.DataFrame:
    """Read the bars of a file that is not on the disk; what is wrong with it is said by its own name."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"bars{PurePath(name).suffix.lower()}"
        file.write_bytes(content)
        try:
            return read_bar_file(file, market, timeframe)
        except (InvalidInput, NotFound) as error:
            raise InvalidInput(error.message.replace(str(file), name), remedy=error.remedy) from None


def in_words(report: AppendReport, what: str) -> str:
    """Return what became of the bars of a file."""
    parts = [f"{what}: {counted(report.new, 'new bar')}"]
    if report.repeated:
        parts.append(f"{report.repeated:,} stored already")
    if report.revised:
        parts.append(f"{report.revised:,} with other values than stored, which were kept (see Revisions)")
    if report.forming:
        parts.append(f"{report.forming:,} not closed yet and left out")
    return f"{', '.join(parts)}."
