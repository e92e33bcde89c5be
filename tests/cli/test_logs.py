"""`algo-py logs` on the log of a real deployment, which has rotated."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from algo_py.cli.app import run
from algo_py.settings import Workspace
from tests.cli.conftest import Invoke, Outcome
from tests.processes import stop_everything

NOISY = """
import logging
from algo_py.strategy import Bars, Signals, Strategy

class Noisy(Strategy):
    def run(self, bars: Bars) -> Signals:
        if len(bars.index) == 5:
            logging.getLogger("mine").error("something is wrong")
        return Signals(entries=bars.close > bars.open, exits=bars.close < bars.open)
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A workspace with a deployment that has come to its end."""
    root = tmp_path_factory.mktemp("workspace")
    assert run(["init", str(root)]) == 0
    (root / "config" / "algo.toml").write_text("[logs]\nmax_mib = 0.005\nkeep_files = 1000\n")
    (root / "strategies" / "noisy.py").write_text(NOISY)
    words = "backtest run noisy --market crypto_binance --timeframe 1h --symbols BTC/USDT --start 2025-01-01 --end 2025-01-03"
    assert run([*words.split(), "--save", "first", "--workspace", str(root)]) == 0
    words = "deploy first --replay --speed max --name quick"
    assert run([*words.split(), "--workspace", str(root)]) == 0
    yield root
    stop_everything(Workspace(root))


def test_the_whole_log_in_a_file_is_what_was_followed(root: Path, invoke: Invoke, tmp_path: Path) -> None:
    def logs(*options: str | Path) -> Outcome:
        return invoke("--workspace", root, "logs", "quick", *options)

    followed = logs("-f", "-n", "100000", "--json").out
    entries = [json.loads(line) for line in followed.splitlines()]
    assert (entries[0]["event"], entries[-1]["event"]) == ("deployment.start", "deployment.ended")
    assert len(list((root / "database" / "deployments").glob("*/log.*.jsonl"))) > 2

    file = tmp_path / "whole.jsonl"
    assert logs("--output", file).out == f"Wrote {file} ({len(entries)} lines).\n"
    assert [json.loads(line) for line in file.read_text().splitlines()] == entries
    assert list(tmp_path.iterdir()) == [file]

    there = logs("--output", file, "--level", "error")
    assert (there.code, there.out) == (3, "")
    assert "is there already. Replace it with --force" in there.err
    assert logs("--output", file, "--level", "error", "--force").code == 0
    [error] = [json.loads(line) for line in file.read_text().splitlines()]
    assert (error["event"], error["logger"], error["message"]) == ("strategy.log", "mine", "something is wrong")

    assert logs("--json", "--level", "warning", "-f").out == logs("--json", "--level", "error").out == file.read_text()
    assert "logger=mine message=something is wrong" in logs("--level", "error").out
    assert len(logs("-n", "3").out.splitlines()) == 3
    assert logs("--json").out.splitlines() == followed.splitlines()[-200:]


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--output", "a.jsonl", "-f"), 2, "--output writes the whole log. Leave out --follow and --lines."),
        (("--output", "a.jsonl", "-n", "5"), 2, "--output writes the whole log"),
        (("--output", "."), 3, "is a folder. Name a file in it."),
        (("--output", "nowhere/a.jsonl"), 3, "nowhere/a.jsonl cannot be written: No such file or directory. Name another file."),
        (("--level", "loud"), 2, "'loud'"),
    ],
)
def test_what_cannot_be_written(
    root: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: tuple[str, ...], code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = invoke("--workspace", root, "logs", "quick", *options)
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
