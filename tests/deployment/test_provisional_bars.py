"""What a live run sees of bars that have closed and are not final: nothing, unless its deployment asks for them by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from algo_py.backtest import BacktestConfig
from algo_py.clock import FrozenClock
from algo_py.deployment.config import DeploymentConfig, LiveClock
from algo_py.deployment.feed import LiveFeed
from algo_py.deployment.schedule import OnBarClose
from algo_py.errors import NoData
from algo_py.finstore import FinStore
from algo_py.finstore.gaps import GapFiller
from algo_py.market import Timeframe
from tests.finstore.memory_source import MemorySource
from tests.nse_bars import INDIA, MARKET, NseShare

SHARE = NseShare("TCS", date(2026, 9, 1), date(2026, 10, 9))
DAYS = SHARE.bars(Timeframe.D1)
AT_CLOSE = datetime(2026, 10, 9, 15, 35, 5, tzinfo=INDIA)
FINAL = datetime(2026, 10, 9, 20, 0, 5, tzinfo=INDIA)


@dataclass
class Log:
    """Keeps what is told."""

    told: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def info(self, event: str, **fields: object) -> None:
        self.told.append((event, fields))

    warning = error = info

    def of(self, event: str) -> list[dict[str, object]]:
        return [fields for name, fields in self.told if name == event]


@dataclass
class Live:
    """A live feed of daily bars of TCS, whose source shows the price of 15:15 until the evening."""

    store: FinStore
    clock: FrozenClock
    source: MemorySource
    feed: LiveFeed
    log: Log

    def see(self) -> pd.DataFrame:
        bars = self.feed.see_closes(self.clock.now())
        assert bars is not None
        return bars["TCS"]


def live(folder: Path, *, use_provisional: bool) -> Live:
    early = DAYS.copy()
    early.loc[early.index[-1], ["open", "high", "low", "close"]] = [2160.0, 2190.0, 2150.0, 2171.5]
    store, clock, source, log = FinStore(folder), FrozenClock(AT_CLOSE), MemorySource({"TCS": early}), Log()
    store.append(MARKET, "1d", {"TCS": DAYS[:-1]}, now=AT_CLOSE)
    config = DeploymentConfig(
        id="one",
        name="one",
        backtest_id="one",
        backtest=BacktestConfig(strategy="ema-cross", market=MARKET, timeframe=Timeframe.D1, symbols=("TCS",), start=SHARE.start),
        strategy_file="strategy.py",
        strategy_class="EmaCross",
        schedule=OnBarClose(),
        oms="paper",
        clock=LiveClock(),
        use_provisional=use_provisional,
    )
    filler = GapFiller(store, source, MARKET, "1d", clock=clock)
    return Live(store, clock, source, LiveFeed(store, config, fill=lambda: filler.fill(["TCS"]), log=log), log)


def test_only_final_bars_are_decided_on(tmp_path: Path) -> None:
    one = live(tmp_path, use_provisional=False)
    assert one.see().index[-1] == DAYS.index[-2]
    assert one.store.read(MARKET, "1d", "TCS").index[-1] == DAYS.index[-1]  # it is there, and not used
    assert not one.log.of("run.provisional_bars")
    one.source.frames["TCS"] = DAYS
    one.clock.sleep((FINAL - AT_CLOSE).total_seconds())
    pd.testing.assert_series_equal(one.see().iloc[-1], DAYS.iloc[-1])
    assert [fields["settled"] for fields in one.log.of("run.fill_gap")] == [0, 1]
    assert not one.feed.incomplete


def test_a_deployment_that_asks_for_them_gets_provisional_bars_and_says_so(tmp_path: Path) -> None:
    one = live(tmp_path, use_provisional=True)
    assert one.see()["close"].iloc[-1] == 2171.5
    (said,) = one.log.of("run.provisional_bars")
    assert said["bars"] == {"TCS": str(DAYS.index[-1])}
    one.source.frames["TCS"] = DAYS
    one.clock.sleep((FINAL - AT_CLOSE).total_seconds())
    assert one.see()["close"].iloc[-1] == DAYS["close"].iloc[-1]
    assert len(one.log.of("run.provisional_bars")) == 1


def test_staleness_is_measured_with_what_is_final(tmp_path: Path) -> None:
    one = live(tmp_path, use_provisional=False)
    one.source.frames["TCS"] = DAYS[:-1]
    one.feed = LiveFeed(one.store, one.feed._config, fill=None, log=one.log)
    one.clock = FrozenClock(FINAL - timedelta(minutes=1))
    assert one.see().index[-1] == DAYS.index[-2]  # today's is not due before the evening
    one.clock = FrozenClock(FINAL)
    with pytest.raises(NoData, match="is final by now"):
        one.see()
    hasty = live(tmp_path / "hasty", use_provisional=True)
    hasty.feed = LiveFeed(hasty.store, hasty.feed._config, fill=None, log=hasty.log)
    with pytest.raises(NoData, match="has closed"):
        hasty.see()


def test_minutes_are_not_stale_while_an_auction_collects_its_orders(tmp_path: Path) -> None:
    store = FinStore(tmp_path)
    minutes = SHARE.minutes
    last = int(minutes.index.searchsorted(pd.Timestamp("2026-10-09T15:14", tz=INDIA)))
    store.append(MARKET, "1m", {"TCS": minutes[last - 400 : last + 1]}, now=AT_CLOSE)
    config = live(tmp_path / "other", use_provisional=False).feed._config
    by_minute = config.model_copy(update={"backtest": config.backtest.model_copy(update={"timeframe": Timeframe.M1})})
    feed = LiveFeed(store, by_minute, fill=None, log=Log())
    for minute in (20, 25, 30, 34):
        bars = feed.see_closes(datetime(2026, 10, 9, 15, minute, 1, tzinfo=INDIA))
        assert bars is not None
        assert bars.index[-1] == minutes.index[last]
    with pytest.raises(NoData):
        feed.see_closes(datetime(2026, 10, 9, 15, 35, 1, tzinfo=INDIA))


def test_a_configuration_of_before_has_no_provisional_bars(tmp_path: Path) -> None:
    config = live(tmp_path, use_provisional=True).feed._config
    old = config.model_dump(mode="json")
    del old["use_provisional"]
    assert DeploymentConfig.model_validate(old).use_provisional is False
