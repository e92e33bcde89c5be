"""The data page as a person uses it in the browser: fetching, and looking after what is stored.

It is one visit: starting a server and a page takes longer than most of what is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

from algo_py.clock import SystemClock, parse_time
from algo_py.finstore import FinStore
from algo_py.finstore.absences import Absence, AbsenceLog
from algo_py.finstore.frames import to_us
from algo_py.finstore.layout import Layout
from algo_py.market import Timeframe
from algo_py.settings import Workspace
from tests.dashboard.conftest import Open, Serve
from tests.dashboard.person import Person, eventually
from tests.finstore.making import bars
from tests.venues.binance import KLINES, BinanceServer, as_quoted
from tests.venues.server import Fault

START = parse_time("2025-01-01")
FIRST_SLICE = 24_000  # bars that are fetched before progress is told: 24 requests
MINUTES = 18 * 1_440
KEY = ("crypto_binance", "4h")


@pytest.fixture
def venue(workspace: Workspace) -> Iterator[BinanceServer]:
    """Binance on loopback, the source of the workspace's market; it does not answer for what follows the first slice."""
    with BinanceServer() as venue:
        workspace.credentials_file.write_text(f"BINANCE_BASE_URL={venue.url}\n")
        workspace.settings_file.write_text('[data.sources]\nindian_equity = "none"\n')
        venue.set_bars("DOGE/USDT", "1m", as_quoted(bars(MINUTES, start=START, freq="min")))
        held_ms = to_us(START + timedelta(minutes=FIRST_SLICE)) // 1_000
        late = Fault(applies=lambda one: one.path == KLINES and int(one.values["startTime"]) >= held_ms, delay_s=60.0)
        venue.fail(late, times=20)
        yield venue


@pytest.fixture
def store(workspace: Workspace) -> FinStore:
    """A store with four-hourly bars of two symbols more: one with holes and revisions, one whole."""
    store, now = FinStore(workspace.finstore), SystemClock().now()
    whole, at = bars(600, start=START, freq="4h"), np.arange(600)
    store.append(*KEY, {"ADA/USDT": whole[(at < 100) | ((at > 120) & (at < 300)) | (at > 309)], "LTC/USDT": whole}, now=now)
    first, last = (to_us(START + timedelta(hours=4 * place)) for place in (100, 120))
    absent = Absence(first, last, to_us(now), True)
    AbsenceLog(Layout.of(store.folder, KEY[0], Timeframe.H4)).add("ADA/USDT", "binance", [absent])
    store.append(*KEY, {"ADA/USDT": (whole * 1.001).iloc[:2]}, now=now, source="binance")
    store.compact(*KEY)
    return store


def test_a_visit(serve: Serve, sit_down: Open, venue: BinanceServer, store: FinStore, tmp_path: Path) -> None:
    person = sit_down(serve())
    person.opens("data")
    fetch_and_cancel(person)
    venue.forget()
    fetch_the_rest(person, venue)
    look_at_gaps(person)
    adopt(person, store)
    upload(person, tmp_path)
    check_and_set_aside(person, store)


def fetch_and_cancel(person: Person) -> None:
    """Fetch minutes, see how far it is, look at another page meanwhile, cancel."""
    person.selects("Timeframe", "1m")
    person.types("Symbols", "DOGE/USDT, doge")
    person.presses("Fetch")
    expect(person.page.get_by_role("alert")).to_have_count(1)
    assert person.alerts() == ["'doge' is not spelled like a symbol of crypto_binance. Write it like BTC/USDT."]
    person.types("Symbols", "DOGE/USDT")
    for label, day in (("Start", "2025-01-01"), ("Until", "2025-01-19")):
        person.types_date(label, day)
        person.page.get_by_role("heading", level=1).click()  # an empty field has opened its calendar
    expect(person.page.get_by_text("About 25,920 bars a symbol.")).to_be_visible()
    person.presses("Fetch")
    expect(person.page.get_by_text("1m bars of DOGE/USDT from binance: 24,000 of 25,920 bars")).to_be_visible()
    expect(person.button("Fetch")).to_be_disabled()
    person.opens_from_menu("Overview")
    person.opens_from_menu("Data")
    person.presses("Cancel")
    expect(person.page.get_by_text("Cancelled: 24,000 of 25,920 missing bars are done and kept.")).to_be_visible()
    shows(person, "Stored symbols", "DOGE/USDT", Bars="24,000")


