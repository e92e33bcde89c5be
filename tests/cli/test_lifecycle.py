"""What a person does with a deployment, typed: pause, change limits, halt, stop with and without positions, clear, purge."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from algo_py.clock import SystemClock, monotonic_s
from algo_py.settings import Workspace
from tests.processes import stop_everything

from .conftest import Invoke

RUN = "backtest run ema-cross --market crypto_binance --timeframe 1h --symbols BTC/USDT,ETH/USDT --start 2025-01-01"
DEPLOY = "deploy first --replay --speed 20bars/s --name mine --late-entries --json"
MORE = "--end 2025-03-01 --param fast=5 --param slow=20 --size 0.4 --save first"


@pytest.fixture
def deployed(workspace: Path, invoke: Invoke) -> Iterator[str]:
    """A replay that trades for a minute or more."""
    assert invoke(*RUN.split(), *MORE.split()).code == 0
    outcome = invoke(*DEPLOY.split())
    assert outcome.code == 0, outcome.err
    yield str(outcome.json()["id"])
    stop_everything(Workspace(workspace))


def until(invoke: Invoke, name: str, what: str) -> dict[str, Any]:
    """Return what `show` says once there is something under that key."""
    deadline_s = monotonic_s() + 30
    while True:
        shown: dict[str, Any] = invoke("show", name, "--json").json()
        if shown[what] or monotonic_s() > deadline_s:
            return shown
        SystemClock().sleep(0.1)


def refused(invoke: Invoke, code: int, *arguments: str) -> str:
    outcome = invoke(*arguments)
    assert (outcome.code, outcome.out) == (code, "")
    return outcome.err


def test_a_life(invoke: Invoke, deployed: str) -> None:
    assert until(invoke, "mine", "positions")["positions"]
    paused = invoke("pause", "mine", "--json").json()
    assert (paused["status"], paused["since"] >= paused["started_at"]) == ("paused", True)
    assert invoke("resume", "mine").out == "It goes on.\n"
    assert invoke("resume", "mine").out == "It was neither halted nor paused.\n"

    assert invoke("limits", "mine", "--max-order-notional", "50", "--max-open-positions", "3").code == 0
    assert invoke("limits", "mine", "--max-open-positions", "none", "--json").json()["max_open_positions"] is None
    assert invoke("limits", "mine", "--json").json()["max_order_notional"] == "50"
    assert "max_order_notional must be greater than 0" in refused(invoke, 2, "limits", "mine", "--max-order-notional", "-1")
    assert invoke("limits", "mine", "--max-order-notional", "none").code == 0
    assert invoke("limits", "mine", "--json").json()["price_collar_fraction"] == "0.05"
    assert invoke("limits", "mine", "--price-collar", "none", "--json").json()["price_collar_fraction"] is None
    assert invoke("limits", "mine", "--max-daily-loss", "500", "--json").json()["price_collar_fraction"] is None

    assert invoke("halt", "mine", "--reason", "a look").code == 0
    assert "halted: a look" in invoke("ps").out
    assert invoke("resume", "mine").code == 0
    assert "Stop it before clearing it" in refused(invoke, 3, "clear", "mine")
    assert until(invoke, "mine", "positions")["positions"]
    stopped = invoke("stop", "mine", "--close-positions").out
    assert stopped == f"mine ({deployed}) is stopped: stopped by request, its positions are closed.\n"
    assert invoke("show", "mine", "--json").json()["positions"] == []

    assert "--purge needs the id of one" in refused(invoke, 2, "clear", "--purge")
    assert invoke("clear").out == f"Cleared {deployed}.\n"
    assert invoke("ps", "--json").json() == []
    [archived] = invoke("ps", "--cleared", "--json").json()
    assert (archived["id"], archived["status"]) == (deployed, "stopped")
    assert invoke("show", deployed, "--json").json()["orders"]
    assert "there is no deployment" in refused(invoke, 4, "restart", deployed)
    assert invoke("clear", deployed, "--purge").out == f"Deleted {deployed}.\n"
    assert "there is no deployment" in refused(invoke, 4, "show", deployed)
    assert invoke("ps", "--cleared").out == "Nothing was cleared.\n"
