"""`algo-py backtest`: run, list, show, report and delete backtests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from algo_py.cli.options import AuctionFills, NoEntryAfter, NoEntryBefore, SquareOffAt, parameters_of, symbols_of
from algo_py.cli.output import (
    DASH,
    JsonFlag,
    length_of_time,
    moment,
    number,
    percent,
    print_json,
    print_pairs,
    print_table,
    progress_bar,
    traders_code,
    workspace_of,
)
from algo_py.formatting import with_currency

if TYPE_CHECKING:
    from algo_py.backtest import BacktestConfig
    from algo_py.backtest.words import Kind


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    group = typer.Typer(help="Backtests: run, list, show, report, delete.", rich_markup_mode=None)
    group.command("run")(run)
    group.command("list")(list_saved)
    group.command("show")(show)
    group.command("report")(report)
    group.command("delete")(delete)
    app.add_typer(group, name="backtest")


def run(
    context: typer.Context,
    strategy: Annotated[str, typer.Argument(metavar="STRATEGY", help="Such as ema-cross; see `algo-py strategies`.")],
    market: Annotated[str, typer.Option(help="Such as crypto_binance or indian_equity.")],
    timeframe: Annotated[str, typer.Option(help="How long a bar lasts, such as 1h.")],
    symbols: Annotated[str, typer.Option(metavar="A,B", help="The universe, separated by commas.")],
    start: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="First open time; else the first stored bar. UTC unless an offset stands there."),
    ] = None,
    end: Annotated[
        str | None, typer.Option(metavar="TIME", help="End of the period, exclusive; else the last stored bar's close.")
    ] = None,
    param: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A parameter of the strategy; may be repeated.")
    ] = None,
    cash: Annotated[
        float | None,
        typer.Option(metavar="AMOUNT", help="Cash at the start, quote currency; else 10000, or 1 BTC."),
    ] = None,
    size: Annotated[float | None, typer.Option(metavar="NUMBER", help="Size of an entry, by size type; else 1.0.")] = None,
    size_type: Annotated[
        str | None,
        typer.Option(
            metavar="percent|value|amount", help="Fraction of equity (the default, 1.0 is all-in), quote currency, or units."
        ),
    ] = None,
    fees: Annotated[
        float | None, typer.Option(metavar="FRACTION", help="Fee of a fill, fraction of its notional; else the market's.")
    ] = None,
    maker_fees: Annotated[
        float | None,
        typer.Option(metavar="FRACTION", help="Fee of a fill that rested in the book (take-profits), fraction; else as --fees."),
    ] = None,
    fixed_fees: Annotated[
        float | None, typer.Option(metavar="AMOUNT", help="Fee of a fill on top, quote currency; else 0.")
    ] = None,
    costs: Annotated[
        str | None,
        typer.Option(metavar="SCHEDULE", help="nse_delivery or nse_intraday: NSE's charges by date, in place of --fees."),
    ] = None,
    slippage: Annotated[
        float | None, typer.Option(metavar="FRACTION", help="Fraction by which a fill is worse; else the market's.")
    ] = None,
    borrow_rate_annual: Annotated[
        float | None, typer.Option(metavar="FRACTION", help="Yearly cost of a short, fraction of its value; else 0.")
    ] = None,
    stop_loss: Annotated[
        float | None,
        typer.Option(metavar="FRACTION", help="Close a position that has lost this fraction of its entry price; 0.05 is 5 %."),
    ] = None,
    take_profit: Annotated[
        float | None, typer.Option(metavar="FRACTION", help="Close a position that has gained this fraction of its entry price.")
    ] = None,
    trailing_stop: Annotated[
        float | None,
        typer.Option(metavar="FRACTION", help="Close a position that has come back by this fraction from its best price."),
    ] = None,
    max_hold_bars: Annotated[int | None, typer.Option(metavar="BARS", help="Close a position after so many bars.")] = None,
    square_off_at: SquareOffAt = None,
    no_entry_before: NoEntryBefore = None,
    no_entry_after: NoEntryAfter = None,
    auction_fills: AuctionFills = None,
    direction: Annotated[
        str | None, typer.Option(metavar="long|short|both", help="Which signals are followed; else long.")
    ] = None,
    execution: Annotated[
        str | None,
        typer.Option(
            metavar="next_open|close", help="Where orders fill; else next_open. A fill at the close that decided it looks ahead."
        ),
    ] = None,
    cash_sharing: Annotated[
        bool | None, typer.Option(help="One pool of cash for all symbols (the default), or equal parts.")
    ] = None,
    allow_partial: Annotated[bool | None, typer.Option(help="Shrink an entry that lacks cash (the default), or deny it.")] = None,
    save: Annotated[str | None, typer.Option(metavar="NAME", help="Save the backtest under this name.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Run a strategy over stored bars and show what came of it."""
    from algo_py.backtest import BacktestConfig, SnapshotStore, run_backtest

    workspace = workspace_of(context)
    config = BacktestConfig(
        strategy=strategy,
        params=parameters_of(param or []),
        market=market,
        timeframe=timeframe,
        symbols=symbols_of(symbols),
        start=start,
        end=end,
        initial_cash=cash,
        size=size,
        size_type=size_type,
        cost_schedule=costs,
        fees=fees,
        maker_fees=maker_fees,
        fixed_fees=fixed_fees,
        slippage=slippage,
        borrow_rate_annual=borrow_rate_annual,
        stop_loss=stop_loss,
        take_profit=take_profit,
        trailing_stop=trailing_stop,
        max_hold_bars=max_hold_bars,
        square_off_at=square_off_at,
        no_entry_before=no_entry_before,
        no_entry_after=no_entry_after,
        auction_fills=auction_fills,
        direction=direction,
        execution=execution,
        cash_sharing=cash_sharing,
        allow_partial=allow_partial,
    )
    with traders_code(), progress_bar() as progress:
        result = run_backtest(workspace, config, progress)
    snapshot = SnapshotStore(workspace).save(result, save) if save is not None else None
    if as_json:
        print_json((snapshot or result).to_json())
        return
    _print_report(result.config, result.portfolio.metrics, result.warnings)
    if snapshot:
        typer.echo(f"Saved as {snapshot.name!r} ({snapshot.id}).")


