"""A sweep from the form to a saved backtest, and one that is cancelled, as a person does it in the browser."""

from __future__ import annotations

import psutil
from playwright.sync_api import expect

from algo_py.backtest import SnapshotStore
from algo_py.settings import Workspace
from tests.dashboard.conftest import Open, Serve
from tests.dashboard.person import Person, eventually
from tests.dashboard.servers import DashboardServer


def test_sweep_look_choose_and_save(serve: Serve, sit_down: Open, workspace: Workspace) -> None:
    person = sit_down(serve())
    fill_in(person, fast=(2, 6, 2), slow=(4, 12, 4))
    person.types("Walk-forward folds", 2)
    expect(person.page.get_by_text("9 parameter sets, and again in each of 2 folds")).to_be_visible()
    person.presses("Run Sweep")

    table = person.page.get_by_role("table", name="Parameter sets")
    expect(table.get_by_role("row")).to_have_count(10)
    expect(person.page.get_by_text("9 parameter sets, 2 failed")).to_be_visible()
    sharpe = [number(text) for text in column(person, "Sharpe ratio") if text != "–"]
    assert len(sharpe) == 7
    assert sharpe == sorted(sharpe, reverse=True)
    best = table.get_by_role("row").nth(1)
    expect(best.get_by_role("radio")).to_be_checked()
    failed = table.get_by_role("row").filter(has_text="failed")
    expect(failed).to_have_count(2)
    expect(failed.first).to_contain_text("fast must be below slow")

    table.get_by_role("button", name="Closed trades").click()
    expect(table.get_by_role("columnheader", name="Closed trades")).to_have_attribute("aria-sort", "descending")
    eventually(lambda: trades_of(person) == sorted(trades_of(person), reverse=True), "the sets with most trades come first")
    table.get_by_role("button", name="Closed trades").click()
    expect(table.get_by_role("columnheader", name="Closed trades")).to_have_attribute("aria-sort", "ascending")

    person.page.get_by_role("tab", name="Heat map").click()
    expect(person.page.locator(".js-plotly-plot").first).to_be_visible()
    person.page.get_by_role("tab", name="Walk-forward").click()
    expect(person.page.get_by_role("table", name="Walk-forward").get_by_role("row")).to_have_count(3)

    person.page.get_by_role("tab", name="Parameter sets").click()
    table.get_by_role("row").filter(has_text="ok").first.click()
    eventually(lambda: table.get_by_role("radio").first.is_checked(), "the row is chosen")
    fast, slow, trades = (column(person, name)[0] for name in ("Fast", "Slow", "Closed trades"))
    expect(person.page.get_by_text(f"Chosen set fast {fast}, slow {slow}")).to_be_visible()
    person.types("Backtest name", "from the sweep")
    person.presses("Save the chosen set as a backtest")
    expect(person.page.get_by_text("Saved as from the sweep")).to_be_visible()
    snapshot = SnapshotStore(workspace).load("from the sweep")
    assert dict(snapshot.config.params) == {"fast": int(fast), "slow": int(slow)}
    assert snapshot.metrics["trades"] == int(trades)

    person.types("Fast to", 4)
    expect(person.page.get_by_role("alert")).to_contain_text("The form has changed since this sweep")
    person.page.get_by_role("link", name="Deploy it").click()
    person.presses("Load Backtest")
    expect(person.button("Deploy Strategy")).to_be_enabled()
    person.sees("Fast", fast)


def test_a_cancelled_sweep_ends_and_shows_what_is_done(serve: Serve, sit_down: Open) -> None:
    server = serve()
    person = sit_down(server)
    fill_in(person, fast=(2, 1, 1), slow=(201, 500, 1))
    person.presses("Run Sweep")
    expect(person.page.get_by_role("alert")).to_have_count(1)
    assert person.alerts() == ["fast must end at 2 or above, where it begins (was 1)."]
    person.types("Fast to", 200)
    expect(person.page.get_by_text("59,700 parameter sets")).to_be_visible()
    person.presses("Run Sweep")
    expect(person.page.get_by_text("left")).to_be_visible()
    expect(person.button("Run Sweep")).to_be_disabled()
    assert sweeps_of(server)

    person.opens_from_menu("Strategy Backtest")
    person.opens_from_menu("Parameter Sweep")
    person.presses("Cancel")
    expect(person.page.get_by_role("alert")).to_contain_text("of 59,700 parameter sets are done")
    expect(person.button("Run Sweep")).to_be_enabled()
    expect(person.page.get_by_role("table", name="Parameter sets")).to_be_visible()
    eventually(lambda: not sweeps_of(server), "the processes of the sweep are gone")


def fill_in(person: Person, *, fast: tuple[int, int, int], slow: tuple[int, int, int]) -> None:
    """Open the page and fill in ranges of ema-cross, on BNB over three months."""
    person.opens("sweep")
    person.selects("Strategy", "ema-cross")
    for label, values in (("Fast", fast), ("Slow", slow)):
        for word, value in zip(("from", "to", "step"), values, strict=True):
            person.types(f"{label} {word}", value)
    person.types_date("Start", "2025-01-01")
    person.types_date("End", "2025-04-01")


def column(person: Person, heading: str) -> list[str]:
    """Return what stands under a heading of the sets' table, of each field the first line."""
    table = person.page.get_by_role("table", name="Parameter sets")
    headings = [text.strip() for text in table.get_by_role("columnheader").all_inner_texts()]
    place = headings.index(heading) + 2  # the first field of a row holds its radio button
    return [text.strip().split("\n")[0] for text in table.locator(f"tbody td:nth-child({place})").all_inner_texts()]


def trades_of(person: Person) -> list[float]:
    """Return the numbers of trades in the order shown."""
    return [number(text) for text in column(person, "Closed trades") if text != "–"]


def number(text: str) -> float:
    """Read a number as it is written on the page."""
    return float(text.replace("−", "-").replace(",", ""))


def sweeps_of(server: DashboardServer) -> list[psutil.Process]:
    """Return the processes that the dashboard has started, and theirs."""
    return psutil.Process(server.process.pid).children(recursive=True)
