"""Where the venue holds no stops the process looks at the price itself: it closes what has passed its stop in every state, and on
days of which nobody knows whether the market trades."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from algo_py.clock import FrozenClock, parse_time
from algo_py.deployment import DeploymentManager
from algo_py.market import get_market
from algo_py.orders.halts import ALL, BY_PERSON, HaltedBy, halt
from algo_py.orders.model import Leg, OrderStatus
from algo_py.settings import Workspace
from algo_py.workspace_database import open_workspace_database
from tests.deployment.conftest import Save
from tests.deployment.strategies import ALWAYS_IN, write_strategy
from tests.deployment.test_at_venues import Life
from tests.oms import zerodha_desk
from tests.venues.kite_trading import KiteTradingServer

INFY = zerodha_desk.INFY
BEYOND = parse_time("2040-06-04T06:00")  # a Monday, 11:30 in India, in a year that no calendar knows yet


def _halted(scope: str | None, symbol: str | None, by: str) -> Callable[[Life, Workspace], None]:
    def apply(life: Life, workspace: Workspace) -> None:
        database = open_workspace_database(workspace)
        halt(database, scope or life.deployment_id, reason="a look is taken", by=by, at=BEYOND, symbol=symbol)

    return apply


STATES: dict[str, Callable[[Life, Workspace], None]] = {
    "all halted": _halted(ALL, None, BY_PERSON),
    "symbol halted": _halted(None, INFY, HaltedBy.OUTCOME),
    "days unknown": lambda _life, _workspace: None,
}


@pytest.mark.parametrize("action", ["watch", "close"])
@pytest.mark.parametrize("state", list(STATES))
def test_what_is_held_can_be_left(
    workspace: Workspace, manager: DeploymentManager, save: Save, tmp_path: Path, state: str, action: str
) -> None:
    write_strategy(workspace, "always-in", ALWAYS_IN)
    save(
        strategy="always-in",
        params={},
        market="indian_equity",
        timeframe="1d",
        symbols=(INFY,),
        end=parse_time("2025-05-01"),
        initial_cash=100_000.0,
        stop_loss=0.05,
    )
    clock = FrozenClock(parse_time("2025-06-02T04:00"))
    with KiteTradingServer(
        clock, api_key=zerodha_desk.API_KEY, api_secret=zerodha_desk.API_SECRET, access_token=zerodha_desk.TOKEN
    ) as server:
        desk = zerodha_desk.Desk(server, clock, tmp_path)
        server.orders_per_s = None
        life = Life.begin(workspace, manager, desk.open(settling_s=1.0), clock)
        clock.sleep(86_400)
        server.token_ends_at = clock.now() + timedelta(hours=12)
        life.pipeline.run(clock.now())
        life.pipeline.follow(clock.now())
        held = life.journal.held(INFY)
        assert held == desk.held()[INFY] > 0

        STATES[state](life, workspace)
        if state == "days unknown":
            clock.sleep((BEYOND - clock.now()).total_seconds())
            server.new_day(keeps_token=True)
            server.token_ends_at = clock.now() + timedelta(hours=12)
            assert get_market("indian_equity").calendar.is_assumed(clock.now())
        if action == "watch":
            server.set_price(INFY, "1200.0")
            for _ in range(3):
                life.pipeline.follow(clock.now())
                clock.sleep(60)
        else:
            for _ in range(3):
                life.pipeline.close_positions(clock.now())
                clock.sleep(60)
        told = [(order.request.reason, str(order.status), order.reason) for order in life.journal.orders()]
        assert not desk.held().get(INFY), told
        assert not life.journal.held(INFY), told
        denied = [order for order in life.journal.orders() if order.status is OrderStatus.DENIED]
        assert all(order.request.leg is Leg.ENTRY for order in denied)
