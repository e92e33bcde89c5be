"""`algo-py calendar`: on which days and in which hours a market trades, who says so, and what a person adds to it."""

from __future__ import annotations

from datetime import date, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from algo_py.cli.output import DASH, JsonFlag, print_json, print_table, workspace_of
from algo_py.clock import SystemClock
from algo_py.errors import InvalidInput, NotFound
from algo_py.market import Market as TradedMarket
from algo_py.market import get_market

if TYPE_CHECKING:
    from algo_py.market.own_days import Imported

_SHOWN_DAYS = 14
_MOST_DAYS = 3_700
_LARGEST = 1_000_000

MarketName = Annotated[str, typer.Option("--market", help="Such as indian_equity.")]


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    group = typer.Typer(help="Trading days: show, check, add, remove, import.", rich_markup_mode=None)
    for name, command in (("show", show), ("check", check), ("add", add), ("remove", remove), ("import", import_file)):
        group.command(name)(command)
    app.add_typer(group, name="calendar")


def show(
    day: Annotated[str | None, typer.Argument(metavar="[DAY]", help="One day, such as 2026-11-08.")] = None,
    market: MarketName = "indian_equity",
    symbol: Annotated[str | None, typer.Option(help="The hours of one symbol; else those of ordinary ones.")] = None,
    begin: Annotated[
        str | None, typer.Option("--from", metavar="DAY", help="The first of several days; today if not given.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="DAY", help="The last of them; two weeks later if not given.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show sessions and phases of a day, or of several, in the market's own time; each day says where it comes from."""
    from algo_py.market.day_report import day_json, days_of, hours_in_words

    traded = get_market(market)
    calendar = traded.calendar if symbol is None else traded.calendar_of(traded.check_symbol(symbol))
    if day is not None:
        if begin is not None or end is not None:
            raise InvalidInput("DAY and --from or --to exclude each other", remedy="Leave one of them out.")
        found = calendar.day(_day(day, "DAY"))
        if as_json:
            print_json(day_json(found))
            return
        _print_days(traded, [found])
        zone = traded.time_zone
        if found.session is not None:
            print_table(
                ("phase", "from", "to", "takes", "matching"),
                [
                    (
                        phase.name,
                        f"{phase.start.astimezone(zone):%H:%M}",
                        f"{phase.end.astimezone(zone):%H:%M}",
                        ", ".join(sorted(phase.takes)) or DASH,
                        str(phase.matching),
                    )
                    for phase in found.session.phases
                ],
            )
        return
    first = SystemClock().now().astimezone(traded.time_zone).date() if begin is None else _day(begin, "--from")
    last = first + timedelta(days=_SHOWN_DAYS) if end is None else _day(end, "--to")
    if last < first or (last - first).days > _MOST_DAYS:
        raise InvalidInput(f"--to must be from {first} to {first + timedelta(days=_MOST_DAYS)} (was {last})")
    days = days_of(calendar, first, last)
    if as_json:
        print_json([day_json(one) for one in days])
        return
    print_table(
        ("day", "", "hours", "name", "known", "source"),
        [(str(one.day), f"{one.day:%a}", hours_in_words(one, traded.time_zone), one.name, one.known, one.source) for one in days],
        title=f"{traded.title}, {traded.time_zone.key}",
    )
    _print_horizon(traded)


def check(context: typer.Context, market: MarketName = "indian_equity", as_json: JsonFlag = False) -> None:
    """Say what config/calendar.toml changes, how far the days are known, and where stored daily bars contradict them.

    Exit code 1 when the file cannot be read, or when bars and calendar contradict each other.
    """
    from algo_py.finstore import FinStore
    from algo_py.finstore.days_check import contradictions
    from algo_py.market.horizon import horizon_of
    from algo_py.market.nse import shipped_calendar
    from algo_py.market.own_days import in_words
    from algo_py.market.own_facts import own_facts

    workspace, traded = workspace_of(context), get_market(market)
    facts, horizon = own_facts(), horizon_of(traded, SystemClock().now())
    found = [] if horizon is None else contradictions(FinStore(workspace.finstore), traded)
    own = () if horizon is None else facts.of(market).days
    changed = [(one, shipped_calendar().day(one.day)) for one in own]
    if as_json:
        print_json(
            {
                "market": market,
                "file": str(workspace.calendar_file),
                "problem": facts.problem or None,
                "known_through": None if horizon is None else horizon.known_through.isoformat(),
                "days_left": None if horizon is None else horizon.days_left,
                "own_days": [{"day": str(one.day), "is": in_words(one), "source": one.source} for one in own],
                "contradictions": [{"day": str(one.day), "symbols": list(one.symbols), "what": str(one)} for one in found],
            }
        )
    else:
        if facts.problem:
            typer.echo(f"PROBLEM: {facts.problem}")
        if changed:
            from algo_py.market.day_report import hours_in_words

            print_table(
                ("day", "written down", "shipped", "source"),
                [(str(one.day), in_words(one), hours_in_words(was, traded.time_zone), one.source) for one, was in changed],
                title=str(workspace.calendar_file),
            )
        else:
            typer.echo(f"{workspace.calendar_file} names no day of {traded.title}.")
        _print_horizon(traded)
        for one in found:
            typer.echo(f"{one}.")
        if not found and horizon is not None:
            typer.echo("No stored daily bar contradicts the calendar.")
    if facts.problem or found:
        raise typer.Exit(1)


def add(
    context: typer.Context,
    day: Annotated[str, typer.Argument(metavar="DAY", help="Such as 2026-11-08.")],
    closed: Annotated[bool, typer.Option("--closed", help="The market does not trade.")] = False,
    opens: Annotated[
        str | None, typer.Option("--open", metavar="HH:MM", help="When trading begins, in the market's time.")
    ] = None,
    closes: Annotated[str | None, typer.Option("--close", metavar="HH:MM", help="When it ends.")] = None,
    name: Annotated[str, typer.Option(help="What the day is, such as Muhurat trading.")] = "",
    source: Annotated[str, typer.Option(help="Who says so, such as a circular's number.")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Change what is written down of that day.")] = False,
    market: MarketName = "indian_equity",
) -> None:
    """Write a holiday or a special session into config/calendar.toml; running deployments follow within seconds."""
    from algo_py.market.own_days import check_has_sessions, edit, in_words, with_day
    from algo_py.market.own_facts import OwnDay

    traded = get_market(market)
    check_has_sessions(traded)
    if closed is (opens is not None or closes is not None):
        raise InvalidInput("a day is either --closed, or has --open and --close", remedy="Give one of the two.")
    written = OwnDay(
        day=_day(day, "DAY"),
        opens=None if opens is None else _time(opens, "--open"),
        closes=None if closes is None else _time(closes, "--close"),
        name=name.strip(),
        source=source.strip(),
    )
    edit(workspace_of(context).calendar_file, market, lambda own: with_day(own, written, replaces=replace))
    typer.echo(f"{written.day} of {traded.title}: {in_words(written)}.")


def remove(
    context: typer.Context,
    day: Annotated[str, typer.Argument(metavar="DAY", help="A day that is written down.")],
    market: MarketName = "indian_equity",
) -> None:
    """Take a day out of config/calendar.toml; what is shipped counts again."""
    from algo_py.market.own_days import edit, without_day

    traded, chosen = get_market(market), _day(day, "DAY")
    edit(workspace_of(context).calendar_file, market, lambda own: without_day(own, chosen))
    _print_days(traded, [traded.calendar.day(chosen)])


def import_file(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="NSE's holidays as CSV or JSON, or a list of days.")],
    market: MarketName = "indian_equity",
    source: Annotated[str, typer.Option(help="Who says so; the file's name if not given.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and write nothing.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Write an exchange's list of holidays into config/calendar.toml: from then on its years are known."""
    from algo_py.market.holiday_file import read_holidays
    from algo_py.market.own_days import check_has_sessions, edit, with_holidays
    from algo_py.market.own_facts import OwnMarket, read_calendar

    traded, target = get_market(market), workspace_of(context).calendar_file
    check_has_sessions(traded)
    try:
        read = read_holidays(_text_of(file))
    except InvalidInput as error:
        raise InvalidInput(f"{file}: {error.message}", remedy=error.remedy) from None
    before = read_calendar(target).get(market, OwnMarket())
    done = with_holidays(before, read, traded.calendar, source=source.strip() or file.name)
    if not dry_run:
        edit(target, market, lambda own: with_holidays(own, read, traded.calendar, source=source.strip() or file.name).market)
    if as_json:
        print_json(_imported_json(done, understood=read.understood, is_written=not dry_run))
        return
    typer.echo(f"Understood as {read.understood}: {len(read.holidays)} days.")
    print_table(("day", "", "closed for"), [(str(one.day), f"{one.day:%A}", one.name or DASH) for one in done.added])
    if done.weekends:
        typer.echo(f"{done.weekends} on a weekend, when the market is closed anyway.")
    for day in done.kept:
        typer.echo(f"{day} has a special session and stays open for it.")
    if read.known_through is None:
        typer.echo("It is a part of a year: the days beyond the known ones stay assumed.")
    else:
        typer.echo(f"The trading days are known to {done.market.known_through}.")
    if dry_run:
        typer.echo("Nothing was written.")


def _imported_json(done: Imported, *, understood: str, is_written: bool) -> dict[str, Any]:
    known_through = done.market.known_through
    return {
        "understood": understood,
        "added": [{"day": str(one.day), "name": one.name} for one in done.added],
        "kept": [str(day) for day in done.kept],
        "weekends": done.weekends,
        "known_through": None if known_through is None else str(known_through),
        "written": is_written,
    }


def _print_days(traded: TradedMarket, days: list[Any]) -> None:
    from algo_py.market.day_report import hours_in_words

    for one in days:
        name = f" ({one.name})" if one.name else ""
        hours = hours_in_words(one, traded.time_zone)
        typer.echo(f"{one.day:%Y-%m-%d %A}: {hours} {traded.time_zone.key}{name}; {one.known}, by {one.source}.")


def _print_horizon(traded: TradedMarket) -> None:
    from algo_py.market.horizon import REMEDY, horizon_of

    horizon = horizon_of(traded, SystemClock().now())
    if horizon is not None:
        text = str(horizon)
        typer.echo(f"{text[0].upper()}{text[1:]}.{'' if horizon.threshold is None else f' {REMEDY}.'}")


def _text_of(file: Path) -> str:
    try:
        if file.stat().st_size > _LARGEST:
            raise InvalidInput(f"{file} is larger than a list of holidays can be", remedy="Name another file.")
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise NotFound(f"there is no file {file}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file} cannot be read: {error}") from None


def _day(text: str, name: str) -> date:
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise InvalidInput(f"{name} must be a day (was {text!r})", remedy="Write it like 2026-11-08.") from None


def _time(text: str, name: str) -> time:
    try:
        found = time.fromisoformat(text.strip())
    except ValueError:
        raise InvalidInput(f"{name} must be a time of day (was {text!r})", remedy="Write it like 18:15.") from None
    if found.tzinfo is not None:
        raise InvalidInput(f"{name} is in the market's own time and takes no offset (was {text!r})")
    return found
