"""What is particular to Binance's archive: months, days, checksums, and two units of time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from algo_py.clock import monotonic_s
from algo_py.errors import InvalidInput, NotFound, VenueDown
from algo_py.finstore.sources.archive import ArchiveSource
from algo_py.finstore.sources.limits import SharedLimit
from algo_py.market import Timeframe
from tests.finstore.making import bars
from tests.venues.archive import ArchiveServer, damaged, other_checksum, packed
from tests.venues.binance import as_quoted
from tests.venues.server import Fault, Reply

FIRST = datetime(2024, 11, 1, tzinfo=UTC)
BARS = as_quoted(bars(24 * 150, start=FIRST))  # to the end of March 2025
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def day(month: int, number: int, year: int = 2025) -> datetime:
    return datetime(year, month, number, tzinfo=UTC)


def files_of(server: ArchiveServer) -> list[str]:
    """Return the periods of the files that were asked for, checksums left out."""
    names = [request.path.rsplit("/", 1)[1] for request in server.asked() if request.path.endswith(".zip")]
    return [name.removesuffix(".zip").split("-", 2)[2] for name in names]


@pytest.fixture
def server() -> Iterator[ArchiveServer]:
    with ArchiveServer() as server:
        server.set_bars("BTC/USDT", "1h", BARS)
        yield server


@pytest.fixture
def source(server: ArchiveServer, tmp_path: Path) -> ArchiveSource:
    return ArchiveSource(server.url, SharedLimit("archive", per_s=1_000, burst=1_000, folder=tmp_path))


def fetched(source: ArchiveSource, start: datetime, end: datetime) -> pd.DataFrame:
    return source.fetch(Timeframe.H1, "BTC/USDT", start, end, deadline_s=monotonic_s() + 10).frame


def set_today(server: ArchiveServer, moment: datetime) -> None:
    server.clock_offset_s = (moment - datetime.now(UTC)).total_seconds()


def test_milliseconds_become_microseconds_in_2025(source: ArchiveSource) -> None:
    start, end = day(12, 20, 2024), day(1, 10)
    expected = BARS[(BARS.index >= start) & (BARS.index < end)]
    pd.testing.assert_frame_equal(fetched(source, start, end), expected, check_exact=True, check_freq=False)


def test_tables_may_have_titles(server: ArchiveServer, source: ArchiveSource) -> None:
    server.has_titles = True
    expected = BARS[(BARS.index >= day(1, 1)) & (BARS.index < day(1, 10))]
    pd.testing.assert_frame_equal(fetched(source, day(1, 1), day(1, 10)), expected, check_exact=True, check_freq=False)
    server.files["BTCUSDT-1h-2025-02.zip"] = packed("a.csv", '"Open time","Open"\n')
    assert fetched(source, day(2, 1), day(2, 10)).empty


def test_a_month_is_downloaded_once_for_pages_that_follow_one_another(server: ArchiveServer, source: ArchiveSource) -> None:
    start, parts = FIRST, []
    while start < day(3, 1):
        end = min(start + source.page(Timeframe.H1), day(3, 1))
        parts.append(fetched(source, start, end))
        start = end
    pd.testing.assert_frame_equal(pd.concat(parts), BARS[BARS.index < day(3, 1)], check_exact=True, check_freq=False)
    assert files_of(server) == ["2024-11", "2024-12", "2025-01", "2025-02"]
    assert len(server.asked()) == 8  # each with its checksum


def test_only_months_that_the_range_touches_are_asked_for(server: ArchiveServer, source: ArchiveSource) -> None:
    fetched(source, day(12, 1, 2024), day(1, 1))
    fetched(source, day(2, 28), day(3, 1))
    fetched(source, day(1, 30), day(2, 28))
    assert files_of(server) == ["2024-12", "2025-02", "2025-01", "2025-02"]


def test_days_stand_in_for_a_month_that_is_not_there_yet(server: ArchiveServer, source: ArchiveSource) -> None:
    set_today(server, day(3, 20) + 5 * HOUR)
    frame = fetched(source, day(3, 17) + HOUR, day(3, 25))
    expected = BARS[(BARS.index >= day(3, 17) + HOUR) & (BARS.index < day(3, 20))]
    pd.testing.assert_frame_equal(frame, expected, check_exact=True, check_freq=False)
    assert files_of(server) == ["2025-03", "2025-03-17", "2025-03-18", "2025-03-19"]


def test_days_stand_in_for_a_month_that_is_late(server: ArchiveServer, source: ArchiveSource) -> None:
    set_today(server, day(3, 2) + HOUR)
    server.late_months.add("2025-02")
    assert len(fetched(source, day(2, 27), day(3, 2))) == 3 * 24
    assert files_of(server) == ["2025-02", "2025-02-27", "2025-02-28", "2025-03", "2025-03-01"]


def test_day_that_is_missing_leaves_the_others(server: ArchiveServer, source: ArchiveSource) -> None:
    set_today(server, day(3, 20))
    server.set_bars("BTC/USDT", "1h", BARS[(BARS.index < day(3, 11)) | (BARS.index >= day(3, 12))])
    assert len(fetched(source, day(3, 10), day(3, 13))) == 2 * 24


def test_what_is_long_past_is_not_looked_for_day_by_day(server: ArchiveServer, source: ArchiveSource) -> None:
    assert fetched(source, day(1, 1, 2020), day(1, 31, 2020)).empty
    assert files_of(server) == ["2020-01"]


def test_weeks_have_no_files_by_day(server: ArchiveServer, source: ArchiveSource) -> None:
    set_today(server, day(3, 20))
    assert source.fetch(Timeframe.W1, "BTC/USDT", day(3, 3), day(3, 17), deadline_s=monotonic_s() + 10).frame.empty
    assert files_of(server) == ["2025-03"]


@pytest.mark.parametrize("fault", [damaged(), other_checksum()], ids=["a bit is another", "checksum of another file"])
def test_file_that_is_not_what_its_checksum_says(server: ArchiveServer, source: ArchiveSource, fault: Fault) -> None:
    server.fail(fault)
    with pytest.raises(VenueDown, match=r"BTCUSDT-1h-2025-01\.zip of binance-archive cannot be used: its SHA-256"):
        fetched(source, day(1, 1), day(1, 5))
    assert len(fetched(source, day(1, 1), day(1, 5))) == 4 * 24  # and it was not kept


@pytest.mark.parametrize("content", [b"", b"   ", b"no checksum", b"\xff" * 64], ids=["empty", "blank", "words", "binary"])
def test_checksum_that_is_none(server: ArchiveServer, source: ArchiveSource, content: bytes) -> None:
    server.fail(Fault(applies=lambda request: request.path.endswith("CHECKSUM"), reply=Reply(body=content)))
    with pytest.raises(VenueDown, match="SHA-256 is missing"):
        fetched(source, day(1, 1), day(1, 5))


def test_file_without_its_checksum_is_not_used(server: ArchiveServer, source: ArchiveSource) -> None:
    server.fail(Fault(applies=lambda request: request.path.endswith("CHECKSUM"), reply=Reply(status=404)))
    with pytest.raises(VenueDown, match="SHA-256 is missing"):
        fetched(source, day(1, 1), day(1, 5))


LINE = "1735689600000000,1,2,0.5,1.5,10,1735693199999999,15,3,5,7,0\n"
BROKEN = {
    "no zip": b"words",
    "half a zip": packed("a.csv", LINE)[:-20],
    "another kind of file": packed("a.txt", LINE),
    "a word for a price": packed("a.csv", LINE.replace("0.5", "low")),
    "no price": packed("a.csv", LINE.replace("0.5", "")),
    "not a number": packed("a.csv", LINE.replace("0.5", "nan")),
    "infinite": packed("a.csv", LINE.replace("0.5", "inf")),
    "a word for a time": packed("a.csv", "1" + LINE.replace("1735689600000000", "soon", 1)),
    "a fraction for a time": packed("a.csv", LINE.replace("1735689600000000", "1735689600.5", 1)),
    "few columns": packed("a.csv", "1735689600000000,1,2\n"),
    "a page": packed("a.csv", "<html>\nwords\n</html>\n"),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_file_without_sense_is_no_absence_of_bars(server: ArchiveServer, source: ArchiveSource, content: bytes) -> None:
    server.files["BTCUSDT-1h-2025-01.zip"] = content
    with pytest.raises(VenueDown, match=r"BTCUSDT-1h-2025-01\.zip of binance-archive cannot be used"):
        fetched(source, day(1, 1), day(1, 5))


@pytest.mark.parametrize("text", ["", "\n", LINE, LINE.strip(), LINE * 2], ids=["empty", "blank", "a line", "no end", "twice"])
def test_file_with_few_bars(server: ArchiveServer, source: ArchiveSource, text: str) -> None:
    """The bare one is what the broken ones were made of."""
    server.files["BTCUSDT-1h-2025-01.zip"] = packed("a.csv", text)
    frame = fetched(source, day(1, 1), day(1, 5))
    assert len(frame) == text.count("1735689600000000")
    assert frame.empty or frame.iloc[0].to_list() == [1, 2, 0.5, 1.5, 10]


def test_failure_in_a_second_month_fails_all(server: ArchiveServer, source: ArchiveSource) -> None:
    server.fail(Fault(applies=lambda request: "2025-02" in request.path, reply=Reply(status=500)))
    with pytest.raises(VenueDown, match=r"binance-archive answers 500 for BTCUSDT-1h-2025-02\.zip"):
        fetched(source, day(1, 20), day(2, 10))


def test_replaced_file_is_seen_when_the_month_is_asked_for_anew(server: ArchiveServer, source: ArchiveSource) -> None:
    fetched(source, day(1, 1), day(1, 5))
    fetched(source, day(2, 1), day(2, 5))
    server.files["BTCUSDT-1h-2025-01.zip"] = packed("a.csv", LINE)
    assert len(fetched(source, day(1, 1), day(1, 5))) == 1


def test_few_series_are_kept(server: ArchiveServer, source: ArchiveSource) -> None:
    symbols = [f"C{number}/USDT" for number in range(9)]
    for symbol in [*symbols, *symbols[::-1]]:
        server.set_bars(symbol, "1h", BARS)
        source.fetch(Timeframe.H1, symbol, day(1, 1), day(1, 2), deadline_s=monotonic_s() + 10)
    assert len(files_of(server)) == 10  # the oldest was forgotten


def test_longer_range_than_a_page_is_refused(server: ArchiveServer, source: ArchiveSource) -> None:
    with pytest.raises(InvalidInput, match="one request covers at most 31 days"):
        fetched(source, day(1, 1), day(2, 1) + HOUR)
    assert not server.asked()


@pytest.mark.parametrize("symbol", ["btc/usdt", "BTCUSDT", "../BTC/USDT"])
def test_symbol_of_another_spelling_is_not_asked_for(server: ArchiveServer, source: ArchiveSource, symbol: str) -> None:
    with pytest.raises(NotFound):
        source.fetch(Timeframe.H1, symbol, day(1, 1), day(1, 2), deadline_s=monotonic_s() + 10)
    assert not server.asked()


def test_what_it_does_not_know(source: ArchiveSource) -> None:
    assert source.earliest(Timeframe.H1, "BTC/USDT", deadline_s=monotonic_s() + 1) is None
    assert source.instruments(["BTC/USDT"], deadline_s=monotonic_s() + 1) == {}


def test_answer_without_end_is_refused(server: ArchiveServer, source: ArchiveSource) -> None:
    server.fail(Fault(reply=Reply(body=bytes(64 * 2**20 + 1))))
    with pytest.raises(VenueDown, match="cannot be reached"):
        fetched(source, day(1, 1), day(1, 5))


def test_table_that_unpacks_without_end_is_refused(server: ArchiveServer, source: ArchiveSource) -> None:
    server.files["BTCUSDT-1h-2025-01.zip"] = packed("a.csv", "1" * (64 * 2**20 + 1))
    with pytest.raises(VenueDown, match="does not hold one table"):
        fetched(source, day(1, 1), day(1, 5))


def test_local_archive_writes_checksums_as_the_real_one(server: ArchiveServer, source: ArchiveSource) -> None:
    server.files["BTCUSDT-1h-2025-01.zip"] = packed("a.csv", LINE)
    fetched(source, day(1, 1), day(1, 5))
    request = server.asked("CHECKSUM")[0]
    reply = server.answer(request)
    assert reply is not None
    said = f"{hashlib.sha256(server.files['BTCUSDT-1h-2025-01.zip']).hexdigest()}  BTCUSDT-1h-2025-01.zip\n"
    assert reply.body.decode() == said
