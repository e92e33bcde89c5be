"""What a person writes down about trading days, and the list of shares with derivatives as it is renewed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from algo_py.errors import InvalidInput
from algo_py.market import get_market
from algo_py.market.derivatives import SHIPPED, Listed, renewed, with_derivatives
from algo_py.market.own_facts import OwnDay, OwnMarket, own_facts, read_calendar, save_listings, use_files, write_calendar

INDIA = ZoneInfo("Asia/Kolkata")
NSE = get_market("indian_equity")
CLOSED = '[[indian_equity.days]]\ndate = 2027-01-26\nclosed = true\nname = "Republic Day"\nsource = "NSE list"\n'
SPECIAL = "[[indian_equity.days]]\ndate = 2027-10-29\nopen = 18:00:00\nclose = 19:00:00\n"


def noon(day: str) -> datetime:
    return datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=INDIA)


@pytest.fixture
def calendar_file(tmp_path: Path) -> Iterator[Path]:
    """The file of this process's workspace; not there yet."""
    path = tmp_path / "config" / "calendar.toml"
    path.parent.mkdir()
    use_files(path, tmp_path / "listings.json")
    yield path
    use_files(None, None)


def test_a_day_of_ones_own_wins_and_says_where_it_comes_from(calendar_file: Path) -> None:
    assert NSE.calendar.is_trading_day(noon("2027-01-26"))  # a Tuesday, assumed
    calendar_file.write_text(CLOSED + SPECIAL)
    assert not NSE.calendar.is_trading_day(noon("2027-01-26"))
    day = NSE.calendar.day(date(2027, 1, 26))
    assert (day.session, day.name, day.source, day.known) == (None, "Republic Day", "NSE list", "known")
    special = NSE.calendar.day(date(2027, 10, 29)).session
    assert special is not None
    assert special.open == datetime(2027, 10, 29, 18, 0, tzinfo=INDIA)
    assert special.is_known
    assert NSE.calendar.is_assumed(noon("2027-10-28"))
    calendar_file.unlink()
    assert NSE.calendar.is_trading_day(noon("2027-01-26"))


def test_a_known_day_can_be_corrected(calendar_file: Path) -> None:
    calendar_file.write_text("[[indian_equity.days]]\ndate = 2026-12-21\nclosed = true\n")
    assert not NSE.calendar.is_trading_day(noon("2026-12-21"))
    assert NSE.calendar.day(date(2026, 12, 21)).source == "config/calendar.toml"
    calendar_file.write_text("[[indian_equity.days]]\ndate = 2026-12-25\nopen = 09:15:00\nclose = 15:30:00\n")
    assert NSE.calendar.is_trading_day(noon("2026-12-25"))
    assert (
        NSE.calendar_of("RELIANCE").phase(datetime(2026, 12, 25, 15, 33, tzinfo=INDIA)) is not None
    )  # a whole day has its auction


def test_the_known_days_reach_as_far_as_the_list_is_complete(calendar_file: Path) -> None:
    calendar_file.write_text("[indian_equity]\nknown_through = 2027-12-31\n" + CLOSED)
    calendar = NSE.calendar
    assert calendar.known_until == datetime(2028, 1, 1, tzinfo=INDIA)
    assert calendar.day(date(2027, 3, 3)).known == "known"
    assert calendar.day(date(2027, 3, 6)).session is None
    assert calendar.is_assumed(noon("2028-01-03"))


