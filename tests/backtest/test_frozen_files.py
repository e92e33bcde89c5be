"""What a strategy reads: frozen with its backtest where it is declared, named where it is not."""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from algo_py.backtest import Snapshot, SnapshotStore, run_backtest
from algo_py.backtest.manifest import MANIFEST_NAME
from algo_py.backtest.sweep import run_sweep
from algo_py.clock import FrozenClock
from algo_py.engine.sweep import SweepPlan
from algo_py.errors import Damaged, Refused, StrategyBroken
from algo_py.settings import Workspace
from algo_py.strategy import evaluate

from .conftest import config

GOLDEN_4 = Path(__file__).parent / "golden" / "20251122-153012-weighted-fe01"
NOW = datetime(2025, 11, 22, 15, 30, 12, tzinfo=UTC)

WEIGHTED = '''"""Weights that were fitted elsewhere stand in a file beside this one."""

import json

from algo_py.strategy import Bars, Field, Signals, Strategy


class Weighted(Strategy):
    """Long while a weighted sum of past changes is high."""

    assets = ("models/weights.json",)

    level: float = Field(0.01, gt=0, description="Enter above")

    def run(self, bars: Bars) -> Signals:
        weights = json.loads(self.asset("models/weights.json").read_text())
        score = sum(weight * bars.close.pct_change(int(bars_ago)) for bars_ago, weight in weights.items())
        return Signals(entries=score > self.level, exits=score < -self.level)
'''

# The same without a word of what it reads, and of files that are not even beside it.
CARELESS = '''"""Weights that were fitted elsewhere stand in a file beside this one."""
import json
from pathlib import Path

from algo_py.strategy import Bars, Signals, Strategy

LIMITS = json.loads((Path(__file__).parent / "limits.json").read_text())


class Careless(Strategy):
    """Long while a weighted sum of past changes is above 0; the weights are read from a file."""

    file: str = "weights.json"

    def run(self, bars: Bars) -> Signals:
        path = Path(self.file) if Path(self.file).is_absolute() else Path(__file__).parent / self.file
        score = sum(w * bars.close.pct_change(n) for n, w in json.loads(path.read_text()).items() for n in [int(n)])
        return Signals(entries=score > LIMITS["level"], exits=score < -LIMITS["level"])
'''


@pytest.fixture
def weights(workspace: Workspace) -> Path:
    """The file of a strategy that declares it."""
    file = workspace.strategies / "models" / "weights.json"
    file.parent.mkdir()
    file.write_text('{"1": 0.5, "6": 1.0}', encoding="utf-8")
    (workspace.strategies / "weighted.py").write_text(WEIGHTED, encoding="utf-8")
    return file


@pytest.fixture
def store(workspace: Workspace) -> SnapshotStore:
    return SnapshotStore(workspace, clock=FrozenClock(NOW))


def test_a_declared_file_is_frozen_with_the_backtest(workspace: Workspace, store: SnapshotStore, weights: Path) -> None:
    result = run_backtest(workspace, config(strategy="weighted"))
    assert len(result.portfolio.trades) > 3
    assert not any("frozen" in warning for warning in result.warnings)
    saved = store.save(result)
    assert set(saved.code_hashes) == {"strategy/weighted.py", "strategy/models/weights.json"}
    before = evaluate(saved.strategy_instance(), result.bars)
    weights.write_text('{"1": -1.0}', encoding="utf-8")
    pd.testing.assert_frame_equal(evaluate(store.load(saved.id).strategy_instance(), result.bars).entries, before.entries)
    changed = run_backtest(workspace, config(strategy="weighted"))
    assert changed.portfolio.metrics != result.portfolio.metrics
    shutil.rmtree(workspace.strategies)
    pd.testing.assert_frame_equal(evaluate(store.load(saved.id).strategy_instance(), result.bars).entries, before.entries)


