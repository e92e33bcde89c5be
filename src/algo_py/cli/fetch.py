"""`algo-py data fetch` and `data fill-gap`: bring bars in from a source."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from algo_py.cli.options import symbols_of
from algo_py.cli.output import DASH, JsonFlag, print_error, print_json, print_table, progress_bar, workspace_of
from algo_py.clock import SystemClock, monotonic_s, parse_time

if TYPE_CHECKING:
    from algo_py.finstore.fill_report import FillProgress, FillReport
    from algo_py.settings import Workspace

_RULES_S = 30.0

_Market = Annotated[str, typer.Option(help="Such as crypto_binance or indian_equity.")]
_Timeframe = Annotated[str, typer.Option(help="How long a bar lasts, such as 1h.")]
_Symbols = Annotated[str, typer.Option(metavar="A,B", help="The symbols, separated by commas.")]
_Until = Annotated[str | None, typer.Option(metavar="T", help="Up to here, exclusive; else until now.")]
_Source = Annotated[
    str | None,
    typer.Option(
        help="binance, binance-archive, kite, yahoo, sample, ccxt:EXCHANGE, files:FOLDER or stored:TIMEFRAME; else the one that "
        "config/algo.toml names for the market."
    ),
]


def register(group: typer.Typer) -> None:
    """Add this file's commands to the group `data`."""
    group.command("fetch")(fetch)
    group.command("fill-gap")(fill_gap)


def fetch(
    context: typer.Context,
    market: _Market,
    timeframe: _Timeframe,
    symbols: _Symbols,
    start: Annotated[str | None, typer.Option(metavar="T", help="From here; else from the first stored bar.")] = None,
    until: _Until = None,
    source: _Source = None,
    again: Annotated[
        bool, typer.Option("--again", help="Ask for stored bars too, so that values which the source has changed come to light.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Fetch history from a source and store it. Only what is not stored yet is asked for; it may be broken off and repeated."""
    _run(
        workspace_of(context),
        market,
        timeframe,
        symbols,
        since=None if start is None else parse_time(start),
        until=None if until is None else parse_time(until),
        source=source,
        again=again,
        as_json=as_json,
    )


def fill_gap(
    context: typer.Context,
    market: _Market,
    timeframe: _Timeframe,
    symbols: _Symbols,
    until: _Until = None,
    source: _Source = None,
    as_json: JsonFlag = False,
) -> None:
    """Fetch what stored symbols lack, in between and up to now. This is what a deployment does before each of its runs."""
    _run(
        workspace_of(context),
        market,
        timeframe,
        symbols,
        since=None,
        until=None if until is None else parse_time(until),
        source=source,
        again=False,
        as_json=as_json,
    )


def _run(
    workspace: Workspace,
    market: str,
    timeframe: str,
    symbols: str,
    *,
    since: datetime | None,
    until: datetime | None,
    source: str | None,
    again: bool,
    as_json: bool,
) -> None:
    from algo_py.finstore import FinStore
    from algo_py.finstore.gaps import fill_gap as fill
    from algo_py.finstore.instruments import InstrumentCache
    from algo_py.finstore.sources.registry import source_of
    from algo_py.market import get_market

    store = FinStore(workspace.finstore)
    opened = source_of(get_market(market), workspace=workspace, store=store, name=source)
    with progress_bar() as show:

        def told(progress: FillProgress) -> None:
            if show is not None:
                show(f"{progress.done:,} of {progress.total:,} bars", progress.done / max(progress.total, 1))

        report = fill(
            store,
            opened,
            market,
            timeframe,
            symbols_of(symbols),
            until,
            since=since,
            clock=SystemClock(),
            again=again,
            progress=told,
        )
    rules = InstrumentCache(workspace.instruments, SystemClock()).refresh(
        market, opened, tuple(report.by_symbol), deadline_s=monotonic_s() + _RULES_S
    )
    if rules.failure is not None:
        print_error(f"the order rules could not be read: {rules.failure}")
    if as_json:
        print_json(_as_json(report, market=market, timeframe=timeframe, source=opened.name))
    else:
        _print(report, title=f"{timeframe} bars of {market} from {opened.name}")
    if not report.is_complete:
        raise typer.Exit(1)


def _as_json(report: FillReport, *, market: str, timeframe: str, source: str) -> dict[str, Any]:
    return {
        "market": market,
        "timeframe": timeframe,
        "source": source,
        "complete": report.is_complete,
        "symbols": [
            {
                "symbol": symbol,
                "missing": fill.missing,
                "fetched": fill.fetched,
                "absent": fill.absent,
                "awaited": fill.awaited,
                "revised": fill.revised,
                "settled": fill.settled,
                "seems_closed": fill.seems_closed,
                "unexpected": fill.unexpected,
                "requests": fill.requests,
                "problem": fill.problem or None,
            }
            for symbol, fill in report.by_symbol.items()
        ],
    }


def _print(report: FillReport, *, title: str) -> None:
    columns = ("symbol", "missing", "fetched", "absent", "awaited", "requests", "problem")
    rows = [
        (
            symbol,
            f"{fill.missing:,}",
            f"{fill.fetched:,}",
            f"{fill.absent:,}",
            f"{fill.awaited:,}",
            f"{fill.requests:,}",
            fill.problem or DASH,
        )
        for symbol, fill in report.by_symbol.items()
    ]
    print_table(columns, rows, numbers=columns[1:6], title=title)
    if report.revised:
        typer.echo(
            f"{report.revised:,} stored bars have other values at the source now. The stored ones were kept; "
            "`algo-py data revisions` shows them."
        )
    if report.settled:
        typer.echo(f"{report.settled:,} provisional bars were replaced by final ones.")
    closed = sum(fill.seems_closed for fill in report.by_symbol.values())
    if closed:
        typer.echo(
            f"{closed:,} bars are of days that are only assumed to be trading days: the market seems to be closed on them."
        )
    unexpected = sum(fill.unexpected for fill in report.by_symbol.values())
    if unexpected:
        typer.echo(f"{unexpected:,} bars of the source are at times at which the market's calendar has none; they were left out.")
