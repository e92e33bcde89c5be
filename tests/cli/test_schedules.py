"""When a deployment would run, typed: the next runs, what will not work then, and that a dry run deploys nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cli.conftest import RUN, Invoke

SHIFTED = Path(__file__).parents[1] / "shifted"
NSE = ("--market", "indian_equity", "--timeframe", "1d", "--symbols", "INFY", "--start", "2025-01-01", "--end", "2025-06-01")


@pytest.fixture
def saved(workspace: Path, invoke: Invoke) -> Path:
    assert invoke(*RUN, "--param", "fast=2", "--param", "slow=4", "--save", "first").code == 0
    return workspace


def test_a_dry_run_shows_what_would_be_deployed_and_deploys_nothing(saved: Path, invoke: Invoke) -> None:
    words = ("deploy", "first", "--at", "09:30", "--tz", "Asia/Kolkata", "--start", "2030-01-04T04:00", "--end", "2030-01-07")
    told = invoke(*words, "--days", "mon-sat", "--name", "mornings", "--cash", "500", "--max-order-notional", "50", "--dry-run")
    assert (told.code, told.err) == (0, "")
    shown = {line[:14].strip(): line[14:].strip() for line in told.out.splitlines()}
    assert shown["name"] == "mornings"
    assert shown["params"] == "fast=2, slow=4"
    assert shown["initial cash"] == "500.00 USDT"
    assert shown["limits"] == "max_order_notional=50, price_collar_fraction=0.05"
    assert shown["schedule"] == "at 09:30 Asia/Kolkata on mon, tue, wed, thu, fri, sat"
    assert (shown["start"], shown["end"]) == ("2030-01-04T04:00:00Z", "2030-01-07T00:00:00Z")
    runs = ("2030-01-04 04:00 UTC (2030-01-04 09:30 Asia/Kolkata)", "2030-01-05 04:00 UTC (2030-01-05 09:30 Asia/Kolkata)")
    assert f"Next runs: {', '.join(runs)}." in told.out
    assert "Nothing was deployed" in told.out
    assert invoke("ps", "--json").json() == []
    assert not (saved / "database" / "deployments").exists()


def test_a_dry_run_for_programs(saved: Path, invoke: Invoke) -> None:
    words = ("deploy", "first", "--every", "90m", "--from-start", "--start", "2030-01-01T00:20", "--dry-run", "--json")
    told = invoke(*words).json()
    assert told["schedule"] == {"kind": "interval", "every_s": 5400, "align": "start", "anchor": "2030-01-01T00:20:00Z"}
    assert told["next_runs"] == ["2030-01-01T00:20:00Z", "2030-01-01T01:50:00Z", "2030-01-01T03:20:00Z"]
    assert told["warnings"] == []
    assert (told["backtest"]["symbols"], told["oms"], told["clock"]) == (["BTC/USDT"], "paper", {"kind": "live"})
    assert "id" not in told
    by_the_clock = invoke("deploy", "first", "--every", "90m", "--start", "2030-01-01T00:20", "--dry-run", "--json").json()
    assert by_the_clock["next_runs"] == ["2030-01-01T01:30:00Z", "2030-01-01T03:00:00Z", "2030-01-01T04:30:00Z"]


def test_a_dry_run_refuses_what_deploying_refuses(saved: Path, invoke: Invoke) -> None:
    window = ("--start", "2030-01-01T00:20", "--end", "2030-01-01T00:40")
    refused = invoke("deploy", "first", "--every", "1h", *window, "--dry-run")
    assert (refused.code, refused.out) == (2, "")
    assert refused.err == "error: the schedule has no run between start and end. Widen the window.\n"
    assert invoke("deploy", "first", "--oms", "binance", "--dry-run").code == 3


def test_runs_that_find_the_exchange_closed_are_warned_of(saved: Path, invoke: Invoke) -> None:
    assert invoke("backtest", "run", "ema-cross", *NSE, "--save", "shares").code == 0
    secrets = saved / "config" / ".env"
    secrets.write_text("ZERODHA_API_KEY=key\nZERODHA_API_SECRET=secret\n")
    secrets.chmod(0o600)
    shift_s = (datetime(2025, 6, 3, 5, tzinfo=UTC) - datetime.now(UTC)).total_seconds()
    paths = os.pathsep.join(filter(None, (str(SHIFTED), os.environ.get("PYTHONPATH"))))
    environment = os.environ | {"PYTHONPATH": paths, "TEST_CLOCK_SHIFT_S": str(shift_s)}

    def on_a_tuesday(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "algo_py", "deploy", "shares", "--oms", "zerodha", "--dry-run", *words]
        return subprocess.run(command, env=environment, cwd=saved, capture_output=True, text=True, timeout=60, check=True)

    as_bars_close = on_a_tuesday()
    assert "Next runs: 2025-06-03 14:30, 2025-06-04 14:30, 2025-06-05 14:30 UTC." in as_bars_close.stdout
    assert as_bars_close.stderr == (
        "warning: no order can be sent: Indian equities (NSE) is closed when a run sees a new bar, the next time at "
        "2025-06-03 20:00 Asia/Kolkata. Let it run after the opening, such as --at 09:20 --tz Asia/Kolkata.\n"
    )
    assert len(json.loads(on_a_tuesday("--json").stdout)["warnings"]) == 1
    advised = on_a_tuesday("--at", "09:20", "--tz", "Asia/Kolkata")
    assert advised.stderr == ""
    assert "Next runs: 2025-06-04 03:50 UTC (2025-06-04 09:20 Asia/Kolkata), " in advised.stdout
