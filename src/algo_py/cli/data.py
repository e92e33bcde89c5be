"""`algo-py data`: what bars are stored, whether they are sound, questions about them, and how to bring in a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from algo_py.cli import fetch
from algo_py.cli.output import DASH, JsonFlag, moment, print_error, print_json, print_table, workspace_of
from algo_py.clock import SystemClock, format_time
from algo_py.errors import InvalidInput
from algo_py.market.own_facts import own_facts

if TYPE_CHECKING:
    from datetime import datetime

    from algo_py.finstore import FinStore, SetAside

_NAMES_SHOWN = 8


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    group = typer.Typer(help="Bars: list, fetch, fill-gap, import, check, revisions, sql.", rich_markup_mode=None)
    group.command("list")(list_bars)
    fetch.register(group)
    group.command("check")(check)
    group.command("revisions")(revisions)
    group.command("sql")(sql)
    group.command("import")(import_file)
    app.add_typer(group, name="data")


def list_bars(context: typer.Context, as_json: JsonFlag = False) -> None:
    """List what is stored: first and last bar (open times, UTC), how many, and gaps."""
    from algo_py.finstore import FinStore

    store = FinStore(workspace_of(context).finstore)
    found = [(*key, store.coverage(*key)) for key in store.keys()]  # noqa: SIM118 - a store is not a dict
    if as_json:
        print_json(
            [
                {
                    "market": market,
                    "timeframe": timeframe,
                    "symbol": symbol,
                    "first": format_time(coverage.first),
                    "last": format_time(coverage.last),
                    "rows": coverage.rows,
                    "gaps": [
                        {
                            "first": format_time(gap.first),
                            "last": format_time(gap.last),
                            "bars": gap.bars,
                            "reason": gap.reason or None,
                        }
                        for gap in coverage.gaps
                    ],
                    "provisional": [
                        {"open_time": format_time(bar.open_time), "final_at": format_time(bar.final_at)}
                        for bar in coverage.provisional
                    ],
                }
                for market, timeframe, symbol, coverage in found
            ]
        )
        return
    if not found:
        typer.echo("No bars are stored here. `algo-py init` installs sample bars, `algo-py data import` takes a file.")
        return
    print_table(
        ("market", "timeframe", "symbol", "first", "last", "bars", "gaps"),
        [
            (market, timeframe, symbol, moment(one.first), moment(one.last), f"{one.rows:,}", f"{len(one.gaps):,}")
            for market, timeframe, symbol, one in found
        ],
        numbers=("bars", "gaps"),
    )
    _tell_provisional(store)


def _tell_provisional(store: FinStore) -> None:
    """Say which stored bars are not final yet, a line for each market and timeframe."""
    found: dict[tuple[str, str, datetime], list[str]] = {}
    for market, timeframe, symbol in store.keys():  # noqa: SIM118 - a store is not a dict
        if store.provisional(market, timeframe, symbol):
            for bar in store.coverage(market, timeframe, symbol).provisional:
                found.setdefault((market, timeframe, bar.final_at), []).append(symbol)
    for (market, timeframe, final_at), symbols in found.items():
        names = ", ".join(symbols[:_NAMES_SHOWN]) + (f" and {len(symbols) - _NAMES_SHOWN} more" * (len(symbols) > _NAMES_SHOWN))
        typer.echo(f"The last {timeframe} bar on {market} is provisional until {moment(final_at)}: {names}.")


def check(
    context: typer.Context,
    set_aside: Annotated[
        bool, typer.Option("--set-aside", help="Move damaged files out of the way, and keep what is sound in them.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Read and verify every stored file; exit code 1 when one is not as it was written.

    With --set-aside damaged ones are moved to database/finstore/_damaged, and their bars are gaps until they are fetched again.
    """
    from algo_py.finstore import FinStore

    store = FinStore(workspace_of(context).finstore)
    findings = store.check()
    moved = store.set_aside(now=SystemClock().now()) if set_aside and findings else []
    if as_json:
        print_json(
            [
                {"file": str(finding.file), "problem": finding.problem, "set_aside": bool(moved) and finding.is_damaged}
                for finding in findings
            ]
        )
    elif findings:
        print_table(("file", "problem"), [(str(finding.file), finding.problem) for finding in findings])
        for one in moved:
            typer.echo(f"Set aside: {one.file}. {_lost(one)}")
        if not moved:
            typer.echo(
                "`algo-py data check --set-aside` moves them out of the way; `algo-py data fill-gap` fetches their bars again."
            )
    else:
        typer.echo("All stored bars are as they were written.")
    if not as_json:
        _tell_provisional(store)
    problem = own_facts().problem
    if problem:
        print_error(problem)
    if problem or (findings and not moved):
        raise typer.Exit(1)


