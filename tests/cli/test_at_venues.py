"""The whole way at Binance and in a Telegram chat, typed: fetch, backtest, save, deploy, orders, stop; no secret on the way."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from algo_py.clock import SystemClock, monotonic_s
from algo_py.settings import Workspace
from tests.oms.binance_desk import KEY, SECRET
from tests.processes import supervisors
from tests.venues.binance_trading import BinanceTradingServer
from tests.venues.telegram import CHAT, TOKEN, TelegramServer

from .conftest import Invoke, deploy_live


def _shown(invoke: Invoke, deployment_id: str, *, orders: int) -> dict[str, list[dict[str, object]]]:
    """Return what `show` says once there are so many orders at the venue, or after a while."""
    deadline_s = monotonic_s() + 30
    while True:
        shown: dict[str, list[dict[str, object]]] = invoke("show", deployment_id, "--json").json()
        if len([order for order in shown["orders"] if order["venue_order_id"]]) >= orders or monotonic_s() > deadline_s:
            return shown
        SystemClock().sleep(0.2)


def test_the_whole_way_and_no_secret_on_it(typed: Path, invoke: Invoke, server: BinanceTradingServer) -> None:
    assert "configured" in invoke("oms").out
    assert "connected" in invoke("oms", "--check", "binance").out
    deployment_id = deploy_live(invoke)
    shown = _shown(invoke, deployment_id, orders=2)
    entry, stop = shown["orders"]
    assert (entry["type"], entry["status"], entry["side"]) == ("MARKET", "FILLED", "BUY")
    assert (stop["type"], stop["status"], stop["reason"]) == ("STOP", "ACCEPTED", "stop_loss")
    balance = server.matching.balance("BTC")
    assert float(balance.free + balance.locked) == pytest.approx(float(shown["positions"][0]["quantity"]))  # type: ignore[arg-type]

    planted = {KEY, SECRET}
    for process in supervisors(Workspace(typed)):
        for text in (" ".join(process.cmdline()), json.dumps(process.environ())):
            assert not any(secret in text for secret in planted), f"a secret is in what process {process.name()} shows"
    assert invoke("stop", deployment_id).code == 0
    for name in ("ps", "show", "logs"):
        outcome = invoke(name, *([] if name == "ps" else [deployment_id]), "--json")
        assert not any(secret in outcome.out + outcome.err for secret in planted)
    found = [file for file in typed.rglob("*") if file.is_file() and file.name != ".env" and _holds(file, planted)]
    assert found == []
    assert _holds(typed / "config" / ".env", planted), "the planted secrets must be where they are looked for"


def _holds(file: Path, secrets: set[str]) -> bool:
    content = file.read_bytes()
    return any(secret.encode() in content for secret in secrets)


def test_in_a_chat_a_person_says_what_happened(typed: Path, invoke: Invoke, server: BinanceTradingServer) -> None:
    with TelegramServer() as telegram:
        (typed / "config" / ".env").write_text(
            f"BINANCE_BASE_URL={server.url}\nTELEGRAM_BASE_URL={telegram.url}\nTELEGRAM_BOT_TOKEN={TOKEN}\nTELEGRAM_CHAT_ID={CHAT}\n"
        )
        deployment_id = deploy_live(invoke, "telegram")
        [order] = _shown(invoke, deployment_id, orders=1)["orders"]
        [message] = telegram.messages
        assert (order["status"], str(order["client_order_id"]) in message.text) == ("ACCEPTED", True)
        telegram.press(message, "Done at another")
        deadline_s = monotonic_s() + 30
        while len(telegram.messages) < 2 and monotonic_s() < deadline_s:
            SystemClock().sleep(0.1)
        telegram.write("101.5", to=telegram.messages[-1])
        while (shown := invoke("show", deployment_id, "--json").json())["positions"] == [] and monotonic_s() < deadline_s:
            SystemClock().sleep(0.2)
        assert [(order["status"], order["average_fill_price"]) for order in shown["orders"]] == [("FILLED", 101.5)]
        assert "done at 101.5" in message.text
        assert invoke("stop", deployment_id).code == 0
        assert len([one for one in telegram.messages if "BUY" in one.text and one.id == message.id]) == 1
    secret = TOKEN.partition(":")[2]
    assert not any(_holds(file, {secret}) for file in typed.rglob("*") if file.is_file() and file.name != ".env")


def test_a_key_that_the_venue_refuses_is_said_and_trades_nothing(
    typed: Path, invoke: Invoke, server: BinanceTradingServer
) -> None:
    (typed / "config" / ".env").write_text(
        f"BINANCE_API_KEY={KEY}\nBINANCE_API_SECRET=anothersecret\nBINANCE_BASE_URL={server.url}\n"
    )
    checked = invoke("oms", "--check", "binance")
    assert checked.code == 1
    assert "refused" in checked.out
    deployment_id = deploy_live(invoke)
    deadline_s = monotonic_s() + 20
    while (shown := invoke("show", deployment_id, "--json").json())["status"] != "error" and monotonic_s() < deadline_s:
        SystemClock().sleep(0.2)
    assert (shown["status"], shown["orders"]) == ("error", [])
    assert "anothersecret" not in json.dumps(shown) + checked.out + invoke("logs", deployment_id, "--json").out
    (typed / "config" / ".env").write_text(f"BINANCE_BASE_URL={server.url}\n")
    refused = invoke("deploy", "first", "--oms", "binance", "--every", "1s")
    assert refused.code == 3
    assert "missing: BINANCE_API_KEY, BINANCE_API_SECRET in config/.env" in refused.err


def test_a_key_that_ends_while_it_trades_halts_it_once_until_it_is_accepted_again(
    typed: Path, invoke: Invoke, server: BinanceTradingServer
) -> None:
    deployment_id = deploy_live(invoke)
    _shown(invoke, deployment_id, orders=2)
    whole = server.trading.key
    server.trading.key = replace(whole, secret="anotherone")
    shown = _until(invoke, deployment_id, "halted")
    assert shown["status"] == "halted"
    SystemClock().sleep(2.5)
    told = [entry for entry in _log(invoke, deployment_id) if entry["event"] == "deployment.halted"]
    assert len(told) == 1
    server.trading.key = whole
    assert _until(invoke, deployment_id, "running")["status"] == "running"


def _until(invoke: Invoke, deployment_id: str, status: str) -> dict[str, Any]:
    deadline_s = monotonic_s() + 20
    while True:
        shown: dict[str, Any] = invoke("show", deployment_id, "--json").json()
        if shown["status"] == status or monotonic_s() > deadline_s:
            return shown
        SystemClock().sleep(0.2)


def _log(invoke: Invoke, deployment_id: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in invoke("logs", deployment_id, "-n", "1000", "--json").out.splitlines()]


def test_halted_it_sends_nothing_and_says_so(typed: Path, invoke: Invoke, server: BinanceTradingServer) -> None:
    assert invoke("halt", "--all", "--reason", "the news").code == 0
    deployment_id = deploy_live(invoke)
    deadline_s = monotonic_s() + 20
    while not (shown := invoke("show", deployment_id, "--json").json())["orders"] and monotonic_s() < deadline_s:
        SystemClock().sleep(0.2)
    assert (shown["status"], shown["reason"]) == ("halted", "the news")
    assert {(order["status"], order["reason"]) for order in shown["orders"]} == {("DENIED", "entry: halted: the news")}
    assert server.matching.orders == []
    assert invoke("resume", deployment_id).out == "It was neither halted nor paused.\n"
    assert invoke("resume", "--all").out == "It was halted: the news\nIt goes on.\n"
    assert invoke("show", deployment_id, "--json").json()["status"] == "running"
    assert invoke("halt").code == 2


def test_the_processes_of_a_test_are_found(typed: Path, invoke: Invoke) -> None:
    """The negative control of the look at processes: there are some to look at."""
    deploy_live(invoke)
    assert any(process.pid != psutil.Process().pid for process in supervisors(Workspace(typed)))
