"""`algo-py book trade | transfer | split | cash | correct | list`: what happened to a deployment's ledger by other hands."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from algo_py.amounts import parse_amount, plain
from algo_py.cli.deployment_options import Chosen, manager_of
from algo_py.cli.output import DASH, JsonFlag, print_json, print_table
from algo_py.formatting import with_currency

if TYPE_CHECKING:
    from decimal import Decimal

    from algo_py.deployment.booking import Booking

Symbol = Annotated[str, typer.Option(help="One of the deployment's symbols.")]
Note = Annotated[str, typer.Option(help="Why; it stays with what is booked.")]
FarPrice = Annotated[
    bool, typer.Option("--far-price", help="The price is meant, though it is more than 20 % away from the newest that is known.")
]

_NUMBERS = ("quantity", "cash", "price", "ratio")


class TypedSide(StrEnum):
    """Which way a trade went."""

    BUY = "buy"
    SELL = "sell"


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    group = typer.Typer(
        help="Book what happened to a deployment by other hands: trade, transfer, split, cash, correct, list.",
        rich_markup_mode=None,
    )
    for command in (trade, transfer, split, cash, correct):
        group.command(command.__name__)(command)
    group.command("list")(list_booked)
    app.add_typer(group, name="book")


def trade(
    context: typer.Context,
    deployment: Chosen,
    symbol: Symbol,
    side: Annotated[TypedSide, typer.Option(help="Whether units were bought or sold.")],
    quantity: Annotated[str, typer.Option(help="How many units.")],
    price: Annotated[str, typer.Option(help="At what average price.")],
    fee: Annotated[str, typer.Option(help="What it cost, quote currency.")] = "0",
    note: Note = "",
    far_price: FarPrice = False,
    as_json: JsonFlag = False,
) -> None:
    """Book a trade that you or the broker made with what a deployment holds, such as a sale in the broker's app."""
    from algo_py.deployment.booking import TradeMade
    from algo_py.orders.model import Side

    made = TradeMade(
        symbol=symbol,
        side=Side.BUY if side is TypedSide.BUY else Side.SELL,
        quantity=parse_amount(quantity, name="--quantity"),
        price=parse_amount(price, name="--price"),
        fee=parse_amount(fee, name="--fee", allow_zero=True),
        note=note,
    )
    _book(context, deployment, made, far_price=far_price, as_json=as_json)


def transfer(
    context: typer.Context,
    deployment: Chosen,
    symbol: Symbol,
    quantity: Annotated[str, typer.Option(help="How many units.")],
    out: Annotated[bool, typer.Option("--out", help="They went out; without it they came in.")] = False,
    price: Annotated[str | None, typer.Option(help="What a unit that came in was worth.")] = None,
    note: Note = "",
    far_price: FarPrice = False,
    as_json: JsonFlag = False,
) -> None:
    """Book units that came in or went out without a trade."""
    from algo_py.deployment.booking import Transfer

    moved = Transfer(
        symbol=symbol,
        quantity=_signed(quantity, name="--quantity", is_out=out),
        price=None if price is None else parse_amount(price, name="--price"),
        note=note,
    )
    _book(context, deployment, moved, far_price=far_price, as_json=as_json)


def split(
    context: typer.Context,
    deployment: Chosen,
    symbol: Symbol,
    ratio: Annotated[str, typer.Option(help="New units for an old one: 2 for a split 2:1, 1.5 for a bonus 1:2, 0.1 for 10:1.")],
    cash: Annotated[str, typer.Option(help="What was paid for a fraction, quote currency.")] = "0",
    quantity: Annotated[str | None, typer.Option(help="What is held now, where it is not the whole part.")] = None,
    note: Note = "",
    as_json: JsonFlag = False,
) -> None:
    """Book a split, a bonus or a consolidation: other units at another price, no gain and no loss."""
    from algo_py.deployment.booking import Split

    happened = Split(
        symbol=symbol,
        ratio=parse_amount(ratio, name="--ratio"),
        cash=parse_amount(cash, name="--cash", allow_zero=True),
        quantity=None if quantity is None else parse_amount(quantity, name="--quantity"),
        note=note,
    )
    _book(context, deployment, happened, as_json=as_json)


def cash(
    context: typer.Context,
    deployment: Chosen,
    amount: Annotated[str, typer.Option(help="How much, quote currency.")],
    out: Annotated[bool, typer.Option("--out", help="It was paid out; without it it was paid in.")] = False,
    note: Note = "",
    as_json: JsonFlag = False,
) -> None:
    """Book cash that was paid into a deployment's ledger, such as a dividend, or out of it."""
    from algo_py.deployment.booking import CashMoved

    _book(context, deployment, CashMoved(amount=_signed(amount, name="--amount", is_out=out), note=note), as_json=as_json)


def correct(
    context: typer.Context,
    deployment: Chosen,
    booked: Annotated[str, typer.Argument(metavar="FILL_OR_ENTRY", help="The trade_id of a fill, or the entry_id of an entry.")],
    note: Note = "",
    as_json: JsonFlag = False,
) -> None:
    """Take back what was booked wrong, by a counter-entry: nothing that stands in the ledger is edited."""
    from algo_py.deployment.booking import Correction

    _book(context, deployment, Correction(of=booked, note=note), as_json=as_json)


def list_booked(context: typer.Context, deployment: Chosen, as_json: JsonFlag = False) -> None:
    """List what changed a deployment's ledger and was no order of its own: booked by hand, taken as fees, written off."""
    from algo_py.deployment.report import booked_json

    manager = manager_of(context)
    rows = booked_json(manager, manager.show(deployment).id)
    if as_json:
        print_json(rows)
        return
    if not rows:
        typer.echo("Nothing but its own orders has changed its ledger.")
        return
    columns = ("time", "kind", "symbol", "quantity", "cash", "price", "ratio", "by", "note", "entry_id")
    print_table(columns, [[_text(row[column]) for column in columns] for row in rows], numbers=_NUMBERS)


def _book(context: typer.Context, deployment: str, booking: Booking, *, as_json: bool, far_price: bool = False) -> None:
    """Book it, and say what is in the ledger now."""
    from algo_py.deployment.report import position_json

    manager = manager_of(context)
    found = manager.show(deployment)
    booked = manager.book(found.id, booking, far_price=far_price)
    ledger = manager.ledger(found.id)
    if as_json:
        positions = [position_json(position) for position in ledger.positions.values()]
        print_json({"deployment_id": found.id, "booked": booked, "cash": float(ledger.cash), "positions": positions})
        return
    typer.echo(f"Booked: {booked}.")
    held = ", ".join(f"{plain(one.quantity)} {one.symbol}" for one in ledger.positions.values())
    quote = found.config.backtest.quote_label
    typer.echo(f"{found.name} holds {held or 'nothing'}, and {with_currency(ledger.cash, quote)} in cash.")


def _signed(text: str, *, name: str, is_out: bool) -> Decimal:
    amount = parse_amount(text, name=name)
    return -amount if is_out else amount


def _text(value: object) -> str:
    if value is None or value == "":
        return DASH
    return f"{value:,.10g}" if isinstance(value, float) else str(value)
