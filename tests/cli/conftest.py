"""A way to run command lines in this process, and a workspace with the sample bars."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from algo_py.cli.app import run

RUN = ("backtest", "run", "ema-cross", "--market", "crypto_binance", "--timeframe", "1d", "--symbols", "BTC/USDT")


@dataclass(frozen=True)
class Outcome:
    """What a command line came to."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


Invoke = Callable[..., Outcome]


@pytest.fixture
def invoke(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Run a command line as a process would, without a process."""
    monkeypatch.delenv("ALGO_PY_WORKSPACE", raising=False)

    def invoke(*arguments: str | Path) -> Outcome:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return invoke


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace as `init` leaves it; not to be changed."""
    folder = tmp_path_factory.mktemp("pristine") / "workspace"
    assert run(["init", str(folder)]) == 0
    return folder


@pytest.fixture
def workspace(pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace of one's own, which is the current folder."""
    folder = tmp_path / "workspace"
    shutil.copytree(pristine, folder)
    monkeypatch.chdir(folder)
    return folder
