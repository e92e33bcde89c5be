"""What cannot be used is refused by name, and what is cheap stays cheap."""

from __future__ import annotations

import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from algo_py.engine import PortfolioConfig, simulate
from algo_py.errors import InvalidInput
from algo_py.market import Instrument
from algo_py.strategy import Bars, Signals

from .tables import read_tables, trade


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"fees": -0.1}, "fees"),
        ({"fees": float("nan")}, "fees"),
        ({"fees": 1.0}, "fees"),
        ({"fixed_fees": -1}, "fixed_fees"),
        ({"slippage": 1}, "slippage"),
        ({"initial_cash": 0}, "initial_cash"),
        ({"initial_cash": float("inf")}, "initial_cash"),
        ({"size": 0}, "size"),
        ({"size": 1.5}, "all-in"),
        ({"size_type": "shares"}, "size_type"),
        ({"execution": "open"}, "execution"),
        ({"direction": "up"}, "direction"),
        ({"stop_loss": 1.0}, "stop_loss"),
        ({"take_profit": 0}, "take_profit"),
        ({"take_profit": 1.5, "direction": "both"}, "take_profit"),
        ({"trailing_stop": -0.1}, "trailing_stop"),
        ({"max_hold_bars": 0}, "max_hold_bars"),
        ({"max_hold_bars": 2.5}, "max_hold_bars"),
        ({"borrow_rate_annual": -1}, "borrow_rate_annual"),
        ({"periods_per_year": 0}, "periods_per_year"),
        ({"cost_schedule": "bse"}, "cost_schedule"),
        ({"cost_schedule": "nse_delivery", "fees": 0.001}, "fees must be 0"),
        ({"stop_los": 0.1}, "stop_los"),
        ({"instruments": {"A": {"symbol": "A", "lot": 1}}}, "instruments"),
    ],
)
def test_a_value_out_of_bounds_is_named(values: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        PortfolioConfig(**values)


@pytest.mark.parametrize(
    "instruments",
    [None, Instrument(symbol="*", lot_size=Decimal("0.001")), {"A": Instrument(symbol="A", notional_min=Decimal(5))}],
)
def test_a_configuration_survives_json(instruments: Any) -> None:
    config = PortfolioConfig(size_type="value", size=100, stop_loss=0.1, instruments=instruments, cost_schedule="nse_delivery")
    assert PortfolioConfig.model_validate_json(config.model_dump_json()) == config
    with pytest.raises(InvalidInput, match="colour"):
        PortfolioConfig.model_validate_json('{"colour": 1}')


def test_every_field_has_a_description() -> None:
    assert all(field.description for field in PortfolioConfig.model_fields.values())


def wrong(change: Any) -> None:
    bars, signals = read_tables({"A": "100 E\n101\n102", "B": "1\n2\n3 E"})
    changed = change(signals)
    simulate(bars, changed if isinstance(changed, Signals) else Signals(changed, signals.exits))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda signals: signals.entries.iloc[:-1], "row for each of the 3 bars"),
        (lambda signals: signals.entries.shift(1, freq="D"), "entries"),
        (lambda signals: signals.entries[["B", "A"]], "columns of entries"),
        (lambda signals: signals.entries.astype(float), "entries must be boolean"),
        (lambda signals: signals.entries.astype(object), "entries must be boolean"),
        (lambda signals: signals.entries.to_numpy(), "entries must be a DataFrame"),
        (lambda signals: Signals(signals.entries, signals.exits.iloc[::-1]), "exits"),
        (lambda signals: Signals(signals.entries, signals.exits, signals.entries.astype(int)), "short_entries must be boolean"),
    ],
)
def test_signals_that_do_not_fit_are_named(change: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        wrong(change)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, -1.0])
def test_prices_that_are_not_prices_are_named(value: float) -> None:
    bars, _ = read_tables({"A": "100\n101"})
    frame = bars["A"].copy()
    frame.iloc[1, 3] = value
    with pytest.raises(InvalidInput, match="close of A"):
        Bars.from_frames({"A": frame})


def test_duplicate_times_are_named() -> None:
    bars, _ = read_tables({"A": "100\n101"})
    with pytest.raises(InvalidInput, match="twice"):
        Bars.from_frames({"A": pd.concat([bars["A"], bars["A"]]).sort_index()})


def test_what_only_the_run_can_know_is_named() -> None:
    bars, signals = read_tables({"A": "100 E\n101"})
    with pytest.raises(InvalidInput, match="instruments must have an entry for A"):
        simulate(bars, signals, PortfolioConfig(instruments={"B": Instrument(symbol="B")}))
    with pytest.raises(InvalidInput, match="short_entries"):
        simulate(bars, Signals(signals.entries, signals.exits), PortfolioConfig(direction="short"))
    with pytest.raises(InvalidInput, match="bars must be Bars"):
        simulate(bars.close, signals)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="signals must be Signals"):
        simulate(bars, signals.entries)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="periods_per_year"):
        trade("100 S", direction="short", borrow_rate_annual=0.1)
    early, marks = read_tables({"A": "100 E\n101"}, start=pd.Timestamp("2019-01-01", tz="UTC"))
    with pytest.raises(InvalidInput, match="no rates before 2020-06-30"):
        simulate(early, marks, PortfolioConfig(cost_schedule="nse_delivery"))


def test_what_is_handed_out_does_not_reach_back() -> None:
    portfolio = trade("100 E\n110\n120")
    with pytest.raises(ValueError, match="read-only"):
        portfolio.equity.to_numpy()[0] = 0.0


def python(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=True, timeout=170
    )
    return done.stdout.strip()


def test_importing_the_engine_does_not_load_the_compiler() -> None:
    assert python("import sys, algo_py.engine; print('numba' in sys.modules)") == "False"


def test_a_second_process_does_not_compile(tmp_path: Path) -> None:
    code = """
import pandas as pd
from algo_py.engine import Account, PortfolioConfig, kernel, simulate, statistics
from algo_py.strategy import Bars, Signals
index = pd.date_range("2024-01-01", periods=3, freq="D", tz="UTC", unit="us")
frame = pd.DataFrame(1.0, index=index, columns=["open", "high", "low", "close", "volume"])
bars = Bars.from_frames({"A": frame})
flags = pd.DataFrame(False, index=index, columns=["A"])
simulate(bars, Signals(flags, flags)).metrics
account = Account(["A"], PortfolioConfig())
account.execute("A", "BUY", "entry", 1.0, 1.0)
found = [value for module in (kernel, statistics) for value in vars(module).values() if hasattr(value, "stats")]
print(sum(sum(function.stats.cache_misses.values()) for function in found))
"""
    assert int(python(code, NUMBA_CACHE_DIR=str(tmp_path))) > 0
    assert python(code, NUMBA_CACHE_DIR=str(tmp_path)) == "0"
