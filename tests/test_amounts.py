"""Numbers from outside: what is one, and what only looks like one."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algo_py.amounts import distance, far_from, parse_amount, plain, read_amount
from algo_py.errors import InvalidInput

READ = {
    "101.25": "101.25",
    " 65 ": "65",
    "0.00001234": "0.00001234",
    "1,234.5": "1234.5",
    "1,234,567": "1234567",
    "12,34,567.8": "1234567.8",
    "1,23,456": "123456",
    "1 234.5": "1234.5",
    "1\u202f234\u00a0567.5": "1234567.5",
    "100.50": "100.5",
    "100.00": "100",
    "999999999999999": "999999999999999",
    "0.000000000000000001": "0.000000000000000001",
}

REFUSED = {
    "101,25": r"comma that groups nothing \(was '101,25'\)\. Write 101\.25 or 10125",
    "0,123": "comma that groups nothing",
    "1,2345": "comma that groups nothing",
    "1234,567": "comma that groups nothing",
    "1.234,5": "comma that groups nothing",
    "1,23": "comma that groups nothing",
    ",5": "comma that groups nothing",
    "1e9": "power of ten",
    "1E-3": "power of ten",
    "١٢": "digits other than 0 to 9",
    "１２": "digits other than 0 to 9",
    "+": "with a sign",
    "+5": "with a sign",
    "-5": "with a sign",
    "NaN": "is not a number",
    "Infinity": "is not a number",
    "0x1": "is not a number",
    "1_000": "is not a number",
    "1.2.3": "is not a number",
    "$5": "is not a number",
    "5.": "is not a number",
    ".5": "is not a number",
    "007": "is not a number",
    "1 23": "is not a number",
    "1,234 567": "is not a number",
    "around <100>": "is not a number",
    "": "is missing",
    "0": "must be above 0",
    "0.000": "must be above 0",
    "1" * 16: "too many digits",
    "0." + "1" * 19: "too many digits",
    "1" * 5_000: "too long",
}


@pytest.mark.parametrize(("text", "value"), READ.items())
def test_a_number_is_read_as_it_is_meant(text: str, value: str) -> None:
    amount = parse_amount(text, name="price")
    assert amount == Decimal(value)
    assert str(amount) == value or "E" in str(amount)


@pytest.mark.parametrize(("text", "why"), REFUSED.items())
def test_what_only_looks_like_a_number_is_refused_by_name(text: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=f"price .*{why}"):
        parse_amount(text, name="price")


def test_zero_is_read_where_it_is_allowed() -> None:
    assert parse_amount("0", name="fee", allow_zero=True) == 0
    with pytest.raises(InvalidInput, match="with a sign"):
        parse_amount("-0", name="fee", allow_zero=True)


@given(st.text(max_size=40))
def test_whatever_is_typed_ends_in_a_number_that_can_be_booked_or_in_a_refusal(text: str) -> None:
    try:
        amount = parse_amount(text, name="price")
    except InvalidInput:
        return
    assert amount.is_finite()
    assert 0 < amount < Decimal("1e15")
    assert text.isascii() or set(text) & {"\u00a0", "\u202f"} or text != text.strip()


@given(st.decimals(min_value="0.000001", max_value="999999999999", allow_nan=False, allow_infinity=False, places=6))
def test_a_number_in_groups_is_the_number(amount: Decimal) -> None:
    assert parse_amount(f"{amount:,f}", name="price") == parse_amount(f"{amount:f}", name="price") == amount


SENSELESS: list[object] = [
    "NaN", "sNaN", "Infinity", "1e400", "-1", "abc", "", " 1", "0x1", "1_000", "1e16", "1e-19", "١", None, True, [], {}, ["1"],
    float("nan"), float("inf"), 1e400, 10**400, 10**5_000, -0.5, Decimal("NaN"), Decimal("1e30"),
]  # fmt: skip


@pytest.mark.parametrize("value", SENSELESS, ids=range(len(SENSELESS)))
def test_a_venues_number_that_cannot_be_booked_is_named(value: object) -> None:
    with pytest.raises(InvalidInput, match="commission "):
        read_amount(value, name="commission", allow_zero=True)


def test_a_venues_number_is_read_whatever_its_type() -> None:
    for value in ("0.00100000", 0.001, "1e-3", Decimal("0.001")):
        assert read_amount(value, name="commission") == Decimal("0.001")
    assert read_amount("-1.5", name="cash", allow_negative=True) == Decimal("-1.5")
    assert read_amount(0, name="quantity", allow_zero=True) == 0
    with pytest.raises(InvalidInput, match="quantity must be above 0"):
        read_amount("0.000", name="quantity")


@pytest.mark.parametrize(
    ("value", "is_far"), [("80", False), ("79.9", True), ("120", False), ("120.1", True), ("NaN", True), ("-1", True)]
)
def test_far_is_more_than_a_fifth_away(value: str, is_far: bool) -> None:
    assert far_from(Decimal(value), Decimal(100)) is is_far
    assert far_from(Decimal(100), Decimal(0))


def test_how_far_is_far_can_be_said() -> None:
    assert not far_from(Decimal(65), Decimal(100), fraction=Decimal("0.35"))
    assert far_from(Decimal(65), Decimal(100), fraction=Decimal("0.34"))


def test_the_distance_is_said_in_words() -> None:
    assert distance(Decimal(65), Decimal(1234)) == "95 % below the reference 1234"
    assert distance(Decimal("1e9"), Decimal("1234.50")) == "810,045 times the reference 1234.5"
    assert distance(Decimal(5), Decimal(0)) == "not comparable with any reference"
    assert plain(Decimal("1.50E+3")) == "1500"
