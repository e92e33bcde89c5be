"""The strips of the data page: shares of bars by stretches of time, against cases counted by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plotly.graph_objects import Figure  # type: ignore[attr-defined]  # plotly loads its names lazily

from algo_py.clock import parse_time
from algo_py.dashboard.figures import coverage_figure
from algo_py.dashboard.screens.data.strip import Buckets, Strip, is_absent, strip_of
from algo_py.finstore import Coverage, Gap
from algo_py.finstore.bartimes import expected_opens
from algo_py.finstore.frames import to_us
from algo_py.market import Timeframe, get_market

START = parse_time("2025-01-01")
HOUR = timedelta(hours=1)


def hours(count: int, most: int) -> Buckets:
    return Buckets.of(np.array([to_us(START + HOUR * n) for n in range(count)], dtype=np.int64), most)


def gap(first: int, bars: int, reason: str = "") -> Gap:
    return Gap(first=START + HOUR * first, last=START + HOUR * (first + bars - 1), bars=bars, reason=reason)


def cover(first: int, last: int, gaps: Sequence[Gap] = ()) -> Coverage:
    rows = last - first + 1 - sum(one.bars for one in gaps)
    return Coverage(first=START + HOUR * first, last=START + HOUR * last, rows=rows, gaps=tuple(gaps))


def test_a_complete_symbol_is_complete_in_each_bucket() -> None:
    strip = strip_of(cover(0, 9), hours(10, 5))
    assert strip.expected.tolist() == [2] * 5
    assert strip.shares().tolist() == [1.0] * 5
    assert not strip.absent().any()
    assert strip.words() == ["all of 2 bars"] * 5


def test_a_gap_counts_in_every_bucket_that_it_touches() -> None:
    strip = strip_of(cover(0, 11, [gap(3, 6)]), hours(12, 3))
    assert strip.shares().tolist() == [0.75, 0.0, 0.75]
    assert strip.words() == ["3 of 4 bars<br>1 missing", "0 of 4 bars<br>4 missing", "3 of 4 bars<br>1 missing"]


def test_before_the_first_and_after_the_last_bar_there_is_nothing_to_say() -> None:
    strip = strip_of(cover(4, 9), hours(12, 3))
    assert strip.expected.tolist() == [0, 4, 2]
    np.testing.assert_array_equal(strip.shares(), [np.nan, 1.0, 1.0])


def test_lost_bars_before_the_first_and_after_the_last_are_missing() -> None:
    lost = [gap(0, 4, "set aside: it is empty"), gap(8, 2, "set aside: it is empty")]
    strip = strip_of(Coverage(first=START + HOUR * 4, last=START + HOUR * 7, rows=4, gaps=tuple(lost)), hours(12, 3))
    np.testing.assert_array_equal(strip.shares(), [0.0, 1.0, 0.0])
    assert strip.expected.tolist() == [4, 4, 2]
    assert strip.words()[0] == "0 of 4 bars<br>4 set aside: it is empty"


def test_only_where_everything_that_lacks_is_not_to_be_had_it_is_absent() -> None:
    gaps = [gap(0, 2, "not at binance"), gap(4, 1, "not at binance"), gap(5, 1), gap(8, 1, "not at binance (so far)")]
    strip = strip_of(cover(0, 11, gaps), hours(12, 3))
    assert strip.absent().tolist() == [True, False, False]
    assert strip.shares().tolist() == [0.5, 0.5, 0.75]
    assert strip.words()[1] == "2 of 4 bars<br>1 not at binance<br>1 missing"


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("", False),
        ("not at binance", True),
        ("not at kite, yahoo", True),
        ("not at kite (so far), yahoo", False),
        ("set aside: x", False),
    ],
)
def test_what_is_surely_absent(reason: str, expected: bool) -> None:
    assert is_absent(reason) is expected


def nse(first: str, last: str, most: int) -> Buckets:
    """Return buckets of hourly bars of NSE; a session of 09:15 to 15:30 in Kolkata has seven, the last one short."""
    times = expected_opens(get_market("indian_equity").calendar, Timeframe.H1, to_us(parse_time(first)), to_us(parse_time(last)))
    return Buckets.of(times, most)


def test_nights_and_weekends_of_nse_take_no_place() -> None:
    buckets = nse("2025-09-25", "2025-09-30", 3)  # Thursday, Friday and Monday
    assert np.diff(buckets.edges).tolist() == [7, 7, 7]
    assert buckets.periods() == [
        "2025-09-25 03:45 to 2025-09-25 09:45",
        "2025-09-26 03:45 to 2025-09-26 09:45",
        "2025-09-29 03:45 to 2025-09-29 09:45",
    ]
    friday = Gap(first=parse_time("2025-09-26T06:45"), last=parse_time("2025-09-29T03:45"), bars=5)
    whole = Coverage(first=parse_time("2025-09-25T03:45"), last=parse_time("2025-09-29T09:45"), rows=16, gaps=(friday,))
    strip = strip_of(whole, buckets)
    assert strip.words() == ["all of 7 bars", "3 of 7 bars<br>4 missing", "6 of 7 bars<br>1 missing"]


def test_an_evening_session_of_nse_is_part_of_its_buckets() -> None:
    diwali = nse("2024-10-31", "2024-11-02", 10)  # Friday, 2024-11-01, has only an hour in the evening
    assert diwali.periods()[-2:] == ["2024-10-31 09:45", "2024-11-01 12:30"]
    muhurat = Gap(first=parse_time("2024-11-01T12:30"), last=parse_time("2024-11-01T12:30"), bars=1, reason="not at yahoo")
    whole = Coverage(first=parse_time("2024-10-31T03:45"), last=parse_time("2024-10-31T09:45"), rows=7, gaps=(muhurat,))
    assert strip_of(whole, diwali).absent().tolist() == [False] * 7 + [True]


def test_daily_bars_of_nse_are_named_by_when_they_open() -> None:
    market = get_market("indian_equity")
    times = expected_opens(
        market.calendar, Timeframe.D1, to_us(parse_time("2025-09-24T18:30")), to_us(parse_time("2025-09-28T18:30"))
    )
    assert Buckets.of(times, 2).periods() == ["2025-09-24 18:30", "2025-09-25 18:30 to 2025-09-28 18:30"]


@given(
    count=st.integers(1, 300),
    most=st.integers(1, 120),
    missing=st.sets(st.integers(1, 298)),
)
def test_buckets_hold_each_bar_once_and_strips_each_missing_one(count: int, most: int, missing: set[int]) -> None:
    buckets = hours(count, most)
    sizes = np.diff(buckets.edges)
    assert (buckets.edges[0], buckets.edges[-1], len(buckets)) == (0, count, min(count, most))
    assert sizes.max() - sizes.min() <= 1
    lacking = sorted(number for number in missing if number < count - 1)
    strip = strip_of(cover(0, count - 1, [gap(number, 1) for number in lacking]), buckets)
    assert strip.expected.tolist() == sizes.tolist()
    by_hand = [
        sum(start <= number < end for number in lacking) for start, end in zip(buckets.edges, buckets.edges[1:], strict=False)
    ]
    assert [sum(reasons.values()) for reasons in strip.lacking] == by_hand


def test_nothing_stored_is_no_bucket() -> None:
    nothing = hours(0, 120)
    assert (len(nothing), nothing.periods(), nothing.ticks()) == (0, [], {})


def test_ticks_are_days_and_for_short_times_hours() -> None:
    assert list(hours(24 * 60, 60).ticks().values())[:2] == ["2025-01-01", "2025-01-11"]
    assert list(hours(48, 48).ticks().values())[:2] == ["2025-01-01 00:00", "2025-01-01 08:00"]


def test_the_figure_tells_complete_part_absent_and_nothing_apart() -> None:
    strip = strip_of(cover(0, 11, [gap(0, 2, "not at binance"), gap(5, 1)]), hours(16, 4))
    figure = drawn({"BTC/USDT": strip}, hours(16, 4))
    field = figure.data[0]
    np.testing.assert_array_equal(field.z, [[3.0, 0.75, 2.0, np.nan]])
    assert field.text[0][1] == "3 of 4 bars<br>1 missing"
    assert (list(field.y), field.x[0]) == (["BTC/USDT"], "2025-01-01 00:00 to 2025-01-01 03:00")
    assert [trace.name for trace in figure.data[1:]] == [
        "all bars stored",
        "some missing",
        "none stored",
        "the rest is not at the source",
    ]


def drawn(strips: dict[str, Strip], buckets: Buckets) -> Figure:
    def table(rows: list[object]) -> pd.DataFrame:
        return pd.DataFrame(rows, index=list(strips), columns=buckets.periods())

    return coverage_figure(
        table([strip.shares() for strip in strips.values()]),
        table([strip.absent() for strip in strips.values()]),
        table([strip.words() for strip in strips.values()]),
        ticks=buckets.ticks(),
    )
