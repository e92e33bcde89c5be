"""`algo-py sweep`, as a person and as a program use it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest

from algo_py.cli.sweep_values import read_grid, read_values
from algo_py.errors import InvalidInput
from tests.cli.conftest import RUN, Invoke

SWEEP = ("sweep", "ema-cross", "--market", "crypto_binance", "--timeframe", "1d", "--symbols", "BTC/USDT")
PARAMS = ("--param", "fast=5:15:5", "--param", "slow=10,30")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("10", [10]),
        ("5:50:15", [5, 20, 35, 50]),
        ("5:11:4", [5, 9]),
        ("5:5:1", [5]),
        ("0.1:0.3:0.1", [0.1, 0.2, 0.3]),
        ("1:2:0.5", [1.0, 1.5, 2.0]),
        ("-1:1:1", [-1, 0, 1]),
        ("1, 2.5,x", [1, 2.5, "x"]),
        ("true,False", [True, False]),
        ("1e-3", [0.001]),
    ],
)
def test_values_of_a_parameter(text: str, values: list[object]) -> None:
    found = read_values("p", text)
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("p", "must be NAME=VALUES"),
        ("p=", "must be NAME=VALUES"),
        ("=5", "must be NAME=VALUES"),
        ("p=1:2", "must be FIRST:LAST:STEP"),
        ("p=a:b:c", "must be FIRST:LAST:STEP"),
        ("p=1:2:0", "must rise"),
        ("p=2:1:1", "must rise"),
        ("p=1:nan:1", "must rise"),
        ("p=1:1e9:1", "at most 10,000"),
        ("p=1,,2", "empty value"),
    ],
)
def test_values_that_cannot_be_read(text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read_grid([text])
    with pytest.raises(InvalidInput, match="'p' twice"):
        read_grid(["p=1", "p=2"])


def test_the_table_shows_the_best_first(workspace: Path, invoke: Invoke) -> None:
    done = invoke(*SWEEP, *PARAMS, "--top", "3")
    assert done.code == 0
    assert "ema-cross: the best 3 of 6 parameter sets" in done.out
    rows = [line.split() for line in done.out.splitlines() if re.match(r"\s*\d+\s+\d+\s", line)]
    assert len(rows) == 3
    sharpe = [float(row[2]) for row in rows]
    assert sharpe == sorted(sharpe, reverse=True)
    assert done.err == "warning: 2 sets failed, the first one: ema-cross: fast must be below slow (was 10 and 10)\n"


def test_json_has_every_set_and_agrees_with_the_backtest(workspace: Path, invoke: Invoke) -> None:
    done = invoke(*SWEEP, *PARAMS, "--json", "--rank", "max_drawdown_fraction", "--fees", "0.002", "--stop-loss", "0.1")
    found = done.json()
    assert done.code == 0
    assert (found["total"], found["done"], found["failed"], found["cancelled"]) == (6, 6, 2, False)
    assert [one["status"] for one in found["results"]] == ["ok"] * 4 + ["failed"] * 2
    drawdowns = [one["metrics"]["max_drawdown_fraction"] for one in found["results"][:4]]
    assert drawdowns == sorted(drawdowns, reverse=True)
    assert found["results"][-1]["metrics"]["sharpe_ratio"] is None
    best = found["results"][0]
    params = [word for name, value in best["params"].items() for word in ("--param", f"{name}={value}")]
    alone = invoke(*RUN, *params, "--fees", "0.002", "--stop-loss", "0.1", "--json").json()
    assert best["metrics"] == alone["metrics"]


def test_csv_holds_every_set(workspace: Path, invoke: Invoke) -> None:
    assert invoke(*SWEEP, *PARAMS, "--csv", "sets.csv").code == 0
    written = pd.read_csv(workspace / "sets.csv")
    assert len(written) == 6
    assert written.loc[0, "sharpe_ratio"] == written["sharpe_ratio"].max()
    refused = invoke(*SWEEP, *PARAMS, "--csv", "nowhere/sets.csv")
    assert refused.code == 3
    assert "error: nowhere/sets.csv cannot be written" in refused.err


def test_the_best_set_is_saved(workspace: Path, invoke: Invoke) -> None:
    done = invoke(*SWEEP, *PARAMS, "--save-best", "winner", "--json")
    found = done.json()
    saved = invoke("backtest", "show", "winner", "--json").json()
    assert saved["id"] == found["backtest_id"]
    assert {name: saved["params"][name] for name in ("fast", "slow")} == found["results"][0]["params"]
    assert saved["metrics"] == found["results"][0]["metrics"]
    again = invoke(*SWEEP, *PARAMS, "--save-best", "winner")
    assert (again.code, again.out) == (1, "")
    assert "already a backtest called 'winner'" in again.err


def test_walk_forward_shows_in_sample_beside_out_of_sample(workspace: Path, invoke: Invoke) -> None:
    done = invoke(*SWEEP, *PARAMS, "--walk-forward", "2")
    assert done.code == 0
    assert "Walk-forward: the best set in sample, and what it did next" in done.out
    found = invoke(*SWEEP, *PARAMS, "--walk-forward", "2", "--json").json()["walk_forward"]
    assert [fold["fold"] for fold in found] == [1, 2]
    assert found[0]["out_of_sample_last"] < found[1]["out_of_sample_first"]
    assert found[0]["in_sample"]["sharpe_ratio"] is not None
    assert set(found[0]["params"]) == {"fast", "slow"}


@pytest.mark.parametrize("search", ["random", "tpe"])
def test_searches_are_repeatable(workspace: Path, invoke: Invoke, search: str) -> None:
    line = (*SWEEP, "--param", "fast=2:20:1", "--param", "slow=21:40:1", "--search", search, "--samples", "9", "--seed", "5")
    first = invoke(*line, "--json")
    assert first.code == 0
    assert len(first.json()["results"]) == 9
    assert invoke(*line, "--json", "--workers", "1").out == first.out


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        (("--param", "fats=5"), 2, "has no parameter 'fats'. Did you mean 'fast'?"),
        (("--param", "fast=5", "--rank", "shape_ratio"), 2, "Did you mean 'sharpe_ratio'?"),
        (("--param", "fast=5", "--search", "best"), 2, "search must be one of grid, random, tpe"),
        (("--param", "fast=5", "--workers", "0"), 2, "workers must be at least 1"),
        (("--param", "fast=5", "--top", "0"), 2, "--top must be at least 1"),
        (("--param", "fast=5", "--walk-forward", "0"), 2, "at least 1 fold"),
        (("--param", "fast=5", "--samples", "5"), 2, "samples must be left out with a grid search"),
        (("--param", "fast=5:1:1"), 2, "must rise"),
        (("--param", "fast=5", "--start", "2040-01-01"), 4, "BTC/USDT"),
        (("--param", "fast=600"), 1, "every parameter set failed, the first one: ema-cross: fast must be"),
        (("--param", "fast=5", "--fees", "-1"), 2, "fees must be"),
        ((), 2, "Missing option '--param'"),
    ],
)
def test_what_is_wrong_is_one_line(workspace: Path, invoke: Invoke, changes: tuple[str, ...], code: int, message: str) -> None:
    done = invoke(*SWEEP, *changes)
    assert done.code == code
    assert done.out == ""
    assert done.err.startswith("error: ")
    assert message in done.err
    assert done.err.count("\n") == 1


def test_every_option_of_a_backtest_is_one_of_a_sweep(workspace: Path, invoke: Invoke) -> None:
    def options(command: tuple[str, ...]) -> set[str]:
        return set(re.findall(r"--[a-z-]+", invoke(*command, "--help").out))

    assert options(("backtest", "run")) - options(("sweep",)) == {"--save"}


def test_ctrl_c_shows_what_is_done(workspace: Path) -> None:
    slow = "import os, time\nfrom algo_py.strategy import Bars, Field, Signals, Strategy\n\n\nclass Slow(Strategy):\n"
    slow += '    """Takes its time."""\n\n    level: int = Field(1)\n\n'
    slow += "    def run(self, bars: Bars) -> Signals:\n        time.sleep(0.05)\n        os.write(2, b'ran\\n')\n"
    slow += "        return Signals(bars.close > 1000 * self.level, bars.close < 1000 * self.level)\n"
    (workspace / "strategies" / "slow.py").write_text(slow, encoding="utf-8")
    line = ["sweep", "slow", *SWEEP[2:], "--param", "level=1:9000:1", "--top", "5"]
    command = [sys.executable, "-m", "algo_py", *line]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            assert process.stderr is not None
            for _ in range(20):
                assert process.stderr.readline() == "ran\n"
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
            out, err = process.communicate(timeout=60)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 1
    assert "slow: the best 5 of" in out
    assert re.search(r"^error: cancelled: \d+ of 9,000 parameter sets are done$", err, flags=re.MULTILINE)
    assert "Traceback" not in err
