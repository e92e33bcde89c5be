"""What goes wrong is one clear line on the page, and nothing is left half done."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from streamlit.testing.v1 import AppTest

from algo_py.backtest import Snapshot, SnapshotStore, run_backtest
from algo_py.deployment import DeploymentManager
from algo_py.settings import WORKSPACE_VARIABLE, Workspace
from tests.dashboard.conftest import Open, Serve

_BROKEN = "from algo_py.strategy import Strategy\n\n\nclass Idea(Strategy:\n    pass\n"


def test_what_cannot_be_backtested(serve: Serve, sit_down: Open, workspace: Workspace) -> None:
    (workspace.strategies / "broken_idea.py").write_text(_BROKEN)
    person = sit_down(serve())
    person.opens("backtest")
    listed = person.alerts()
    assert len(listed) == 1
    assert "1 strategy file cannot be loaded" in listed[0]
    assert "broken_idea.py line 4" in listed[0]

    person.selects("Strategy", "ema-cross")
    person.types("Initial cash, USDT", -5)
    person.presses("Run Backtest")
    expect(person.page.get_by_role("alert")).to_have_count(2)
    assert person.alerts()[1] == "initial_cash must be greater than 0 (was -5.0)."

    person.types("Initial cash, USDT", 10_000)
    expect(person.page.get_by_role("alert")).to_have_count(1)
    person.types_date("Start", "2030-01-01")
    person.types_date("End", "2030-02-01")
    person.presses("Run Backtest")
    expect(person.page.get_by_role("alert")).to_have_count(2)
    assert person.alerts()[1].startswith(
        "there are no 1h bars of BNB/USDT on crypto_binance from 2030-01-01T00:00:00Z before 2030-02-01T00:00:00Z. "
        "Choose a period within 2024-09-14T00:00:00Z"
    )

    person.page.get_by_role("button", name="Remove BNB/USDT").click()
    person.waits_for_quiet()
    person.presses("Run Backtest")
    expect(person.page.get_by_text("symbols must name at least one symbol")).to_be_visible()

    expect(person.page.get_by_text("The result appears here")).to_be_visible()
    expect(person.button("Save Backtest")).to_have_count(0)
    assert not workspace.backtests.exists()


def test_what_cannot_be_deployed(
    serve: Serve, sit_down: Open, workspace: Workspace, manager: DeploymentManager, saved: Snapshot
) -> None:
    person = sit_down(serve())
    person.opens("deployment")
    person.presses("Load Backtest")
    expect(person.button("Deploy Strategy")).to_be_enabled()
    person.types("Initial cash, USDT", -5)
    expect(person.button("Deploy Strategy")).to_be_disabled()
    assert person.alerts() == ["initial_cash must be greater than 0 (was -5.0)."]
    person.types("Initial cash, USDT", 5_000)
    expect(person.button("Deploy Strategy")).to_be_enabled()
    person.chooses("Scheduler", "Fixed interval")
    person.types("Every", 0)
    expect(person.page.get_by_role("alert")).to_have_text("every_s must be greater than or equal to 1 (was 0).")
    expect(person.button("Deploy Strategy")).to_be_disabled()

    at_close = run_backtest(workspace, saved.config.model_copy(update={"execution": "close"}))
    SnapshotStore(workspace).save(at_close, "at the close")
    person.opens("deployment")
    person.presses("Load Backtest")
    expect(person.page.get_by_role("alert")).to_contain_text("execution close, which a deployment does not carry out")
    assert len(person.alerts()) == 1
    expect(person.button("Deploy Strategy")).to_be_disabled()
    assert manager.list() == []
    assert not workspace.deployments.exists()


def _failing_page() -> None:
    from algo_py.dashboard.components.errors import page_border

    with page_border():
        raise ZeroDivisionError("something *odd*")


def test_a_fault_is_one_line_with_the_place_of_its_traceback(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORKSPACE_VARIABLE, str(workspace.root))
    app = AppTest.from_function(_failing_page).run()
    assert not app.exception
    place = f"{workspace.root}/database/dashboard.log"
    expected = f"**ZeroDivisionError: something *odd*** This is a fault in Algo.Py; the traceback is in {place}"
    assert [error.value.replace("\\", "") for error in app.error] == [expected]
    assert "ZeroDivisionError: something *odd*" in (workspace.root / "database" / "dashboard.log").read_text()


def test_a_folder_that_is_no_workspace_is_refused_and_left_alone(serve: Serve, sit_down: Open, workspace: Workspace) -> None:
    person = sit_down(serve())
    workspace.settings_file.unlink()
    workspace.database_file.unlink()
    person.opens("deployment")
    assert person.alerts() == [f"{workspace.root} is not a workspace. Make one: algo-py init"]
    assert not (workspace.root / "database" / "algo.db").exists()
