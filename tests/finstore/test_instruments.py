"""Order rules on disk: asked for when they are missing or old, kept when the source is down."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from algo_py.clock import FrozenClock, monotonic_s
from algo_py.errors import AlgoPyError, AuthFailed, InvalidInput, NotFound, RateLimited, Refused, VenueDown
from algo_py.finstore.durable import locked
from algo_py.finstore.instruments import InstrumentCache
from algo_py.market import Instrument

from .memory_source import MemorySource

NOW = datetime(2025, 6, 1, tzinfo=UTC)
MARKET, DAY = "crypto_binance", timedelta(days=1)
BTC = Instrument(
    symbol="BTC/USDT",
    tick_size=Decimal("0.01"),
    lot_size=Decimal("0.00001"),
    quantity_min=Decimal("0.00001"),
    notional_min=Decimal(5),
    quantity_max=Decimal(9000),
    market_quantity_max=Decimal("63.7"),
)
ETH = Instrument(symbol="ETH/USDT", tick_size=Decimal("1E-2"))


@dataclass
class RuleSource(MemorySource):
    """A source that knows order rules, notes what it was asked, and fails as told."""

    rules: dict[str, Instrument] = field(default_factory=lambda: {"BTC/USDT": BTC, "ETH/USDT": ETH})
    error: AlgoPyError | None = None
    asked_rules: list[list[str]] = field(default_factory=list)

    def instruments(self, symbols: Sequence[str], *, deadline_s: float) -> Mapping[str, Instrument]:
        self.asked_rules.append(list(symbols))
        if self.error is not None:
            raise self.error
        return {symbol: self.rules[symbol] for symbol in symbols if symbol in self.rules}


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(NOW)


@pytest.fixture
def cache(tmp_path: Path, clock: FrozenClock) -> InstrumentCache:
    return InstrumentCache(tmp_path / "rules", clock)


def source(**options: object) -> RuleSource:
    return RuleSource({}, **options)  # type: ignore[arg-type]


def soon() -> float:
    return monotonic_s() + 5


def test_rules_come_back_as_they_were_read(cache: InstrumentCache, tmp_path: Path, clock: FrozenClock) -> None:
    one = source()
    assert cache.get(MARKET, "BTC/USDT") is None
    assert cache.age(MARKET, "BTC/USDT") is None
    done = cache.refresh(MARKET, one, ["BTC/USDT", "ETH/USDT", "BTC/USDT"], deadline_s=soon())
    assert (done.asked, done.unknown, done.failure) == (("BTC/USDT", "ETH/USDT"), (), None)
    clock.sleep(60)
    for other in (cache, InstrumentCache(tmp_path / "rules", clock)):
        assert other.get(MARKET, "BTC/USDT") == BTC
        assert str(other.get(MARKET, "ETH/USDT").tick_size) == "0.01"  # type: ignore[union-attr]
        assert other.age(MARKET, "ETH/USDT") == timedelta(minutes=1)
        assert other.get("indian_equity", "RELIANCE") is None


def test_only_what_is_missing_or_old_is_asked_for(cache: InstrumentCache, clock: FrozenClock) -> None:
    one = source()
    cache.refresh(MARKET, one, ["BTC/USDT"], deadline_s=soon())
    clock.sleep(DAY.total_seconds() - 1)
    cache.refresh(MARKET, one, ["BTC/USDT", "ETH/USDT"], deadline_s=soon())
    assert one.asked_rules == [["BTC/USDT"], ["ETH/USDT"]]
    clock.sleep(1)
    cache.refresh(MARKET, one, ["BTC/USDT", "ETH/USDT"], deadline_s=soon())
    cache.refresh(MARKET, one, ["ETH/USDT"], max_age=timedelta(0), deadline_s=soon())
    assert one.asked_rules[2:] == [["BTC/USDT"], ["ETH/USDT"]]
    assert cache.refresh(MARKET, one, [], deadline_s=soon()).asked == ()


def test_what_a_source_does_not_know_is_remembered_as_long(cache: InstrumentCache, clock: FrozenClock) -> None:
    knows_none, knows = source(name="files", rules={}), source()
    for _ in range(3):
        cache.refresh(MARKET, knows_none, ["BTC/USDT"], deadline_s=soon())
    assert knows_none.asked_rules == [["BTC/USDT"]]
    assert cache.refresh(MARKET, knows, ["BTC/USDT", "DOGE/USDT"], deadline_s=soon()).unknown == ("DOGE/USDT",)
    assert cache.get(MARKET, "BTC/USDT") == BTC
    clock.sleep(DAY.total_seconds())
    cache.refresh(MARKET, knows_none, ["BTC/USDT"], deadline_s=soon())
    assert len(knows_none.asked_rules) == 2
    assert cache.get(MARKET, "BTC/USDT") == BTC  # that it does not know them says nothing of the exchange's
    cache.refresh(MARKET, source(rules={}), ["BTC/USDT"], deadline_s=soon())
    assert cache.get(MARKET, "BTC/USDT") is None  # the exchange itself has them no more


@pytest.mark.parametrize("error", [VenueDown("no connection"), RateLimited("wait")])
def test_old_rules_stay_when_the_source_is_down(cache: InstrumentCache, clock: FrozenClock, error: AlgoPyError) -> None:
    cache.refresh(MARKET, source(), ["BTC/USDT"], deadline_s=soon())
    clock.sleep(10 * DAY.total_seconds())
    done = cache.refresh(MARKET, source(error=error), ["BTC/USDT", "ETH/USDT"], deadline_s=soon())
    assert (done.asked, done.failure) == ((), error)
    assert (cache.get(MARKET, "BTC/USDT"), cache.age(MARKET, "BTC/USDT")) == (BTC, 10 * DAY)
    one = source()
    cache.refresh(MARKET, one, ["BTC/USDT"], deadline_s=soon())
    assert (one.asked_rules, cache.age(MARKET, "BTC/USDT")) == ([["BTC/USDT"]], timedelta(0))


@pytest.mark.parametrize("error", [AuthFailed("no"), NotFound("what is that")])
def test_what_does_not_pass_by_waiting_is_raised(cache: InstrumentCache, error: AlgoPyError) -> None:
    with pytest.raises(type(error)):
        cache.refresh(MARKET, source(error=error), ["BTC/USDT"], deadline_s=soon())


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff", b'{"rules":{"BTC/USDT":{"tick_size":"1"}},"unknown":{}}', b'{"rules":{},"more":1}', None],
)
def test_a_file_that_cannot_be_read_is_written_anew(
    cache: InstrumentCache, tmp_path: Path, clock: FrozenClock, content: bytes | None
) -> None:
    cache.refresh(MARKET, source(), ["BTC/USDT"], deadline_s=soon())
    file = tmp_path / "rules" / f"{MARKET}.json"
    file.write_bytes(file.read_bytes().replace(b'"5"', b'"-5"') if content is None else content)
    for other in (cache, InstrumentCache(tmp_path / "rules", clock)):
        assert other.get(MARKET, "BTC/USDT") is None
    assert cache.refresh(MARKET, source(), ["BTC/USDT"], deadline_s=soon()).asked == ("BTC/USDT",)
    assert cache.get(MARKET, "BTC/USDT") == BTC


def test_a_clock_that_went_back_does_not_make_rules_young_for_ever(tmp_path: Path) -> None:
    folder, one = tmp_path / "rules", source()
    InstrumentCache(folder, FrozenClock(NOW + 400 * DAY)).refresh(MARKET, one, ["BTC/USDT"], deadline_s=soon())
    InstrumentCache(folder, FrozenClock(NOW)).refresh(MARKET, one, ["BTC/USDT"], deadline_s=soon())
    assert len(one.asked_rules) == 2


def test_symbols_and_markets_are_checked(cache: InstrumentCache) -> None:
    with pytest.raises(InvalidInput, match="not spelled like"):
        cache.refresh(MARKET, source(), ["BTCUSDT"], deadline_s=soon())
    with pytest.raises(NotFound, match="no market"):
        cache.get("moon", "BTC/USDT")


def test_nobody_waits_for_another_process_beyond_the_deadline(cache: InstrumentCache, tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    with locked(tmp_path / "rules" / f"{MARKET}.lock", timeout_s=1):
        began = monotonic_s()
        done = cache.refresh(MARKET, source(), ["BTC/USDT"], deadline_s=began + 0.2)
    assert done.failure is not None
    assert monotonic_s() - began < 1


def test_a_folder_that_cannot_be_written_is_said_so(tmp_path: Path, clock: FrozenClock) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(Refused, match="order rules cannot be written"):
        InstrumentCache(tmp_path / "file", clock).refresh(MARKET, source(), ["BTC/USDT"], deadline_s=soon())


def _refresh_all(folder: Path, names: list[str]) -> None:
    cache = InstrumentCache(folder, FrozenClock(NOW))
    for name in names:
        rules = {name: Instrument(symbol=name, lot_size=Decimal(1))}
        cache.refresh(MARKET, source(rules=rules), [name], deadline_s=monotonic_s() + 20)


def test_processes_lose_nothing_of_one_another(tmp_path: Path, clock: FrozenClock) -> None:
    names = [f"A{number}/USDT" for number in range(40)]
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=_refresh_all, args=(tmp_path, names[part::4])) for part in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0] * 4
    cache = InstrumentCache(tmp_path, clock)
    assert all(cache.get(MARKET, name) is not None for name in names)


def test_rules_of_an_earlier_version_have_no_largest_quantity(cache: InstrumentCache, tmp_path: Path) -> None:
    cache.refresh(MARKET, source(), ["BTC/USDT"], deadline_s=monotonic_s() + 1)
    file = tmp_path / "rules" / f"{MARKET}.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    for name in ("quantity_max", "market_quantity_max"):
        del content["rules"]["BTC/USDT"][name]
    file.write_text(json.dumps(content), encoding="utf-8")
    assert cache.get(MARKET, "BTC/USDT") == replace(BTC, quantity_max=Decimal(0), market_quantity_max=Decimal(0))
