"""Make the screenshots of README from the real pages: a workspace of its own, a real server, real deployments.

Run it from the project's root: .venv/bin/python -m scripts.screenshots
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, ViewportSize, expect, sync_playwright

from algo_py.backtest import BacktestConfig, SnapshotStore, run_backtest
from algo_py.clock import SystemClock, monotonic_s
from algo_py.deployment import DeploymentManager, DeploymentRequest
from algo_py.deployment.config import Replay
from algo_py.deployment.schedule import OnBarClose
from algo_py.finstore import FinStore
from algo_py.finstore.gaps import fill_gap
from algo_py.finstore.instruments import InstrumentCache
from algo_py.finstore.sources.exchange import exchange_source
from algo_py.market import Timeframe, get_market, latest_closed_open
from algo_py.settings import Workspace
from tests.dashboard.person import Person, eventually
from tests.dashboard.servers import DashboardServer, launch
from tests.processes import stop_everything
from tests.venues.binance import BinanceServer, as_quoted

_FOLDER = Path(__file__).resolve().parent.parent / "docs" / "screenshots"
_SIZE = ViewportSize(width=1400, height=900)
_MOST_BYTES = 300_000
_PAIRS = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "BNB/USDT", "XRP/USDT")
_NAMES = ("RELIANCE", "TCS", "INFY", "HDFCBANK", "ICICIBANK")


def main() -> None:
    """Write data.png, backtest.png, sweep.png, deployment.png and overview.png."""
    expect.set_options(timeout=60_000)
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder).resolve() / "workspace")
        subprocess.run([sys.executable, "-m", "algo_py", "init", str(workspace.root)], check=True, stdout=subprocess.DEVNULL)
        deploy(workspace)
        store_holes(workspace)
        server = DashboardServer(workspace, Path(folder) / "server.txt")
        try:
            server.wait_until_ready()
            with sync_playwright() as playwright:
                browser = launch(playwright)
                page = browser.new_page(viewport=_SIZE, color_scheme="light")
                person = Person(page, server.url)
                show_data(person)
                show_backtest(person)
                show_sweep(person)
                show_deployment(person, workspace)
                person.opens("")
                save(page, "overview")
                browser.close()
        finally:
            server.stop()
            stop_everything(workspace)


def deploy(workspace: Workspace) -> None:
    """Save two backtests and deploy them as replays of different speeds."""
    manager, backtests = DeploymentManager(workspace), SnapshotStore(workspace)
    shares = {"market": "indian_equity", "timeframe": "1d", "symbols": _NAMES, "initial_cash": 100_000, "size": 0.2}
    coins = {"market": "crypto_binance", "timeframe": "1h", "symbols": ("BTC/USDT", "ETH/USDT"), "size": 0.5}
    wanted = (
        ("rsi shares", {"strategy": "rsi-reversion", **shares}, None),
        ("donchian coins", {"strategy": "donchian-breakout", **coins}, 4.0),
        ("supertrend shares", {"strategy": "supertrend-flip", **shares}, 40.0),
    )
    for name, config, bars_per_s in wanted:
        backtests.save(run_backtest(workspace, BacktestConfig.model_validate(config)), name)
        manager.deploy(DeploymentRequest(backtest=name, schedule=OnBarClose(), clock=Replay(bars_per_s=bars_per_s)))


def store_holes(workspace: Workspace) -> None:
    """Store four-hourly bars up to now, made of the sample's, with holes; some of them the exchange has too."""
    store, now = FinStore(workspace.finstore), SystemClock().now()
    newest = latest_closed_open(get_market("crypto_binance").calendar, Timeframe.H4, now)
    lacking = {
        "BNB/USDT": range(900),
        "ETH/USDT": range(1_010, 1_380),
        "SOL/USDT": range(2_000, 3_000, 9),
        "XRP/USDT": range(3_135, 3_138),
    }
    with BinanceServer() as venue:
        for symbol in _PAIRS:
            hours = store.read("crypto_binance", "1h", symbol)
            bars = hours.resample("4h").agg({"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"})
            bars.index += newest - bars.index[-1]
            at = np.arange(len(bars))
            outage = ((at >= 600) & (at < 640)) | ((at >= 1_500) & (at < 1_506))
            venue.set_bars(symbol, "4h", as_quoted(bars[~outage]))
            stored = bars[~outage & ~np.isin(at, lacking.get(symbol, ()))]
            store.append("crypto_binance", "4h", {symbol: as_quoted(stored)}, now=now)
        source = exchange_source("binance", base_url=venue.url)
        fill_gap(store, source, "crypto_binance", "4h", ["BTC/USDT"])
        InstrumentCache(workspace.instruments, SystemClock()).refresh(
            "crypto_binance", source, _PAIRS, deadline_s=monotonic_s() + 10
        )
        revised = store.read("crypto_binance", "4h", "BTC/USDT").tail(3) * 1.0004
        store.append("crypto_binance", "4h", {"BTC/USDT": revised}, now=now, source="binance")


