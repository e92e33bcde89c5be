"""`algo-py data fetch | fill-gap | revisions | sql`, from a local Binance."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.venues.binance import BinanceServer

from .conftest import Invoke

KEY = ("--market", "crypto_binance", "--timeframe", "1h")
SYMBOL = "DOGE/USDT"


def _bars(rows: int) -> pd.DataFrame:
    """Return bars of the last `rows` hours, the hour that has begun included."""
    last = pd.Timestamp(datetime.now(UTC)).floor("h")
    index = pd.date_range(end=last, periods=rows + 1, freq="h", unit="us", name="open_time")
    close = np.round(0.2 + 0.01 * np.sin(np.arange(len(index)) / 5), 5)
    values = {"open": close, "high": close + 0.001, "low": close - 0.001, "close": close, "volume": np.full(len(index), 1000.0)}
    return pd.DataFrame(values, index=index)


@pytest.fixture
def server(workspace: Path) -> Iterator[BinanceServer]:
    with BinanceServer() as server:
        server.set_bars(SYMBOL, "1h", _bars(100))
        (workspace / "config" / ".env").write_text(f"BINANCE_BASE_URL={server.url}\n")
        yield server


def test_history_is_fetched_and_kept_up_to_date(invoke: Invoke, server: BinanceServer) -> None:
    start = (datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - pd.Timedelta(hours=100)).isoformat()
    first = invoke("data", "fetch", *KEY, "--symbols", SYMBOL, "--start", start, "--json")
    assert (first.code, first.err) == (0, "")
    [told] = first.json()["symbols"]
    assert (first.json()["complete"], told["fetched"], told["problem"]) == (True, 100, None)
    asked = len(server.asked("/klines"))
    again = invoke("data", "fill-gap", *KEY, "--symbols", SYMBOL)
    assert again.code == 0
    assert "from binance" in again.out
    assert len(server.asked("/klines")) == asked
    answer = invoke("data", "sql", f"select count(*) as bars from bars where symbol = '{SYMBOL}'", "--json")
    assert answer.json() == [{"bars": 100}]
    assert invoke("data", "revisions", *KEY).out == "No source has given other values for a stored bar.\n"


def test_the_exchanges_own_order_rules_come_along(invoke: Invoke, server: BinanceServer, workspace: Path) -> None:
    start = (datetime.now(UTC) - pd.Timedelta(hours=90)).isoformat()
    assert invoke("data", "fetch", *KEY, "--symbols", SYMBOL, "--start", start).code == 0
    ran = invoke(
        "backtest", "run", "ema-cross", *KEY, "--symbols", SYMBOL, "--param", "fast=3", "--param", "slow=9", "--save", "doge"
    )
    assert ran.code == 0
    saved = next((workspace / "database" / "backtests").glob("*/snapshot.json")).read_text()
    assert '"lot_size"' in saved


def test_what_the_source_changed_is_shown_and_adopted_only_when_asked(invoke: Invoke, server: BinanceServer) -> None:
    bars = _bars(20)
    server.set_bars(SYMBOL, "1h", bars)
    start = bars.index[0].isoformat()
    assert invoke("data", "fetch", *KEY, "--symbols", SYMBOL, "--start", start).code == 0
    changed = bars.copy()
    changed["volume"] = np.where(np.arange(len(bars)) == 3, 7.0, bars["volume"])
    server.set_bars(SYMBOL, "1h", changed)
    again = invoke("data", "fetch", *KEY, "--symbols", SYMBOL, "--start", start, "--again")
    assert "1 stored bars have other values at the source now" in again.out
    [revision] = invoke("data", "revisions", *KEY, "--json").json()
    assert (revision["stored_volume"], revision["offered_volume"], revision["source"]) == (1000.0, 7.0, "binance")
    lowest = f"select min(volume) as v from bars where symbol = '{SYMBOL}'"
    assert invoke("data", "sql", lowest, "--json").json() == [{"v": 1000.0}]
    assert invoke("data", "revisions", *KEY, "--adopt").code == 2
    assert invoke("data", "revisions", *KEY, "--symbol", SYMBOL, "--adopt").code == 0
    assert invoke("data", "sql", lowest, "--json").json() == [{"v": 7.0}]


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--symbols", "NOPE/USDT", "--start", "2025-01-01"), 1, "NOPE"),
        (("--symbols", SYMBOL), 1, "name a start"),
        (("--symbols", "doge"), 2, "is not spelled like a symbol"),
        (("--symbols", SYMBOL, "--source", "bourse"), 4, "there is no source 'bourse'"),
        (("--symbols", SYMBOL, "--source", "kite"), 2, "kite has no bars of crypto_binance"),
    ],
)
def test_what_cannot_be_fetched_is_said(
    invoke: Invoke, server: BinanceServer, options: tuple[str, ...], code: int, message: str
) -> None:
    outcome = invoke("data", "fetch", *KEY, *options)
    assert outcome.code == code
    assert message in outcome.out + outcome.err


def test_damage_is_set_aside_and_fetched_again(invoke: Invoke, server: BinanceServer, workspace: Path) -> None:
    start = (datetime.now(UTC) - pd.Timedelta(hours=90)).isoformat()
    assert invoke("data", "fetch", *KEY, "--symbols", SYMBOL, "--start", start).code == 0
    count = f"select count(*) as bars from bars where symbol = '{SYMBOL}'"
    before = invoke("data", "sql", count, "--json").json()
    store = workspace / "database" / "finstore"
    file = next(file for file in store.rglob("timeframe=1h/**/*.parquet") if "DOGE" in str(file) or "_delta" in str(file))
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 0xFF
    file.write_bytes(bytes(content))
    assert invoke("data", "check").code == 1
    assert "Set aside" in invoke("data", "check", "--set-aside").out
    assert invoke("data", "check").code == 0
    filled = invoke("data", "fetch", *KEY, "--symbols", SYMBOL, "--start", start, "--json")
    assert filled.json()["complete"] is True
    assert invoke("data", "sql", count, "--json").json() == before