def list_saved(context: typer.Context, as_json: JsonFlag = False) -> None:
    """List the saved backtests, newest first; damaged ones with what is wrong."""
    from algo_py.backtest import SnapshotStore

    summaries = SnapshotStore(workspace_of(context)).list()
    if as_json:
        print_json([summary.to_json() for summary in summaries])
        return
    if not summaries:
        typer.echo("No backtest is saved here. `algo-py backtest run ... --save NAME` saves one.")
        return
    rows = []
    for one in summaries:
        if one.config is None or one.metrics is None:
            rows.append((one.id, one.error or "", *[DASH] * 7))
            continue
        universe = one.config.symbols[0] if len(one.config.symbols) == 1 else f"{len(one.config.symbols)} symbols"
        rows.append(
            (
                one.id,
                one.name or DASH,
                one.config.strategy,
                f"{universe} {one.config.timeframe}",
                moment(one.config.start),
                moment(one.config.end),
                percent(one.metrics["total_return_fraction"]),
                number(one.metrics["sharpe_ratio"]),
                number(one.metrics["trades"], 0),
            )
        )
    print_table(
        ("id", "name", "strategy", "bars", "start", "end", "return", "Sharpe", "trades"),
        rows,
        numbers=("return", "Sharpe", "trades"),
    )


def show(
    context: typer.Context,
    backtest: Annotated[str, typer.Argument(metavar="ID", help="A saved backtest's id or name.")],
    as_json: JsonFlag = False,
) -> None:
    """Show a saved backtest; all its files are verified."""
    from algo_py.backtest import SnapshotStore

    snapshot = SnapshotStore(workspace_of(context)).load(backtest)
    if as_json:
        print_json(snapshot.to_json())
        return
    saved = [("id", snapshot.id), ("name", snapshot.name), ("saved", f"{moment(snapshot.created_at)} UTC")]
    _print_report(snapshot.config, snapshot.metrics, snapshot.warnings, saved=saved)


def report(
    context: typer.Context,
    backtest: Annotated[str, typer.Argument(metavar="ID", help="A saved backtest's id or name.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE.html", help="Where to write it; else the backtest's name, in this folder."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
) -> None:
    """Write the report of a saved backtest: one HTML file that needs no network and no other file."""
    from algo_py.backtest import SnapshotStore
    from algo_py.backtest.report import ReportData, file_name, render_report, write_page

    snapshot = SnapshotStore(workspace_of(context)).load(backtest)
    file = Path(file_name(snapshot.name)) if output is None else output
    page = render_report(ReportData.of_snapshot(snapshot)).encode()
    write_page(page, file, may_replace=force)
    typer.echo(f"Wrote {file} ({len(page) / 1000:,.0f} kB).")


def delete(
    context: typer.Context, backtest: Annotated[str, typer.Argument(metavar="ID", help="A saved backtest's id or name.")]
) -> None:
    """Delete a saved backtest. Deployments made from it are not affected."""
    from algo_py.backtest import SnapshotStore

    typer.echo(f"Deleted {SnapshotStore(workspace_of(context)).delete(backtest)}.")


def _print_report(
    config: BacktestConfig,
    metrics: Mapping[str, float | int | None],
    warnings: Sequence[str],
    *,
    saved: Sequence[tuple[str, str]] = (),
) -> None:
    from algo_py.backtest.words import METRIC_WORDS, terms

    params = ", ".join(f"{name}={value}" for name, value in config.params.items())
    print_pairs(
        [
            *saved,
            ("strategy", f"{config.strategy} ({params})" if params else config.strategy),
            ("bars", f"{', '.join(config.symbols)} {config.timeframe} on {config.market}"),
            ("period", f"{moment(config.start)} to {moment(config.end)} UTC"),
            *terms(config),
        ]
    )
    rows = [(words, _written(metrics[key], kind, config.quote_label)) for key, (words, kind) in METRIC_WORDS.items()]
    print_table(("metric", "value"), rows, numbers=("value",))
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)


def _written(value: float | None, kind: Kind, currency: str) -> str:
    if kind == "money":
        return DASH if value is None else with_currency(value, currency)
    if kind == "percent":
        return percent(value)
    return length_of_time(value) if kind == "time" else number(value, 0 if kind == "count" else 2)
