"""How money is written: the digits of its currency, and never a small amount as 0.00."""

from __future__ import annotations

from decimal import Decimal

import pytest

from algo_py.formatting import money, places_of, with_currency


@pytest.mark.parametrize(
    ("value", "currency", "written"),
    [
        (10_000.0, "USDT", "10,000.00"),
        (Decimal("1234567.891"), "INR", "1,234,567.89"),
        (0.00012345, "BTC", "0.00012345"),
        (Decimal("-0.00012345"), "BTC", "-0.00012345"),
        (1.0, "BTC", "1.00"),
        (Decimal("0.5"), "BTC", "0.50"),
        (Decimal("0.123456789"), "BTC", "0.12345679"),
        (0.000012345678, "ETH", "0.000012345678"),
        (Decimal("12345.678912"), "BNB", "12,345.679"),
        (Decimal("1234567890.5"), "SHIB", "1,234,567,890.50"),
        (0.0, "ETH", "0.00"),
        (-0.001, "USDT", "0.00"),
        (Decimal("NaN"), "BTC", "NaN"),
    ],
)
def test_an_amount_has_the_digits_of_its_currency(value: Decimal | float, currency: str, written: str) -> None:
    assert money(value, currency) == written


def test_a_change_has_its_sign() -> None:
    assert [money(value, "BTC", signed=True) for value in (0.0001, -0.0001, 0.0)] == ["+0.0001", "-0.0001", "0.00"]
    assert money(0.001, "USDT", signed=True) == "0.00"


def test_with_its_currency() -> None:
    assert with_currency(Decimal("0.00012345"), "BTC") == "0.00012345 BTC"


def test_the_digits_of_a_currency_that_is_not_listed_are_not_known() -> None:
    assert (places_of("INR"), places_of("BTC"), places_of("ETH")) == (2, 8, None)
