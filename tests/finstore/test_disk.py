"""A disk that refuses, and a lock that somebody else holds: one clear line, and nothing lost."""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from algo_py.errors import Conflict, Refused
from algo_py.finstore import FinStore
from algo_py.finstore.durable import locked

from .making import LATE, MARKET, SYMBOL, bars
from .processes import in_a_child
from .small_disk import make_read_only, on_a_small_disk

NOBODY = 65_534
OTHER = "ETH/USDT"


def _refusal(store: FinStore, rows: slice) -> str:
    try:
        FinStore(store.folder).append(MARKET, "1h", {SYMBOL: bars(5_000)[rows]}, now=LATE)
    except Refused as error:
        return str(error)
    return "stored"


@pytest.mark.parametrize(("rows", "limit"), [(slice(1_000, 5_000), 20_000), (slice(1_000, 1_100), 500)])
def test_a_full_disk(store: FinStore, rows: slice, limit: int) -> None:
    """The kernel stops the write in the middle of the file, as it does when the disk is full."""
    store.append(MARKET, "1h", {SYMBOL: bars(1_000)}, now=LATE)

    def refused() -> str:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        return _refusal(store, rows)

    message = in_a_child(refused)
    assert "bars cannot be written to" in message
    assert "bars stored before are unharmed" in message
    pd.testing.assert_frame_equal(store.read(MARKET, "1h", SYMBOL), bars(1_000), check_freq=False)
    assert store.check() == []
    assert list(store.folder.rglob("*.tmp")) == []
    assert store.append(MARKET, "1h", {SYMBOL: bars(5_000)[rows]}, now=LATE).new == rows.stop - rows.start


def test_a_first_append_that_fails_leaves_no_symbol(store: FinStore) -> None:
    def refused() -> str:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        return _refusal(store, slice(0, 5_000))

    assert "cannot be written" in in_a_child(refused)
    assert store.keys() == []


def _as_nobody(tmp_path: Path, action: Callable[[], str]) -> str:
    """Run without the rights of root, from whom no folder is safe."""

    def run() -> str:
        if os.geteuid() == 0:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        return action()

    for folder in [tmp_path, *tmp_path.parents]:
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return in_a_child(run)


def test_a_read_only_folder(store: FinStore, tmp_path: Path) -> None:
    store.append(MARKET, "1h", {SYMBOL: bars(1_000)}, now=LATE)
    folders = [path for path in (store.folder, *store.folder.rglob("*")) if path.is_dir()]
    for folder in folders:
        folder.chmod(0o555)
    for lock in store.folder.rglob(".lock"):
        lock.chmod(0o444)
    try:
        message = _as_nobody(tmp_path, lambda: _refusal(store, slice(1_000, 1_010)))
        rows = _as_nobody(tmp_path, lambda: str(len(FinStore(store.folder).read(MARKET, "1h", SYMBOL))))
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert "bars cannot be written to" in message
    assert "Give this user the right to write there." in message
    assert rows == "1000"


def test_a_file_that_may_not_be_read(store: FinStore, tmp_path: Path) -> None:
    store.append(MARKET, "1h", {SYMBOL: bars(1_000)}, now=LATE)
    (file,) = store.folder.rglob("bars.parquet")
    file.chmod(0)

    def read() -> str:
        try:
            FinStore(store.folder).read(MARKET, "1h", SYMBOL)
        except Refused as error:
            return str(error)
        return "read"

    assert "bars.parquet cannot be read" in _as_nobody(tmp_path, read)


def test_a_lock_that_is_held_is_waited_for_and_not_for_ever(store: FinStore) -> None:
    store.append(MARKET, "1h", {SYMBOL: bars(10)}, now=LATE)
    (lock,) = store.folder.rglob(".lock")
    impatient = FinStore(store.folder, lock_timeout_s=0.05)
    with locked(lock, timeout_s=1.0):
        assert len(impatient.read(MARKET, "1h", SYMBOL)) == 10
        with pytest.raises(Conflict, match=r"another process is writing in .*timeframe=1h \(waited 0\.05 s\)"):
            impatient.append(MARKET, "1h", {SYMBOL: bars(20)}, now=LATE)
        assert impatient.append(MARKET, "4h", {SYMBOL: bars(2, freq="4h")}, now=LATE).new == 2
    assert impatient.append(MARKET, "1h", {SYMBOL: bars(20)}, now=LATE).new == 10


