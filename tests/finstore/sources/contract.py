"""What every source must do, as checks: each takes a harness and what makes a source, and fails with what that did instead."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from algo_py.clock import monotonic_s
from algo_py.errors import AlgoPyError, InvalidInput, NotFound, RateLimited, VenueDown
from algo_py.finstore import COLUMNS
from algo_py.finstore.sources import Answer, Source
from tests.finstore.processes import in_a_child
from tests.finstore.sources.harness import LIMITING, RETRY_AFTER_S, Harness, Trouble

Make = Callable[[], Source]

_WAIT_S = 10.0
# How long a request may take that waits in vain, and by how much it may be late on a busy machine.
_SHORT_WAIT_S, _SLACK_S = 0.4, 0.5


def describes_itself(harness: Harness, make: Make) -> None:
    """It has a name, asks side by side, and its pages are longer than a bar."""
    source = make()
    assert source.name
    assert source.parallel >= 1
    assert isinstance(source.rewrites_history, bool)
    assert source.page(harness.timeframe) >= harness.timeframe.delta


def gives_the_bars_in_the_range(harness: Harness, make: Make) -> None:
    """All bars from `start` on, none from `end` on, exactly as they are."""
    source = make()
    opens = harness.bars.index
    an_instant = timedelta(microseconds=1)
    ranges = [
        (opens[0], opens[-1] + harness.timeframe.delta, 0, len(opens)),
        (opens[3], opens[7], 3, 7),
        (opens[3] + an_instant, opens[7], 4, 7),
        (opens[3], opens[7] + an_instant, 3, 8),
        (opens[3] - an_instant, opens[7] - an_instant, 3, 7),
    ]
    for start, end, first, last in ranges:
        answer = _fetched(harness, source, start, end)
        pd.testing.assert_frame_equal(
            answer.frame.sort_index(), harness.bars.iloc[first:last], check_names=False, check_freq=False
        )
        _check_form(answer)


def says_that_there_are_none(harness: Harness, make: Make) -> None:
    """A range without bars, and one without length, give a frame without rows, built like any other."""
    source = make()
    first = harness.bars.index[0]
    for start, end in [(first - 10 * harness.timeframe.delta, first), (first, first)]:
        answer = _fetched(harness, source, start, end)
        assert len(answer.frame) == 0
        _check_form(answer)


def refuses_a_range_that_ends_before_it_starts(harness: Harness, make: Make) -> None:
    """Such a range is a mistake of the caller. (It must not look like an absence of bars.)"""
    source = make()
    with pytest.raises(InvalidInput):
        _fetched(harness, source, harness.bars.index[5], harness.bars.index[2])


def does_not_know_every_symbol(harness: Harness, make: Make) -> None:
    """An unknown symbol is NotFound, with its name and that of the source."""
    source = make()
    if harness.unknown_symbol is None:
        return
    with pytest.raises(NotFound) as caught:
        source.fetch(harness.timeframe, harness.unknown_symbol, *_some(harness), deadline_s=monotonic_s() + _WAIT_S)
    assert harness.unknown_symbol in str(caught.value)
    assert _plain(source.name) in _plain(str(caught.value))


def does_not_have_every_timeframe(harness: Harness, make: Make) -> None:
    """A timeframe that it lacks is InvalidInput, and no request leaves."""
    source = make()
    if harness.missing_timeframe is None:
        return
    before = harness.asked()
    with pytest.raises(InvalidInput):
        source.fetch(harness.missing_timeframe, harness.symbol, *_some(harness), deadline_s=monotonic_s() + _WAIT_S)
    assert harness.asked() == before


def says_when_it_cannot_answer(harness: Harness, make: Make) -> None:
    """Whatever may pass is VenueDown: in time, after one request, and the next one is answered."""
    for trouble in _failing(harness):
        source = make()
        before, began_s = harness.asked(), monotonic_s()
        harness.cause(trouble)
        with pytest.raises(VenueDown) as caught:
            source.fetch(harness.timeframe, harness.symbol, *_some(harness), deadline_s=began_s + _SHORT_WAIT_S)
        took_s = monotonic_s() - began_s
        assert took_s < _SHORT_WAIT_S + _SLACK_S, trouble
        assert harness.asked() == before + 1, trouble
        assert _plain(source.name) in _plain(str(caught.value)), trouble
        assert len(_fetched(harness, source, *_some(harness)).frame) == len(harness.bars) - 1, trouble


def leaves_it_alone_when_asked_to(harness: Harness, make: Make) -> None:
    """429 and 418 are RateLimited. Until the time is over nothing is sent: not by it, another source, another process."""
    source = make()
    for trouble in [each for each in LIMITING if each in harness.troubles][:1]:
        harness.cause(trouble)
        before = harness.asked()
        with pytest.raises(RateLimited) as caught:
            _fetched(harness, source, *_some(harness))
        assert caught.value.retry_after_s == RETRY_AFTER_S
        for other in (source, make()):
            assert RETRY_AFTER_S - 5 < _held_back(harness, other) <= RETRY_AFTER_S
        told = in_a_child(lambda: str(_held_back(harness, make())))
        assert RETRY_AFTER_S - 5 < float(told) <= RETRY_AFTER_S
        assert harness.asked() == before + 1


def waits_long_enough_when_not_told_how_long(harness: Harness, make: Make) -> None:
    """429 without Retry-After says nothing of how long, and the next request waits a minute."""
    source = make()
    if Trouble.TOO_MANY_SILENT in harness.troubles:
        harness.cause(Trouble.TOO_MANY_SILENT)
        with pytest.raises(RateLimited) as caught:
            _fetched(harness, source, *_some(harness))
        assert caught.value.retry_after_s is None
        assert 55 < _held_back(harness, source) <= 60


def is_banned_like_any_other(harness: Harness, make: Make) -> None:
    """418 is a ban, and takes as long as it says."""
    source = make()
    if Trouble.BANNED in harness.troubles:
        harness.cause(Trouble.BANNED)
        with pytest.raises(RateLimited) as caught:
            _fetched(harness, source, *_some(harness))
        assert caught.value.retry_after_s == RETRY_AFTER_S


def sends_nothing_too_late(harness: Harness, make: Make) -> None:
    """When the deadline is over, no request leaves."""
    source = make()
    if not harness.troubles:
        return
    before = harness.asked()
    with pytest.raises((VenueDown, RateLimited)):
        source.fetch(harness.timeframe, harness.symbol, *_some(harness), deadline_s=monotonic_s() - 0.001)
    assert harness.asked() == before


def shows_its_own_clock(harness: Harness, make: Make) -> None:
    """`as_of` is the source's clock, however wrong, and never later than it."""
    source = make()
    if not harness.tells_time:
        assert _fetched(harness, source, *_some(harness)).as_of is None
        return
    for ahead_s in (-3_600.0, 0.0, 7_200.0):
        shown = harness.set_clock(ahead_s)
        as_of = _fetched(harness, source, *_some(harness)).as_of
        assert as_of is not None
        assert shown - timedelta(seconds=1) <= as_of <= shown + timedelta(seconds=3), ahead_s


