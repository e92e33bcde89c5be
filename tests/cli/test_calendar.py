"""Trading days, typed: shown with their source, checked against bars, written down and brought in from the exchange's lists."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from algo_py.finstore import FinStore
from algo_py.market import get_market
from algo_py.market.own_facts import read_calendar
from tests.cli.conftest import Invoke

NSE_CSV = (
    '"SR. NO \n","DATE \n","DAY \n","DESCRIPTION \n"\n'
    '"1","26-Jan-2027","Tuesday","Republic Day"\n'
    '"2","05-Mar-2027","Friday","Mahashivratri"\n'
    '"3","22-Mar-2027","Monday","Holi"\n'
    '"4","26-Mar-2027","Friday","Good Friday"\n'
    '"5","14-Apr-2027","Wednesday","Dr. Ambedkar Jayanti"\n'
    '"6","01-May-2027","Saturday","Maharashtra Day"\n'
    '"7","15-Aug-2027","Sunday","Independence Day"\n'
    '"8","10-Sep-2027","Friday","Muharram"\n'
    '"9","25-Dec-2027","Saturday","Christmas"\n'
)
NSE_JSON = {"CM": [{"tradingDate": "26-Jan-2027", "weekDay": "Tuesday", "description": "Republic Day", "Sr_no": 1}], "FO": []}


@pytest.fixture
def file(workspace: Path) -> Path:
    return workspace / "config" / "calendar.toml"


def test_a_day_is_shown_with_its_phases_its_source_and_whether_it_is_known(workspace: Path, invoke: Invoke) -> None:
    told = invoke("calendar", "show", "2026-08-03", "--symbol", "TCS", "--json").json()
    assert list(told) == ["day", "name", "sessions", "phases", "source", "known"]
    assert (told["day"], told["known"]) == ("2026-08-03", "known")
    assert told["source"].startswith("exchange-calendars")
    assert told["sessions"] == [
        {
            "open": "2026-08-03T03:45:00Z",
            "close": "2026-08-03T09:45:00Z",
            "auction_open": "2026-08-03T10:00:00Z",
            "auction_close": "2026-08-03T10:05:00Z",
        }
    ]
    assert [phase["takes"] for phase in told["phases"] if "reference price" in phase["name"]] == [[]]
    muhurat = invoke("calendar", "show", "2026-11-08", "--json").json()
    assert (muhurat["name"], muhurat["known"]) == ("Muhurat trading", "known")
    assert "NSE/FAOP/71777" in muhurat["source"]
    beyond = invoke("calendar", "show", "--from", "2040-01-02", "--to", "2040-01-08", "--json").json()
    assert [one["known"] for one in beyond] == ["assumed"] * 7
    assert [bool(one["sessions"]) for one in beyond] == [True] * 5 + [False] * 2
    text = invoke("calendar", "show", "2026-12-25").out
    assert text.startswith("2026-12-25 Friday: closed Asia/Kolkata")


def test_a_day_is_written_down_once_and_taken_out_again(workspace: Path, invoke: Invoke, file: Path) -> None:
    words = ("calendar", "add", "2027-10-29", "--open", "18:00", "--close", "19:00", "--name", "Muhurat trading")
    assert invoke(*words, "--source", "NSE/CMTR/1").out == (
        "2027-10-29 of Indian equities (NSE): 18:00 to 19:00 (Muhurat trading).\n"
    )
    shown = invoke("calendar", "show", "2027-10-29", "--json").json()
    assert (shown["known"], shown["source"], shown["sessions"][0]["open"]) == ("known", "NSE/CMTR/1", "2027-10-29T12:30:00Z")
    written = file.read_bytes()
    again = invoke("calendar", "add", "2027-10-29", "--closed")
    assert (again.code, file.read_bytes()) == (1, written)
    assert "is written down already: 18:00 to 19:00 (Muhurat trading). Add --replace" in again.err
    assert invoke("calendar", "add", "2027-10-29", "--closed", "--replace").code == 0
    assert invoke("calendar", "show", "2027-10-29", "--json").json()["sessions"] == []
    assert invoke("calendar", "remove", "2027-10-29").code == 0
    assert invoke("calendar", "show", "2027-10-29", "--json").json()["known"] == "assumed"
    assert invoke("calendar", "remove", "2027-10-29").code == 4


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("add", "2027-01-26"), 2, "either --closed, or has --open and --close"),
        (("add", "2027-01-26", "--closed", "--open", "09:15", "--close", "10:00"), 2, "either --closed"),
        (("add", "2027-01-26", "--open", "09:15"), 2, "needs both open and close"),
        (("add", "2027-01-26", "--open", "19:00", "--close", "18:00"), 2, "must close later"),
        (("add", "26/01/2027", "--closed"), 2, "Write it like 2026-11-08"),
        (("add", "2027-01-26", "--open", "9 am", "--close", "10:00"), 2, "Write it like 18:15"),
        (("add", "2027-01-26", "--closed", "--market", "crypto_binance"), 2, "trades round the clock"),
        (("show", "--market", "nowhere"), 4, "there is no market"),
        (("show", "2010-01-04"), 2, "are not known"),
        (("show", "--from", "2026-02-01", "--to", "2026-01-01"), 2, "--to must be from"),
        (("import", "missing.csv"), 4, "there is no file"),
    ],
)
def test_what_is_refused_writes_nothing(
    workspace: Path, invoke: Invoke, file: Path, words: tuple[str, ...], code: int, told: str
) -> None:
    outcome = invoke("calendar", *words)
    assert (outcome.code, outcome.out) == (code, "")
    assert told in outcome.err
    assert not file.exists()


def test_the_list_of_the_exchange_makes_its_year_known(workspace: Path, invoke: Invoke, file: Path, tmp_path: Path) -> None:
    holidays = tmp_path / "holidays.csv"
    holidays.write_text(NSE_CSV)
    tried = invoke("calendar", "import", str(holidays), "--dry-run")
    assert (tried.code, file.exists()) == (0, False)
    assert "Understood as a CSV file with a heading, as NSE offers it: 9 days." in tried.out
    assert "Nothing was written." in tried.out
    done = invoke("calendar", "import", str(holidays), "--source", "NSE/CMTR/2", "--json").json()
    assert (len(done["added"]), done["weekends"], done["known_through"], done["written"]) == (6, 3, "2027-12-31", True)
    assert read_calendar(file)["indian_equity"].known_through == date(2027, 12, 31)
    closed = invoke("calendar", "show", "2027-01-26", "--json").json()
    assert (closed["sessions"], closed["known"], closed["source"]) == ([], "known", "NSE/CMTR/2")
    ordinary = invoke("calendar", "show", "2027-01-27", "--json").json()
    assert (len(ordinary["sessions"]), ordinary["known"], ordinary["source"]) == (1, "known", "config/calendar.toml")
    assert invoke("calendar", "import", str(holidays)).code == 0  # a second time changes nothing
    assert len(read_calendar(file)["indian_equity"].days) == 6


def test_a_part_of_a_year_and_a_special_session(workspace: Path, invoke: Invoke, file: Path, tmp_path: Path) -> None:
    as_json, as_list = tmp_path / "holiday-master.json", tmp_path / "days.txt"
    as_json.write_text(json.dumps(NSE_JSON))
    told = invoke("calendar", "import", str(as_json)).out
    assert "NSE's list of holidays, segment CM, as JSON: 1 days" in told
    assert "a part of a year" in told
    as_list.write_text("# by hand\n2026-11-08, Diwali Laxmi Pujan\n26-Jan-2027\n")
    told = invoke("calendar", "import", str(as_list)).out
    assert "2026-11-08 has a special session and stays open for it." in told
    own = read_calendar(file)["indian_equity"]
    assert ([one.day for one in own.days], own.known_through) == ([date(2027, 1, 26)], None)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "the file is empty"),
        ("{", "is not JSON"),
        ('{"SLB": []}', "none of the segments CM, FO; it has SLB"),
        ('{"CM": []}', "names no day"),
        ('{"CM": [{"description": "Holi"}]}', "entry 1 has no tradingDate"),
        ("2027-01-26\n2027-01-26\n", "2027-01-26 stands there twice"),
        ("26-Jan-2027\nsoon\n", "line 2: 'soon' is not a day"),
        ("2027-02-30\n", "is not a day"),
        ("DATE,DAY\n26-Jan-2027,Monday\n", "line 2: 2027-01-26 is a Tuesday, not a Monday"),
        ("DATE,DAY\n26-Jan-2027\n", "line 2 has 1 fields, the heading has 2"),
        ("<html>Access Denied</html>", "is not a day"),
    ],
)
def test_what_is_not_understood_is_refused_whole(
    workspace: Path, invoke: Invoke, file: Path, tmp_path: Path, text: str, told: str
) -> None:
    source = tmp_path / "list"
    source.write_text(text)
    outcome = invoke("calendar", "import", str(source))
    assert (outcome.code, file.exists()) == (2, False)
    assert told in outcome.err


def test_the_check_says_what_is_changed_how_far_is_known_and_what_bars_contradict(
    workspace: Path, invoke: Invoke, file: Path, sample_folder: Path
) -> None:
    store = workspace / "database" / "finstore"
    if not store.exists():
        shutil.copytree(sample_folder, store)
    clean = invoke("calendar", "check", "--json")
    assert (clean.code, clean.json()["contradictions"], clean.json()["problem"]) == (0, [], None)
    day = pd.DatetimeIndex(FinStore(store).read("indian_equity", "1d", "INFY").index)[-2]
    local = day.tz_convert(get_market("indian_equity").time_zone).date()
    assert invoke("calendar", "add", str(local), "--closed", "--name", "a mistake").code == 0
    wrong = invoke("calendar", "check")
    assert wrong.code == 1
    assert f"{local} is closed, and " in wrong.out
    assert "a mistake" in wrong.out
    assert "The trading days of Indian equities (NSE) are known to" in wrong.out


def test_a_file_that_cannot_be_read_ends_nothing_and_is_told(workspace: Path, invoke: Invoke, file: Path) -> None:
    assert invoke("calendar", "add", "2027-01-26", "--closed").code == 0
    assert invoke("calendar", "show", "2027-01-26", "--json").json()["sessions"] == []
    file.write_text("[indian_equity\n")
    assert invoke("calendar", "show", "2027-01-26", "--json").json()["sessions"] == []  # what was read before holds
    checked = invoke("calendar", "check")
    assert checked.code == 1
    assert "PROBLEM" in checked.out
    assert "calendar.toml cannot be read" in checked.out
    assert "calendar.toml cannot be read" in invoke("data", "check").err
    kept = invoke("calendar", "add", "2027-01-27", "--closed")
    assert (kept.code, file.read_text()) == (2, "[indian_equity\n")
