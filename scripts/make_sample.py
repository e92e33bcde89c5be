"""Make the bundled sample bars from a folder of parquet files: `python scripts/make_sample.py FOLDER`.

FOLDER holds `<market>/<SYMBOL>-<timeframe>.parquet` with the columns timestamp (open time, UTC), open, high, low, close, volume.
Crypto bars are cut where the shortest pair ends, so that all pairs of a timeframe cover the same period.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from algo_py.finstore.files import encode_bars
from algo_py.finstore.frames import from_frames
from algo_py.finstore.sample import SAMPLE, SAMPLE_CLOSED_BY, SampleBars
from algo_py.market import Timeframe


def main(source: Path) -> None:
    """Write every file of SAMPLE."""
    total = 0
    for market, timeframe in dict.fromkeys((bars.market, bars.timeframe) for bars in SAMPLE):
        chosen = [bars for bars in SAMPLE if (bars.market, bars.timeframe) == (market, timeframe)]
        frames = {bars.symbol: _source_frame(source, bars) for bars in chosen}
        last = min(SAMPLE_CLOSED_BY - Timeframe.parse(timeframe).delta, *(frame.index[-1] for frame in frames.values()))
        blocks = from_frames({symbol: frame[frame.index <= last] for symbol, frame in frames.items()})
        for bars in chosen:
            content = encode_bars(blocks[bars.symbol], compression="zstd", level=19)
            bars.file.parent.mkdir(parents=True, exist_ok=True)
            bars.file.write_bytes(content)
            total += len(content)
            frame = frames[bars.symbol]
            print(f"{market} {timeframe} {bars.symbol}: {len(blocks[bars.symbol])} bars, {frame.index[0]} to {last}")
    print(f"{total} bytes")


def _source_frame(source: Path, bars: SampleBars) -> pd.DataFrame:
    name = f"{bars.symbol.replace('/', '')}-{bars.timeframe}.parquet"
    return pd.read_parquet(source / bars.market / name).set_index("timestamp")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
