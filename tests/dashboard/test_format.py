"""How values are written: a dash for what is not known, percent on screens only, and exact ways back."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algo_py.dashboard.format import (
    counted,
    exact,
    fraction_of,
    length_of_time,
    listed,
    moment,
    number,
    percent,
    percentage_of,
    period,
    plain,
    price,
)

UTC_ZONE, INDIA = ZoneInfo("UTC"), ZoneInfo("Asia/Kolkata")


def test_what_is_not_known_is_a_dash_and_never_a_zero() -> None:
    assert {number(None), exact(None), price(None), percent(None), moment(None), length_of_time(None)} == {"–"}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (number(1234.5), "1,234.50"),
        (number(Decimal("-0.005"), 3), "-0.005"),
        (percent(0.123), "12.30 %"),
        (percent(0.5, signed=True), "+50.00 %"),
        (exact(Decimal("0.00125000")), "0.00125"),
        (exact(Decimal("1200")), "1,200"),
        (exact(Decimal("1E-8")), "0.00000001"),
        (price(Decimal("663.8317499999999")), "663.83175"),
        (price(Decimal("104250.10")), "104,250.1"),
        (length_of_time(3 * 86_400 + 4 * 3_600), "3 d 4 h"),
        (length_of_time(1_352 * 86_400 + 7_200), "1,352 d"),
        (length_of_time(5_400), "1 h 30 min"),
        (length_of_time(59), "1 min"),
        (counted(1, "order"), "1 order"),
        (counted(2_000, "order"), "2,000 orders"),
        (listed(("A", "B", "C", "D")), "A, B, C and 1 more"),
        (listed(("A", "B")), "A, B"),
        (moment(datetime(2025, 1, 2, 3, 4, tzinfo=UTC)), "2025-01-02 03:04"),
        (moment(datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)), "2025-01-02 03:04:05"),
        (period(datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 2, 1, tzinfo=UTC), UTC_ZONE), "2025-01-01 to 2025-02-01"),
        (
            period(datetime(2024, 12, 31, 18, 30, tzinfo=UTC), datetime(2025, 1, 31, 18, 30, tzinfo=UTC), INDIA),
            "2025-01-01 to 2025-02-01",
        ),
        (
            period(datetime(2024, 12, 31, 18, 30, tzinfo=UTC), datetime(2025, 1, 31, 10, tzinfo=UTC), INDIA),
            "2025-01-01 00:00 to 2025-01-31 15:30 IST",
        ),
    ],
)
def test_values_are_written_like_this(written: str, expected: str) -> None:
    assert written == expected


@given(st.decimals(min_value=0, max_value=1000, places=6))
def test_what_a_person_types_in_percent_comes_back_as_it_was(typed: Decimal) -> None:
    assert percentage_of(fraction_of(float(typed))) == float(typed)


def test_percent_crosses_without_a_rounding_of_its_own() -> None:
    assert [fraction_of(value) for value in (0.1, 0.12, 0.05, 33.3, 100.0)] == [0.001, 0.0012, 0.0005, 0.333, 1.0]


def test_a_message_is_shown_as_it_is_whatever_markdown_it_looks_like() -> None:
    assert plain("a *b*\n_c_ [d](e) $f$ :g:") == r"a \*b\* \_c\_ \[d\]\(e\) \$f\$ \:g\:"
