"""`algo-py init`: everything a trader needs, and nothing of theirs overwritten."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from algo_py.cli.workspace import TEMPLATE
from algo_py.finstore.sample import SAMPLE
from algo_py.settings import Settings, Workspace

from .conftest import Invoke


def test_it_makes_a_whole_workspace(invoke: Invoke, pristine: Path) -> None:
    workspace = Workspace.find(pristine)
    assert workspace.is_initialised
    assert workspace.settings() == Settings()
    assert (pristine / "config" / ".env.example").is_file()
    assert not (pristine / "config" / ".env").exists()
    listed = invoke("--workspace", pristine, "data", "list", "--json").json()
    assert {(one["market"], one["timeframe"], one["symbol"]) for one in listed} == {
        (bars.market, bars.timeframe, bars.symbol) for bars in SAMPLE
    }
    names = [one["name"] for one in invoke("--workspace", pristine, "strategies", "--json").json()]
    assert {"ema-cross", "rsi-reversion"} < set(names)
    assert names[-1] == "my-first-strategy"


def test_doing_it_again_overwrites_nothing(invoke: Invoke, workspace: Path) -> None:
    settings = workspace / "config" / "algo.toml"
    settings.write_text("[supervisor]\nheartbeat_s = 5.0\n", encoding="utf-8")
    (workspace / "strategies" / "my_first_strategy.py").unlink()
    mine = workspace / "strategies" / "mine.py"
    mine.write_text("# mine\n", encoding="utf-8")
    outcome = invoke("init")
    assert outcome.code == 0
    assert re.search(r"config/algo\.toml +kept", outcome.out)
    assert re.search(r"strategies/my_first_strategy\.py +created", outcome.out)
    assert re.search(r"database/finstore +kept", outcome.out)
    assert settings.read_text(encoding="utf-8") == "[supervisor]\nheartbeat_s = 5.0\n"
    assert mine.read_text(encoding="utf-8") == "# mine\n"


def test_where_it_goes(invoke: Invoke, tmp_path: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert invoke("init", "--workspace", tmp_path / "named").code == 0
    assert Workspace(tmp_path / "named").is_initialised
    inner = workspace / "inner"
    inner.mkdir()
    monkeypatch.chdir(inner)
    assert invoke("init").code == 0
    assert Workspace(inner).is_initialised
    twice = invoke("init", "somewhere", "--workspace", "elsewhere")
    assert (twice.code, twice.err) == (
        2,
        "error: the workspace is named twice, as DIR and with --workspace. Leave one out.\n",
    )
    (tmp_path / "file").write_text("", encoding="utf-8")
    blocked = invoke("init", tmp_path / "file")
    assert blocked.code == 3
    assert "cannot become a workspace" in blocked.err
    assert "Choose another folder." in blocked.err


def test_the_template_names_every_setting_with_its_default() -> None:
    text = (TEMPLATE / "config" / "algo.toml").read_text(encoding="utf-8")
    sections = ("supervisor", "data", "logs", "paper", "zerodha", "telegram", "alerts")
    assert tomllib.loads(text) == {name: {} for name in sections} | {"data": {"sources": {}}}
    every = re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE)
    assert tomllib.loads(every) == Settings().model_dump()
