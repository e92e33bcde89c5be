"""Longer bars as a source, made from the shorter ones of the same store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from algo_py.clock import FrozenClock
from algo_py.errors import InvalidInput, NoData
from algo_py.finstore import FinStore
from algo_py.finstore.absences import Absence, AbsenceLog
from algo_py.finstore.frames import to_us
from algo_py.finstore.gaps import fill_gap
from algo_py.finstore.layout import Layout
from algo_py.finstore.resample import resample
from algo_py.finstore.sample import SAMPLE_CLOSED_BY
from algo_py.finstore.sources.stored import StoredSource
from algo_py.market import Timeframe, get_market
from tests.finstore.making import LATE, START, bars, bars_at

CRYPTO, NSE = get_market("crypto_binance"), get_market("indian_equity")
FOREVER = float("inf")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
H1, H4, D1, W1 = Timeframe.H1, Timeframe.H4, Timeframe.D1, Timeframe.W1


def hours_stored(store: FinStore, frame: pd.DataFrame) -> StoredSource:
    store.append("crypto_binance", "1h", {"BTC/USDT": frame}, now=LATE)
    return StoredSource(store, CRYPTO, H1)


def days_of(source: StoredSource, start: datetime, end: datetime) -> list[datetime]:
    return list(source.fetch(D1, "BTC/USDT", start, end, deadline_s=FOREVER).frame.index)


def test_days_of_the_sample_are_filled_from_its_hours(sample_folder: Path, store: FinStore) -> None:
    sample = FinStore(sample_folder)
    symbols = sample.symbols("crypto_binance", "1h")
    store.append(
        "crypto_binance", "1h", {name: sample.read("crypto_binance", "1h", name) for name in symbols}, now=SAMPLE_CLOSED_BY
    )
    source = StoredSource(store, CRYPTO, H1)
    since = source.earliest(D1, "BTC/USDT", deadline_s=FOREVER)
    report = fill_gap(store, source, "crypto_binance", "1d", symbols, since=since, clock=FrozenClock(SAMPLE_CLOSED_BY))
    assert (since, report.fetched, report.is_complete) == (datetime(2024, 9, 14, tzinfo=UTC), 5 * 523, True)
    for name in symbols:
        theirs = sample.read("crypto_binance", "1d", name)
        ours = store.read("crypto_binance", "1d", name).loc[theirs.index]
        assert ours.drop(columns="volume").equals(theirs.drop(columns="volume"))
        np.testing.assert_allclose(ours["volume"], theirs["volume"], rtol=1e-14)
    store.append(
        "crypto_binance", "1h", {"BTC/USDT": bars(36, start=SAMPLE_CLOSED_BY, freq="1h")}, now=SAMPLE_CLOSED_BY + 36 * HOUR
    )
    later = fill_gap(store, source, "crypto_binance", "1d", ["BTC/USDT"], clock=FrozenClock(SAMPLE_CLOSED_BY + 36 * HOUR))
    assert later.fetched == 1


def test_a_range_is_of_longer_bars(store: FinStore) -> None:
    source = hours_stored(store, bars(24 * 5))
    assert days_of(source, START, START + DAY) == [START]
    assert days_of(source, START + HOUR, START + DAY) == []
    assert days_of(source, START, START + DAY + timedelta(microseconds=1)) == [START, START + DAY]
    assert days_of(source, START - 9 * DAY, START + 9 * DAY) == [START + number * DAY for number in range(5)]
    assert days_of(source, START + 9 * DAY, START + 12 * DAY) == days_of(source, START - 9 * DAY, START) == []


def test_days_that_are_cut_at_either_end_are_not_made(store: FinStore) -> None:
    source = hours_stored(store, bars(24 * 5)[5:-1])
    assert days_of(source, START, START + 9 * DAY) == [START + number * DAY for number in (1, 2, 3)]
    assert source.earliest(D1, "BTC/USDT", deadline_s=FOREVER) == START + DAY
    assert source.earliest(H4, "BTC/USDT", deadline_s=FOREVER) == START + 8 * HOUR


@pytest.mark.parametrize("is_final", [True, False])
def test_a_hole_is_refused_until_it_is_known_to_be_the_exchanges(store: FinStore, is_final: bool) -> None:
    whole = bars(24 * 5)
    source = hours_stored(store, whole.drop(whole.index[30:34]))
    for start, end in ((START, START + 5 * DAY), (START + DAY, START + 2 * DAY)):
        with pytest.raises(
            NoData, match="1d bars of BTC/USDT cannot be made: 4 1h bars are missing between 2024-01-02T06:00:00Z"
        ):
            days_of(source, start, end)
    assert len(days_of(source, START, START + DAY)) == 1
    assert len(days_of(source, START + 2 * DAY, START + 5 * DAY)) == 3
    first, last = (to_us(whole.index[row].to_pydatetime()) for row in (30, 33))
    AbsenceLog(Layout.of(store.folder, "crypto_binance", H1)).add("BTC/USDT", "binance", [Absence(first, last, last, is_final)])
    if not is_final:
        with pytest.raises(NoData):
            days_of(source, START, START + 5 * DAY)
        return
    made = source.fetch(D1, "BTC/USDT", START, START + 5 * DAY, deadline_s=FOREVER).frame
    outage = pd.DatetimeIndex(whole.index[30:34])
    pd.testing.assert_frame_equal(made, resample(whole.drop(outage), CRYPTO, H1, D1, absent=outage), check_freq=False)
    assert len(made) == 5


def test_a_hole_as_long_as_what_is_asked_for(store: FinStore) -> None:
    whole = bars(24 * 5)
    source = hours_stored(store, whole.drop(whole.index[24:72]))
    with pytest.raises(NoData, match="24 1h bars are missing"):
        days_of(source, START + DAY, START + DAY + HOUR)


def test_weeks_of_nse_from_its_days(store: FinStore) -> None:
    zone = NSE.time_zone
    opens = NSE.calendar.bar_opens(D1, datetime(2024, 10, 23, tzinfo=zone), datetime(2024, 11, 30, tzinfo=zone))
    days = bars_at(pd.DatetimeIndex(list(opens)).as_unit("us"))
    store.append("indian_equity", "1d", {"TCS": days}, now=LATE)
    source = StoredSource(store, NSE, D1)
    first = datetime(2024, 10, 28, tzinfo=zone)
    assert source.earliest(W1, "TCS", deadline_s=FOREVER) == first
    weeks = source.fetch(W1, "TCS", first, first + 14 * DAY, deadline_s=FOREVER).frame
    assert list(weeks.index) == [first, first + 7 * DAY]
    report = fill_gap(store, source, "indian_equity", "1w", ["TCS"], since=first, clock=FrozenClock(first + 33 * DAY))
    assert (report.fetched, report.is_complete) == (5, True)


def test_what_cannot_be_made(store: FinStore) -> None:
    source = hours_stored(store, bars(48))
    with pytest.raises(NoData, match="no 1h bars of 'ETH/USDT'"):
        source.fetch(D1, "ETH/USDT", START, LATE, deadline_s=FOREVER)
    for timeframe in (H1, Timeframe.M30):
        with pytest.raises(InvalidInput, match="do not consist of 1h bars"):
            source.fetch(timeframe, "BTC/USDT", START, LATE, deadline_s=FOREVER)
    assert source.page(W1) >= timedelta(days=7)
    assert StoredSource(store, CRYPTO, Timeframe.M1).page(W1) >= timedelta(days=7)
    assert (source.name, source.instruments(["BTC/USDT"], deadline_s=FOREVER)) == ("stored:1h", {})
