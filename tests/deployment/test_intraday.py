"""Intraday deployments: what is refused by name, and when an order on paper may fill while its share does not trade."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

import numpy as np
import pandas as pd
import pytest

from algo_py.backtest import BacktestConfig
from algo_py.deployment import DeploymentManager, DeploymentRequest
from algo_py.deployment.config import DeploymentConfig, LiveClock
from algo_py.deployment.feed import LiveFeed
from algo_py.deployment.opinion import Opinion, within_windows
from algo_py.deployment.schedule import AtTime, OnBarClose, Schedule
from algo_py.engine import PortfolioConfig
from algo_py.engine.windows import windows_of
from algo_py.errors import InvalidInput, Refused
from algo_py.finstore import FinStore
from algo_py.settings import Workspace
from tests.deployment.conftest import Save
from tests.deployment.test_replay_of_trading_days import changed, stored
from tests.engine.nse_bars import AUCTIONED, FIRST_ERA, ORDINARY, SECOND_ERA, ist, universe

KEYS = "ZERODHA_API_KEY=key\nZERODHA_API_SECRET=secret\n"
INTRADAY = {"square_off_at": "15:10", "cost_schedule": "nse_intraday"}


class Silent:
    """A log that nobody reads."""

    def info(self, event: str, **fields: object) -> object: ...
    def warning(self, event: str, **fields: object) -> object: ...
    def error(self, event: str, **fields: object) -> object: ...


@pytest.fixture
def at_zerodha(workspace: Workspace) -> Iterator[Workspace]:
    """A workspace with keys of Zerodha, whose product is MIS."""
    workspace.settings_file.write_text(workspace.settings_file.read_text() + '\n[zerodha]\nproduct = "MIS"\n')
    (workspace.settings_file.parent / ".env").write_text(KEYS)
    (workspace.settings_file.parent / ".env").chmod(0o600)
    stored(workspace, "15m", FIRST_ERA, 3)
    yield workspace
    shutil.rmtree(workspace.deployments, ignore_errors=True)


def request(oms: str = "zerodha", schedule: Schedule | None = None) -> DeploymentRequest:
    return DeploymentRequest(backtest="saved", schedule=schedule or OnBarClose(), oms=oms, clock=LiveClock())


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, r"Zerodha closes positions itself from 15:20 on: square_off_at must be before that \(was none\).*--square-off-at"),
        ({"cost_schedule": "nse_intraday"}, r"square_off_at must be before that \(was none\)"),
        (INTRADAY | {"square_off_at": "15:20"}, r"square_off_at must be before that \(was 15:20\)"),
        ({"square_off_at": "15:10"}, r"cost_schedule must be nse_intraday \(was none\).*--costs nse_intraday"),
        ({"square_off_at": "15:10", "cost_schedule": "nse_delivery"}, r"cost_schedule must be nse_intraday \(was nse_delivery\)"),
        (INTRADAY, None),
        (INTRADAY | {"square_off_at": "15:19"}, None),
    ],
)
def test_mis_needs_a_square_off_before_the_broker_s_and_its_charges(
    at_zerodha: Workspace, save: Save, changes: dict[str, object], told: str | None
) -> None:
    save(**changed("15m", FIRST_ERA, 3, **changes))
    manager = DeploymentManager(at_zerodha)
    if told is None:
        assert manager.configure(request())[0].backtest.square_off_at is not None
        return
    with pytest.raises(Refused) as refused:
        manager.configure(request())
    assert pd.Series([f"{refused.value}"]).str.contains(told).all(), refused.value
    assert manager.configure(request("paper"))[0].oms == "paper"  # another venue has no such rule


def test_deliveries_need_neither(at_zerodha: Workspace, save: Save) -> None:
    at_zerodha.settings_file.write_text(at_zerodha.settings_file.read_text().replace("MIS", "CNC"))
    save(**changed("15m", FIRST_ERA, 3))
    assert DeploymentManager(at_zerodha).configure(request())[0].oms == "zerodha"


@pytest.mark.parametrize(
    ("at", "told"),
    [
        ("09:30", "square_off_at 15:10 needs a run from 15:00 to 15:30 Asia/Kolkata, and 'at 09:30 Asia/Kolkata' has none"),
        ("15:05", None),
        ("15:29", None),
        ("15:30", "needs a run from 15:00 to 15:30"),
    ],
)
def test_a_square_off_needs_a_run(workspace: Workspace, save: Save, at: str, told: str | None) -> None:
    stored(workspace, "15m", SECOND_ERA, 3)
    save(**changed("15m", SECOND_ERA, 3, square_off_at="15:10", symbols=(ORDINARY,)))
    schedule = AtTime(at=time.fromisoformat(at), tz="Asia/Kolkata")
    manager = DeploymentManager(workspace)
    if told is None:
        assert manager.configure(request("paper", schedule))
        return
    with pytest.raises(Refused, match=told):
        manager.configure(request("paper", schedule))


def test_hours_of_the_day_need_intraday_bars(save: Save) -> None:
    with pytest.raises(InvalidInput, match=r"square_off_at needs bars shorter than a day \(timeframe was 1d\)"):
        save(**changed("1d", FIRST_ERA, 3, square_off_at="15:10"))


# Orders on paper


def live_feed(
    workspace: Workspace, *, symbols: tuple[str, ...] = (AUCTIONED, ORDINARY), first: date = FIRST_ERA, quotes: bool = False,
    **changes: object,
) -> LiveFeed:  # fmt: skip
    """Return the live feed of a deployment on paper, over bars of three days."""
    stored(workspace, "15m", first, 3)
    backtest = BacktestConfig.model_validate(changed("15m", first, 3, symbols=symbols, **changes) | {"end": None})
    config = DeploymentConfig(
        id="d", name="d", backtest_id="b", backtest=backtest, strategy_file="s", strategy_class="S", schedule=OnBarClose(),
        oms="paper", clock=LiveClock(),
    )  # fmt: skip
    return LiveFeed(
        FinStore(workspace.finstore), config, fill=None, log=Silent(), quote=(lambda _symbol: 777.0) if quotes else None
    )


def opens_of(workspace: Workspace, symbol: str) -> pd.Series:
    return FinStore(workspace.finstore).read("indian_equity", "15m", symbol)["open"]


TOMORROW = FIRST_ERA + timedelta(days=1)


@pytest.mark.parametrize("quotes", [True, False])
@pytest.mark.parametrize(
    ("symbol", "sent", "waits_at"),
    [
        (AUCTIONED, "15:15", ["15:15", "15:22", "15:31", "15:36", "20:00"]),
        (AUCTIONED, "15:35", ["15:35", "20:00"]),
        (ORDINARY, "15:30", ["15:30", "23:00"]),
    ],
)
def test_an_order_at_the_closed_market_waits_for_the_opening(
    workspace: Workspace, symbol: str, sent: str, waits_at: list[str], *, quotes: bool
) -> None:
    feed = live_feed(workspace, quotes=quotes)
    submitted, bar_time = ist(FIRST_ERA, sent), ist(FIRST_ERA, "15:00")
    for moment in waits_at:
        feed.see_closes(ist(FIRST_ERA, moment), as_stored=True)
        feed.see_opens(ist(FIRST_ERA, moment))
        assert feed.fill_price(symbol, bar_time, submitted) is None, moment
    opening = ist(TOMORROW, "09:15")
    feed.see_opens(opening)
    if quotes:
        assert feed.fill_price(symbol, bar_time, submitted) == (opening, 777.0)
        return
    assert feed.fill_price(symbol, bar_time, submitted) is None  # nobody knows a price yet
    feed.see_closes(ist(TOMORROW, "09:30"), as_stored=True)
    assert feed.fill_price(symbol, bar_time, submitted) == (opening, opens_of(workspace, symbol)[opening])


@pytest.mark.parametrize("quotes", [True, False])
def test_while_the_share_trades_an_order_fills_at_once(workspace: Workspace, *, quotes: bool) -> None:
    feed = live_feed(workspace, quotes=quotes)
    now = ist(FIRST_ERA, "15:00")
    feed.see_closes(now, as_stored=True)
    filled = feed.fill_price(AUCTIONED, ist(FIRST_ERA, "14:45"), now)
    assert filled is not None
    assert filled[0] == now
    assert (filled[1] == 777.0) is quotes


@pytest.mark.parametrize(("first", "sent", "auction"), [(FIRST_ERA, "15:15", "15:30"), (SECOND_ERA, "15:30", "15:40")])
def test_with_auction_fills_it_takes_part_in_the_auction(workspace: Workspace, first: date, sent: str, auction: str) -> None:
    feed = live_feed(workspace, first=first, quotes=True, auction_fills=True)
    submitted, bar_time = ist(first, sent), ist(first, "15:00")
    feed.see_closes(submitted, as_stored=True)
    assert feed.fill_price(AUCTIONED, bar_time, submitted) is None
    feed.see_closes(ist(first, "15:46"), as_stored=True)
    opened = ist(first, auction)
    assert feed.fill_price(AUCTIONED, bar_time, submitted) == (opened, opens_of(workspace, AUCTIONED)[opened])
    late = ist(first, auction) - timedelta(minutes=1)  # the auction takes limit orders alone by then
    assert feed.fill_price(AUCTIONED, bar_time, late) is None


def test_stops_on_paper_do_not_see_the_auction(workspace: Workspace) -> None:
    feed = live_feed(workspace)
    feed.see_closes(ist(FIRST_ERA, "20:00"), as_stored=True)
    seen = {symbol: [bar.time for bar in feed.bars_since(symbol, ist(FIRST_ERA, "14:45"))] for symbol in (AUCTIONED, ORDINARY)}
    assert seen[AUCTIONED] == [ist(FIRST_ERA, "14:45"), ist(FIRST_ERA, "15:00")]
    assert seen[ORDINARY] == [ist(FIRST_ERA, at) for at in ("14:45", "15:00", "15:15")]


# What a late run makes of it


def opinion(symbols: int, *, entries: bool = True) -> Opinion:
    nothing, all_of_them = np.zeros(symbols, dtype=np.bool_), np.full(symbols, entries)
    return Opinion(entries=all_of_them, exits=nothing, short_entries=nothing, short_exits=nothing, square_off=nothing)


def judged(until: str, *, now: datetime | None = None, first_new: int | None = None, needs_bar: bool = True) -> Opinion:
    """Return what the windows leave at the bar that closes at `until`, when symbols of both kinds are held."""
    bars = universe("15m", FIRST_ERA, 2, seed=1)
    rows = int(bars.close_times().searchsorted(pd.Timestamp(ist(FIRST_ERA, until)), side="right"))
    seen = bars.head(rows)
    first = rows - 1 if first_new is None else first_new
    config = PortfolioConfig(no_entry_after="14:30", square_off_at="15:10")
    windows = windows_of(seen, config, first=first, not_before=now)
    held = {AUCTIONED: 0, ORDINARY: 0}
    return within_windows(opinion(2), seen, windows, first_new=first, held_since=held, needs_bar=needs_bar)


def test_a_run_that_is_late_counts_by_its_own_time() -> None:
    assert judged("14:30").entries.all()
    assert not judged("14:45").entries.any()
    assert not judged("14:30", now=ist(FIRST_ERA, "14:50")).entries.any()


def test_a_square_off_that_was_missed_is_made_up_for() -> None:
    assert judged("15:00").square_off.all()
    assert not judged("14:45").square_off.any()
    # The run of 15:00 and all later ones of the day were missed; the next one sees the evening's bars for the first time.
    bars = universe("15m", FIRST_ERA, 2, seed=1)
    next_day = int(bars.close_times().searchsorted(pd.Timestamp(ist(TOMORROW, "09:30")), side="right"))
    windows = windows_of(bars.head(next_day), PortfolioConfig(square_off_at="15:10"), first=15)
    made_up = within_windows(
        opinion(2, entries=False), bars.head(next_day), windows, first_new=15,
        held_since={AUCTIONED: 0, ORDINARY: 0}, needs_bar=False,
    )  # fmt: skip
    assert made_up.square_off.all()


def test_live_no_position_waits_for_a_bar_of_its_own() -> None:
    """At 15:30 the share with an auction has had no bar for a quarter of an hour; a backtest has nothing to decide on then."""
    assert judged("15:30", needs_bar=False).square_off.tolist() == [True, True]
    assert judged("15:30", needs_bar=True).square_off.tolist() == [False, True]