def show_data(person: Person) -> None:
    """Look at the bars with holes."""
    person.opens("data")
    person.selects("Stored timeframe", "4h")
    person.page.get_by_role("radio", name="Select BTC/USDT").click()
    person.waits_for_quiet()
    expect(person.page.locator(".js-plotly-plot").first).to_be_visible()
    save(person.page, "data")


def show_backtest(person: Person) -> None:
    """Run the shares' backtest in the browser."""
    person.opens("backtest")
    person.selects("Strategy", "supertrend-flip")
    person.selects("Market", "Indian equities (NSE)")
    person.page.get_by_role("button", name="Remove AXISBANK").click()
    for name in _NAMES:
        person.adds("Asset universe", name)
    person.types("Initial cash, INR", 100_000)
    person.types("Size", 20)
    person.presses("Run Backtest")
    expect(person.button("Save Backtest")).to_be_visible()
    save(person.page, "backtest")


def show_sweep(person: Person) -> None:
    """Sweep two parameters on one coin and look at the map."""
    person.opens("sweep")
    person.selects("Strategy", "donchian-breakout")
    for label, value in {"Entry bars from": 20, "Entry bars to": 200, "Entry bars step": 20}.items():
        person.types(label, value)
    for label, value in {"Exit bars from": 10, "Exit bars to": 80, "Exit bars step": 10}.items():
        person.types(label, value)
    person.presses("Run Sweep")
    expect(person.page.get_by_role("table", name="Parameter sets")).to_be_visible()
    person.page.get_by_role("tab", name="Heat map").click()
    expect(person.page.locator(".js-plotly-plot").first).to_be_visible()
    save(person.page, "sweep")


def show_deployment(person: Person, workspace: Workspace) -> None:
    """Look at the deployment that is in the middle of its replay."""
    manager = DeploymentManager(workspace)
    eventually(lambda: manager.show("rsi shares").status == "finished", "the quick replay ends", timeout_s=180)
    eventually(lambda: manager.show("supertrend shares").row.runs > 600, "the other one has a history", timeout_s=180)
    person.opens("deployment")
    expect(person.page.get_by_role("log", name="Live log")).to_contain_text("run.done")
    save(person.page, "deployment")


def save(page: Page, name: str) -> None:
    """Write a picture once the charts are drawn; one that is too large for the repository is refused."""
    page.wait_for_timeout(2_000)  # charts and fonts settle without telling anybody
    page.evaluate("document.querySelector('[data-testid=stMain]').scrollTo(0, 0)")
    page.mouse.move(0, 0)
    page.wait_for_timeout(500)
    _FOLDER.mkdir(parents=True, exist_ok=True)
    file = _FOLDER / f"{name}.png"
    page.screenshot(path=file)
    if file.stat().st_size > _MOST_BYTES:
        raise SystemExit(f"{file} is larger than {_MOST_BYTES} bytes")


if __name__ == "__main__":
    main()
