"""A damaged file is named; it is never skipped, and never read as something else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from algo_py.errors import Damaged, Refused
from algo_py.finstore import FinStore

from .making import LATE, MARKET, START, SYMBOL, bars

OTHER = "ETH/USDT"


@pytest.fixture
def file(store: FinStore) -> Path:
    """A symbol's own file with two row groups."""
    store.append(MARKET, "1h", {SYMBOL: bars(5_000), OTHER: bars(600)}, now=LATE)
    (found,) = store.folder.rglob("symbol=BTC%2FUSDT/bars.parquet")
    return found


@pytest.fixture
def delta(store: FinStore) -> Path:
    """A delta of two symbols."""
    late = bars(5_103)[5_100:]
    store.append(MARKET, "1h", {SYMBOL: late, OTHER: late}, now=LATE)
    (found,) = store.folder.rglob("_delta/*.parquet")
    return found


def _cut(content: bytes) -> bytes:
    return content[: len(content) * 2 // 3]


def _cut_in_front(content: bytes) -> bytes:
    return content[100:]


def _emptied(content: bytes) -> bytes:
    return b""


def _zeroed(content: bytes) -> bytes:
    return bytes(len(content))


def _hole(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes(1_000) + content[middle + 1_000 :]


def _without_its_end(content: bytes) -> bytes:
    return content[:-1]


@pytest.mark.parametrize("spoil", [_cut, _cut_in_front, _emptied, _zeroed, _hole, _without_its_end])
def test_a_spoiled_file_is_named(store: FinStore, file: Path, spoil: Callable[[bytes], bytes]) -> None:
    file.write_bytes(spoil(file.read_bytes()))
    for fresh in (store, FinStore(store.folder)):
        with pytest.raises(Damaged, match=r"symbol=BTC%2FUSDT/bars\.parquet are damaged: .*Restore that file from a backup"):
            fresh.read(MARKET, "1h", SYMBOL)
        with pytest.raises(Damaged):
            fresh.append(MARKET, "1h", {SYMBOL: bars(10)}, now=LATE)
        assert len(fresh.read(MARKET, "1h", OTHER)) == 600
        assert [finding.file for finding in fresh.check()] == [file]


@pytest.mark.parametrize("spoil", [_cut, _cut_in_front, _emptied, _zeroed, _without_its_end])
def test_a_spoiled_delta_is_named(store: FinStore, delta: Path, spoil: Callable[[bytes], bytes]) -> None:
    delta.write_bytes(spoil(delta.read_bytes()))
    fresh = FinStore(store.folder)
    for symbol in (SYMBOL, OTHER):
        with pytest.raises(Damaged, match=delta.name):
            fresh.read(MARKET, "1h", symbol)
    assert [finding.file for finding in fresh.check()] == [delta]


@pytest.mark.parametrize("kind", ["file", "delta"])
def test_no_flipped_bit_goes_unseen(store: FinStore, kind: str, request: pytest.FixtureRequest) -> None:
    """Any one bit: the read is refused, or nothing that is read has changed (the magic number in front)."""
    target: Path = request.getfixturevalue(kind)
    sound = store.read(MARKET, "1h", SYMBOL)
    content = target.read_bytes()
    ends = set(range(200)) | set(range(len(content) - 400, len(content)))
    places = sorted(ends | set(range(0, len(content), max(1, len(content) // 600))))
    unseen = []
    for place in places:
        flipped = bytearray(content)
        flipped[place] ^= 1 << (place % 8)
        target.write_bytes(flipped)
        try:
            pd.testing.assert_frame_equal(FinStore(store.folder).read(MARKET, "1h", SYMBOL), sound)
            unseen.append(place)
        except (Damaged, Refused):
            pass
    assert unseen == [0, 1, 2, 3]


def test_damage_in_a_row_group_that_is_not_read_does_not_hurt(store: FinStore, file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[1_000] ^= 1
    file.write_bytes(content)
    fresh = FinStore(store.folder)
    assert len(fresh.read_tail(MARKET, "1h", SYMBOL, 100)) == 100
    assert len(fresh.read(MARKET, "1h", SYMBOL, start=START + pd.Timedelta(hours=4_096).to_pytimedelta())) == 904
    with pytest.raises(Damaged, match="row group 0 does not have the checksum"):
        fresh.read(MARKET, "1h", SYMBOL)
    assert "row group 0" in fresh.check()[0].problem


def test_a_file_of_another_writer_is_not_taken_for_ours(store: FinStore, file: Path) -> None:
    bars(100).reset_index().to_parquet(file)
    with pytest.raises(Damaged, match=r"not written by Algo\.Py"):
        store.read(MARKET, "1h", SYMBOL)


def test_a_newer_format_is_refused_by_name(store: FinStore, file: Path) -> None:
    import zlib

    content = bytearray(file.read_bytes())
    version = content.rindex(b'{"algo_py_bars":1,') + len(b'{"algo_py_bars":')
    content[version : version + 1] = b"2"
    length = int.from_bytes(content[-8:-4], "little") + 8
    mark = content.rindex(b'"footer":"') + len(b'"footer":"')
    content[mark : mark + 8] = b"0" * 8
    content[mark : mark + 8] = b"%08x" % zlib.crc32(content[-length:])
    file.write_bytes(content)
    with pytest.raises(Refused, match=r"bars\.parquet has format 2, this Algo\.Py reads up to 1\. Upgrade Algo\.Py\."):
        store.read(MARKET, "1h", SYMBOL)
    assert "format 2" in store.check()[0].problem


def test_a_file_in_the_wrong_place_is_found(store: FinStore, file: Path) -> None:
    file.rename(file.with_name("old.parquet"))
    assert "belong into another file" in store.check()[0].problem


def test_a_damaged_symbol_does_not_hold_up_the_others(store: FinStore, file: Path) -> None:
    """Its pending bars wait in a merged file until the damage is repaired; the others move on."""
    late, other = bars(5_200)[5_000:], bars(800)[600:]
    sound = file.read_bytes()
    file.write_bytes(_hole(sound))
    fresh = FinStore(store.folder)
    for row in range(200):
        fresh.append(MARKET, "1h", {SYMBOL: late[row : row + 1], OTHER: other[row : row + 1]}, now=LATE)
    fresh.compact(MARKET, "1h")
    pd.testing.assert_frame_equal(fresh.read(MARKET, "1h", OTHER), bars(800), check_freq=False)
    with pytest.raises(Damaged):
        fresh.read(MARKET, "1h", SYMBOL)
    assert [finding.file for finding in fresh.check()] == [file]
    file.write_bytes(sound)
    pd.testing.assert_frame_equal(fresh.read(MARKET, "1h", SYMBOL), bars(5_200), check_freq=False)
    fresh.compact(MARKET, "1h")
    assert [path for path in store.folder.rglob("*.parquet") if path.name != "bars.parquet"] == []
    pd.testing.assert_frame_equal(fresh.read(MARKET, "1h", SYMBOL), bars(5_200), check_freq=False)


def test_leftovers_of_killed_writers_are_ignored_and_removed(store: FinStore, file: Path, delta: Path) -> None:
    leftovers = [folder / ".bars.parquet.12345678.tmp" for folder in (file.parent, delta.parent)]
    for leftover in leftovers:
        leftover.write_bytes(b"half")
    assert len(store.read(MARKET, "1h", SYMBOL)) == 5_003
    assert store.check() == []
    store.append(MARKET, "1h", {SYMBOL: bars(6_000)}, now=LATE)
    store.compact(MARKET, "1h")
    assert [leftover for leftover in leftovers if leftover.exists()] == []
    assert list(file.parent.iterdir()) == [file]
