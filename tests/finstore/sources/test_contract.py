"""Every source keeps the contract, and a source that does not is caught."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from algo_py.errors import NotFound, RateLimited, VenueDown
from algo_py.finstore.sources import Answer, Source
from algo_py.finstore.sources.answers import empty_frame
from algo_py.market import Timeframe
from tests.finstore.sources import contract
from tests.finstore.sources.harness import Harness
from tests.finstore.sources.harness_exchange import HARNESSES


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
def test_source_keeps_contract(harness: Harness, check: Callable[[Harness, contract.Make], None]) -> None:
    check(harness, harness.source)


class Cheat:
    """A source that passes on what the real one says; the cheats below each break one rule."""

    def __init__(self, real: Source) -> None:
        self.real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def fetch(self, timeframe: Timeframe, symbol: str, start: datetime, end: datetime, *, deadline_s: float) -> Answer:
        return self.real.fetch(timeframe, symbol, start, end, deadline_s=deadline_s)


class Retrying(Cheat):
    def fetch(self, timeframe: Timeframe, symbol: str, start: datetime, end: datetime, *, deadline_s: float) -> Answer:
        try:
            return super().fetch(timeframe, symbol, start, end, deadline_s=deadline_s)
        except VenueDown:
            return super().fetch(timeframe, symbol, start, end, deadline_s=deadline_s)


class EndIncluded(Cheat):
    def fetch(self, timeframe: Timeframe, symbol: str, start: datetime, end: datetime, *, deadline_s: float) -> Answer:
        return super().fetch(timeframe, symbol, start, end + timeframe.delta, deadline_s=deadline_s)


class Patient(Cheat):
    def fetch(self, timeframe: Timeframe, symbol: str, start: datetime, end: datetime, *, deadline_s: float) -> Answer:
        return super().fetch(timeframe, symbol, start, end, deadline_s=deadline_s + 1)


class Hiding(Cheat):
    """An outage looks like an absence of bars."""

    def fetch(self, timeframe: Timeframe, symbol: str, start: datetime, end: datetime, *, deadline_s: float) -> Answer:
        try:
            return super().fetch(timeframe, symbol, start, end, deadline_s=deadline_s)
        except (VenueDown, NotFound):
            return Answer(frame=empty_frame())


class Deaf(Cheat):
    """It goes on after a 429, without the shared limit."""

    def fetch(self, timeframe: Timeframe, symbol: str, start: datetime, end: datetime, *, deadline_s: float) -> Answer:
        try:
            return super().fetch(timeframe, symbol, start, end, deadline_s=deadline_s)
        except RateLimited as error:
            raise RateLimited("wait a second", retry_after_s=1) from error


class Talkative(Cheat):
    def fetch(self, timeframe: Timeframe, symbol: str, start: datetime, end: datetime, *, deadline_s: float) -> Answer:
        try:
            return super().fetch(timeframe, symbol, start, end, deadline_s=deadline_s)
        except (VenueDown, RateLimited):
            raise VenueDown("could not reach hidden-away@127.0.0.1") from None


class LocalClock(Cheat):
    def fetch(self, timeframe: Timeframe, symbol: str, start: datetime, end: datetime, *, deadline_s: float) -> Answer:
        answer = super().fetch(timeframe, symbol, start, end, deadline_s=deadline_s)
        return Answer(frame=answer.frame, as_of=datetime.now().astimezone())


class Mixing(Cheat):
    """Every thread gets the first one's answer."""

    def __init__(self, real: Source) -> None:
        super().__init__(real)
        self.answers: list[Answer] = []

    def fetch(self, timeframe: Timeframe, symbol: str, start: datetime, end: datetime, *, deadline_s: float) -> Answer:
        self.answers.append(super().fetch(timeframe, symbol, start, end, deadline_s=deadline_s))
        return self.answers[0]


@pytest.mark.parametrize(
    ("cheat", "check"),
    [
        (Retrying, contract.says_when_it_cannot_answer),
        (Patient, contract.says_when_it_cannot_answer),
        (Patient, contract.sends_nothing_too_late),
        (EndIncluded, contract.gives_the_bars_in_the_range),
        (Hiding, contract.says_when_it_cannot_answer),
        (Hiding, contract.does_not_know_every_symbol),
        (Deaf, contract.leaves_it_alone_when_asked_to),
        (Talkative, contract.keeps_secrets),
        (LocalClock, contract.shows_its_own_clock),
        (Mixing, contract.serves_threads_side_by_side),
    ],
    ids=lambda part: part.__name__,
)
def test_broken_source_is_caught(cheat: type[Cheat], check: Callable[[Harness, contract.Make], None], tmp_path: Path) -> None:
    with HARNESSES["binance"](tmp_path) as harness, pytest.raises((AssertionError, pytest.fail.Exception)):
        check(harness, lambda: cheat(harness.source()))
