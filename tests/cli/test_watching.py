"""A deployment that lives and holds, typed: what is booked is taken over, and stopping leaves nothing unwatched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from algo_py.clock import SystemClock, monotonic_s

from .conftest import LIVE_SYMBOL, Invoke, deploy_live
from .test_book import until


def _stops(shown: dict[str, Any]) -> list[dict[str, Any]]:
    return [order for order in shown["orders"] if (order["type"], order["status"]) == ("STOP", "ACCEPTED")]


def _show(invoke: Invoke, deployment_id: str) -> dict[str, Any]:
    shown: dict[str, Any] = invoke("show", deployment_id, "--json").json()
    return shown


def _until_protected(invoke: Invoke, deployment_id: str, quantity: float) -> dict[str, Any]:
    """Return what `protect` says once a stop rests for this quantity."""

    def found() -> dict[str, Any] | None:
        rows = invoke("protect", deployment_id, "--json").json()
        return rows[0] if rows and (rows[0]["by"], rows[0]["quantity"]) == ("venue_stop", quantity) else None

    row: dict[str, Any] = until(found, f"a stop rests for {quantity}")
    return row


def test_what_is_booked_is_taken_over_and_stopping_leaves_nothing_unwatched(typed: Path, invoke: Invoke) -> None:
    own_id = deploy_live(invoke, "paper")
    [position] = until(lambda: _show(invoke, own_id)["positions"], "it holds something")
    assert 90 <= _until_protected(invoke, own_id, position["quantity"])["stop_price"] < 91

    sale = ("--side", "sell", "--quantity", "9.95", "--price", "100", "--note", "in the app")
    began_s = monotonic_s()
    assert invoke("book", "trade", own_id, "--symbol", LIVE_SYMBOL, *sale).code == 0
    left = round(position["quantity"] - 9.95, 8)
    _until_protected(invoke, own_id, left)
    assert monotonic_s() - began_s < 20
    [stop] = _stops(_show(invoke, own_id))
    assert stop["quantity"] == left

    told = invoke("stop", own_id).out
    assert f"is watching: stopped by request; it goes on watching STOP SELL {left} {LIVE_SYMBOL} (ACCEPTED)." in told
    assert f"It holds {left} {LIVE_SYMBOL}. Close it: algo-py stop {own_id} --close-positions" in told
    assert "NOT PROTECTED" not in told
    assert "Stop it before clearing it" in invoke("clear", own_id).err
    _until_protected(invoke, own_id, left)

    runs = _show(invoke, own_id)["runs"]
    SystemClock().sleep(1.5)
    assert _show(invoke, own_id)["runs"] == runs, "what only watches decides nothing"
    assert "is running" in until(lambda: _restarted(invoke, own_id), "it runs again")
    until(lambda: _show(invoke, own_id)["runs"] > runs, "it goes on trading")

    assert "is watching" in invoke("stop", own_id).out
    assert invoke("stop", own_id, "--close-positions").out == (
        f"first ({own_id}) is stopped: stopped by request, its positions are closed.\n"
    )
    shown = _show(invoke, own_id)
    assert (shown["positions"], _stops(shown)) == ([], [])
    assert invoke("clear", own_id).code == 0


def _restarted(invoke: Invoke, own_id: str) -> str:
    """Restart it unless that was done; return the line of its status once it runs."""
    if _show(invoke, own_id)["status"] == "watching":
        assert invoke("restart", own_id).code == 0
    status = _show(invoke, own_id)["status"]
    return "is running" if status == "running" else ""
