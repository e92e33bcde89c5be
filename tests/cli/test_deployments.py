"""Deploying by command line, as the README shows it, in processes of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from algo_py.cli.app import run
from algo_py.settings import Workspace
from tests.processes import stop_everything

Command = Callable[..., Any]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("workspace")
    assert run(["init", str(root)]) == 0
    words = "backtest run ema-cross --market crypto_binance --timeframe 1h --symbols BTC/USDT,ETH/USDT"
    period = "--start 2025-01-01 --end 2025-01-08 --param fast=2 --param slow=5 --size 0.5 --save first"
    assert run([*words.split(), *period.split(), "--workspace", str(root)]) == 0
    yield root
    stop_everything(Workspace(root))


@pytest.fixture
def algo_py(root: Path) -> Command:
    """Run a command in a process of its own; returns its parsed JSON or its text."""

    def command(line: str, *, expected: int = 0) -> Any:
        words = [sys.executable, "-m", "algo_py", "--workspace", str(root), *line.split()]
        done = subprocess.run(words, capture_output=True, text=True, timeout=90, check=False)
        assert done.returncode == expected, done.stderr
        if expected:
            assert done.stdout == ""
            assert done.stderr.count("\n") == 1
            return done.stderr
        return json.loads(done.stdout) if "--json" in words else done.stdout

    return command


def test_the_whole_way(algo_py: Command) -> None:
    deployed = algo_py("deploy first --replay --speed 1bars/s --oms paper --name mine --json")
    assert deployed["status"] == "running"
    os.kill(deployed["pid"], 0)
    assert [entry["name"] for entry in algo_py("ps --json")] == ["mine"]
    keys = "id name backtest_id strategy params market timeframe symbols oms clock status reason pid created_at started_at"
    more = "heartbeat_at last_run_at next_run_at runs missed_runs cash equity"
    assert set(f"{keys} {more}".split()) <= set(deployed)

    assert "oms.connected" in algo_py("logs mine --lines 100000")
    newest = algo_py("logs mine --lines 1 --json")
    assert {"ts", "level", "event", "deployment_id"} <= set(newest)

    followed = algo_py("deploy first --replay --speed max --name quick --json")
    assert followed["next_runs"] == [f"2025-01-01T0{hour}:00:00Z" for hour in (1, 2, 3)]
    text = algo_py("logs quick --follow")
    assert "deployment.ended" in text.splitlines()[-1]
    shown = algo_py("show quick --json")
    assert shown["id"] == followed["id"]
    assert shown["status"] == "finished"
    assert {"client_order_id", "venue_order_id", "bar_time", "average_fill_price", "status"} <= set(shown["orders"][0])
    assert shown["fills"]
    assert shown["runs_log"]
    assert "positions" in shown

    stopped = algo_py("stop mine --json")
    assert (stopped["status"], stopped["pid"]) == ("stopped", None)
    assert "mine" in algo_py("ps")
    assert algo_py("restart mine --json")["status"] == "running"
    assert "is stopped" in algo_py("stop mine")
    assert set(algo_py("clear --json")) == {stopped["id"], shown["id"]}
    assert algo_py("ps --json") == []
    assert "Nothing is deployed" in algo_py("ps")


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("deploy nobody --replay", 4, "there is no saved backtest 'nobody'"),
        ("deploy first --replay --oms robinhood", 4, "there is no OMS 'robinhood'"),
        ("deploy first --every 5m --at 09:30", 2, "exclude one another"),
        ("deploy first --every soon", 2, "'soon' is not a duration. Write it as 30s, 15m, 1h or 1d."),
        ("deploy first --at 25:00", 2, "'25:00' is not a time of day"),
        ("deploy first --at 09:30 --tz Mars/Olympus", 2, "there is no time zone 'Mars/Olympus'"),
        ("deploy first --at 09:30 --days someday", 2, "there is no day 'someday'"),
        ("deploy first --days mon-fri", 2, "--tz and --days go with --at"),
        ("deploy first --every 5m --delay 5s", 2, "--delay goes with --on-bar-close"),
        ("deploy first --from-start", 2, "--from-start goes with --every"),
        ("deploy first --at 09:30+05:30", 2, "the time of day '09:30+05:30' has an offset. Name its zone with --tz"),
        ("deploy first --speed max", 2, "--speed goes with --replay"),
        ("deploy first --replay --speed fast", 2, "'fast' is not a speed"),
        ("deploy first --replay --param fast", 2, "NAME=VALUE"),
        ("deploy first --replay --cash=-1", 2, "initial_cash"),
        ("deploy first --replay --max-order-notional lots", 2, "max_order_notional must be a valid decimal (was 'lots')"),
        ("show nobody", 4, "there is no deployment 'nobody'. List them with: algo-py ps"),
        ("stop nobody", 4, "there is no deployment 'nobody'"),
        ("logs nobody", 4, "there is no deployment 'nobody'"),
    ],
)
def test_a_refusal_is_one_line_with_its_exit_code(
    root: Path, capsys: pytest.CaptureFixture[str], line: str, code: int, message: str
) -> None:
    assert run(["--workspace", str(root), *line.split()]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert message in printed.err


def test_following_a_log_ends_quietly_on_ctrl_c(root: Path, algo_py: Command) -> None:
    told = algo_py("deploy first --replay --speed 5bars/s --name slow")
    assert "Next runs: 2025-01-01 01:00, 2025-01-01 02:00, 2025-01-01 03:00 UTC, on the replay's clock." in told
    words = [sys.executable, "-m", "algo_py", "--workspace", str(root), "logs", "slow", "-f", "--json"]
    # A shell that runs the tests in the background has its children ignore Ctrl-C; the one at a terminal does not.
    heeds = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    following = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heeds)
    assert following.stdout is not None
    try:
        first = json.loads(following.stdout.readline())
        assert first["event"] == "deployment.start"
        following.send_signal(signal.SIGINT)
        _, complaint = following.communicate(timeout=20)
    finally:
        following.kill()
        following.communicate(timeout=20)
    assert complaint == ""
    assert following.returncode == 0
    algo_py("stop slow")
    algo_py("clear")
