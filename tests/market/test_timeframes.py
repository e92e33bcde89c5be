"""Bar lengths."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algo_py.errors import InvalidInput
from algo_py.market import Timeframe

MOMENTS = st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds UTC


def test_every_timeframe_of_the_design() -> None:
    assert [timeframe.value for timeframe in Timeframe] == ["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "1d", "1w"]
    assert [timeframe.seconds // 60 for timeframe in Timeframe] == [1, 3, 5, 15, 30, 60, 120, 240, 1_440, 10_080]
    assert Timeframe.H4.delta == timedelta(hours=4)
    assert [timeframe.value for timeframe in Timeframe if not timeframe.is_intraday] == ["1d", "1w"]


@pytest.mark.parametrize("timeframe", list(Timeframe))
def test_a_timeframe_is_read_back(timeframe: Timeframe) -> None:
    assert Timeframe.parse(str(timeframe)) is timeframe


@pytest.mark.parametrize("text", ["", "1", "60m", "1H", "1M", "2d", "h1"])
def test_another_spelling_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"no timeframe '.*'\. Use one of 1m, 3m, 5m, 15m, 30m, 1h, 2h, 4h, 1d, 1w\."):
        Timeframe.parse(text)


@pytest.mark.parametrize(
    ("timeframe", "floor"),
    [
        (Timeframe.M1, "2024-05-15T13:47Z"),
        (Timeframe.M15, "2024-05-15T13:45Z"),
        (Timeframe.H1, "2024-05-15T13:00Z"),
        (Timeframe.H4, "2024-05-15T12:00Z"),
        (Timeframe.D1, "2024-05-15T00:00Z"),
        (Timeframe.W1, "2024-05-13T00:00Z"),  # a Monday
    ],
)
def test_floor(timeframe: Timeframe, floor: str) -> None:
    assert timeframe.floor(datetime.fromisoformat("2024-05-15T13:47:31.5Z")) == datetime.fromisoformat(floor)
    assert timeframe.floor(datetime.fromisoformat(floor)) == datetime.fromisoformat(floor)


@given(moment=MOMENTS, timeframe=st.sampled_from(list(Timeframe)))
def test_floor_is_the_last_step_that_is_not_later(moment: datetime, timeframe: Timeframe) -> None:
    floor = timeframe.floor(moment)
    assert floor <= moment < floor + timeframe.delta
    assert timeframe.floor(floor) == floor
    assert timeframe.floor(floor - timedelta(microseconds=1)) == floor - timeframe.delta