def test_only_what_needs_the_newer_schema_has_it(workspace: Workspace, store: SnapshotStore, weights: Path) -> None:
    versions = {}
    for strategy in ("weighted", "wave"):
        saved = store.save(run_backtest(workspace, config(strategy=strategy)))
        versions[strategy] = json.loads((saved.folder / MANIFEST_NAME).read_text())["schema_version"]
    assert versions == {"weighted": 4, "wave": 3}


def test_the_format_of_version_4_stays_readable() -> None:
    golden = Snapshot.read(GOLDEN_4)
    assert set(golden.code_hashes) == {"strategy/weighted.py", "strategy/models/weights.json"}
    strategy = golden.strategy_instance()
    assert json.loads(strategy.asset("models/weights.json").read_text()) == {"1": 0.5, "6": 1.0}
    assert len(golden.trades()) == golden.metrics["trades"] > 3  # type: ignore[operator]


def test_a_file_that_changes_before_it_is_saved_is_refused_by_name(
    workspace: Workspace, store: SnapshotStore, weights: Path
) -> None:
    result = run_backtest(workspace, config(strategy="weighted"))
    content, before = weights.read_bytes(), weights.stat()
    weights.write_bytes(content.replace(b"0.5", b"0.6"))
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(
        Refused, match=r"asset models/weights\.json is not what the backtest read\. Run the backtest again, then save it\."
    ):
        store.save(result)
    weights.unlink()
    with pytest.raises(Refused, match=r"asset models/weights\.json is missing\. Run the backtest again"):
        store.save(result)
    assert [path.name for path in workspace.backtests.iterdir()] == [".lock"]
    weights.write_bytes(content)
    assert store.save(result).code_hashes


def test_a_file_that_changes_while_it_runs_ends_the_backtest(workspace: Workspace, weights: Path) -> None:
    file = workspace.strategies / "weighted.py"
    write = f"        with open({str(weights)!r}, 'a') as stream:\n            stream.write(' ')\n"
    file.write_text(WEIGHTED.replace("        score = ", f"{write}        score = "), encoding="utf-8")
    with pytest.raises(Refused, match=r"models/weights\.json is not what it was when this began"):
        run_backtest(workspace, config(strategy="weighted"))


def test_a_file_that_is_missing_breaks_the_strategy_by_name(workspace: Workspace, weights: Path) -> None:
    weights.unlink()
    with pytest.raises(StrategyBroken, match=r"weighted\.py: the asset models/weights\.json is missing\. See to .*weights\.json"):
        run_backtest(workspace, config(strategy="weighted"))
    assert run_backtest(workspace, config()).portfolio.trades.shape[0] > 1  # the others are as they were


def test_a_sweep_reads_it_from_beside_the_strategy(workspace: Workspace, weights: Path) -> None:
    given = config(strategy="weighted")
    results = run_sweep(workspace, given, SweepPlan(grid={"level": [0.01, 0.02, 0.03]})).results
    assert list(results["status"]) == ["ok"] * 3
    alone = run_backtest(workspace, config(strategy="weighted", params={"level": 0.02})).portfolio.metrics
    assert results["final_equity"][1] == alone["final_equity"]


