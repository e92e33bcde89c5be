"""Discovering strategies: where they come from, and what happens to the broken ones."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from algo_py.errors import NotFound, StrategyBroken
from algo_py.settings import Workspace
from algo_py.strategy import library
from algo_py.strategy.library.ema_cross import EmaCross
from algo_py.strategy.registry import ENTRY_POINT_GROUP, StrategyRegistry

MINE = '''
from algo_py.strategy import Bars, Signals, Strategy


class {name}(Strategy):
    """{name} by hand.

    More words.
    """

    def run(self, bars: Bars) -> Signals:
        return Signals(entries=bars.close > bars.open, exits=bars.close < bars.open)
'''


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "strategies").mkdir()
    return Workspace(tmp_path)


def discover(workspace: Workspace, *plugins: str) -> StrategyRegistry:
    points = [
        importlib.metadata.EntryPoint(name=f"plugin{i}", value=value, group=ENTRY_POINT_GROUP) for i, value in enumerate(plugins)
    ]
    return StrategyRegistry.discover(workspace, plugins=points)


def test_built_ins_are_there_without_a_workspace_folder(tmp_path: Path) -> None:
    registry = discover(Workspace(tmp_path / "nowhere"))
    files = [path.stem for path in Path(library.__file__).parent.glob("*.py") if not path.stem.startswith("_")]
    assert [(entry.name, entry.origin) for entry in registry.entries] == [
        (name.replace("_", "-"), "built-in") for name in sorted(files)
    ]
    entry = registry.get("ema-cross")
    assert entry.strategy_class is EmaCross
    assert entry.title.startswith("Buy when the fast EMA crosses")
    assert list(entry.sources) == ["ema_cross.py"]


def test_workspace_strategies_are_found_and_helpers_are_not(workspace: Workspace) -> None:
    (workspace.strategies / "two.py").write_text(MINE.format(name="Zebra") + MINE.format(name="RSIThing"), encoding="utf-8")
    (workspace.strategies / "_helper.py").write_text("raise RuntimeError\n", encoding="utf-8")
    mine = [entry for entry in discover(workspace).entries if entry.origin == "workspace"]
    assert [(entry.name, entry.title, entry.error) for entry in mine] == [
        ("rsi-thing", "RSIThing by hand.", None),
        ("zebra", "Zebra by hand.", None),
    ]


def test_a_broken_file_is_listed_and_hurts_no_other(workspace: Workspace) -> None:
    (workspace.strategies / "good.py").write_text(MINE.format(name="Good"), encoding="utf-8")
    (workspace.strategies / "very_bad.py").write_text("def run(:\n", encoding="utf-8")
    registry = discover(workspace)
    assert registry.get("good").usable_class().kebab_name() == "good"
    bad = next(entry for entry in registry.entries if entry.name == "very-bad")
    assert bad.strategy_class is None
    assert bad.error == "very_bad.py line 1: invalid syntax. Correct the file."
    with pytest.raises(StrategyBroken, match=r"very_bad\.py line 1"):
        registry.get("very-bad")
    with pytest.raises(NotFound, match=r"no strategy 'bad' \(not loaded, because broken: very_bad.py\)"):
        registry.get("bad")


def test_a_name_clash_is_refused_rather_than_guessed(workspace: Workspace) -> None:
    (workspace.strategies / "mine.py").write_text(MINE.format(name="EmaCross"), encoding="utf-8")
    registry = discover(workspace)
    assert [entry.origin for entry in registry.entries if entry.name == "ema-cross"] == ["built-in", "workspace"]
    assert registry.entries[0].error is None
    with pytest.raises(
        StrategyBroken, match=r"mine.py: the class EmaCross has the name ema-cross of a built-in strategy. Rename the class."
    ):
        registry.get("ema-cross")
    (workspace.strategies / "mine.py").write_text(MINE.format(name="Same"), encoding="utf-8")
    (workspace.strategies / "other.py").write_text(MINE.format(name="Same"), encoding="utf-8")
    with pytest.raises(StrategyBroken, match=r"has the name same of the one in mine\.py"):
        discover(workspace).get("same")


def test_an_unknown_name_gets_a_hint(workspace: Workspace) -> None:
    with pytest.raises(NotFound, match=r"no strategy 'ema-cros'\. Did you mean 'ema-cross'\?"):
        discover(workspace).get("ema-cros")
    with pytest.raises(NotFound, match=r"There are: bollinger-reversion, .*, ema-cross, .*\."):
        discover(workspace).get("zzz")


def test_the_source_of_a_plugin_is_what_was_imported(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    file, text = tmp_path / "upgraded_plugin_for_this_test.py", MINE.format(name="Gamma")
    file.write_text(text, encoding="utf-8")
    assert dict(discover(workspace, file.stem).get("gamma").sources) == {file.name: text}
    file.write_text(text.replace(">", "<"), encoding="utf-8")
    assert dict(discover(workspace, file.stem).get("gamma").sources) == {file.name: text}


def test_plugins_are_found_and_broken_ones_listed(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "plugin_for_this_test.py").write_text(MINE.format(name="Alpha") + MINE.format(name="Beta"), encoding="utf-8")
    registry = discover(workspace, "plugin_for_this_test", "not_a_module_at_all", "os.path:join")
    plugins = [entry for entry in registry.entries if entry.origin == "plugin"]
    assert [entry.name for entry in plugins] == ["alpha", "beta", "plugin1", "plugin2"]
    assert "plugin plugin1: not_a_module_at_all.py: ModuleNotFoundError" in (plugins[2].error or "")
    assert plugins[3].error == "plugin plugin2: os.path:join must be a module or a Strategy (was function)"
    only = [entry.name for entry in discover(workspace, "plugin_for_this_test:Beta").entries if entry.origin == "plugin"]
    assert only == ["beta"]
