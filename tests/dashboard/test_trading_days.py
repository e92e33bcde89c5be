"""Trading days on the page: the next ones with their source, a day written down, a list brought in, a file that is broken."""

from __future__ import annotations

from datetime import date

from playwright.sync_api import expect

from algo_py.dashboard.screens.data.trading_days import COLUMNS, day_rows
from algo_py.market import get_market
from algo_py.market.day_report import days_of
from algo_py.market.own_facts import read_calendar
from algo_py.settings import Workspace
from tests.dashboard.conftest import Open, Serve

NSE = get_market("indian_equity")


def lines(first: date, last: date) -> dict[str, tuple[str, ...]]:
    rows = day_rows(days_of(NSE.calendar, first, last), NSE)
    return {row.id: tuple(cell.text for cell in row.cells) for row in rows}


def test_a_line_says_hours_name_whether_it_is_known_and_by_whom() -> None:
    found = lines(date(2026, 11, 6), date(2026, 11, 10))
    assert list(found) == ["2026-11-06", "2026-11-08", "2026-11-09", "2026-11-10"]  # the Saturday is no news
    assert len(found["2026-11-08"]) == len(COLUMNS)
    assert found["2026-11-08"][1:4] == ("18:15 to 19:15", "Muhurat trading", "known")
    assert found["2026-11-10"][1:4] == ("closed", "holiday", "known")
    assert lines(date(2040, 1, 2), date(2040, 1, 2))["2040-01-02"][3:] == ("assumed", "the weekly rule")


def test_a_day_is_written_down_and_a_broken_file_is_told(serve: Serve, sit_down: Open, workspace: Workspace) -> None:
    person = sit_down(serve())
    person.opens("data")
    person.chooses("Bring bars in", "Trading days")
    expect(person.page.get_by_role("table", name="Trading days")).to_be_visible()
    person.types("What it is", "a mistake")
    person.presses("Write the day down")
    expect(person.page.get_by_text("closed (a mistake).")).to_be_visible()
    [written] = read_calendar(workspace.calendar_file)["indian_equity"].days
    assert (written.name, written.is_closed) == ("a mistake", True)
    person.presses("Write the day down")  # a second time is refused
    expect(person.page.get_by_text("is written down already")).to_be_visible()
    workspace.calendar_file.write_text("[indian_equity\n")
    person.opens("data")
    assert any("What was read before goes on to hold." in alert for alert in person.alerts())