class TestAFullDisk:
    """A real file system that is full: each operation is refused in one line, and can be repeated when there is room again."""

    FRAME = bars(12_000)

    def _loaded(self, folder: Path) -> FinStore:
        """Two symbols, one of them with a damaged row group, two deltas and two revisions."""
        store = FinStore(folder / "finstore")
        for symbol in (SYMBOL, OTHER):
            store.append(MARKET, "1h", {symbol: self.FRAME[:5_000]}, now=LATE)
        store.append(MARKET, "1h", dict.fromkeys((SYMBOL, OTHER), self.FRAME[5_000:5_003]), now=LATE)
        store.append(MARKET, "1h", dict.fromkeys((SYMBOL, OTHER), self.FRAME[5_003:5_005]), now=LATE)
        store.append(MARKET, "1h", {SYMBOL: self.FRAME[100:102] * 2}, now=LATE)
        return store

    def _damage(self, store: FinStore) -> None:
        (file,) = store.folder.rglob("symbol=ETH%2FUSDT/bars.parquet")
        content = bytearray(file.read_bytes())
        content[1_000] ^= 1
        file.write_bytes(content)

    def _append_much(self, store: FinStore) -> None:
        store.append(MARKET, "1h", {SYMBOL: self.FRAME}, now=LATE)

    def _append_little(self, store: FinStore) -> None:
        store.append(MARKET, "1h", {SYMBOL: self.FRAME[5_005:5_100]}, now=LATE)

    def _revise(self, store: FinStore) -> None:
        store.append(MARKET, "1h", {SYMBOL: self.FRAME[:400] * 3}, now=LATE)

    def _adopt(self, store: FinStore) -> None:
        store.adopt_revisions(MARKET, "1h", SYMBOL, now=LATE)

    def _compact(self, store: FinStore) -> None:
        store.compact(MARKET, "1h")

    def _set_aside(self, store: FinStore) -> None:
        store.set_aside(now=LATE)

    @pytest.mark.parametrize("name", ["_append_much", "_append_little", "_revise", "_adopt", "_compact", "_set_aside"])
    def test_each_operation(self, tmp_path: Path, name: str) -> None:
        disk = tmp_path / "disk"
        operation = getattr(self, name)

        def scenario() -> str:
            store = self._loaded(disk)
            if name == "_set_aside":
                self._damage(store)
            before = _content(store)
            ballast = disk / "ballast"
            _fill(ballast)
            try:
                operation(FinStore(store.folder))
            except Refused as error:
                message = str(error)
            else:
                return "not refused"
            if _content(store) != before or list(store.folder.rglob("*.tmp")):
                return f"something was left or lost: {message}"
            rows = len(store.read(MARKET, "1h", SYMBOL))
            ballast.unlink()
            operation(store)
            again = len(store.read(MARKET, "1h", SYMBOL)), len(store.damaged_files()), len(store.check())
            return f"{message} | {rows} {again}"

        answer = on_a_small_disk(disk, scenario, size=4_000_000)
        assert "bars cannot be written to" in answer
        assert "No space left on device. Free some space on that disk, then repeat." in answer
        after = {"_append_much": 12_000, "_append_little": 5_100}.get(name, 5_005)
        assert answer.endswith(f"| 5005 {(after, int(name == '_set_aside'), 0)}")

    def test_a_disk_that_is_read_only(self, tmp_path: Path) -> None:
        disk = tmp_path / "disk"

        def scenario() -> str:
            store = self._loaded(disk)
            make_read_only(disk)
            messages = set()
            for operation in (self._append_much, self._append_little, self._revise, self._adopt, self._compact):
                with pytest.raises(Refused) as caught:
                    operation(FinStore(store.folder))
                messages.add(str(caught.value))
            fresh = FinStore(store.folder)
            counts = len(fresh.read(MARKET, "1h", SYMBOL)), len(fresh.sql("SELECT open_time FROM bars"))
            return f"{messages} {counts} {fresh.check()} {len(fresh.revisions(MARKET, '1h'))}"

        answer = on_a_small_disk(disk, scenario, size=4_000_000)
        assert "That disk is read-only: mount it writable or choose another workspace." in answer
        assert answer.endswith("} (5005, 10010) [] 2")


def _content(store: FinStore) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in store.folder.rglob("*") if path.is_file() and path.name != ".lock"}


def _fill(file: Path) -> None:
    """Leave no room on the disk."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT)
    try:
        while os.write(descriptor, bytes(4_096)):
            pass
    except OSError:
        return
    finally:
        os.close(descriptor)
