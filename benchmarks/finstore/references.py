"""What FinStore is measured against: plain parquet, DuckDB over plain parquet, and DuckDB's own file."""

# pyarrow carries no types.
# mypy: disable-error-code="attr-defined,no-untyped-call"

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq


class PlainParquet:
    """A parquet file per symbol, as pandas writes it; an append rewrites the file."""

    name = "plain parquet"

    def __init__(self, folder: Path, frames: Mapping[str, pd.DataFrame]) -> None:
        folder.mkdir()
        self._folder = folder
        for symbol, frame in frames.items():
            frame.to_parquet(self.file(symbol))

    def file(self, symbol: str) -> Path:
        return self._folder / f"{symbol.replace('/', '-')}.parquet"

    def read(self, symbol: str) -> pd.DataFrame:
        frame: pd.DataFrame = pq.read_table(self.file(symbol)).to_pandas()
        return frame

    def tails(self, symbols: list[str], rows: int) -> list[pd.DataFrame]:
        return [self.read(symbol).tail(rows) for symbol in symbols]

    def append(self, frames: Mapping[str, pd.DataFrame]) -> None:
        for symbol, frame in frames.items():
            file = self.file(symbol)
            table = pq.read_table(file)
            temporary = file.with_suffix(".tmp")
            pq.write_table(pa.concat_tables([table, pa.Table.from_pandas(frame).cast(table.schema)]), temporary)
            _synced(temporary)
            temporary.replace(file)


class DuckOverParquet:
    """DuckDB, its connection held open, over those files; an append is one more file for all symbols."""

    name = "DuckDB over plain parquet"

    def __init__(self, plain: PlainParquet, folder: Path) -> None:
        folder.mkdir()
        self._plain = plain
        self._folder = folder
        self._connection = duckdb.connect(":memory:")
        self._appends = 0

    def read(self, symbol: str) -> pd.DataFrame:
        return self._frame(f"SELECT * FROM read_parquet('{self._plain.file(symbol)}')")

    def tails(self, symbols: list[str], since: datetime) -> pd.DataFrame:
        files = ", ".join(f"'{self._plain.file(symbol)}'" for symbol in symbols)
        return self._frame(f"SELECT * FROM read_parquet([{files}], filename = true) WHERE open_time >= TIMESTAMPTZ '{since}'")

    def append(self, frames: Mapping[str, pd.DataFrame]) -> None:
        self._appends += 1
        file = self._folder / f"{self._appends}.parquet"
        self._connection.register("later", _together(frames))
        self._connection.execute(f"COPY later TO '{file}' (FORMAT parquet)")
        _synced(file)

    def means(self, symbols: list[str]) -> pd.DataFrame:
        files = ", ".join(f"'{self._plain.file(symbol)}'" for symbol in symbols)
        return self._frame(f"SELECT filename, avg(close) FROM read_parquet([{files}], filename = true) GROUP BY filename")

    def mean(self, symbol: str) -> pd.DataFrame:
        return self._frame(f"SELECT avg(close) FROM read_parquet('{self._plain.file(symbol)}')")

    def _frame(self, query: str) -> pd.DataFrame:
        return _frame(self._connection, query)


class DuckFile:
    """DuckDB's own file, held open by one process: nobody else can write to it, or read it, meanwhile."""

    name = "DuckDB's own file"

    def __init__(self, file: Path, frames: Mapping[str, pd.DataFrame]) -> None:
        self._connection = duckdb.connect(str(file))
        self._connection.register("loaded", _together(frames))
        self._connection.execute("CREATE TABLE bars AS SELECT * FROM loaded ORDER BY symbol, open_time")
        self._connection.execute("CHECKPOINT")

    def read(self, symbol: str) -> pd.DataFrame:
        return self._frame(f"SELECT * EXCLUDE (symbol) FROM bars WHERE symbol = '{symbol}' ORDER BY open_time")

    def tails(self, symbols: list[str], since: datetime) -> pd.DataFrame:
        names = ", ".join(f"'{symbol}'" for symbol in symbols)
        return self._frame(f"SELECT * FROM bars WHERE symbol IN ({names}) AND open_time >= TIMESTAMPTZ '{since}'")

    def append(self, frames: Mapping[str, pd.DataFrame]) -> None:
        self._connection.register("later", _together(frames))
        self._connection.execute("INSERT INTO bars SELECT * FROM later")

    def means(self) -> pd.DataFrame:
        return self._frame("SELECT symbol, avg(close) FROM bars GROUP BY symbol")

    def mean(self, symbol: str) -> pd.DataFrame:
        return self._frame(f"SELECT avg(close) FROM bars WHERE symbol = '{symbol}'")

    def _frame(self, query: str) -> pd.DataFrame:
        return _frame(self._connection, query)


def _together(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(frames, names=["symbol"]).reset_index()


def _frame(connection: Any, query: str) -> pd.DataFrame:
    frame: pd.DataFrame = connection.sql(query).to_arrow_table().to_pandas()
    return frame


def _synced(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
