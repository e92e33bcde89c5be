"""`algo-py data`: what bars are stored, whether they are sound, and how to bring in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from algo_py.cli import fetch
from algo_py.cli.output import JsonFlag, moment, print_json, print_table, workspace_of
from algo_py.clock import SystemClock, format_time


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    group = typer.Typer(help="Bars: list, fetch, fill-gap, import, check.", rich_markup_mode=None)
    group.command("list")(list_bars)
    fetch.register(group)
    group.command("check")(check)
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
                        {"first": format_time(gap.first), "last": format_time(gap.last), "bars": gap.bars}
                        for gap in coverage.gaps
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


def check(context: typer.Context, as_json: JsonFlag = False) -> None:
    """Read and verify every stored file; exit code 1 when one is not as it was written."""
    from algo_py.finstore import FinStore

    findings = FinStore(workspace_of(context).finstore).check()
    if as_json:
        print_json([{"file": str(finding.file), "problem": finding.problem} for finding in findings])
    elif findings:
        print_table(("file", "problem"), [(str(finding.file), finding.problem) for finding in findings])
    else:
        typer.echo("All stored bars are as they were written.")
    if findings:
        raise typer.Exit(1)


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
    if report.forming:
        typer.echo(f"{report.forming:,} bars have not closed yet and were left out.")
