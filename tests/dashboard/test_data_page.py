"""The data page where there is nothing to look at, or nothing that can be read: the way on is in sight."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from algo_py.clock import parse_time
from algo_py.finstore import FinStore
from algo_py.settings import WORKSPACE_VARIABLE, Workspace
from tests.finstore.making import LATE, bars
from tests.processes import NO_NETWORK


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace without bars."""
    workspace = Workspace(tmp_path)
    workspace.settings_file.parent.mkdir()
    workspace.settings_file.write_text(NO_NETWORK)
    monkeypatch.setenv(WORKSPACE_VARIABLE, str(workspace.root))
    return workspace


def _page() -> None:
    from algo_py.dashboard.clients import clients
    from algo_py.dashboard.components.errors import page_border
    from algo_py.dashboard.context import Context
    from algo_py.dashboard.screens import data

    with page_border():
        data.show(Context(clients(), {}))


def test_an_empty_store_offers_the_sample(bare: Workspace) -> None:
    app = AppTest.from_function(_page, default_timeout=60).run()
    assert not app.exception
    assert app.info[0].value.startswith("No bars are stored in this workspace yet.")
    app.button(key="data.sample").click().run()
    assert not app.exception
    assert FinStore(bare.finstore).symbols("crypto_binance", "1h") == ("BNB/USDT", "BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT")
    [told] = [one.value for one in app.success]
    assert told.endswith(" bars of the sample stored\\.")
    assert app.selectbox(key="data.market").options == ["Crypto (Binance spot)", "Indian equities (NSE)"]


def test_files_can_be_checked_when_no_bar_can_be_read(bare: Workspace) -> None:
    store = FinStore(bare.finstore)
    store.append("crypto_binance", "1h", {"BTC/USDT": bars(10)}, now=LATE)
    [file] = bare.finstore.rglob("_delta/*.parquet")
    file.write_bytes(file.read_bytes()[:-1])
    app = AppTest.from_function(_page, default_timeout=60).run()
    assert not app.exception
    [error] = [one.value for one in app.error]
    assert "are damaged" in error
    assert "set it aside" in error
    assert not app.button(key="data.check").disabled


def test_a_market_without_a_source_is_refused_in_a_line(bare: Workspace) -> None:
    store = FinStore(bare.finstore)
    store.append("crypto_binance", "1h", {"BTC/USDT": bars(10, start=parse_time("2025-01-01"))}, now=LATE)
    app = AppTest.from_function(_page, default_timeout=60).run()
    app.button(key="data.fill").click().run()
    assert not app.exception
    refusal = (
        "**the bars of Crypto (Binance spot) have no source.** Choose one (binance, binance-archive, sample), or name one in"
    )
    [told] = [one.value.replace("\\", "") for one in app.error]
    assert told == f"{refusal} config/algo.toml under [data.sources]."
    app.text_input(key="data.fetch.symbols.crypto_binance").set_value("BTC/USDT").run()
    app.button(key="data.fetch.start").click().run()
    assert "have no source" in app.error[0].value


def test_bars_that_could_not_be_fetched_are_not_looked_for(bare: Workspace) -> None:
    FinStore(bare.finstore).append("crypto_binance", "1h", {"BTC/USDT": bars(10)}, now=LATE)
    app = AppTest.from_function(_page, default_timeout=60)
    app.session_state["data.market"] = "indian_equity"
    app.session_state["data.timeframe.crypto_binance"] = "5m"
    app.run()
    assert not app.exception
    assert [app.selectbox(key=f"data.{name}").value for name in ("market", "timeframe.crypto_binance")] == [
        "crypto_binance",
        "1h",
    ]