def fetch_the_rest(person: Person, venue: BinanceServer) -> None:
    """Press Fetch once more: only what is missing is asked for."""
    expect(person.button("Fetch")).to_be_enabled()
    person.presses("Fetch")
    expect(person.page.get_by_text("1,920 bars fetched with 2 requests.")).to_be_visible()
    shows(person, "Fetched symbols", "DOGE/USDT", Outcome="complete")
    shows(person, "Stored symbols", "DOGE/USDT", Bars="25,920", Last_bar="2025-01-18 23:59", Gaps="0")
    assert len(venue.asked(KLINES)) == 2
    person.presses("Dismiss")
    person.selects("Stored market", "Indian equities (NSE)")
    person.presses("Fill gaps")
    expect(person.page.get_by_role("alert")).to_contain_text("the bars of Indian equities (NSE) have no source")


def look_at_gaps(person: Person) -> None:
    """Look at the symbol with holes."""
    person.selects("Stored market", "Crypto (Binance spot)")
    person.selects("Stored timeframe", "4h")
    expect(person.page.locator(".js-plotly-plot .heatmaplayer image").first).to_be_attached()
    shows(person, "Stored symbols", "ADA/USDT", Bars="569", Gaps="2", Revisions="2")
    assert person.row("Stored symbols", "ADA/USDT")["Freshness"].endswith("bars behind")
    expect(person.page.get_by_text("ADA/USDT: 2 gaps, 31 bars missing, 2 revisions")).to_be_visible()
    open_tab(person, "Gaps")
    shows(person, "Gaps", "2025-01-17 16:00", Reason="not at binance")
    shows(person, "Gaps", "2025-02-20 00:00", To="2025-02-21 12:00", Bars="10", Reason="missing")


def adopt(person: Person, store: FinStore) -> None:
    """Adopt two revisions; nothing happens before it is confirmed."""

    def adopted() -> int:
        return int(store.revisions(*KEY, "ADA/USDT")["adopted_at"].notna().sum())

    open_tab(person, "Revisions")
    shows(person, "Revisions", "2025-01-01 04:00", State="waiting")
    person.presses("Adopt 2 revisions")
    expect(person.page.get_by_text("This is not undone.")).to_be_visible()
    assert adopted() == 0
    person.presses("Adopt for ADA/USDT")
    expect(person.page.get_by_text("2 bars of ADA/USDT have new values.")).to_be_visible()
    shows(person, "Revisions", "2025-01-01 04:00", State="adopted")
    assert adopted() == 2


def upload(person: Person, folder: Path) -> None:
    """Store two daily bars from a CSV file, after one that cannot be read."""
    person.chooses("Bring bars in", "Upload a file")
    person.types("Symbol", "DOGE/USDT")
    good = "timestamp,open,high,low,close,volume\n2025-01-01,1,2,1,2,5\n2025-01-02,2,3,2,3,0\n"
    for name, content in (("bad.csv", good.replace("volume", "size")), ("good.csv", good)):
        (folder / name).write_text(content)
        person.page.locator("input[type=file]").set_input_files(folder / name)
        expect(person.button("Store the file's bars")).to_be_enabled()
        person.waits_for_quiet()
        person.presses("Store the file's bars")
        if name == "bad.csv":
            expect(person.page.get_by_role("alert")).to_contain_text("bad.csv has no column 'volume'")
    expect(person.page.get_by_text("DOGE/USDT 1d: 2 new bars.")).to_be_visible()
    shows(person, "Stored symbols", "DOGE/USDT", First_bar="2025-01-01 00:00", Bars="2")


def check_and_set_aside(person: Person, store: FinStore) -> None:
    """Find a damaged file, and move it out of the way."""
    file = next(store.folder.rglob("timeframe=4h/symbol=LTC*/*.parquet"))
    content = bytearray(file.read_bytes())
    content[40] ^= 0xFF
    file.write_bytes(bytes(content))
    person.selects("Stored timeframe", "4h")
    open_tab(person, "Files")
    person.presses("Check all files")
    shows(person, "Damaged files", "LTC%2FUSDT", Problem="row group 0 does not have the checksum that was written")
    person.presses("Set aside")
    expect(person.page.get_by_text("1 damaged file set aside.")).to_be_visible()
    shows(person, "Files set aside", "LTC%2FUSDT", Lost_bars="not back")
    shows(person, "Stored symbols", "LTC/USDT", Freshness="lost")
    assert not file.exists()


def open_tab(person: Person, name: str) -> None:
    person.page.get_by_role("tab", name=name, exact=True).click()


def shows(person: Person, table: str, name: str, **fields: str) -> None:
    """Wait until a row of a table has these fields; `_` in a heading's name stands for a space."""
    wanted = {heading.replace("_", " "): text for heading, text in fields.items()}
    eventually(lambda: wanted.items() <= person.row(table, name).items(), f"{table} shows {wanted} for {name}")
