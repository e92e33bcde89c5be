"""The form of a loaded backtest: what the snapshot fixes, what may be changed, and when and where it shall trade."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from algo_py.dashboard.clients import Clients
from algo_py.dashboard.components.errors import shown_as_a_line
from algo_py.dashboard.components.money import SIZE_TYPES
from algo_py.dashboard.components.parameter_form import fill_parameters, parameter_form
from algo_py.dashboard.format import fraction_of, percentage_of, plain
from algo_py.dashboard.screens.deployment import state
from algo_py.dashboard.screens.deployment.limits import limits_form
from algo_py.dashboard.screens.deployment.schedule import schedule_form
from algo_py.dashboard.screens.deployment.venue import credentials_state
from algo_py.deployment import DeploymentRequest
from algo_py.deployment.config import ClockChoice, DeploymentConfig, LiveClock, Replay
from algo_py.deployment.preview import schedule_warnings, shown_runs
from algo_py.deployment.schedule import Schedule
from algo_py.market import get_market
from algo_py.market.quotes import usual_cash
from algo_py.oms import oms_choice, oms_names

LIVE, REPLAY = "Live", "Replay"
_NEXT_RUNS = 3


def fill_request(loaded: state.Loaded) -> None:
    """Put what the backtest was run with into the form, over whatever stands there."""
    fill_parameters(loaded.fields, loaded.snapshot.config.params, key=loaded.key("param"))
    for name, value in _money(loaded).items():
        st.session_state[loaded.key(name)] = value


def request_form(clients: Clients, loaded: state.Loaded) -> None:
    """Show the form, when it would run, and the button that deploys it."""
    with st.container(border=True):
        head, close = st.columns([6, 1], vertical_alignment="center")
        head.subheader(f"Deploy {plain(loaded.snapshot.name)}", anchor=False)
        if close.button("Close", type="tertiary", width="stretch", key="deployment.close"):
            state.set_loaded(None)
            st.rerun()
        what, when, where = st.columns([1.3, 1, 1], gap="medium")
        with what:
            overrides = _what(loaded)
        with when:
            schedule = schedule_form(get_market(loaded.snapshot.config.market), key=loaded.key("schedule"))
            clock = _clock(loaded)
        with where:
            request_of = _rest(clients, loaded, overrides, schedule, clock)
        left, right = st.columns([1, 4], vertical_alignment="center")
        request = config = None
        with right, shown_as_a_line():
            request = request_of()
            config, _ = clients.deployments.configure(request)
            show_next_runs(config, clients.clock.now())
        wanted = left.button("Deploy Strategy", type="primary", width="stretch", disabled=config is None, key="deployment.deploy")
        if wanted and config is not None and request is not None:
            with right, shown_as_a_line():
                _deploy(clients, request)


@dataclass(frozen=True, slots=True)
class _Overrides:
    """What differs from the backtest; None does not."""

    params: dict[str, Any]
    initial_cash: float | None
    size: float | None


def _what(loaded: state.Loaded) -> _Overrides:
    """Show the seven fields that the backtest fills in; those that the snapshot fixes cannot be changed."""
    config = loaded.snapshot.config
    market = get_market(config.market)
    left, middle, right = st.columns([1.2, 1.5, 0.8])
    _fixed(left, loaded, "Strategy", config.strategy)
    _fixed(middle, loaded, "Market", market.title)
    _fixed(right, loaded, "Timeframe", config.timeframe.value)
    _fixed(st.container(), loaded, "Asset universe", ", ".join(config.symbols))
    params = parameter_form(loaded.fields, key=loaded.key("param"))
    money = _money(loaded)
    left, right = st.columns(2)
    cash = left.number_input(
        f"Initial cash, {config.quote_label}",
        value=money["cash"],
        step=usual_cash(config.quote_label) / 10,
        format="%.12g",
        key=loaded.key("cash"),
        persist_state="session",
    )
    is_value = config.size_type == "value"
    size = right.number_input(
        f"Size, {config.quote_label}" if is_value else "Size",
        value=money["size"],
        format="%.12g",
        key=loaded.key("size"),
        help=f"Of one entry, in {SIZE_TYPES[config.size_type]}",
        persist_state="session",
    )
    wanted_size = fraction_of(size) if config.size_type == "percent" else size
    return _Overrides(
        params=params,
        initial_cash=None if cash == money["cash"] else cash,
        size=None if size == money["size"] else wanted_size,
    )


def _money(loaded: state.Loaded) -> dict[str, float]:
    config = loaded.snapshot.config
    return {"cash": config.initial_cash, "size": percentage_of(config.size) if config.size_type == "percent" else config.size}


def _fixed(place: Any, loaded: state.Loaded, label: str, value: str) -> None:
    place.text_input(label, value=value, key=loaded.key(label), disabled=True, help="Fixed by the saved backtest")


def _clock(loaded: state.Loaded) -> ClockChoice:
    kind = st.segmented_control(
        "Clock", [LIVE, REPLAY], default=LIVE, required=True, key=loaded.key("clock"), persist_state="session"
    )
    if kind != REPLAY:
        return LiveClock()
    at_once = st.checkbox("As fast as possible", key=loaded.key("at_once"), persist_state="session")
    speed = st.number_input(
        "Speed, bars per second",
        value=60.0,
        min_value=0.1,
        max_value=100_000.0,
        format="%.12g",
        key=loaded.key("speed"),
        disabled=at_once,
        persist_state="session",
    )
    return Replay(bars_per_s=None if at_once else speed)


def _rest(
    clients: Clients, loaded: state.Loaded, overrides: _Overrides, schedule: Callable[[], Schedule], clock: ClockChoice
) -> Callable[[], DeploymentRequest]:
    """Show the window, the OMS, the limit and the name, and return what builds the whole request."""
    config = loaded.snapshot.config
    is_replay = isinstance(clock, Replay)
    left, right = st.columns(2)
    start = _moment(left, "Start (UTC)", loaded, default=config.start if is_replay else None)
    end = _moment(right, "End (UTC)", loaded, default=config.end if is_replay else None)
    left, right = st.columns(2)
    oms = left.selectbox(
        "OMS",
        oms_names(),
        format_func=lambda name: oms_choice(name).title,
        key=loaded.key("oms"),
        help="Who takes the orders",
        persist_state="session",
    )
    credentials_state(left, clients, loaded, oms)
    limits = limits_form(right, loaded.key, currency=config.quote_label)
    late = left.checkbox(
        "Take late entries",
        key=loaded.key("late_entries"),
        help="Entries of bars too that closed while no run took place. Late exits are always taken",
        persist_state="session",
    )
    at_once = left.checkbox(
        "Enter the open position",
        key=loaded.key("enter_open_position"),
        help="The first run enters what the strategy holds by then; otherwise it waits for the next signal",
        persist_state="session",
    )
    early = left.checkbox(
        "Use provisional bars",
        key=loaded.key("use_provisional"),
        help="Act on bars that have closed and are not final yet, such as NSE's daily ones before the evening",
        persist_state="session",
    )
    name = st.text_input(
        "Deployment name", key=loaded.key("name"), placeholder="as the backtest", max_chars=100, persist_state="session"
    )
    return lambda: DeploymentRequest(
        backtest=loaded.snapshot.id,
        schedule=schedule(),
        oms=oms,
        clock=clock,
        name=name.strip() or None,
        start=start,
        end=end,
        initial_cash=overrides.initial_cash,
        size=overrides.size,
        params=overrides.params,
        limits=limits(),
        late_entries=late,
        enter_open_position=at_once,
        use_provisional=early,
    )


def _moment(place: Any, label: str, loaded: state.Loaded, *, default: datetime | None) -> datetime | None:
    clock = "live" if default is None else "replay"
    chosen: datetime | None = place.datetime_input(
        label,
        value=None if default is None else default.replace(tzinfo=None),
        min_value=datetime(1990, 1, 1),  # noqa: DTZ001 - the widget's moments have no offset; its label says UTC
        max_value=datetime(2100, 1, 1),  # noqa: DTZ001
        format="YYYY-MM-DD",
        key=loaded.key(f"{clock}.{label}"),
        help="Empty: at once" if label.startswith("Start") else "Empty: until it is stopped",
        persist_state="session",
    )
    return None if chosen is None else chosen.replace(tzinfo=UTC)


def show_next_runs(config: DeploymentConfig, now: datetime) -> None:
    """Show the first runs, of a replay on its own clock, and what will not work then."""
    after = config.clock_at(now)
    fires = config.next_fires(after, _NEXT_RUNS)
    runs = plain(shown_runs(config, fires))
    st.markdown(f"**Next runs** {runs}" if len(fires) == _NEXT_RUNS else f"**Next runs** {runs}, then none")
    for warning in schedule_warnings(config, after=after):
        st.warning(plain(warning[:1].upper() + warning[1:]))


def _deploy(clients: Clients, request: DeploymentRequest) -> None:
    deployment = clients.deployments.deploy(request)
    state.select(deployment.id)
    state.set_loaded(None)
    state.tell(f"Deployed {deployment.name}.")
    st.rerun()
