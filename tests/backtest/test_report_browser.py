"""The report in a real browser: no script fails, nothing is requested, and it fits a desk, a telephone and paper."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from algo_py.backtest import Snapshot
from algo_py.backtest.report import ReportData, render_report
from algo_py.backtest.words import number

from .test_snapshot import GOLDEN_2

_NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start the system's Chromium, or Playwright's own."""
    with sync_playwright() as playwright:
        system = next((path for name in _NAMES if (path := shutil.which(name))), None)
        program = os.environ.get("CHROMIUM") or system or playwright.chromium.executable_path
        with playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"]) as found:
            yield found


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ReportData]:
    file = tmp_path_factory.mktemp("report") / "report.html"
    data = ReportData.of_snapshot(Snapshot.read(GOLDEN_2))
    file.write_text(render_report(data), encoding="utf-8")
    return file, data


def opened(browser: Browser, file: Path, *, width: int = 1400, scripts: bool = True) -> tuple[Page, list[str]]:
    """Open the report; the list gathers whatever it requests and whatever fails in it."""
    page = browser.new_context(viewport={"width": width, "height": 900}, java_script_enabled=scripts).new_page()
    noticed: list[str] = []
    page.on("console", lambda message: noticed.append(message.text))
    page.on("pageerror", lambda error: noticed.append(str(error)))
    page.on("request", lambda request: noticed.append(request.url))
    page.goto(file.as_uri())
    return page, noticed


def test_the_pointer_shows_the_exact_numbers(browser: Browser, report: tuple[Path, ReportData]) -> None:
    file, data = report
    page, noticed = opened(browser, file)
    plot = page.locator(".plot[data-chart=equity]")
    box = plot.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] - 1, box["y"] + 50)
    shown = plot.locator(".tip").inner_text()
    assert "13 Jan 2025, 11:00" in shown
    assert number(data.metrics["final_equity"]) in shown
    page.mouse.move(0, 0)
    assert not plot.locator(".tip").is_visible()
    assert noticed == [file.as_uri()]


def test_a_click_sorts_the_trades(browser: Browser, report: tuple[Path, ReportData]) -> None:
    file, data = report
    page, _ = opened(browser, file)
    head = page.locator(".trades th", has_text=re.compile("^Profit"))
    for falls in (False, True):
        head.click()
        shown = [
            float(value) for value in page.locator(".trades td:nth-child(10) data").evaluate_all("all => all.map(a => a.value)")
        ]
        assert shown == sorted(data.trades["profit"], reverse=falls)


@pytest.mark.parametrize("width", [1400, 768, 420])
def test_it_fits_the_window(browser: Browser, report: tuple[Path, ReportData], width: int) -> None:
    page, _ = opened(browser, report[0], width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_it_can_be_read_without_scripts_and_on_paper(browser: Browser, report: tuple[Path, ReportData]) -> None:
    file, data = report
    page, noticed = opened(browser, file, width=695, scripts=False)
    page.emulate_media(media="print")
    words = page.locator("main").inner_text()
    assert number(data.metrics["final_equity"]) in words
    assert page.locator(".plot path.line").count() == 4
    last = page.locator(".trades tbody tr").last
    assert last.is_visible()
    assert page.locator(".wide:has(.trades)").evaluate("one => one.scrollHeight <= one.clientHeight")
    assert noticed == [file.as_uri()]
