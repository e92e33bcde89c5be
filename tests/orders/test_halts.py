"""Halts: of all, of one deployment, of one symbol; what halted first stays, and each is lifted by whom it belongs to."""

from __future__ import annotations

from algo_py.database import Database
from algo_py.orders.halts import ALL, BY_PERSON, HaltedBy, all_halts, halt, halt_of, halted_symbols, halts_by_deployment, resume
from tests.orders.making import BAR

BTC, ETH = "BTC/USDT", "ETH/USDT"


def _halt(database: Database, scope: str, reason: str, *, by: str = BY_PERSON, symbol: str | None = None) -> bool:
    return halt(database, scope, reason=reason, by=by, at=BAR, symbol=symbol)


def _reason(database: Database, symbol: str | None = None, *, scope: str = "d1") -> str:
    found = halt_of(database, scope, symbol)
    return "" if found is None else found.reason


def test_a_symbol_is_halted_and_the_others_are_not(database: Database) -> None:
    assert _halt(database, "d1", "a sale by hand", by=HaltedBy.RECONCILIATION, symbol=BTC)
    assert (_reason(database, BTC), _reason(database, ETH), _reason(database)) == ("a sale by hand", "", "")
    assert _reason(database, BTC, scope="d2") == ""
    assert set(halted_symbols(database, "d1")) == {BTC}
    assert all_halts(database) == {}
    assert halts_by_deployment(database)["d1"].reason == f"{BTC} only: a sale by hand"


def test_the_wider_halt_is_told_first(database: Database) -> None:
    for scope, reason, symbol in (("d1", "symbol", BTC), ("d1", "deployment", None), (ALL, "all", None)):
        _halt(database, scope, reason, symbol=symbol)
    assert _reason(database, BTC) == "all"
    assert resume(database, ALL)
    assert _reason(database, BTC) == "deployment"
    assert resume(database, "d1")
    assert (_reason(database, BTC), _reason(database)) == ("", "")


def test_what_halted_it_first_stays_on_record(database: Database) -> None:
    assert _halt(database, "d1", "first", symbol=BTC)
    assert not _halt(database, "d1", "second", by=HaltedBy.OUTCOME, symbol=BTC)
    assert _reason(database, BTC) == "first"


def test_whoever_lifts_lifts_their_own(database: Database) -> None:
    _halt(database, "d1", "by a person")
    _halt(database, "d1", "by the books", by=HaltedBy.RECONCILIATION, symbol=BTC)
    _halt(database, "d1", "by an answer", by=HaltedBy.OUTCOME, symbol=ETH)
    assert not resume(database, "d1", by=HaltedBy.CREDENTIALS)
    assert not resume(database, "d1", symbol=BTC, by=HaltedBy.OUTCOME)
    assert resume(database, "d1", by=HaltedBy.OUTCOME)
    assert set(halted_symbols(database, "d1")) == {BTC}
    assert resume(database, "d1", symbol=BTC, by=HaltedBy.RECONCILIATION)
    assert (set(halted_symbols(database, "d1")), _reason(database)) == (set(), "by a person")
    assert resume(database, "d1")
    assert not resume(database, "d1")


def test_resuming_one_lifts_no_halt_of_all(database: Database) -> None:
    _halt(database, ALL, "all")
    assert not resume(database, "d1")
    assert _reason(database, BTC) == "all"
