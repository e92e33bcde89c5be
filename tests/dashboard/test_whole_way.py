"""From a form to a running deployment and back, as a person does it in the browser."""

from __future__ import annotations

import psutil
from playwright.sync_api import expect

from algo_py.backtest import Snapshot
from algo_py.deployment import DeploymentManager
from tests.dashboard.conftest import Open, Serve
from tests.dashboard.person import Person, eventually


def test_backtest_save_load_deploy_watch_stop_clear(serve: Serve, sit_down: Open, manager: DeploymentManager) -> None:
    server = serve()
    person = sit_down(server)
    asked_for: set[str] = set()
    person.page.on("request", lambda request: asked_for.add(request.url))

    run_and_save(person)
    load(person)
    for label, value in {
        "Strategy": "ema-cross",
        "Market": "Crypto (Binance spot)",
        "Timeframe": "1h",
        "Asset universe": "BNB/USDT, BTC/USDT",
        "Fast": "2",
        "Slow": "5",
        "Initial cash, USDT": "25000",
        "Size": "40",
    }.items():
        person.sees(label, value)
    deploy(person)

    eventually(lambda: status_of(person) == "running", "the page shows it as running")
    row = person.row("Deployments", "first")
    assert (row["Strategy"], row["OMS"]) == ("ema-cross", "paper")
    assert row["Start time"].startswith("20")
    pid = int(row["PID"])
    assert psutil.pid_exists(pid)
    assert server.process.pid not in [parent.pid for parent in psutil.Process(pid).parents()]
    assert pid not in [child.pid for child in psutil.Process(server.process.pid).children(recursive=True)]

    log = person.page.get_by_role("log", name="Live log")
    expect(log).to_contain_text("deployment.start")
    before = log.locator("> div").count()
    eventually(lambda: log.locator("> div").count() > before, "the log grows")
    person.chooses("View", "Orders")
    orders = person.page.get_by_role("table", name="Orders")
    expect(orders.get_by_role("row").nth(1)).to_contain_text("BTC/USDT")

    person.stops()
    expect(person.page.get_by_text("Stopping first")).to_be_visible()
    eventually(lambda: status_of(person) == "stopped", "the page shows it as stopped")
    assert not psutil.pid_exists(pid)
    assert manager.orders(manager.list()[0].id)

    expect(person.button("Clear")).to_be_enabled()
    person.presses("Clear")
    expect(person.page.get_by_text("Cleared first")).to_be_visible()
    expect(person.page.get_by_text("Nothing is deployed")).to_be_visible()
    assert manager.list() == []

    elsewhere = [url for url in asked_for if not url.startswith((server.url, "blob:", "data:"))]
    assert elsewhere == [], "the pages must not need a network"


def test_a_deployment_outlives_a_killed_dashboard(
    serve: Serve, sit_down: Open, manager: DeploymentManager, saved: Snapshot
) -> None:
    first = serve()
    person = sit_down(first)
    load(person)
    deploy(person)
    eventually(lambda: status_of(person) == "running", "the page shows it as running")
    pid = person.row("Deployments", saved.name)["PID"]

    first.kill()
    runs_then = manager.show(saved.name).row.runs
    eventually(lambda: manager.show(saved.name).row.runs >= runs_then + 3, "it goes on trading")

    person = sit_down(serve())
    person.opens("deployment")
    eventually(lambda: status_of(person) == "running", "a new dashboard finds it")
    assert person.row("Deployments", saved.name)["PID"] == pid
    person.stops()
    eventually(lambda: status_of(person) == "stopped", "the new dashboard stops it")
    assert not psutil.pid_exists(int(pid))


def run_and_save(person: Person) -> None:
    """Run a backtest of two parameters and one symbol over five months, and save it as `first`."""
    person.opens("backtest")
    person.selects("Strategy", "ema-cross")
    person.types("Fast", 2)
    person.types("Slow", 5)
    person.adds("Asset universe", "BTC/USDT")
    person.types_date("Start", "2025-01-01")
    person.types_date("End", "2025-06-01")
    person.types("Initial cash, USDT", 25_000)
    person.types("Size", 40)
    person.presses("Run Backtest")
    expect(person.page.get_by_text("ema-cross on BNB/USDT, BTC/USDT, 1h bars, 2025-01-01 to 2025-06-01")).to_be_visible()
    expect(person.page.get_by_test_id("stMetric").filter(has_text="Sharpe")).to_be_visible()
    expect(person.page.locator(".js-plotly-plot").first).to_be_visible()
    person.types("Backtest name", "first")
    person.presses("Save Backtest")
    expect(person.page.get_by_text("Saved as first")).to_be_visible()
    with person.page.expect_download() as download:
        person.presses("Download report")
    assert download.value.suggested_filename == "first.html"
    assert "<h2>Monthly returns</h2>" in download.value.path().read_text(encoding="utf-8")
    person.page.get_by_role("tab", name="Monthly returns").click()
    expect(person.page.get_by_text("Held: the year of buy and hold.")).to_be_visible()
    person.page.get_by_role("tab", name="Report", exact=True).click()
    person.page.get_by_text("Show the report", exact=True).click()
    report = person.page.frame_locator("iframe[srcdoc], iframe[src^='blob:']")
    for heading in ("Monthly returns", "Rolling Sharpe", "Exposure", "Costs"):
        expect(report.get_by_role("heading", name=heading, exact=False).first).to_be_attached()
    person.types("Fast", 3)
    expect(person.page.get_by_role("alert")).to_contain_text("The form has changed since this run")


def load(person: Person) -> None:
    """Load the newest saved backtest on the deployment page."""
    person.opens("deployment")
    person.presses("Load Backtest")
    expect(person.button("Deploy Strategy")).to_be_enabled()


def deploy(person: Person) -> None:
    """Deploy what is loaded, on paper and on the replay clock."""
    person.chooses("Clock", "Replay")
    person.types("Speed, bars per second", 20)
    expect(person.page.get_by_text("Next runs 2025-01-01 01:00, 2025-01-01 02:00, 2025-01-01 03:00 UTC")).to_be_visible()
    person.presses("Deploy Strategy")
    expect(person.page.get_by_role("table", name="Deployments")).to_be_visible()


def status_of(person: Person) -> str:
    """Return the status of the only deployment."""
    return person.row("Deployments", "paper")["Status"]
