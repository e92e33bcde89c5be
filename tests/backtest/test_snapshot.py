"""Saved backtests: they hold everything, are there whole or not at all, and a changed byte is refused by name."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from algo_py.backtest import BacktestConfig, BacktestResult, Snapshot, SnapshotStore, run_backtest
from algo_py.backtest.curves import Curves
from algo_py.backtest.manifest import MANIFEST_NAME
from algo_py.clock import FrozenClock
from algo_py.errors import Conflict, Damaged, InvalidInput, NotFound, Refused
from algo_py.settings import Workspace
from algo_py.strategy import evaluate

from .conftest import config

NOW = datetime(2025, 11, 22, 15, 30, 12, tzinfo=UTC)
GOLDEN = Path(__file__).parent / "golden"
GOLDEN_1, GOLDEN_2 = GOLDEN / "20251122-153012-wave-1bc1", GOLDEN / "20251122-153012-wave-87d1"
GOLDEN_3 = GOLDEN / "20251122-153012-wave-7545"


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(NOW)


@pytest.fixture
def store(workspace: Workspace, clock: FrozenClock) -> SnapshotStore:
    return SnapshotStore(workspace, clock=clock)


@pytest.fixture
def result(workspace: Workspace) -> BacktestResult:
    return run_backtest(workspace, config())


def test_what_was_saved_is_what_is_loaded(store: SnapshotStore, result: BacktestResult) -> None:
    saved = store.save(result, "my wave")
    assert re.fullmatch(r"20251122-153012-wave-[0-9a-f]{4}", saved.id)
    loaded = store.load("my wave")
    assert loaded == saved == store.load(saved.id)
    assert (loaded.config, loaded.warnings, loaded.created_at) == (result.config, result.warnings, NOW)
    assert dict(loaded.metrics) == result.portfolio.metrics
    assert dict(loaded.fingerprint) == dict(result.fingerprint)
    assert set(loaded.environment) == {"python", "algo_py", "numpy", "pandas", "numba"}
    pd.testing.assert_frame_equal(loaded.orders(), result.portfolio.orders)
    pd.testing.assert_frame_equal(loaded.trades(), result.portfolio.trades)
    pd.testing.assert_series_equal(loaded.equity(), result.portfolio.equity, check_freq=False)
    open_positions = loaded.open_positions()
    assert open_positions is not None
    pd.testing.assert_frame_equal(open_positions, result.portfolio.open_positions)
    expected = Curves.of_portfolio(result.bars, result.portfolio).to_frame()
    pd.testing.assert_frame_equal(loaded.curves().to_frame(), expected, check_freq=False)
    assert loaded.to_json() == result.to_json() | {"id": saved.id, "name": "my wave"}


def test_frames_without_rows_survive_too(store: SnapshotStore, workspace: Workspace) -> None:
    silent = run_backtest(workspace, config(strategy="ema-cross", end="2025-01-02"))
    saved = store.save(silent)
    pd.testing.assert_frame_equal(saved.orders(), silent.portfolio.orders)
    pd.testing.assert_frame_equal(saved.trades(), silent.portfolio.trades)
    assert saved.metrics["sharpe_ratio"] is None


def test_it_runs_its_own_source_whatever_happens_to_the_workspace(
    store: SnapshotStore, result: BacktestResult, workspace: Workspace
) -> None:
    saved = store.save(result)
    before = evaluate(saved.strategy_instance(), result.bars)
    (workspace.strategies / "_levels.py").write_text("LOWER = 99.0\n", encoding="utf-8")
    (workspace.strategies / "wave.py").unlink()
    loaded = store.load(saved.id)
    strategy = loaded.strategy_instance()
    assert strategy.model_dump() == {"upper": 105.0}
    assert loaded.strategy_instance({"upper": "107"}).model_dump() == {"upper": 107.0}
    pd.testing.assert_frame_equal(evaluate(strategy, result.bars).entries, before.entries)
    assert before.entries.to_numpy().sum() == (result.bars.close < 95).to_numpy().sum()


def test_a_built_in_strategy_is_copied_as_well(store: SnapshotStore, workspace: Workspace) -> None:
    saved = store.save(run_backtest(workspace, config(strategy="ema-cross", params={"fast": 5, "slow": 20})))
    assert (saved.strategy_folder / "ema_cross.py").is_file()
    assert saved.strategy_instance().model_dump() == {"fast": 5, "slow": 20}


def test_names_are_unique_and_have_a_default(store: SnapshotStore, result: BacktestResult, workspace: Workspace) -> None:
    first = store.save(result, "mine")
    with pytest.raises(Conflict, match=r"already a backtest called 'mine'\. Choose another name, or delete it: algo-py backtest"):
        store.save(result, " mine ")
    with pytest.raises(Conflict):
        store.save(result, first.id)
    for name in ("", "  ", "x" * 81, "two\nlines"):
        with pytest.raises(InvalidInput, match="name must be 1 to 80 printable characters"):
            store.save(result, name)
    assert [store.save(result).name for _ in range(2)] == ["wave BTC/USDT 1h", "wave BTC/USDT 1h 2"]
    both = run_backtest(workspace, config(symbols=("BTC/USDT", "ETH/USDT")))
    assert store.save(both).name == "wave 2 symbols 1h"


def test_the_list_is_newest_first_and_shows_a_damaged_one(
    store: SnapshotStore, result: BacktestResult, workspace: Workspace, clock: FrozenClock
) -> None:
    assert list(SnapshotStore(Workspace(workspace.root / "nowhere")).list()) == []
    saved = []
    for name in ("one", "two", "three"):
        saved.append(store.save(result, name))
        clock.sleep(timedelta(minutes=1).total_seconds())
    (saved[1].folder / MANIFEST_NAME).write_text("{", encoding="utf-8")
    three, two, one = store.list()
    assert (three.name, two.name, one.name) == ("three", None, "one")
    assert two.id == saved[1].id
    assert (two.error or "").startswith(
        f"backtest {saved[1].id}: snapshot.json cannot be read. Restore it from a copy, or remove it"
    )
    assert one.config == result.config
    assert one.to_json()["metrics"] == result.to_json()["metrics"]
    assert two.to_json()["strategy"] is None


def test_deleting(store: SnapshotStore, result: BacktestResult, workspace: Workspace) -> None:
    saved = store.save(result, "mine")
    damaged = store.save(result, "other")
    (damaged.folder / MANIFEST_NAME).write_bytes(b"")
    assert store.delete("mine") == saved.id
    assert store.delete(damaged.id) == damaged.id
    assert list(store.list()) == []
    assert [path.name for path in workspace.backtests.iterdir()] == [".lock"]
    with pytest.raises(NotFound, match="no saved backtest 'mine'"):
        store.delete("mine")


def test_every_flipped_byte_is_refused_by_name(store: SnapshotStore, result: BacktestResult) -> None:
    saved = store.save(result)
    files = [file for file in saved.folder.rglob("*") if file.is_file()]
    assert len(files) == 7
    for file in files:
        content = file.read_bytes()
        positions = range(len(content)) if file.name == MANIFEST_NAME else range(0, len(content), 211)
        for position in positions:
            for mask in (0x01, 0x07):  # 0x07 makes another line break of a line break, which JSON would not mind
                file.write_bytes(content[:position] + bytes([content[position] ^ mask]) + content[position + 1 :])
                # A flipped digit of the schema version may look like a newer one.
                with pytest.raises((Damaged, InvalidInput)) as caught:
                    Snapshot.read(saved.folder)
                name = file.relative_to(saved.folder).as_posix()
                assert saved.id in str(caught.value)
                assert name in str(caught.value) or "newer Algo.Py" in str(caught.value)
        file.write_bytes(content)
    assert Snapshot.read(saved.folder) == saved


def test_missing_additional_and_exchanged_files_are_refused(
    store: SnapshotStore, result: BacktestResult, workspace: Workspace
) -> None:
    saved = store.save(result)
    (saved.strategy_folder / "numpy.py").write_text("", encoding="utf-8")
    with pytest.raises(Damaged, match=r"strategy/numpy\.py was added later"):
        store.load(saved.id)
    (saved.strategy_folder / "numpy.py").unlink()
    (saved.folder / "orders.parquet").rename(workspace.root / "orders.parquet")
    with pytest.raises(
        Damaged, match=r"orders\.parquet is missing\. Restore it from a copy, or remove it: algo-py backtest delete"
    ):
        store.load(saved.id)
    (workspace.root / "orders.parquet").rename(saved.folder / "orders.parquet")
    shutil.copytree(saved.folder, workspace.backtests / "a-copy")
    with pytest.raises(Damaged, match=r"snapshot\.json belongs to backtest 2025"):
        store.load("a-copy")


def test_an_edit_after_loading_is_refused_when_the_strategy_is_built(store: SnapshotStore, result: BacktestResult) -> None:
    saved = store.save(result)
    (saved.strategy_folder / "_levels.py").write_text("LOWER = 96.0\n", encoding="utf-8")
    with pytest.raises(Damaged, match=r"strategy/_levels\.py is not what was saved"):
        saved.strategy_instance()


def test_hours_of_the_day_are_a_schema_of_their_own(workspace: Workspace, store: SnapshotStore) -> None:
    """Whoever does not use them writes what an earlier Algo.Py reads."""
    plain = config()
    assert not {"auction_fills", "no_entry_before", "no_entry_after", "square_off_at"} & plain.model_dump(mode="json").keys()
    rules: list[dict[str, object]] = [{"square_off_at": "15:10"}, {"no_entry_after": "12:00"}, {"auction_fills": True}]
    for number, changes in enumerate(rules):
        given = plain.model_dump() | changes
        saved = store.save(run_backtest(workspace, BacktestConfig.model_validate(given)), f"day {number}")
        values = json.loads((saved.folder / MANIFEST_NAME).read_text(encoding="utf-8"))
        assert values["schema_version"] == 5
        assert {name: values["config"][name] for name in changes} == changes
        assert store.load(saved.id).config == saved.config


def test_a_newer_schema_is_refused_as_newer(store: SnapshotStore, result: BacktestResult) -> None:
    saved = store.save(result)
    file = saved.folder / MANIFEST_NAME
    file.write_text(file.read_text(encoding="utf-8").replace('"schema_version": 3', '"schema_version": 6'), encoding="utf-8")
    with pytest.raises(
        InvalidInput, match=r"saved by a newer Algo\.Py \(schema 6, this one reads up to 5\)\. Upgrade Algo\.Py\."
    ):
        store.load(saved.id)
    (listed,) = store.list()
    assert "newer Algo.Py" in (listed.error or "")


def test_nothing_is_left_of_a_save_that_failed(store: SnapshotStore, result: BacktestResult, workspace: Workspace) -> None:
    store.save(result)
    (workspace.backtests / ".tmp-of-a-killed-writer").mkdir()
    (workspace.backtests / ".tmp-of-a-killed-writer" / "orders.parquet").write_bytes(b"half")
    assert len(store.list()) == 1
    store.save(result)
    assert not list(workspace.backtests.glob(".tmp*"))
    blocked = Workspace(workspace.root / "strategies" / "wave.py")
    with pytest.raises(Refused, match="saved backtests cannot be changed in"):
        SnapshotStore(blocked).save(result)


def test_a_disk_that_fails_at_any_step_leaves_nothing_behind(
    store: SnapshotStore, result: BacktestResult, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.delete(store.save(result).id)
    sync, left = os.fsync, 0

    def failing(descriptor: int) -> None:
        nonlocal left
        if left == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        left -= 1
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    for steps in range(9):  # seven files, then the two folders that hold them
        left = steps
        with pytest.raises(Refused, match=r"cannot be changed in .*: No space left on device"):
            store.save(result)
        assert [path.name for path in workspace.backtests.iterdir()] == [".lock"]
    left = 100
    assert store.load(store.save(result).id).config == result.config


def test_of_two_that_save_one_name_at_once_one_wins(result: BacktestResult, workspace: Workspace) -> None:
    def save(_: int) -> str:
        try:
            return SnapshotStore(workspace).save(result, "same").name
        except Conflict:
            return "conflict"

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(save, range(4))) == ["conflict", "conflict", "conflict", "same"]


def test_the_format_of_version_1_stays_readable() -> None:
    """The golden backtest was saved when schema 1 was made; it must load, and mean the same, for ever."""
    golden = Snapshot.read(GOLDEN_1)
    assert (golden.name, golden.config.strategy, golden.config.symbols) == ("golden", "wave", ("BTC/USDT", "ETH/USDT"))
    assert golden.created_at == NOW
    assert golden.strategy_instance().model_dump() == {"upper": 105.0}
    assert len(golden.orders()) > golden.metrics["trades"] > 0  # type: ignore[operator]
    assert golden.equity().iloc[-1] == golden.metrics["final_equity"]


def test_what_version_1_did_not_have_is_as_if_it_had_not_been_asked_for() -> None:
    golden = Snapshot.read(GOLDEN_1)
    engine = golden.config.portfolio_config()
    assert (engine.stop_loss, engine.take_profit, engine.trailing_stop, engine.max_hold_bars) == (None, None, None, None)
    assert (engine.cost_schedule, engine.maker_fees, engine.borrow_rate_annual) == (None, None, 0.0)
    assert (golden.config.fees, golden.config.slippage) == (0.001, 0.0005)
    curves = golden.curves()
    assert (curves.benchmark, curves.long_value, curves.short_value, golden.open_positions()) == (None, None, None, None)


def test_the_format_of_version_2_stays_readable() -> None:
    golden = Snapshot.read(GOLDEN_2)
    assert (golden.config.stop_loss, golden.config.max_hold_bars) == (0.08, 40)
    assert golden.strategy_instance().model_dump() == {"upper": 105.0}
    curves, positions = golden.curves(), golden.open_positions()
    assert curves.benchmark is not None
    assert curves.benchmark.iloc[-1] / 10_000 - 1 == pytest.approx(golden.metrics["benchmark_return_fraction"], rel=1e-12)
    assert curves.long_value is not None
    assert positions is not None
    assert curves.long_value.iloc[-1] == (positions["quantity"] * positions["last_price"]).sum()
    assert set(golden.trades()["exit_reason"]) == {"exit", "stop_loss", "max_hold_bars"}


def test_the_format_of_version_3_stays_readable() -> None:
    golden = Snapshot.read(GOLDEN_3)
    engine = golden.config.portfolio_config()
    assert isinstance(engine.instruments, Mapping)
    assert engine.instruments["BTC/USDT"].lot_size == Decimal("0.001")
    assert engine.instruments["ETH/USDT"].lot_size == Decimal("0.00001")  # not known then: the market's usual one
    orders = golden.orders()
    milli = orders["quantity"][orders["symbol"] == "BTC/USDT"].to_numpy() * 1_000
    assert len(milli)
    assert milli == pytest.approx(milli.round(), abs=1e-6)


def test_a_key_that_is_not_known_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / GOLDEN_2.name
    shutil.copytree(GOLDEN_2, folder)
    values = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
    values["config"]["leverage"] = 3
    blank = json.dumps(values | {"own_sha256": "0" * 64}, indent=2) + "\n"
    own = hashlib.sha256(blank.encode()).hexdigest()
    (folder / MANIFEST_NAME).write_text(blank.replace("0" * 64, own), encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"cannot be used by this Algo\.Py: there is no parameter 'leverage'"):
        Snapshot.read(folder)


def test_the_format_has_not_changed_without_a_new_version(store: SnapshotStore, result: BacktestResult) -> None:
    golden = json.loads((GOLDEN_3 / MANIFEST_NAME).read_text(encoding="utf-8"))
    saved = store.save(result)
    current = json.loads((saved.folder / MANIFEST_NAME).read_text(encoding="utf-8"))
    assert list(current) == list(golden)
    for key in ("config", "metrics", "environment", "strategy"):
        assert list(current[key]) == list(golden[key])
    assert current["schema_version"] == golden["schema_version"]
    assert sorted(current["files"]) == sorted(golden["files"])
    assert list(current["fingerprint"]["BTC/USDT"]) == list(golden["fingerprint"]["BTC/USDT"])
    for file in saved.folder.glob("*.parquet"):
        assert list(pd.read_parquet(file)) == list(pd.read_parquet(GOLDEN_3 / file.name))