@pytest.mark.parametrize("path", ["strategy/models/weights.json", "strategy/weighted.py"])
def test_links_pipes_and_additions_in_a_saved_backtest_are_refused_and_executed_by_nobody(
    workspace: Workspace, store: SnapshotStore, weights: Path, tmp_path: Path, path: str
) -> None:
    saved = store.save(run_backtest(workspace, config(strategy="weighted")))
    file, marker = saved.folder / path, tmp_path / "executed"
    content, line = file.read_bytes(), f"\nopen({str(marker)!r}, 'w').close()\n"

    def refused(problem: str) -> None:
        for use in (lambda: store.load(saved.id), saved.strategy_instance):
            with pytest.raises(Damaged, match=rf"backtest {saved.id}: {problem}\. Restore it"):
                use()
        assert not marker.exists()

    (tmp_path / "same").write_bytes(content)
    file.write_bytes(content + line.encode())
    refused(f"{path} is not what was saved")
    file.unlink()
    refused(f"{path} is missing")
    file.symlink_to(tmp_path / "same")
    refused(f"{path} is a link")
    file.unlink()
    os.mkfifo(file)
    refused(f"{path} is no regular file")
    file.unlink()
    file.write_bytes(content)
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / "__init__.py").write_text(line)
    linked = saved.strategy_folder / "json"
    linked.symlink_to(tmp_path / "json")
    refused("strategy/json is a link")
    linked.unlink()
    shutil.copytree(tmp_path / "json", linked)
    refused("strategy/json/__init__.py was added later")
    shutil.rmtree(linked)
    assert store.load(saved.id).strategy_instance()


def test_frames_are_read_from_what_was_compared(workspace: Workspace, store: SnapshotStore, weights: Path) -> None:
    saved = store.save(run_backtest(workspace, config(strategy="weighted")))
    for name, read in (("orders", saved.orders), ("trades", saved.trades), ("equity", saved.equity)):
        file = saved.folder / f"{name}.parquet"
        content = file.read_bytes()
        shutil.copy(saved.folder / "open_positions.parquet", file)
        with pytest.raises(Damaged, match=rf"{name}\.parquet is not what was saved"):
            read()
        file.write_bytes(content)
        assert len(read())


def test_a_linked_backtest_and_stray_leftovers_stop_neither_listing_nor_saving_nor_deleting(
    workspace: Workspace, store: SnapshotStore, tmp_path: Path
) -> None:
    result = run_backtest(workspace, config())
    saved = store.save(result)
    saved.folder.rename(tmp_path / saved.id)
    saved.folder.symlink_to(tmp_path / saved.id)
    (workspace.backtests / ".tmp-stray").write_text("")
    (workspace.backtests / "deep").mkdir()
    (workspace.backtests / "deep" / MANIFEST_NAME).write_text("[" * 100_000)
    (workspace.backtests / "half").mkdir()
    (workspace.backtests / "half" / MANIFEST_NAME).write_text(r'{"schema_version": 3, "name": "\ud800"}')
    (workspace.backtests / "pipe").mkdir()
    os.mkfifo(workspace.backtests / "pipe" / MANIFEST_NAME)
    errors = {summary.id: summary.error or "" for summary in store.list()}
    assert f"backtest {saved.id}: its folder is a link" in errors[saved.id]
    assert "snapshot.json cannot be read" in errors["deep"]
    assert "snapshot.json cannot be read" in errors["half"]
    assert "snapshot.json is no regular file" in errors["pipe"]
    other = store.save(result)
    store.delete(saved.id)
    assert (tmp_path / saved.id).is_dir()
    assert not (workspace.backtests / ".tmp-stray").exists()
    assert store.load(other.id) == other


def test_compiled_functions_that_are_cached_neither_damage_a_backtest_nor_are_they_trusted(
    workspace: Workspace, store: SnapshotStore
) -> None:
    body = (
        "from numba import njit\nfrom algo_py.strategy import Bars, Signals, Strategy\n\n@njit(cache=True)\ndef twice(x):\n"
        "    return 2 * x\n\nclass Cached(Strategy):\n    def run(self, bars: Bars) -> Signals:\n"
        "        return Signals(bars.close > twice(48.0), bars.close < twice(47.0))\n"
    )
    (workspace.strategies / "cached.py").write_text(body, encoding="utf-8")
    result = run_backtest(workspace, config(strategy="cached"))
    assert not any("frozen" in warning for warning in result.warnings)
    saved = store.save(result)
    evaluate(saved.strategy_instance(), result.bars)
    cache = saved.strategy_folder / "__pycache__"
    written = [file for file in cache.iterdir() if file.suffix == ".nbc"]
    assert written
    written[0].write_bytes(b"planted")
    assert evaluate(store.load(saved.id).strategy_instance(), result.bars).entries.to_numpy().any()


