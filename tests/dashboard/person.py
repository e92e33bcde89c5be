"""What a person does on the pages, by what they see: names of fields, buttons, rows. Every wait has a bound."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from playwright.sync_api import Error, Locator, Page, expect

from algo_py.clock import SystemClock, monotonic_s

# A list that the page draws anew closes: what was to be chosen is looked for so long, and the list opened so often.
_OPEN_MS = 5_000
_TRIES = 6


_REDRAWS_MOST = 20


class Person:
    """A person in front of a browser."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self._url = url

    def opens(self, path: str) -> None:
        """Go to a page by its address and wait for its title, or for what it has to complain of."""
        self.page.goto(f"{self._url}/{path}")
        expect(self.page.get_by_role("heading", level=1).or_(self.page.get_by_role("alert")).first).to_be_visible()
        self.waits_for_quiet()

    def opens_from_menu(self, title: str) -> None:
        """Go to another page within the session."""
        self.page.get_by_role("link", name=title, exact=True).click()
        expect(self.page.get_by_role("heading", level=1, name=title)).to_be_visible()

    def waits_for_quiet(self) -> None:
        """Wait until the page shows the answer to the last click."""
        expect(self.page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")

    def types(self, label: str, value: object) -> None:
        """Fill a field and leave it."""
        field = self.page.get_by_label(label, exact=True)
        field.fill(str(value))
        field.press("Enter")
        self.waits_for_quiet()

    def types_date(self, label: str, date: str) -> None:
        """Fill the parts of a date field; `date` is written 2025-01-31."""
        for part, value in zip(("year", "month", "day"), date.split("-"), strict=True):
            place = self.page.get_by_role("spinbutton", name=f"{part}, {label}", exact=False)
            place.click()
            place.press_sequentially(value)
        self.page.keyboard.press("Tab")
        self.waits_for_quiet()

    def chooses(self, label: str, option: str) -> None:
        """Choose one of several buttons that stand side by side."""
        self.page.get_by_role("radiogroup", name=label).get_by_role("radio", name=option, exact=True).click()
        self.waits_for_quiet()

    def selects(self, label: str, option: str) -> None:
        """Choose an option of a list; open it again when what the page still had to show has closed it."""
        offered = self.page.get_by_role("option", name=option, exact=True)
        for _ in range(_TRIES):
            self.waits_for_quiet()
            self.page.get_by_role("combobox", name=label, exact=True).click()
            with contextlib.suppress(Error):
                offered.click(timeout=_OPEN_MS)
                break
            self.page.keyboard.press("Escape")
        else:
            pytest.fail(f"{label} does not offer {option}")
        self.waits_for_quiet()

    def adds(self, label: str, option: str) -> None:
        """Add an option to a field that takes several."""
        field = self.page.get_by_role("combobox", name=label)
        for _ in range(_TRIES):
            field.fill(option)
            with contextlib.suppress(Error):
                self.page.get_by_role("option", name=option, exact=True).click(timeout=_OPEN_MS)
                break
        else:
            pytest.fail(f"{label} does not offer {option}")
        field.press("Escape")
        self.waits_for_quiet()

    def presses(self, button: str) -> None:
        """Press a button."""
        self.button(button).click()

    def stops(self, *, what: str = "Keep positions") -> None:
        """Stop the selected deployment, and say what becomes of its positions."""
        self.unfolds("Stop", what)
        self.presses(what)

    def unfolds(self, name: str, inside: str) -> None:
        """Press a button that opens a fold, until the button inside it is there."""
        for _ in range(_TRIES):
            self.presses(name)
            with contextlib.suppress(AssertionError):
                expect(self.button(inside)).to_be_enabled(timeout=_OPEN_MS)
                return
        pytest.fail(f"{name} does not show {inside}")

    def button(self, name: str) -> Locator:
        """Return a button of the page; the one that Streamlit shows in its header while a page is slow is called Stop, too."""
        return self.page.get_by_role("button", name=name, exact=True).and_(self.page.locator(":not([kind='header'])"))

    def sees(self, label: str, value: str) -> None:
        """Fail unless this stands in a field."""
        expect(self.page.get_by_label(label, exact=True)).to_have_value(value)

    def alerts(self) -> list[str]:
        """Return the errors and warnings on the page, each as one text."""
        return [" ".join(text.split()) for text in self.page.get_by_role("alert").all_inner_texts()]

    def row(self, table: str, name: str) -> dict[str, str]:
        """Return a table's row by its headings, of each field the first line; the row is the one that contains `name`."""
        found = self.page.get_by_role("table", name=table)
        row = found.get_by_role("row").filter(has_text=name).first
        expect(row).to_be_visible()
        headings = [text.strip() for text in found.get_by_role("columnheader").all_inner_texts()]
        for _ in range(_REDRAWS_MOST):
            lines = [text.strip().split("\n")[0] for text in row.locator("td").all_inner_texts()][-len(headings) :]
            if len(lines) == len(headings):
                return dict(zip(headings, lines, strict=True))
            SystemClock().sleep(0.1)  # the table is just being drawn anew
        raise AssertionError(f"the row {name} of {table} has fewer cells than headings: {lines}")


def eventually(reached: Callable[[], object], what: str, *, timeout_s: float = 60.0) -> None:
    """Wait until `reached` is true, or fail and say what was waited for."""
    deadline_s = monotonic_s() + timeout_s
    while not reached():
        if monotonic_s() > deadline_s:
            pytest.fail(f"within {timeout_s:g} s it did not happen that {what}")
        SystemClock().sleep(0.1)