def test_a_file_that_cannot_be_read_takes_nothing_away(calendar_file: Path) -> None:
    calendar_file.write_text(CLOSED)
    assert not NSE.calendar.is_trading_day(noon("2027-01-26"))
    calendar_file.write_text("what is this")
    assert not NSE.calendar.is_trading_day(noon("2027-01-26"))
    assert "calendar.toml cannot be read" in own_facts().problem
    calendar_file.write_text(SPECIAL)
    assert NSE.calendar.is_trading_day(noon("2027-01-26"))
    assert own_facts().problem == ""


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[indian_equity.days]]\ndate = 2027-01-26\n", "2027-01-26 needs either closed = true, or open and close"),
        ("[[indian_equity.days]]\ndate = 2027-01-26\nopen = 09:15:00\n", "2027-01-26 needs both open and close"),
        (CLOSED + "open = 09:15:00\n", "2027-01-26 needs either closed = true, or open and close"),
        ("[[indian_equity.days]]\ndate = 2027-01-26\nopen = 10:00:00\nclose = 09:00:00\n", "must close later"),
        ("[[indian_equity.days]]\ndate = 2027-01-26T00:00:00\nclosed = true\n", "date must be a date"),
        ("[[indian_equity.days]]\nclosed = true\n", "date is missing"),
        (CLOSED + CLOSED, "2027-01-26 stands there twice"),
        ("[indian_equity]\ndays = 3\n", "days must be a list of tables"),
        ("[indian_equity]\nknown_trough = 2027-12-31\n", "has no key 'known_trough'"),
        ("indian_equity = 3\n", "a market must be a table"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "calendar.toml"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=complaint):
        read_calendar(path)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    markets = {
        "indian_equity": OwnMarket(
            days=(
                OwnDay(day=date(2027, 1, 26), name='Republic "Day"', source="NSE"),
                OwnDay(day=date(2027, 10, 29), opens=time(18), closes=time(19, 30)),
            ),
            known_through=date(2027, 12, 31),
            derivatives={"NEWSHARE": (Listed(date(2026, 9, 1)), Listed(None, date(2026, 8, 20)))},
        )
    }
    write_calendar(tmp_path / "config" / "calendar.toml", markets)
    assert read_calendar(tmp_path / "config" / "calendar.toml") == markets
    assert read_calendar(tmp_path / "nothing.toml") == {}


def test_a_full_list_renews_the_shares_with_derivatives() -> None:
    seen_on = date(2026, 10, 5)
    listings = renewed(SHIPPED, (set(SHIPPED) - {"TCS"}) | {"NEWSHARE"}, seen_on)
    assert not with_derivatives(listings, "TCS", seen_on)
    assert with_derivatives(listings, "TCS", date(2026, 10, 4))
    assert with_derivatives(listings, "NEWSHARE", seen_on)
    assert not with_derivatives(listings, "NEWSHARE", date(2026, 10, 4))
    back = renewed(listings, set(SHIPPED), date(2026, 11, 2))
    assert [with_derivatives(back, "TCS", day) for day in (date(2026, 10, 4), date(2026, 10, 20), date(2026, 11, 2))] == [
        True,
        False,
        True,
    ]
    assert renewed(listings, (), seen_on) == listings


def test_a_renewed_list_is_kept_and_decides_how_a_share_trades(calendar_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "listings.json"
    with_the_new = [*SHIPPED, "NEWSHARE"]
    save_listings(path, with_the_new, seen_on=date(2026, 10, 5), source="Kite")
    assert own_facts().listings_source == "Kite"
    at_auction = [datetime(2026, 10, day, 15, 22, tzinfo=INDIA) for day in (1, 5)]
    names = [phase.name if (phase := NSE.calendar_of("NEWSHARE").phase(moment)) else None for moment in at_auction]
    assert names == ["continuous trading", "closing auction: limit and market orders"]
    save_listings(path, [], seen_on=date(2026, 10, 6), source="a failure")
    save_listings(path, ["TCS"], seen_on=date(2026, 10, 1), source="an older one")
    assert with_derivatives(own_facts().listings, "NEWSHARE", date(2026, 10, 6))
    save_listings(path, list(SHIPPED), seen_on=date(2026, 11, 2), source="Kite")
    assert not with_derivatives(own_facts().listings, "NEWSHARE", date(2026, 11, 2))
    path.write_text("{")
    assert with_derivatives(own_facts().listings, "NEWSHARE", date(2026, 10, 6))
    assert "listings.json cannot be read" in own_facts().problem