def _lost(one: SetAside) -> str:
    if not one.lost:
        return "No bar was lost with it."
    parts = ", ".join(f"{bars.symbol} {moment(bars.first)} to {moment(bars.last)}" for bars in one.lost)
    return f"Lost with it: {parts}. Fetch them again with `algo-py data fill-gap`."


def revisions(
    context: typer.Context,
    market: Annotated[str, typer.Option(help="Such as crypto_binance or indian_equity.")],
    timeframe: Annotated[str, typer.Option(help="How long a bar lasts, such as 1h.")],
    symbol: Annotated[str | None, typer.Option(help="One symbol; all of them if not given.")] = None,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Give the stored bars of the symbol the values that were offered last.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """List stored bars for which a source later gave other values. The stored values are used until they are adopted."""
    from algo_py.finstore import FinStore

    store = FinStore(workspace_of(context).finstore)
    if adopt:
        if symbol is None:
            raise InvalidInput("--adopt needs one --symbol")
        changed = store.adopt_revisions(market, timeframe, symbol, now=SystemClock().now())
        typer.echo(
            f"{changed:,} bars of {symbol} have new values. Backtests saved before keep their own fingerprint.", err=as_json
        )
    found = store.revisions(market, timeframe, symbol)
    if as_json:
        print_json(json.loads(found.to_json(orient="records", date_format="iso", date_unit="s")))
    elif found.empty:
        typer.echo("No source has given other values for a stored bar.")
    else:
        columns = ("symbol", "open_time", "seen_at", "source", "adopted_at", "stored_close", "offered_close")
        rows = [
            tuple(DASH if value is None or value != value else str(value) for value in row)
            for row in found[list(columns)].to_numpy()
        ]
        print_table(columns, rows, numbers=columns[-2:])


def sql(
    context: typer.Context,
    query: Annotated[str, typer.Argument(help="One SELECT over the view bars.")],
    as_json: JsonFlag = False,
) -> None:
    """Ask a question of all stored bars: bars(market, timeframe, symbol, open_time, open, high, low, close, volume)."""
    from algo_py.finstore import FinStore

    answer = FinStore(workspace_of(context).finstore).sql(query)
    if as_json:
        print_json(json.loads(answer.to_json(orient="records", date_format="iso", date_unit="s")))
    else:
        print_table(list(answer.columns), [tuple(str(value) for value in row) for row in answer.to_numpy()])


def import_file(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV or parquet: timestamp (open time), open, high, low, close, volume.")
    ],
    market: Annotated[str, typer.Option(help="Such as crypto_binance or indian_equity.")],
    timeframe: Annotated[str, typer.Option(help="How long a bar lasts, such as 1h.")],
    symbol: Annotated[str, typer.Option(help="Such as BTC/USDT or RELIANCE.")],
) -> None:
    """Store the bars of a file. Bars that are stored already stay as they are, so the same file may be imported again."""
    from algo_py.finstore import FinStore
    from algo_py.finstore.sources.bar_files import read_bar_file
    from algo_py.market import Timeframe, get_market

    frame = read_bar_file(file, get_market(market), Timeframe.parse(timeframe))
    store = FinStore(workspace_of(context).finstore)
    report = store.append(market, timeframe, {symbol: frame}, now=SystemClock().now())
    typer.echo(f"{symbol} {timeframe} on {market}: {report.new:,} new bars, {report.repeated:,} were stored already.")
    if report.revised:
        typer.echo(f"{report.revised:,} bars differ from those stored, which were kept.")
    if report.settled:
        typer.echo(f"{report.settled:,} provisional bars were replaced by final ones.")
    if report.forming:
        typer.echo(f"{report.forming:,} bars have not closed yet and were left out.")
