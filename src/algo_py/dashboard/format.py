"""How values are written on a page. What is not known is a dash, never a zero; percent exists only here."""

from __future__ import annotations

import re
from datetime import datetime, time
from decimal import Context, Decimal
from zoneinfo import ZoneInfo

from algo_py.formatting import money as plain_money

DASH = "–"

_MANY_DAYS = 10
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|$~:&])")


def number(value: float | Decimal | None, digits: int = 2) -> str:
    """Return `1,234.50`."""
    return DASH if value is None else f"{value:,.{digits}f}"


def money(value: Decimal | float | None, currency: str) -> str:
    """Return an amount of a currency with the digits that it has: `1,234.50` of USDT, `0.00012345` of BTC."""
    return DASH if value is None else plain_money(value, currency)


def exact(value: Decimal | None) -> str:
    """Return a quantity with the digits that it has: `0.00125`, `1,200`."""
    if value is None:
        return DASH
    text = f"{value:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def price(value: Decimal | None) -> str:
    """Return a price with eight digits, enough for any tick: `663.83175`, `104,250.12`."""
    return DASH if value is None else exact(Context(prec=8).plus(value))


def percent(fraction: float | None, *, signed: bool = False) -> str:
    """Return `12.30 %` for 0.123."""
    if fraction is None:
        return DASH
    return f"{fraction * 100:+,.2f} %" if signed else f"{fraction * 100:,.2f} %"


def moment(value: datetime | None) -> str:
    """Return `2025-01-31 09:30`, with seconds where it has some; UTC."""
    if value is None:
        return DASH
    return f"{value:%Y-%m-%d %H:%M:%S}" if value.second else f"{value:%Y-%m-%d %H:%M}"


def period(start: datetime, end: datetime, zone: ZoneInfo) -> str:
    """Return `2025-01-01 to 2025-02-01` in a market's own time zone, with times of day where they are not midnight there."""
    local = [value.astimezone(zone) for value in (start, end)]
    if all(value.time() == time() for value in local):
        return f"{local[0]:%Y-%m-%d} to {local[1]:%Y-%m-%d}"
    return f"{moment(local[0])} to {moment(local[1])} {local[1]:%Z}"


def length_of_time(seconds: float | None) -> str:
    """Return `1,352 d`, `3 d 4 h`, `4 h 30 min` or `30 min`."""
    if seconds is None:
        return DASH
    minutes = round(seconds / 60)
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days} d {hours} h" if days < _MANY_DAYS else f"{days:,} d"
    return f"{hours} h {rest} min" if hours else f"{rest} min"


def counted(count: int, what: str) -> str:
    """Return `1 order`, `2 orders`."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def listed(names: tuple[str, ...], most: int = 3) -> str:
    """Return `A, B, C and 2 more`."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def plain(text: str) -> str:
    """Return `text` on one line, so that markdown shows it as it is."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def fraction_of(percentage: float) -> float:
    """Cross from the percent that a person typed to a fraction; 0.1 gives exactly 0.001."""
    return float(Decimal(repr(percentage)) / 100)


def percentage_of(fraction: float) -> float:
    """Cross from a fraction to the percent in a form; `fraction_of` gives the same fraction back."""
    return float(Decimal(repr(fraction)) * 100)
