"""`algo-py backtest` and `algo-py strategies`: what they print, for people and for programs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from algo_py.backtest.summary import METRICS

from .conftest import RUN, Invoke

KEYS = [
    *("id", "name", "strategy", "params", "market", "timeframe", "symbols", "start", "end", "initial_cash"),
    *("quote_currency", "fingerprint", "warnings", "metrics"),
]


def test_run_save_list_show_delete(invoke: Invoke, workspace: Path) -> None:
    ran = invoke(*RUN, "--param", "fast=5", "--cash", "5000", "--save", "mine", "--json")
    assert (ran.code, ran.err) == (0, "")
    found = ran.json()
    assert list(found) == KEYS
    assert tuple(found["metrics"]) == METRICS
    assert (found["name"], found["params"], found["initial_cash"]) == ("mine", {"fast": 5, "slow": 50}, 5000.0)
    assert (found["start"], found["end"]) == ("2024-10-01T00:00:00Z", "2026-01-30T00:00:00Z")
    assert invoke("backtest", "show", "mine", "--json").json() == found
    (listed,) = invoke("backtest", "list", "--json").json()
    assert (listed["id"], listed["metrics"], listed["error"]) == (found["id"], found["metrics"], None)
    for text in (found["id"], "mine", "ema-cross", "BTC/USDT 1d", "2024-10-01 00:00"):
        assert text in invoke("backtest", "list").out
    assert invoke("backtest", "delete", "mine").out == f"Deleted {found['id']}.\n"
    assert invoke("backtest", "list", "--json").json() == []
    assert invoke("backtest", "list").out.startswith("No backtest is saved here.")


def test_tables_are_for_people(invoke: Invoke, workspace: Path) -> None:
    ran = invoke(*RUN, "--end", "2024-10-08", "--save", "short")
    assert ran.code == 0
    assert "2024-10-01 00:00 to 2024-10-08 00:00 UTC" in ran.out
    assert "fees 0.10 %, slippage 0.05 %" in ran.out
    assert next(line for line in ran.out.splitlines() if line.startswith(" Sharpe ratio")).endswith("– ")
    assert ran.err.splitlines() == [
        "warning: BTC/USDT has 7 bars, but the strategy needs 51 before its first signal",
        "warning: no trades: the strategy gave no signal that could be followed",
    ]
    shown = invoke("backtest", "show", "short")
    assert "Saved as 'short'" in ran.out
    assert "name      short" in shown.out


def test_every_option_reaches_the_configuration(invoke: Invoke, workspace: Path) -> None:
    from algo_py.backtest import SnapshotStore
    from algo_py.settings import Workspace

    options = (
        *("--start", "2024-11-01", "--end", "2025-11-01T00:00+00:00", "--size", "500", "--size-type", "value", "--fees", "0.002"),
        *("--fixed-fees", "1", "--slippage", "0.003", "--execution", "close", "--direction", "both", "--no-cash-sharing"),
        *("--stop-loss", "0.05", "--take-profit", "0.2", "--trailing-stop", "0.1", "--max-hold-bars", "12"),
        *("--maker-fees", "0.0002", "--borrow-rate-annual", "0.08"),
        *("--no-allow-partial", "--auction-fills", "--symbols", "ETH/USDT, BTC/USDT", "--save", "all"),
    )
    assert invoke(*RUN, *options).code == 0
    config = SnapshotStore(Workspace(workspace)).load("all").config.model_dump(mode="json")
    assert config == {
        "strategy": "ema-cross",
        "params": {"fast": 10, "slow": 50},
        "market": "crypto_binance",
        "timeframe": "1d",
        "symbols": ["ETH/USDT", "BTC/USDT"],
        "start": "2024-11-01T00:00:00Z",
        "end": "2025-11-01T00:00:00Z",
        "initial_cash": 10_000.0,
        "order_rules": None,
        "size": 500.0,
        "size_type": "value",
        "cost_schedule": None,
        "fees": 0.002,
        "maker_fees": 0.0002,
        "fixed_fees": 1.0,
        "slippage": 0.003,
        "execution": "close",
        "cash_sharing": False,
        "allow_partial": False,
        "direction": "both",
        "stop_loss": 0.05,
        "take_profit": 0.2,
        "trailing_stop": 0.1,
        "max_hold_bars": 12,
        "borrow_rate_annual": 0.08,
        "auction_fills": True,
    }
    shown = invoke("backtest", "show", "all").out
    for line in (
        "cash      10,000.00 USDT, an equal part for each symbol",
        "size      500.00 USDT an entry, denied where cash is short",
        "orders    long and short, filled at the close that decided them, also in closing auctions",
        "costs     fees 0.20 %, maker fees 0.02 %, 1.00 USDT a fill, slippage 0.30 %, borrowing 8.00 % a year",
        "exits     stop-loss 5.00 %, take-profit 20.00 %, trailing stop 10.00 %, after 12 bars at the latest",
    ):
        assert line in shown


def test_hours_of_the_day_reach_the_configuration(invoke: Invoke, workspace: Path) -> None:
    hours = ("--no-entry-before", "06:00", "--no-entry-after", "20:00", "--square-off-at", "22:00")
    hourly = tuple("1h" if word == "1d" else word for word in RUN)
    ran = invoke(*hourly, "--start", "2025-01-01", "--end", "2025-02-01", *hours, "--save", "hours")
    assert ran.code == 0
    assert "exits     squared off at 22:00 UTC" in ran.out
    assert "entries   from 06:00 to 20:00 UTC" in ran.out


def test_indian_equity_pays_the_charges_of_its_day(invoke: Invoke, workspace: Path) -> None:
    nse = (
        "backtest",
        "run",
        "ema-cross",
        "--market",
        "indian_equity",
        "--timeframe",
        "1d",
        "--symbols",
        "TCS",
        "--cash",
        "1000000",
    )
    scheduled = invoke(*nse, "--costs", "nse_delivery", "--fixed-fees", "20", "--save", "charges", "--json").json()
    usual = invoke(*nse, "--json").json()
    assert 0 < scheduled["metrics"]["fees_paid"] < usual["metrics"]["fees_paid"]
    shown = invoke("backtest", "show", "charges").out
    assert "statutory charges of NSE delivery by date (nse_delivery), 20.00 INR a fill, slippage 0.05 %" in shown


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((*RUN, "--symbols", "DOGE/USDT"), 4, "there are no 1d bars of 'DOGE/USDT' on crypto_binance."),
        ((*RUN, "--symbols", "doge"), 2, "'doge' is not spelled like a symbol of crypto_binance. Write it like BTC/USDT."),
        ((*RUN, "--symbols", ","), 2, "symbols must name at least one symbol (was empty)"),
        ((*RUN, "--symbols", "BTC/USDT,BTC/USDT"), 2, "symbols must name each symbol once (has BTC/USDT twice)"),
        ((*RUN, "--cash", "-5"), 2, "initial_cash must be greater than 0 (was -5.0)"),
        ((*RUN, "--cash", "much"), 2, "Invalid value for '--cash':"),
        ((*RUN, "--size", "50"), 2, "size must be at most 1 where size_type is percent (was 50.0)."),
        (
            (*RUN, "--start", "2019-01-01", "--end", "2020-01-01"),
            4,
            "there are no 1d bars of BTC/USDT on crypto_binance from 2019",
        ),
        ((*RUN, "--start", "2026-01-01", "--end", "2025-01-01"), 2, "end must be after start"),
        ((*RUN, "--start", "soon"), 2, "'soon' is not a time."),
        ((*RUN, "--param", "fats=3"), 2, "ema-cross has no parameter 'fats'. Did you mean 'fast'?"),
        ((*RUN, "--param", "fast=1"), 2, "ema-cross: fast must be greater than or equal to 2 (was '1')"),
        ((*RUN, "--param", "fast"), 2, "--param must be NAME=VALUE (was 'fast'). Write it like --param fast=10."),
        ((*RUN, "--param", "fast=3", "--param", "fast=4"), 2, "--param names 'fast' twice"),
        ((*RUN, "--timeframe", "7h"), 2, "there is no timeframe '7h'."),
        ((*RUN, "--market", "moon"), 4, "there is no market 'moon'."),
        ((*RUN, "--stop-loss", "5"), 2, "stop_loss must be less than 1 (was 5.0)"),
        (
            (*RUN, "--square-off-at", "15:10"),
            2,
            "square_off_at needs bars shorter than a day (timeframe was 1d). Use intraday bars, or leave it out.",
        ),
        ((*RUN, "--no-entry-after", "noon"), 2, "no_entry_after: must be a time of day such as 15:10 (was 'noon')"),
        ((*RUN, "--max-hold-bars", "0"), 2, "max_hold_bars must be greater than or equal to 1 (was 0)"),
        ((*RUN, "--costs", "nse_delivery"), 2, "cost_schedule nse_delivery is for indian_equity (market was crypto_binance)."),
        (
            (*RUN, "--direction", "short"),
            2,
            "direction must be 'long' or 'both' for signals without short_entries (was 'short').",
        ),
        ((*RUN, "--lots", "3"), 2, "No such option: --lots"),
        (("backtest", "run", "ema-cros", *RUN[3:]), 4, "there is no strategy 'ema-cros'. Did you mean 'ema-cross'?"),
        (("backtest", "run", "ema-cross"), 2, "Missing option '--market'. See algo-py backtest run --help"),
        (("backtest", "show", "nothing"), 4, "there is no saved backtest 'nothing'. See algo-py backtest list."),
        (("backtest", "report", "nothing"), 4, "there is no saved backtest 'nothing'. See algo-py backtest list."),
        (("backtest", "delete", "nothing"), 4, "there is no saved backtest 'nothing'."),
        (("backtest",), 2, "Missing command. See algo-py backtest --help"),
        (("strategies", "show", "ema"), 4, "there is no strategy 'ema'."),
        (("nonsense",), 2, "No such command 'nonsense'."),
    ],
)
def test_every_mistake_gets_one_line_and_its_exit_code(
    invoke: Invoke, workspace: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    json = ("--json",) if arguments[:2] in (("backtest", "run"), ("backtest", "show"), ("strategies", "show")) else ()
    for outcome in (invoke(*arguments), invoke(*arguments, *json)):
        assert (outcome.code, outcome.out) == (code, "")
        assert outcome.err.startswith(f"error: {message}")
        assert outcome.err.count("\n") == 1
    assert not (workspace / "database" / "backtests").exists()


def test_a_taken_name_is_refused(invoke: Invoke, workspace: Path) -> None:
    assert invoke(*RUN, "--save", "mine").code == 0
    again = invoke(*RUN, "--save", "mine", "--json")
    assert (again.code, again.out) == (1, "")
    assert again.err.startswith("error: there is already a backtest called 'mine'. Choose another name, or delete it:")
    assert len(invoke("backtest", "list", "--json").json()) == 1


def test_a_broken_strategy_is_named_with_its_line(invoke: Invoke, workspace: Path) -> None:
    (workspace / "strategies" / "half_done.py").write_text("class HalfDone(\n    x = 1\n", encoding="utf-8")
    ran = invoke("backtest", "run", "half-done", *RUN[3:])
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert ran.err.startswith("error: half_done.py line ")
    assert invoke(*RUN).code == 0
    listed = {one["name"]: one["error"] for one in invoke("strategies", "--json").json()}
    assert listed["ema-cross"] is None
    assert listed["half-done"].startswith("half_done.py line ")
    assert "BROKEN: half_done.py line " in invoke("strategies").out
    assert invoke("strategies", "show", "half-done").code == 1


def test_the_example_strategy_runs_and_shows_its_parameters(invoke: Invoke, workspace: Path) -> None:
    assert invoke("backtest", "run", "my-first-strategy", *RUN[3:], "--param", "rise=0.05", "--json").json()["warnings"] == []
    shown = invoke("strategies", "show", "my-first-strategy", "--json").json()
    assert list(shown) == ["name", "title", "origin", "file", "error", "parameters"]
    assert shown["parameters"][1] == {
        "name": "rise",
        "type": "number",
        "default": 0.03,
        "minimum": "> 0",
        "maximum": "< 1",
        "description": "Buy above this rise, as a fraction (0.03 is 3 %)",
    }
    table = invoke("strategies", "show", "my-first-strategy").out
    assert "lookback" in table
    assert "How many bars to look back" in table


def test_what_a_strategy_prints_does_not_disturb_the_json(invoke: Invoke, workspace: Path) -> None:
    file = workspace / "strategies" / "my_first_strategy.py"
    text = file.read_text(encoding="utf-8").replace("        change =", "        print('in run')\n        change =")
    file.write_text("print('while loading')\n" + text.replace("from __future__ import annotations\n", ""), encoding="utf-8")
    ran = invoke("backtest", "run", "my-first-strategy", *RUN[3:], "--json")
    assert ran.json()["strategy"] == "my-first-strategy"
    assert "in run" in ran.err
    assert "while loading" in ran.err


def test_a_report_is_one_file_that_is_not_replaced_unasked(invoke: Invoke, workspace: Path) -> None:
    saved = invoke(*RUN, "--save", "BTC/USDT daily", "--json").json()
    wrote = invoke("backtest", "report", "BTC/USDT daily")
    file = workspace / "BTC-USDT-daily.html"
    assert re.fullmatch(r"Wrote BTC-USDT-daily\.html \(\d+ kB\)\.\n", wrote.out)
    page = file.read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert f'<data value="{saved["metrics"]["sharpe_ratio"]!r}" data-metric="sharpe_ratio">' in page
    again = invoke("backtest", "report", saved["id"])
    assert (again.code, again.out) == (3, "")
    assert again.err == "error: BTC-USDT-daily.html is there already. Replace it with --force, or name another file with -o.\n"
    file.write_text("old", encoding="utf-8")
    assert invoke("backtest", "report", saved["id"], "--force").code == 0
    assert invoke("backtest", "report", saved["id"], "-o", workspace / "other.html").code == 0
    assert file.read_text(encoding="utf-8") == page == (workspace / "other.html").read_text(encoding="utf-8")
    assert invoke("backtest", "report", saved["id"], "-o", workspace / "none" / "other.html").code == 3


def test_a_damaged_backtest_is_shown_as_damaged(invoke: Invoke, workspace: Path) -> None:
    saved = invoke(*RUN, "--save", "mine", "--json").json()["id"]
    orders = workspace / "database" / "backtests" / saved / "orders.parquet"
    orders.write_bytes(orders.read_bytes()[:-1] + b"x")
    shown = invoke("backtest", "show", "mine")
    assert (shown.code, shown.out) == (1, "")
    assert f"backtest {saved}: orders.parquet is not what was saved" in shown.err
    (workspace / "database" / "backtests" / saved / "snapshot.json").write_text("{}", encoding="utf-8")
    listed = invoke("backtest", "list")
    assert listed.code == 0
    assert "snapshot.json is not what was saved" in listed.out
    assert invoke("backtest", "delete", saved).code == 0