def test_files_that_are_not_declared_are_named_and_saved_as_warnings(
    workspace: Workspace, store: SnapshotStore, tmp_path: Path
) -> None:
    (workspace.strategies / "careless.py").write_text(CARELESS, encoding="utf-8")
    (workspace.strategies / "weights.json").write_text('{"1": 0.5}', encoding="utf-8")
    (workspace.strategies / "limits.json").write_text('{"level": 0.0}', encoding="utf-8")
    beside = run_backtest(workspace, config(strategy="careless"))
    expected = [
        f"it read {workspace.strategies / name}, which is not frozen with it: "
        f"declare '{name}' in `assets` and read it by self.asset"
        for name in ("limits.json", "weights.json")
    ]
    assert [warning for warning in beside.warnings if "frozen" in warning] == expected
    assert [warning for warning in beside.to_json()["warnings"] if "frozen" in warning] == expected
    saved = store.save(beside)
    assert [warning for warning in store.load(saved.id).to_json()["warnings"] if "frozen" in warning] == expected
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text('{"2": 0.5}', encoding="utf-8")
    far = run_backtest(workspace, config(strategy="careless", params={"file": str(elsewhere)}))
    assert (
        f"it read {elsewhere}, which is not frozen with it: put a copy beside careless.py, declare it in `assets` and read it by "
        "self.asset"
    ) in far.warnings


def test_a_file_that_a_compiled_library_opens_is_named_by_the_text_that_names_it(workspace: Workspace, tmp_path: Path) -> None:
    pd.DataFrame({"low": [95.0]}).to_parquet(workspace.strategies / "levels.parquet")
    text = (workspace.strategies / "wave.py").read_text(encoding="utf-8")
    text = text.replace("from _levels import LOWER\n", "from pathlib import Path\nimport pandas as pd\n").replace(
        "< LOWER", "< pd.read_parquet(Path(__file__).parent / 'levels.parquet')['low'][0]"
    )
    (workspace.strategies / "wave.py").write_text(text, encoding="utf-8")
    file = workspace.strategies / "levels.parquet"
    assert run_backtest(workspace, config()).warnings == (
        f"it names {file}, which is not frozen with it: declare 'levels.parquet' in `assets` and read it by self.asset",
    )


def test_many_files_are_counted_after_the_fifth(workspace: Workspace) -> None:
    for number in range(8):
        (workspace.strategies / f"{number}.txt").write_text("")
    reading = "        [(Path(__file__).parent / f'{n}.txt').read_text() for n in range(8)]\n"
    text = (
        (workspace.strategies / "wave.py")
        .read_text(encoding="utf-8")
        .replace("        return Signals", f"{reading}        return Signals")
    )
    (workspace.strategies / "wave.py").write_text(f"from pathlib import Path\n{text}", encoding="utf-8")
    named = [warning for warning in run_backtest(workspace, config()).warnings if "frozen" in warning]
    assert len(named) == 6
    assert named[-1] == "it read or names 3 more files that are not frozen with it"


def test_a_declared_file_may_be_opened_by_its_own_path(workspace: Workspace) -> None:
    declared = CARELESS.replace(
        '    file: str = "weights.json"\n', '    assets = ("weights.json", "limits.json")\n    file: str = "weights.json"\n'
    )
    (workspace.strategies / "careless.py").write_text(declared, encoding="utf-8")
    (workspace.strategies / "weights.json").write_text('{"1": 0.5}', encoding="utf-8")
    (workspace.strategies / "limits.json").write_text('{"level": 0.0}', encoding="utf-8")
    assert not any("frozen" in warning for warning in run_backtest(workspace, config(strategy="careless")).warnings)
