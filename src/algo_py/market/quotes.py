"""The currency that a symbol is paid for in, and what is usual in it where a person says nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from algo_py.errors import InvalidInput

_USUAL_CASH: Final = 10_000.0
# A round amount of coins that are worth very much more; pairs are quoted in few of them.
_USUAL_CASH_OF: Final[Mapping[str, float]] = {"BTC": 1.0, "ETH": 10.0, "BNB": 10.0}
_MOST_NAMED: Final = 6


def parts_of(symbol: str, default_quote: str) -> tuple[str, str]:
    """Return what is held of a symbol and what it is paid for in: ETH and BTC of ETH/BTC; of RELIANCE itself and the default."""
    asset, slash, quote = symbol.partition("/")
    return (asset, quote) if slash else (symbol, default_quote)


def usual_cash(currency: str) -> float:
    """Return the cash at the start of a backtest that names none: 10,000, less of a coin that is worth thousands."""
    return _USUAL_CASH_OF.get(currency, _USUAL_CASH)


def mixed_quotes(quotes: Iterable[tuple[str, str]]) -> InvalidInput:
    """Return the error that names symbols and their currencies, which are several."""
    pairs = list(quotes)
    first = dict.fromkeys(quote for _, quote in pairs)
    # One symbol of each currency first, so that the difference is seen however long the universe is.
    witnesses = [next(pair for pair in pairs if pair[1] == quote) for quote in first]
    shown = (witnesses + [pair for pair in pairs if pair not in witnesses])[:_MOST_NAMED]
    (symbol, quote), *others = shown
    told = ", ".join([f"{symbol} is quoted in {quote}", *(f"{symbol} in {quote}" for symbol, quote in others)])
    more = f" and {len(pairs) - len(shown)} more" if len(pairs) > len(shown) else ""
    return InvalidInput(
        f"{told}{more}: a universe has one quote currency",
        remedy="Take the symbols of one of them.",
    )
