"""How options that several commands share are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from algo_py.errors import InvalidInput

# Times of day are of the market's own time zone, and need intraday bars.
NoEntryBefore = Annotated[
    str | None, typer.Option(metavar="HH:MM", help="No entry that could fill before this time of the market's zone.")
]
NoEntryAfter = Annotated[
    str | None, typer.Option(metavar="HH:MM", help="No entry that could fill only after this time of the market's zone.")
]
SquareOffAt = Annotated[
    str | None, typer.Option(metavar="HH:MM", help="Close every position by the last bar that ends by this time.")
]
AuctionFills = Annotated[
    bool | None, typer.Option(help="Orders may fill in closing auctions; else they wait for the next trading (the default).")
]


def parameters_of(texts: Sequence[str]) -> dict[str, str]:
    """Read `--param NAME=VALUE` texts; a malformed one, or a name given twice, is refused."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise InvalidInput(f"--param must be NAME=VALUE (was {text!r})", remedy="Write it like --param fast=10.")
        if name.strip() in found:
            raise InvalidInput(f"--param names {name.strip()!r} twice")
        found[name.strip()] = value.strip()
    return found


def symbols_of(text: str) -> tuple[str, ...]:
    """Read `A,B`; spaces and empty places are left out."""
    return tuple(symbol.strip() for symbol in text.split(",") if symbol.strip())
