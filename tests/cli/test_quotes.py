"""A pair that is quoted in BTC: BTC is what every command says, and several currencies are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from algo_py.clock import SystemClock, monotonic_s
from algo_py.finstore import FinStore
from algo_py.settings import Workspace
from tests.backtest.conftest import LONG_AFTER, bars
from tests.processes import stop_everything

from .conftest import Invoke

_RUN = ("backtest", "run", "ema-cross", "--market", "crypto_binance", "--timeframe", "1h", "--symbols")


@pytest.fixture
def coins(workspace: Path) -> Path:
    FinStore(Workspace(workspace).finstore).append("crypto_binance", "1h", {"ETH/BTC": bars(level=0.05)}, now=LONG_AFTER)
    return workspace


def test_a_backtest_says_btc(coins: Path, invoke: Invoke) -> None:
    ran = invoke(*_RUN, "ETH/BTC", "--save", "pair")
    assert (ran.code, ran.err) == (0, "")
    for out in (ran.out, invoke("backtest", "show", "pair").out):
        assert "USDT" not in out
        assert "1.00 BTC, one symbol" in out
        assert [line for line in out.splitlines() if "fees paid" in line and "BTC" in line and "0.00 " not in line]
    assert invoke("backtest", "show", "pair", "--json").json()["quote_currency"] == "BTC"
    assert invoke("backtest", "list", "--json").json()[0]["quote_currency"] == "BTC"
    planned = invoke("deploy", "pair", "--oms", "paper", "--dry-run")
    assert "1.00 BTC" in planned.out
    assert "USDT" not in planned.out


def test_a_sweep_says_btc(coins: Path, invoke: Invoke) -> None:
    command = ("sweep", *_RUN[2:], "ETH/BTC", "--param", "fast=3:5:1", "--rank", "expectancy")
    swept = invoke(*command)
    assert swept.code == 0, swept.err
    assert " BTC" in swept.out
    assert invoke(*command, "--json").json()["quote_currency"] == "BTC"


def test_several_currencies_are_refused_by_name(coins: Path, invoke: Invoke) -> None:
    for command in (_RUN, ("sweep", *_RUN[2:])):
        ran = invoke(*command, "BTC/USDT,ETH/BTC", *(("--param", "fast=3:5:1") if command[0] == "sweep" else ()))
        assert ran.code == 2
        assert "BTC/USDT is quoted in USDT, ETH/BTC in BTC: a universe has one quote currency" in ran.err


def test_zerodha_trades_no_pair(coins: Path, invoke: Invoke) -> None:
    invoke(*_RUN, "ETH/BTC", "--save", "pair")
    refused = invoke("deploy", "pair", "--oms", "zerodha")
    assert refused.code != 0
    assert "Zerodha does not trade crypto_binance" in refused.err


def test_a_deployment_on_paper_says_btc(coins: Path, invoke: Invoke) -> None:
    invoke(*_RUN, "ETH/BTC", "--save", "pair")
    try:
        assert invoke("deploy", "pair", "--oms", "paper", "--replay", "--speed", "max").code == 0
        deadline_s = monotonic_s() + 60
        while invoke("show", "pair", "--json").json()["status"] != "finished" and monotonic_s() < deadline_s:
            SystemClock().sleep(0.2)
        shown = invoke("show", "pair", "--json").json()
        assert (shown["status"], shown["quote_currency"]) == ("finished", "BTC")
        assert 0 < shown["equity"] < 2
        assert invoke("ps", "--json").json()[0]["quote_currency"] == "BTC"
        listed, told = invoke("ps").out, invoke("show", "pair").out
        assert " BTC" in listed
        assert "USDT" not in listed + told
        assert "e-0" not in told, "no number is written as a power of ten"
    finally:
        stop_everything(Workspace(coins))
