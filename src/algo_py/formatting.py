"""How amounts of money are written: with the digits that their currency has, so that 0.00012345 BTC is not 0.00."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

# Digits behind the point. A currency that is not here is written with as many as a small amount of it needs.
_PLACES: Final[Mapping[str, int]] = {
    "BTC": 8,
    **dict.fromkeys(("INR", "USD", "EUR", "GBP", "BRL", "TRY", "AUD"), 2),
    **dict.fromkeys(("USDT", "USDC", "FDUSD", "TUSD", "BUSD", "DAI", "USDP", "USD1"), 2),
}
_FEWEST: Final = 2
_MOST: Final = 18
_SIGNIFICANT: Final = 8
_CONTEXT: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)


def places_of(currency: str) -> int | None:
    """Return how many digits behind the point amounts of a currency have at most; None where that goes by their size."""
    return _PLACES.get(currency)


def money(value: Decimal | float, currency: str, *, signed: bool = False) -> str:
    """Return `1,234.50` of USDT or INR, `0.00012345` of BTC: two digits behind the point or more, and no zeros after those.

    A currency whose digits are not known gets eight significant ones. `signed` puts a plus before what is above 0; what rounds to
    0 has no sign.
    """
    exact = value if isinstance(value, Decimal) else Decimal(repr(float(value)))
    if not exact.is_finite():
        return str(exact)
    known = _PLACES.get(currency)
    places = known if known is not None else min(_MOST, max(_FEWEST, _SIGNIFICANT - 1 - exact.adjusted())) if exact else _FEWEST
    rounded = exact.quantize(Decimal(1).scaleb(-places), context=_CONTEXT)
    whole, _, behind = f"{abs(rounded):,f}".partition(".")
    sign = "-" if rounded < 0 else "+" if signed and rounded > 0 else ""
    return f"{sign}{whole}.{behind.rstrip('0').ljust(_FEWEST, '0')}"


def with_currency(value: Decimal | float, currency: str) -> str:
    """Return `0.00012345 BTC`."""
    return f"{money(value, currency)} {currency}"
