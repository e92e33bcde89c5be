"""`algo-py sweep`: try many parameter sets of a strategy."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from algo_py.cli.options import AuctionFills, NoEntryAfter, NoEntryBefore, SquareOffAt, symbols_of
from algo_py.cli.output import JsonFlag, print_error, print_json, traders_code, workspace_of
from algo_py.cli.sweep_report import print_report, report_json, write_csv
from algo_py.cli.sweep_values import read_grid
from algo_py.errors import InvalidInput

if TYPE_CHECKING:
    from algo_py.engine.sweep import SweepProgress
    from algo_py.engine.sweep_executor import Executor


def register(app: typer.Typer) -> None:
    """Add this file's command."""
    app.command("sweep")(sweep)


def sweep(
    context: typer.Context,
    strategy: Annotated[str, typer.Argument(metavar="STRATEGY", help="Such as ema-cross; see `algo-py strategies`.")],
    market: Annotated[str, typer.Option(help="Such as crypto_binance or indian_equity.")],
    timeframe: Annotated[str, typer.Option(help="How long a bar lasts, such as 1h.")],
    symbols: Annotated[str, typer.Option(metavar="A,B", help="The universe, separated by commas.")],
    param: Annotated[
        list[str],
        typer.Option(metavar="NAME=VALUES", help="Values to try: 5:50:5 (both ends included), 5,10,20 or 10; may be repeated."),
    ],
    rank: Annotated[str, typer.Option(metavar="METRIC", help="What is best: the name of a metric.")] = "sharpe_ratio",
    search: Annotated[
        str, typer.Option(metavar="grid|random|tpe", help="Every combination, a random part, or Optuna's suggestions.")
    ] = "grid",
    samples: Annotated[int | None, typer.Option(metavar="N", help="How many sets random and tpe try; else 100.")] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed tries the same sets.")] = 0,
    workers: Annotated[int | None, typer.Option(metavar="N", help="How many processes; else one for each core.")] = None,
    walk_forward: Annotated[
        int | None,
        typer.Option(metavar="N", help="Also choose the best set on N stretches of bars and show it on those that follow."),
    ] = None,
    top: Annotated[int, typer.Option(metavar="N", help="How many sets the table shows.")] = 20,
    save_best: Annotated[
        str | None, typer.Option(metavar="NAME", help="Save the best set as a backtest under this name.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write all sets to a CSV file, best first.")] = None,
    start: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="First open time; else the first stored bar. UTC unless an offset stands there."),
    ] = None,
    end: Annotated[
        str | None, typer.Option(metavar="TIME", help="End of the period, exclusive; else the last stored bar's close.")
    ] = None,
    cash: Annotated[
        float | None,
        typer.Option(metavar="AMOUNT", help="Cash at the start, quote currency; else 10000, or 1 BTC."),
    ] = None,
    size: Annotated[float | None, typer.Option(metavar="NUMBER", help="Size of an entry, by size type; else 1.0.")] = None,
    size_type: Annotated[
        str | None, typer.Option(metavar="percent|value|amount", help="Fraction of equity, quote currency, or units.")
    ] = None,
    fees: Annotated[float | None, typer.Option(metavar="FRACTION", help="Fee of a fill; else the market's.")] = None,
    maker_fees: Annotated[
        float | None, typer.Option(metavar="FRACTION", help="Fee of a take-profit's fill; else as --fees.")
    ] = None,
    fixed_fees: Annotated[float | None, typer.Option(metavar="AMOUNT", help="Fee of a fill on top; else 0.")] = None,
    costs: Annotated[
        str | None, typer.Option(metavar="SCHEDULE", help="nse_delivery or nse_intraday, in place of --fees.")
    ] = None,
    slippage: Annotated[
        float | None, typer.Option(metavar="FRACTION", help="How much worse a fill is; else the market's.")
    ] = None,
    borrow_rate_annual: Annotated[float | None, typer.Option(metavar="FRACTION", help="Yearly cost of a short; else 0.")] = None,
    stop_loss: Annotated[float | None, typer.Option(metavar="FRACTION", help="Close a position that has lost this.")] = None,
    take_profit: Annotated[float | None, typer.Option(metavar="FRACTION", help="Close a position that has gained this.")] = None,
    trailing_stop: Annotated[
        float | None, typer.Option(metavar="FRACTION", help="Close a position that has come back by this from its best price.")
    ] = None,
    max_hold_bars: Annotated[int | None, typer.Option(metavar="BARS", help="Close a position after so many bars.")] = None,
    square_off_at: SquareOffAt = None,
    no_entry_before: NoEntryBefore = None,
    no_entry_after: NoEntryAfter = None,
    auction_fills: AuctionFills = None,
    direction: Annotated[
        str | None, typer.Option(metavar="long|short|both", help="Which signals are followed; else long.")
    ] = None,
    execution: Annotated[str | None, typer.Option(metavar="next_open|close", help="Where orders fill; else next_open.")] = None,
    cash_sharing: Annotated[
        bool | None, typer.Option(help="One pool of cash for all symbols (the default), or equal parts.")
    ] = None,
    allow_partial: Annotated[bool | None, typer.Option(help="Shrink an entry that lacks cash (the default), or deny it.")] = None,
    as_json: JsonFlag = False,
) -> int:
    """Try many parameter sets of a strategy over stored bars and show the best.

    Ctrl-C ends it and shows what is done.
    """
    from algo_py.backtest import BacktestConfig
    from algo_py.backtest.sweep import refuse_taken_name, run_sweep
    from algo_py.backtest.sweep import save_best as save
    from algo_py.engine.sweep import SweepPlan

    if top < 1:
        raise InvalidInput(f"--top must be at least 1 (was {top})")
    workspace = workspace_of(context)
    if save_best is not None:
        refuse_taken_name(workspace, save_best)
    config = BacktestConfig(
        strategy=strategy,
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
    plan = SweepPlan(grid=read_grid(param), search=_search(search), samples=samples, seed=seed, rank=rank)
    with traders_code(), _interruptible() as interrupted, _progress_bar() as progress:
        result = run_sweep(
            workspace,
            config,
            plan,
            folds=walk_forward,
            executor=_executor(workers),
            progress=progress,
            cancelled=interrupted,
        )
    ordered = result.ranked()
    if csv is not None:
        write_csv(ordered, csv)
    saved = None
    if save_best is not None and not result.is_cancelled:
        with traders_code():
            saved = save(workspace, result, save_best)
    if as_json:
        print_json(report_json(result, ordered, plan, saved.id if saved else None))
    else:
        print_report(result, ordered, tuple(plan.grid), top)
        if saved:
            typer.echo(f"Saved as {saved.name!r} ({saved.id}).")
    if result.is_cancelled:
        print_error(f"cancelled: {len(result.results):,} of {result.total:,} parameter sets are done")
        return 1
    if result.failed == len(result.results):
        print_error(f"every parameter set failed, the first one: {result.results['error'].iloc[0]}")
        return 1
    return 0


def _search(name: str) -> Any:
    return name  # the search itself refuses an unknown one, with what there is


def _executor(workers: int | None) -> Executor:
    from algo_py.engine.sweep_executor import Adaptive

    return Adaptive(workers)


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether Ctrl-C was pressed; pressed twice it interrupts as ever."""
    pressed = False

    def press(_number: int, _frame: object) -> None:
        nonlocal pressed
        pressed = True
        signal.signal(signal.SIGINT, before)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, press)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _progress_bar() -> Iterator[Callable[[SweepProgress], None] | None]:
    """Yield a function that draws progress on stderr, or None when nobody watches.

    It draws when it is told something and not from a thread of its own: workers are forked while it stands.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
        task = bar.add_task("", total=None)

        def tell(now: SweepProgress) -> None:
            left = "" if now.remaining_s is None else f"about {_seconds(now.remaining_s)} left"
            failed = f", {now.failed:,} failed" if now.failed else ""
            bar.update(task, total=now.total, completed=now.done, description=left + failed, refresh=True)

        yield tell


def _seconds(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3600:.1f} h"