def serves_threads_side_by_side(harness: Harness, make: Make) -> None:
    """Four threads at once get each its own answer."""
    source = make()
    opens = harness.bars.index
    with ThreadPoolExecutor(4) as pool:
        asked = [(first, pool.submit(_fetched, harness, source, opens[first], opens[first + 4])) for first in range(12)]
        for first, answer in asked:
            assert list(answer.result().frame.sort_index().index) == list(opens[first : first + 4])


def keeps_secrets(harness: Harness, make: Make) -> None:
    """Neither messages nor the chain of what caused them hold a secret."""
    for trouble in [*_failing(harness), *[each for each in LIMITING if each in harness.troubles][:1]]:
        source = make()
        harness.cause(trouble)
        with pytest.raises(AlgoPyError) as caught:
            source.fetch(harness.timeframe, harness.symbol, *_some(harness), deadline_s=monotonic_s() + _SHORT_WAIT_S)
        error: BaseException | None = caught.value
        while error is not None:
            assert not any(secret in str(error) + repr(error) for secret in harness.secrets), trouble
            error = error.__cause__ if error.__cause__ is not None or error.__suppress_context__ else error.__context__


CHECKS: tuple[Callable[[Harness, Make], None], ...] = (
    describes_itself,
    gives_the_bars_in_the_range,
    says_that_there_are_none,
    refuses_a_range_that_ends_before_it_starts,
    does_not_know_every_symbol,
    does_not_have_every_timeframe,
    says_when_it_cannot_answer,
    leaves_it_alone_when_asked_to,
    waits_long_enough_when_not_told_how_long,
    is_banned_like_any_other,
    sends_nothing_too_late,
    shows_its_own_clock,
    serves_threads_side_by_side,
    keeps_secrets,
)


def _fetched(harness: Harness, source: Source, start: datetime, end: datetime) -> Answer:
    return source.fetch(harness.timeframe, harness.symbol, start, end, deadline_s=monotonic_s() + _WAIT_S)


def _some(harness: Harness) -> tuple[datetime, datetime]:
    return harness.bars.index[0].to_pydatetime(), harness.bars.index[-1].to_pydatetime()


def _failing(harness: Harness) -> list[Trouble]:
    return [trouble for trouble in harness.troubles if trouble not in LIMITING]


def _held_back(harness: Harness, source: Source) -> float:
    """Return for how long a source says that it cannot ask."""
    with pytest.raises(RateLimited) as caught:
        _fetched(harness, source, *_some(harness))
    assert caught.value.retry_after_s is not None
    return caught.value.retry_after_s


def _check_form(answer: Answer) -> None:
    frame = answer.frame
    assert isinstance(frame.index, pd.DatetimeIndex)
    assert str(frame.index.tz) == "UTC"
    assert tuple(frame.columns) == COLUMNS
    assert all(dtype == np.float64 for dtype in frame.dtypes)


def _plain(text: str) -> str:
    return text.casefold().replace("-", " ")
