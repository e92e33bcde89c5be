"""Windows of the day, square-off, closing auctions and intraday costs: a replay does what its backtest did, bit for bit."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from algo_py.deployment import DeploymentManager
from algo_py.finstore import FinStore
from algo_py.settings import Workspace
from tests.deployment.conftest import Save
from tests.deployment.test_replay import assert_equal, replay
from tests.engine.nse_bars import AUCTIONED, FIRST_ERA, ORDINARY, SECOND_ERA, frame_of, ist

STRATEGY = """
import numpy as np
import pandas as pd
from algo_py.strategy import Bars, Field, Signals, Strategy


class Restless(Strategy):
    \"\"\"Wants in and out at prices that nobody can guess, so that each bar of a day is as likely as another.\"\"\"

    every: int = Field(3, ge=2)

    def run(self, bars: Bars) -> Signals:
        cents = (bars.close * 100).round().fillna(0).astype("int64")
        return Signals(entries=cents % self.every == 0, exits=cents % (self.every + 2) == 1)
"""
EVERYTHING = {
    "no_entry_before": "09:30",
    "no_entry_after": "14:45",
    "square_off_at": "15:10",
    "cost_schedule": "nse_intraday",
}


def stored(workspace: Workspace, timeframe: str, first: date, days: int, *, missing: float = 0.0) -> None:
    """Store bars of both shares, and the strategy."""
    store = FinStore(workspace.finstore)
    for number, symbol in enumerate((AUCTIONED, ORDINARY)):
        frame = frame_of(symbol, timeframe, first, days, seed=7 + number, missing=missing)
        store.append("indian_equity", timeframe, {symbol: frame}, now=ist(first + timedelta(days=days + 30), "00:00"))
    workspace.strategies.mkdir(exist_ok=True)
    (workspace.strategies / "restless.py").write_text(STRATEGY)


def changed(timeframe: str, first: date, days: int, **changes: object) -> dict[str, object]:
    return {
        "strategy": "restless",
        "params": {},
        "market": "indian_equity",
        "timeframe": timeframe,
        "symbols": (AUCTIONED, ORDINARY),
        "start": ist(first, "00:00"),
        "end": ist(first + timedelta(days=days), "00:00"),
        "initial_cash": 200_000.0,
        "size": 0.4,
    } | changes


@pytest.mark.parametrize(
    ("timeframe", "first", "days", "missing", "changes"),
    [
        ("15m", FIRST_ERA, 7, 0.0, {}),
        ("15m", SECOND_ERA, 7, 0.1, {"stop_loss": 0.01, "trailing_stop": 0.012}),
        ("15m", FIRST_ERA, 7, 0.0, {"auction_fills": True, "stop_loss": 0.008, "max_hold_bars": 20}),
        ("5m", SECOND_ERA, 3, 0.05, {"auction_fills": True, "take_profit": 0.01}),
        ("5m", FIRST_ERA, 3, 0.05, EVERYTHING),
        ("15m", SECOND_ERA, 7, 0.1, EVERYTHING | {"stop_loss": 0.01, "max_hold_bars": 9}),
        ("15m", date(2026, 7, 29), 10, 0.0, EVERYTHING | {"square_off_at": "15:25", "cash_sharing": False, "size": 1.0}),
        ("15m", FIRST_ERA, 7, 0.0, {"symbols": (AUCTIONED,), "no_entry_after": "15:35", "auction_fills": True}),
        ("1m", SECOND_ERA, 1, 0.02, EVERYTHING | {"params": {"every": 19}}),
        ("1h", FIRST_ERA, 10, 0.0, {"square_off_at": "15:15"}),
    ],
    ids=[
        "auctions, first era",
        "auctions, second era, stops, missing bars",
        "fills in auctions, first era",
        "fills in auctions, second era",
        "windows, 5m",
        "windows, stops, missing bars",
        "square-off after continuous trading, the first day of auctions",
        "one share, entries into the auction",
        "a day of minutes",
        "hours",
    ],
)
def test_a_replay_gives_exactly_the_orders_of_its_backtest(
    workspace: Workspace,
    manager: DeploymentManager,
    save: Save,
    timeframe: str,
    first: date,
    days: int,
    missing: float,
    changes: dict[str, object],
) -> None:
    stored(workspace, timeframe, first, days, missing=missing)
    snapshot = save(**changed(timeframe, first, days, **changes))
    deployment = replay(manager)
    assert_equal(manager, deployment, snapshot)
    told = {order.request.client_order_id: order.request.reason for order in manager.orders(deployment.id)}
    exits = [told[fill.client_order_id] for fill in manager.fills(deployment.id) if str(fill.side) == "SELL"]
    of_backtest = snapshot.orders().query("side == 'SELL' and status == 'FILLED'")["reason"]
    assert exits.count("square_off") == (of_backtest == "square_off").sum()
    assert ("square_off" in exits) is ("square_off_at" in changes)
