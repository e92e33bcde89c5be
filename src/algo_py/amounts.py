"""Amounts from outside: what a person typed, and what a venue's JSON holds. One that is not plainly a number is refused by name.

A price that is off by a digit group is booked for good, so nothing is guessed: `101,25` may be 101.25 or 10125.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from algo_py.errors import InvalidInput

FAR_FRACTION: Final = Decimal("0.2")
_DIGITS_BEFORE, _DIGITS_AFTER = 15, 18
_LEAST: Final = Decimal(1).scaleb(-_DIGITS_AFTER)
_LIMIT: Final = Decimal(1).scaleb(_DIGITS_BEFORE)
_LONGEST_TEXT: Final = 60
_ENDLESS: Final = 10**40
_SHOWN: Final = 40

_PLAIN = re.compile(r"(0|[1-9][0-9]*)(\.[0-9]+)?")
# 1,234,567.8 in thousands; 12,34,567.8 in thousands, lakh and crore; 1 234 567.8 with spaces of any width.
_THOUSANDS = re.compile(r"[1-9][0-9]{0,2}(,[0-9]{3})+(\.[0-9]+)?")
_LAKH = re.compile(r"[1-9][0-9]?(,[0-9]{2})*,[0-9]{3}(\.[0-9]+)?")
_SPACED = re.compile(r"[1-9][0-9]{0,2}([ \u00a0\u202f][0-9]{3})+(\.[0-9]+)?")
_GROUPING = re.compile(r"[, \u00a0\u202f]")
_MACHINE = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,60})?([eE][+-]?[0-9]{1,3})?")


def parse_amount(text: str, *, name: str, allow_zero: bool = False) -> Decimal:
    """Read a number that a person typed: above 0, or with `allow_zero` also 0; at most 15 digits before the point, 18 behind it.

    Digits may be grouped by commas or spaces where they really are groups: `1,234.5`, `12,34,567.8`, `1 234.5`. Raises
    InvalidInput, which says what is wrong with it and how to write it.
    """
    given = text.strip()
    if not any(pattern.fullmatch(given) for pattern in (_PLAIN, _THOUSANDS, _LAKH, _SPACED)) or len(given) > _LONGEST_TEXT:
        raise _refusal(given, name)
    whole, _, behind = _GROUPING.sub("", given).partition(".")
    if len(whole) > _DIGITS_BEFORE or len(behind) > _DIGITS_AFTER:
        raise InvalidInput(
            f"{name} has too many digits (was {_shown(given)})",
            remedy=f"At most {_DIGITS_BEFORE} may stand before the point and {_DIGITS_AFTER} behind it.",
        )
    amount = Decimal(f"{whole}.{behind or '0'}")
    if not amount and not allow_zero:
        raise InvalidInput(f"{name} must be above 0 (was {_shown(given)})")
    return _without_zeros(amount)


def read_amount(value: object, *, name: str, allow_zero: bool = False, allow_negative: bool = False) -> Decimal:
    """Read a number of a venue's JSON, a text or a number there; it is one that can be booked, or InvalidInput names it.

    Finite, above 0 (or as allowed), below 1e15 and in steps no finer than 1e-18.
    """
    is_endless = isinstance(value, int) and abs(value) >= _ENDLESS  # Python refuses to write some of these
    text = "an endless number" if is_endless else repr(value) if isinstance(value, float) else str(value)
    if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)) or not _MACHINE.fullmatch(text):
        raise InvalidInput(f"{name} is not a number (was {_shown(text)})")
    amount = Decimal(text)
    if amount < 0 and not allow_negative:
        raise InvalidInput(f"{name} must not be below 0 (was {_shown(text)})")
    if not amount and not allow_zero:
        raise InvalidInput(f"{name} must be above 0 (was {_shown(text)})")
    if amount and not _LEAST <= abs(amount) < _LIMIT:
        raise InvalidInput(f"{name} cannot be an amount (was {_shown(text)})")
    return amount


def far_from(value: Decimal, reference: Decimal, *, fraction: Decimal = FAR_FRACTION) -> bool:
    """Return whether a price lies more than `fraction` of the reference away from it; so does any where nothing is known."""
    if not (value.is_finite() and reference.is_finite() and value > 0 and reference > 0):
        return True
    return abs(value - reference) > fraction * reference


def distance(value: Decimal, reference: Decimal) -> str:
    """Return how far a price is from its reference in words: `95 % below the reference 1234`."""
    if not (value.is_finite() and reference.is_finite() and reference > 0):
        return "not comparable with any reference"
    if value > 10 * reference:
        return f"{value / reference:,.0f} times the reference {plain(reference)}"
    percent = abs(value - reference) / reference * 100
    return f"{percent:.0f} % {'below' if value < reference else 'above'} the reference {plain(reference)}"


def plain(value: Decimal) -> str:
    """Write a number without a power of ten and without zeros behind it."""
    return f"{value.normalize():f}"


def _refusal(given: str, name: str) -> InvalidInput:
    """Return the error that says which of the ways to be no number this one is."""
    write = "Write it in plain digits, such as 1234.5."
    digits = given.replace(",", "").replace(".", "")
    if not given:
        problem = f"{name} is missing"
    elif len(given) > _LONGEST_TEXT:
        problem = f"{name} is too long"
    elif given.lstrip("+-") != given and given.isascii():
        problem = f"{name} is written with a sign (was {_shown(given)})"
    elif any(letter.isdigit() and not letter.isascii() for letter in given):
        problem = f"{name} has digits other than 0 to 9 (was {_shown(given)})"
    elif re.fullmatch(r"[0-9.,]+[eE][+-]?[0-9]+", given):
        problem = f"{name} is written as a power of ten (was {_shown(given)})"
    elif "," in given and digits.isascii() and digits.isdigit():
        problem = f"{name} has a comma that groups nothing (was {_shown(given)})"
        if given.count(",") == 1 and "." not in given and not given.endswith(",") and not given.startswith(","):
            write = f"Write {given.replace(',', '.')} or {digits}, whichever is meant."
    else:
        problem = f"{name} is not a number (was {_shown(given)})"
    return InvalidInput(problem, remedy=write)


def _without_zeros(amount: Decimal) -> Decimal:
    """Return the number without the zeros behind its point, and never as a power of ten."""
    return amount.quantize(Decimal(1)) if amount == amount.to_integral_value() else amount.normalize()


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
