"""Work on the bars in a process of its own: it answers, what it stored before a cancel is kept, and nothing is fetched twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from algo_py.clock import parse_time
from algo_py.dashboard.background.job import Job
from algo_py.dashboard.fetches.check import CheckOrder, CheckResult
from algo_py.dashboard.fetches.fetch import FetchOrder, FetchResult
from algo_py.errors import NotFound, Refused
from algo_py.finstore import FinStore
from algo_py.settings import Workspace
from tests.dashboard.person import eventually
from tests.finstore.making import bars
from tests.venues.binance import KLINES, BinanceServer, as_quoted
from tests.venues.server import Fault, Request

START = parse_time("2025-01-01")
COUNT = 26_000  # two slices of requests: the first is 24 pages of a thousand
SYMBOL = "DOGE/USDT"
ORDER = FetchOrder(root=Path(), market="crypto_binance", timeframe="1m", symbols=(SYMBOL,), source="binance")


@pytest.fixture
def venue(workspace: Workspace) -> Iterator[BinanceServer]:
    with BinanceServer() as venue:
        workspace.credentials_file.write_text(f"BINANCE_BASE_URL={venue.url}\n")
        venue.set_bars(SYMBOL, "1m", as_quoted(bars(COUNT, start=START, freq="min")))
        yield venue


def order(workspace: Workspace, *, symbol: str = SYMBOL, source: str = "binance", minutes: int = COUNT) -> FetchOrder:
    until = START + timedelta(minutes=minutes)
    return replace(ORDER, root=workspace.root, symbols=(symbol,), source=source, since=START, until=until)


def outcome_of(job: Job[Any, Any]) -> Any:
    eventually(lambda: job.outcome is not None, "the work ends")
    eventually(lambda: not psutil.pid_exists(job.pid), "its process is gone")
    return job.outcome


def stored(workspace: Workspace) -> int:
    return FinStore(workspace.finstore).coverage("crypto_binance", "1m", SYMBOL).rows


def test_a_cancelled_fetch_keeps_what_it_has_stored(workspace: Workspace, venue: BinanceServer) -> None:
    hold_from(venue, START + timedelta(minutes=24_000))
    job: Job[Any, Any] = Job(order(workspace))
    eventually(lambda: job.progress is not None and job.progress.done, "the first slice is stored")
    job.cancel()
    result = outcome_of(job)
    assert isinstance(result, FetchResult)
    assert (result.report, result.source, result.progress) == (None, "binance", job.progress)
    assert result.progress is not None
    assert (result.progress.done, result.progress.total) == (24_000, COUNT)
    assert stored(workspace) == 24_000

    venue.forget()
    result = outcome_of(Job(order(workspace)))
    assert result.report.by_symbol[SYMBOL].fetched == 2_000
    assert (result.report.is_complete, result.rules_problem) == (True, "")
    assert stored(workspace) == COUNT
    assert sorted(start_of(request) for request in venue.asked(KLINES)) == [
        START + timedelta(minutes=24_000),
        START + timedelta(minutes=25_000),
    ]


def test_two_fetches_of_the_same_bars_ask_once(workspace: Workspace, venue: BinanceServer) -> None:
    venue.fail(Fault(delay_s=0.5), times=1)
    jobs: list[Job[Any, Any]] = [Job(order(workspace, minutes=900)) for _ in range(2)]
    reports = [outcome_of(job).report for job in jobs]
    assert sorted(report.fetched for report in reports) == [0, 900]
    assert all(report.is_complete for report in reports)
    assert len(venue.asked(KLINES)) == 1


def test_a_refusal_comes_back_with_its_class_and_remedy(workspace: Workspace) -> None:
    refusal = outcome_of(Job(order(workspace, source="bourse")))
    assert isinstance(refusal, NotFound)
    assert str(refusal).startswith("there is no source 'bourse'. Use one of binance,")


def test_a_symbol_that_the_source_does_not_know_is_a_problem_in_the_report(workspace: Workspace, venue: BinanceServer) -> None:
    result = outcome_of(Job(order(workspace, symbol="NOPE/USDT", minutes=10)))
    assert result.report.problems == ("NOPE/USDT: binance does not know NOPE/USDT. Look up how it is spelled there.",)
    assert stored_symbols(workspace) == ()


def test_order_rules_that_cannot_be_read_do_not_hide_what_was_fetched(workspace: Workspace, venue: BinanceServer) -> None:
    venue.fail(Fault(applies=lambda request: "exchangeInfo" in request.path, drop=True), times=9)
    result = outcome_of(Job(order(workspace, minutes=10)))
    assert result.report.is_complete
    assert "binance cannot answer" in result.rules_problem


def test_a_check_finds_what_is_damaged_and_sets_it_aside(workspace: Workspace) -> None:
    sound = outcome_of(Job(CheckOrder(root=workspace.root)))
    assert isinstance(sound, CheckResult)
    assert (sound.findings, sound.moved) == ((), ())
    file = next(workspace.finstore.rglob("timeframe=1h/symbol=BTC*/*.parquet"))
    file.write_bytes(file.read_bytes()[:-1])
    [finding] = outcome_of(Job(CheckOrder(root=workspace.root))).findings
    assert finding.file == file
    after = outcome_of(Job(CheckOrder(root=workspace.root, set_aside=True)))
    assert after.findings == ()
    assert [(one.file, one.is_back) for one in after.moved] == [(file, False)]


@pytest.mark.parametrize("work", [CheckOrder(root=Path()), CheckOrder(root=Path(), set_aside=True), ORDER])
@pytest.mark.parametrize("how", [None, "SIGKILL"])
def test_work_that_does_not_answer_says_how_it_ended(work: CheckOrder | FetchOrder, how: str | None) -> None:
    refusal = work.without_answer(how)
    assert isinstance(refusal, Refused)
    assert ("was cancelled" in refusal.message) is (how is None)
    assert ("SIGKILL" in refusal.message) is (how is not None)


def hold_from(venue: BinanceServer, moment: datetime) -> None:
    """Have the venue not answer for bars from here on."""
    held = Fault(applies=lambda request: request.path == KLINES and start_of(request) >= moment, delay_s=60.0)
    venue.fail(held, times=10)


def start_of(request: Request) -> datetime:
    return START + (timedelta(milliseconds=int(request.values["startTime"])) - (START - parse_time("1970-01-01")))


def stored_symbols(workspace: Workspace) -> tuple[str, ...]:
    return FinStore(workspace.finstore).symbols("crypto_binance", "1m")
