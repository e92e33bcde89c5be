"""Booking what happened to a deployment by other hands: a form, a question where a price is far off, and what is booked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import streamlit as st

from algo_py.amounts import parse_amount
from algo_py.dashboard.clients import Clients, clients
from algo_py.dashboard.components.table import Cell, Column, Row, table
from algo_py.dashboard.format import DASH, plain
from algo_py.dashboard.screens.deployment import state
from algo_py.deployment import Deployment
from algo_py.deployment.booking import Booking, CashMoved, Correction, FarPrice, Split, TradeMade, Transfer
from algo_py.deployment.report import booked_json
from algo_py.errors import AlgoPyError
from algo_py.orders.model import Side

_TRADE, _TRANSFER, _SPLIT, _CASH, _CORRECT = "Trade", "Transfer", "Split or bonus", "Cash", "Correction"
_PENDING, _FORM = "deployment.booking.pending", "deployment.booking.form"
_PROBLEM = "deployment.booking.problem"
_HEIGHT = 170
_COLUMNS: Final = (
    Column("Time"),
    Column("Kind"),
    Column("Units", is_number=True),
    Column("Cash", is_number=True),
    Column("By"),
)


@dataclass(frozen=True, slots=True)
class _Pending:
    """A booking whose price is far off: a person is asked before it is booked."""

    deployment_id: str
    booking: Booking
    text: str


def show_booking(ours: Clients, deployment: Deployment) -> None:
    """Show the form, what is asked, and what is booked already."""
    _ask(deployment)
    with st.container(border=True):
        _form(deployment)
    _list(ours, deployment)


def _form(deployment: Deployment) -> None:
    kind = st.segmented_control(
        "What happened",
        [_TRADE, _TRANSFER, _SPLIT, _CASH, _CORRECT],
        default=_TRADE,
        required=True,
        key="deployment.booking.kind",
        persist_state="session",
    )
    fields = _Fields(deployment, str(kind))
    with st.form(fields.key("form"), border=False):
        read = _READERS[str(kind)](fields)
        note = fields.text(st, "Note", required=False)
        pressed = st.form_submit_button("Book it", type="primary")
    if pressed:
        with _told_in_place():
            st.session_state[_PROBLEM] = st.session_state[_PENDING] = None
            _book(deployment, read(note()))
        st.rerun()
    problem = st.session_state.get(_PROBLEM)
    if problem:
        st.error(plain(problem))


@contextmanager
def _told_in_place() -> Iterator[None]:
    """Keep a refusal for the form, where it stays until the next try: the page draws itself anew each second."""
    try:
        yield
    except AlgoPyError as error:
        st.session_state[_PROBLEM] = str(error)


def _book(deployment: Deployment, booking: Booking, *, far_price: bool = False) -> None:
    try:
        booked = clients().deployments.book(deployment.id, booking, far_price=far_price)
    except FarPrice as error:
        st.session_state[_PENDING] = _Pending(deployment.id, booking, error.message)
        st.rerun()
    st.session_state[_PENDING] = None
    st.session_state[_FORM] = st.session_state.get(_FORM, 0) + 1  # an empty form: the same thing is not booked twice by a click
    state.tell(f"Booked for {deployment.name}: {booked}.")
    st.rerun()


def _ask(deployment: Deployment) -> None:
    asked: _Pending | None = st.session_state.get(_PENDING)
    if asked is None or asked.deployment_id != deployment.id:
        return
    st.warning(f"**{plain(asked.text[:1].upper() + asked.text[1:])}.** Is it right?")
    with st.container(horizontal=True):
        is_right = st.button("It is right, book it", key="deployment.booking.far")
        is_wrong = st.button("Do not book it", key="deployment.booking.not")
    if is_wrong:
        st.session_state[_PENDING] = None
        st.rerun()
    if is_right:
        st.session_state[_PENDING] = None
        with _told_in_place():
            _book(deployment, asked.booking, far_price=True)
        st.rerun()


def _list(ours: Clients, deployment: Deployment) -> None:
    rows = booked_json(ours.deployments, deployment.id)
    if not rows:
        st.caption("Nothing but its own orders has changed its ledger.")
        return
    shown = [
        Row(
            str(row["entry_id"]),
            (
                Cell(str(row["time"])[:16].replace("T", " ")),
                Cell(str(row["kind"]).replace("_", " "), note=str(row["note"] or "")),
                Cell(_amount(row["quantity"]), note=str(row["symbol"])),
                Cell(_amount(row["cash"])),
                Cell(str(row["by"]), note=str(row["entry_id"])),
            ),
        )
        for row in reversed(rows)
    ]
    table("Booked", _COLUMNS, shown, key="deployment.booked", height=_HEIGHT)


def _amount(value: float) -> str:
    return f"{Decimal(f'{value:.10g}'):+,f}" if value else DASH


def _name(label: str) -> str:
    """Return what a field is called in a message: without its unit."""
    return label.partition(",")[0]


class _Fields:
    """The fields of one kind of booking; `text` shows one and returns what reads it."""

    def __init__(self, deployment: Deployment, kind: str) -> None:
        self.symbols = deployment.config.backtest.symbols
        self.currency = deployment.config.backtest.quote_label
        self._prefix = f"deployment.booking.{deployment.id}.{kind}.{st.session_state.get(_FORM, 0)}"

    def key(self, name: str) -> str:
        return f"{self._prefix}.{name}"

    def symbol(self, place: st.delta_generator.DeltaGenerator) -> str:
        return str(place.selectbox("Symbol", self.symbols, key=self.key("symbol")))

    def choice(self, place: st.delta_generator.DeltaGenerator, label: str, options: list[str]) -> str:
        return str(place.selectbox(label, options, key=self.key(label)))

    def text(self, place: object, label: str, *, required: bool = True, tip: str | None = None) -> Callable[[], str]:
        typed = place.text_input(  # type: ignore[attr-defined]
            label, key=self.key(label), placeholder="" if required else "may be empty", help=tip, max_chars=100
        )
        return lambda: str(typed)

    def amount(self, place: st.delta_generator.DeltaGenerator, label: str, *, tip: str | None = None) -> Callable[[], Decimal]:
        """Show a field for a number that is needed."""
        typed = self.text(place, label, tip=tip)
        return lambda: parse_amount(typed(), name=_name(label))

    def maybe(
        self, place: st.delta_generator.DeltaGenerator, label: str, *, tip: str | None = None
    ) -> Callable[[], Decimal | None]:
        """Show a field for a number that may be missing."""
        typed = self.text(place, label, required=False, tip=tip)
        return lambda: parse_amount(typed(), name=_name(label), allow_zero=True) if typed().strip() else None


_Read = Callable[[str], Booking]


def _trade(fields: _Fields) -> _Read:
    left, right = st.columns(2)
    symbol, side = fields.symbol(left), fields.choice(right, "Side", ["sold", "bought"])
    first, second, third = st.columns(3)
    quantity = fields.amount(first, "Quantity")
    price = fields.amount(second, f"Price, {fields.currency}")
    fee = fields.maybe(third, f"Fee, {fields.currency}")
    return lambda note: TradeMade(
        symbol=symbol,
        side=Side.SELL if side == "sold" else Side.BUY,
        quantity=quantity(),
        price=price(),
        fee=fee() or Decimal(0),
        note=note,
    )


def _transfer(fields: _Fields) -> _Read:
    left, right = st.columns(2)
    symbol, way = fields.symbol(left), fields.choice(right, "Way", ["went out", "came in"])
    left, right = st.columns(2)
    quantity = fields.amount(left, "Quantity")
    price = fields.maybe(right, f"Price, {fields.currency}", tip="What a unit that came in was worth")
    sign = -1 if way == "went out" else 1
    return lambda note: Transfer(symbol=symbol, quantity=sign * quantity(), price=price(), note=note)


def _split(fields: _Fields) -> _Read:
    left, right = st.columns(2)
    symbol = fields.symbol(left)
    ratio = fields.amount(right, "Ratio", tip="New units for an old one: 2 for a split 2:1, 1.5 for a bonus 1:2, 0.1 for 10:1")
    left, right = st.columns(2)
    cash = fields.maybe(left, f"Cash, {fields.currency}", tip="What was paid for a fraction")
    quantity = fields.maybe(right, "Quantity", tip="What is held now, where it is not the whole part")
    return lambda note: Split(symbol=symbol, ratio=ratio(), cash=cash() or Decimal(0), quantity=quantity(), note=note)


def _cash(fields: _Fields) -> _Read:
    left, right = st.columns(2)
    amount = fields.amount(left, f"Amount, {fields.currency}")
    sign = -1 if fields.choice(right, "Way", ["paid in", "paid out"]) == "paid out" else 1
    return lambda note: CashMoved(amount=sign * amount(), note=note)


def _correction(fields: _Fields) -> _Read:
    booked = fields.text(
        st, "Fill or entry", tip="The id of what was booked wrong: under By in the list below, or a trade_id of algo-py show"
    )
    return lambda note: Correction(of=booked().strip(), note=note)


_READERS: Final[dict[str, Callable[[_Fields], _Read]]] = {
    _TRADE: _trade,
    _TRANSFER: _transfer,
    _SPLIT: _split,
    _CASH: _cash,
    _CORRECT: _correction,
}
