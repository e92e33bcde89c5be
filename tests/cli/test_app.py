"""The command as a whole: workspace, version, faults, start-up, and that every command is documented."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import typer

from algo_py import __version__
from algo_py.cli import backtest, output
from algo_py.cli.app import build_app

from .conftest import RUN, Invoke

ROOT = Path(__file__).resolve().parents[2]


def process(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "ALGO_PY_WORKSPACE"}
    return subprocess.run(
        [sys.executable, "-m", "algo_py", *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120
    )


def test_the_workspace_may_be_named_anywhere_or_found(
    invoke: Invoke, pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    expected = invoke("--workspace", pristine, "data", "list", "--json").out
    assert len(json.loads(expected)) == 20
    assert invoke("data", "list", "--workspace", pristine, "--json").out == expected
    assert invoke("data", f"--workspace={pristine}", "list", "--json").out == expected
    assert invoke("data", "list", "--json").json() == []
    monkeypatch.setenv("ALGO_PY_WORKSPACE", str(pristine))
    assert invoke("data", "list", "--json").out == expected
    monkeypatch.delenv("ALGO_PY_WORKSPACE")
    monkeypatch.chdir(pristine / "strategies")
    assert invoke("data", "list", "--json").out == expected
    assert invoke("data", "list", "--workspace").code == 2


def test_version_and_help(invoke: Invoke) -> None:
    assert invoke("--version").out == f"algo-py {__version__}\n"
    alone = invoke()
    assert alone.code == 0
    assert alone.out.startswith("Usage: algo-py")
    assert invoke("--help").out.startswith("Usage: algo-py")


def test_a_fault_of_ours_is_one_line_and_a_traceback_in_a_file(
    invoke: Invoke, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(backtest, "print_table", broken)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    outcome = invoke(*RUN)
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    (file,) = tmp_path.glob("algo-py-error-*.txt")
    assert outcome.err == f"error: RuntimeError: two lines. This is a fault in Algo.Py; the traceback is in {file}\n"
    assert "in broken" in file.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (output.number(None), "–"),
        (output.number(-1234.567), "-1,234.57"),
        (output.number(165, 0), "165"),
        (output.percent(0.1234), "12.34 %"),
        (output.percent(None), "–"),
        (output.length_of_time(None), "–"),
        (output.length_of_time(0), "0 min"),
        (output.length_of_time(5_400), "1 h 30 min"),
        (output.length_of_time(39_146_400), "453 d 2 h"),
        (output.moment(None), "–"),
    ],
)
def test_numbers_on_the_screen(text: str, expected: str) -> None:
    assert text == expected


def test_every_command_is_documented() -> None:
    texts = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    documented = "\n".join(file.read_text(encoding="utf-8") for file in texts)
    missing = [name for name in command_names(typer.main.get_command(build_app())) if f"algo-py {name}" not in documented]
    assert not missing


def test_every_option_is_explained() -> None:
    silent = [
        f"{name} {parameter.name}"
        for name, command in commands(typer.main.get_command(build_app()))
        for parameter in command.params
        if not getattr(parameter, "help", None)
    ]
    assert not silent


def commands(command: Any, path: str = "") -> list[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    own = [(path, command)]
    return (
        own if inner is None else own + [pair for name, one in inner.items() for pair in commands(one, f"{path} {name}".strip())]
    )


def command_names(command: Any) -> list[str]:
    return [name for name, one in commands(command) if name and not getattr(one, "commands", None)]


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from algo_py.cli.app import run; run(['--help']);"
        "print([name for name in ('pandas', 'numpy', 'numba', 'sqlalchemy', 'rich.table') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_same_in_real_processes(tmp_path: Path) -> None:
    folder = tmp_path / "a b"
    assert process("init", str(folder), cwd=tmp_path).returncode == 0
    ran = process(*RUN, "--save", "first", "--json", cwd=folder)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert json.loads(ran.stdout)["name"] == "first"
    shown = process("backtest", "show", "first", "--json", cwd=folder / "strategies")
    assert json.loads(shown.stdout) == json.loads(ran.stdout)
    wrong = process(*RUN, "--cash", "-5", "--json", cwd=folder)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == "error: initial_cash must be greater than 0 (was -5.0)\n"
    piped = subprocess.run(
        f"'{sys.executable}' -m algo_py data list | head -1", shell=True, cwd=folder, capture_output=True, text=True
    )
    assert (piped.returncode, piped.stderr) == (0, "")
