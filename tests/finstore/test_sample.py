"""The bars that come with the product."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from algo_py import finstore
from algo_py.finstore import FinStore
from algo_py.finstore.sample import SAMPLE, SampleBars, install_sample

COMMITTED_BYTES_MAX = 3_000_000
KEYS = {
    ("crypto_binance", "1h"): (datetime(2024, 9, 14, tzinfo=UTC), datetime(2026, 2, 18, 23, tzinfo=UTC), 12_552),
    ("crypto_binance", "1d"): (datetime(2024, 10, 1, tzinfo=UTC), datetime(2026, 1, 29, tzinfo=UTC), 486),
    ("indian_equity", "1d"): (datetime(2020, 9, 30, 18, 30, tzinfo=UTC), datetime(2025, 9, 29, 18, 30, tzinfo=UTC), 1_241),
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> FinStore:
    """A store with the sample bars."""
    store = FinStore(Path(tmp_path_factory.mktemp("sample")))
    report = install_sample(store)
    assert [line.bars for line in report] == list(SAMPLE)
    assert all(line.new > 0 and line.repeated == line.revised == 0 for line in report)
    return store


def test_what_is_bundled() -> None:
    per_key = {key: [bars.symbol for bars in SAMPLE if (bars.market, bars.timeframe) == key] for key in KEYS}
    assert sum(len(symbols) for symbols in per_key.values()) == len(SAMPLE)
    assert len(per_key["crypto_binance", "1h"]) == len(per_key["crypto_binance", "1d"]) == 5
    assert len(per_key["indian_equity", "1d"]) == 10
    folder = Path(finstore.__file__).parent / "sample"
    files = set(folder.rglob("*.parquet"))
    assert files == {bars.file for bars in SAMPLE}
    assert sum(file.stat().st_size for file in files) < COMMITTED_BYTES_MAX
    assert "Binance" in (folder / "ORIGIN.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("bars", SAMPLE, ids=lambda bars: f"{bars.symbol} {bars.timeframe}")
def test_the_bundled_bars_are_complete(installed: FinStore, bars: SampleBars) -> None:
    coverage = installed.coverage(bars.market, bars.timeframe, bars.symbol)
    assert (coverage.first, coverage.last, coverage.rows) == KEYS[bars.market, bars.timeframe]
    assert coverage.gaps == ()
    frame = installed.read(bars.market, bars.timeframe, bars.symbol)
    assert len(frame) == coverage.rows
    assert (frame["high"] >= frame[["open", "close", "low"]].max(axis=1)).all()
    assert (frame["volume"] > 0).all()


def test_the_days_agree_with_the_hours(installed: FinStore) -> None:
    for symbol in installed.symbols("crypto_binance", "1d"):
        days = installed.read("crypto_binance", "1d", symbol)
        hours = installed.read("crypto_binance", "1h", symbol).resample("1D")
        assert days["close"].equals(hours["close"].last().loc[days.index])
        assert days["high"].equals(hours["high"].max().loc[days.index])
        assert np.allclose(days["volume"], hours["volume"].sum().loc[days.index], rtol=1e-12)


def test_installing_again_changes_nothing(installed: FinStore) -> None:
    again = install_sample(installed)
    assert [line.new for line in again] == [0] * len(SAMPLE)
    assert sum(line.repeated for line in again) == sum(rows * _symbols(key) for key, (_, _, rows) in KEYS.items())
    assert installed.check() == []
    assert len(installed.keys()) == len(SAMPLE)


def _symbols(key: tuple[str, str]) -> int:
    return sum((bars.market, bars.timeframe) == key for bars in SAMPLE)
