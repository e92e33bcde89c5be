"""What a person does with the selected deployment, and with all of them. A click is handled before the page is drawn anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import streamlit as st

from algo_py.dashboard.clients import Clients, clients
from algo_py.dashboard.format import counted, exact, plain
from algo_py.dashboard.screens.deployment import state
from algo_py.deployment import Deployment
from algo_py.deployment.config import Replay
from algo_py.deployment.manager import StillHolds
from algo_py.deployment.status import State, Status
from algo_py.errors import AlgoPyError
from algo_py.orders.halts import ALL, HaltedBy
from algo_py.orders.model import Leg

_HALTED_HERE = "halted on the page"


def actions(ours: Clients, deployments: Sequence[Deployment], chosen: Deployment | None) -> None:
    """Show the buttons. Each belongs to the deployment that it was shown for: a click never acts on one selected meanwhile."""
    if chosen is None:  # the buttons keep their places: a second click must not meet another one
        for label in ("Stop", "Pause", "Clear"):
            st.button(label, disabled=True, key=f"deployment.{label.lower()}")
    else:
        _stop_button(ours, chosen)
        _clock_buttons(ours, chosen)
        _button("Clear", _clear, chosen, enabled=chosen.status.has_ended, tip="Takes it off the list, into the archive")
    ended = any(deployment.status.has_ended for deployment in deployments)
    st.button("Clear all ended", disabled=not ended, key="deployment.clear_all", type="tertiary", on_click=_clear_all)
    if ours.deployments.halt_of_all is None:
        with st.popover("Halt all", type="tertiary", disabled=not deployments):
            st.markdown("No deployment enters anything from then on. Exits, stops and closing go on.")
            st.button("Halt every deployment", key="deployment.halt_all", on_click=_halt_all)


def archive_actions(chosen: Deployment | None) -> None:
    """Show what can be done with a cleared deployment: bring it back, or delete it for good."""
    if chosen is None:
        return
    _button("Restore", _restore, chosen, enabled=True, tip="Puts it back on the list, to be closed, booked or restarted")
    with st.popover("Delete for good"):
        st.markdown(f"Orders and fills of {plain(chosen.name)} are accounting records. **This is not undone.**")
        _button("Delete", _purge, chosen, enabled=True, tip=None)


def notices(ours: Clients, deployments: Sequence[Deployment]) -> None:
    """Say what concerns every deployment: that all are halted, or that nobody sees to them."""
    halted = ours.deployments.halt_of_all
    if halted is not None:
        st.error(f"Every deployment is halted: {plain(halted.reason)}")
        st.button("Resume all", key="deployment.resume_all", on_click=_resume_all)
    if not ours.deployments.has_supervisor and any(not deployment.status.has_ended for deployment in deployments):
        st.warning("No supervisor is running: what dies is not restarted, and nothing can be started or stopped.")
        st.button("Start the supervisor", key="deployment.supervisor", on_click=ours.deployments.ensure_supervisor)


def asked_about_clearing() -> None:
    """Ask once more about a deployment that holds something: what that is, and whether it is cleared all the same."""
    asked = state.clearing()
    if asked is None:
        return
    st.error(f"**{plain(asked.text)}.** Once it is cleared nobody looks after that any more.")
    with st.container(horizontal=True):
        st.button("Clear although it holds", key="deployment.clear_holding", on_click=_clear_holding, args=(asked.id, asked.name))
        st.button("Keep it on the list", key="deployment.clear_not", on_click=state.ask_about_clearing, args=(None,))


def _stop_button(ours: Clients, chosen: Deployment) -> None:
    is_stopping = chosen.status is Status.STOPPING
    held = ours.deployments.ledger(chosen.id).positions if not is_stopping else {}
    may_stop = not chosen.status.has_ended and chosen.status not in (Status.STOPPING, Status.WATCHING)
    may_close = bool(held) and chosen.row.state is not State.FINISHED
    # The key makes it another popover for another deployment: it does not stay open under a person's hand.
    with st.popover("Stop", disabled=not may_stop and not may_close, key=f"deployment.stop.{chosen.id}"):
        if may_stop:
            st.markdown(f"Ends {plain(chosen.name)} after the run that it is in. Entries that wait are cancelled.")
        if held:
            st.markdown("It holds " + ", ".join(f"{exact(one.quantity)} {plain(symbol)}" for symbol, one in held.items()) + ".")
        if not isinstance(chosen.config.clock, Replay) and not is_stopping:
            _say_what_is_watched(ours, chosen)
        _button("Keep positions", _stop, chosen, enabled=may_stop, tip=None)
        _button("Close positions", _close, chosen, enabled=may_stop or may_close, tip="Sells what it holds at the market's price")


def _say_what_is_watched(ours: Clients, chosen: Deployment) -> None:
    """Say which orders stay at the venue when its positions are kept, and that somebody looks after them."""
    stays = [order for order in ours.deployments.open_orders(chosen.id) if order.request.leg is Leg.EXIT]
    if stays:
        is_watching = chosen.status is Status.WATCHING
        said = "Its process watches" if is_watching else "With its positions kept, its process goes on watching"
        st.markdown(f"{said} what stays open:\n" + "\n".join(f"- {plain(str(order))}" for order in stays))


def _clock_buttons(ours: Clients, chosen: Deployment) -> None:
    is_alive = not chosen.status.has_ended and chosen.status not in (Status.STOPPING, Status.WATCHING)
    halts = [one for one in ours.deployments.halts(chosen.id) if one.scope != ALL]
    is_paused = chosen.row.state is State.PAUSED
    if is_paused or halts:
        _button("Resume", _resume, chosen, enabled=True, tip="Lifts its halts, or lets its replay go on")
    if is_paused or any(one.symbol is None for one in halts):
        pass  # there is nothing more to halt, nor to pause
    elif isinstance(chosen.config.clock, Replay):
        _button("Pause", _pause, chosen, enabled=is_alive, tip="Lets the replay's clock stand still")
    else:
        _button("Halt", _halt, chosen, enabled=is_alive, tip="It enters nothing any more; exits and stops go on")
    if chosen.status in (Status.STOPPED, Status.ERROR, Status.WATCHING):
        _button("Restart", _restart, chosen, enabled=True, tip="It goes on where it was")


def _button(label: str, act: Callable[[str, str], None], chosen: Deployment, *, enabled: bool, tip: str | None) -> None:
    key = f"deployment.{label.lower()}.{chosen.id}"
    help_text = tip if enabled else None
    st.button(label, disabled=not enabled, key=key, help=help_text, on_click=act, args=(chosen.id, chosen.name))


def _stop(deployment_id: str, name: str) -> None:
    with told():
        clients().deployments.stop(deployment_id, close_positions=False)
        state.tell(f"Stopping {name}. Its orders, fills and positions are kept.")


def _close(deployment_id: str, name: str) -> None:
    with told():
        clients().deployments.stop(deployment_id, close_positions=True)
        state.tell(f"Stopping {name} and closing its positions.")


def _pause(deployment_id: str, name: str) -> None:
    with told():
        clients().deployments.pause(deployment_id)
        state.tell(f"Pausing {name}.")


def _halt(deployment_id: str, name: str) -> None:
    with told():
        clients().deployments.halt(deployment_id, reason=_HALTED_HERE)
        state.tell(f"{name} enters nothing any more. Exits and stops go on.")


def _resume(deployment_id: str, name: str) -> None:
    with told():
        halts = clients().deployments.resume(deployment_id).halts
        told_of = [f"{one.symbol or 'All of it'} was halted: {one.reason.rstrip('.')}." for one in halts]
        if any(one.by == HaltedBy.RECONCILIATION for one in halts):
            told_of.append("What still differs is halted again: book what happened.")
        state.tell(" ".join([f"{name} may enter again." if halts else f"{name} goes on.", *told_of]))


def _restart(deployment_id: str, name: str) -> None:
    with told():
        clients().deployments.restart(deployment_id)
        state.tell(f"Starting {name} again.")


def _clear(deployment_id: str, name: str) -> None:
    with told():
        try:
            clients().deployments.clear(deployment_id)
        except StillHolds as error:
            state.tell_nothing()
            state.ask_about_clearing(state.Clearing(deployment_id, name, error.message))
            return
        state.select("")
        state.tell(f"Cleared {name}.")


def _clear_holding(deployment_id: str, name: str) -> None:
    with told():
        state.ask_about_clearing(None)
        clients().deployments.clear(deployment_id, holding=True)
        state.select("")
        state.tell(f"Cleared {name}, although it holds something. The archive has it.")


def _restore(deployment_id: str, name: str) -> None:
    with told():
        clients().deployments.restore(deployment_id)
        state.select("")
        state.tell(f"{name} is on the list again.")


def _purge(deployment_id: str, name: str) -> None:
    with told():
        clients().deployments.clear(deployment_id, purge=True)
        state.select("")
        state.tell(f"Deleted {name}.")


def _clear_all() -> None:
    with told():
        cleared = clients().deployments.clear()
        left = [one.name for one in clients().deployments.list() if one.status.has_ended]
        kept = f" Kept on the list, since they hold something or have open orders: {', '.join(left)}." if left else ""
        state.tell(f"Cleared {counted(len(cleared), 'deployment')}.{kept}")


def _halt_all() -> None:
    with told():
        clients().deployments.halt(None, reason=_HALTED_HERE)


def _resume_all() -> None:
    with told():
        clients().deployments.resume(None)
        state.tell("Deployments enter again.")


@contextmanager
def told() -> Iterator[None]:
    """Turn a refusal into what the next look at the page tells: a click is handled before there is a page to write on."""
    try:
        yield
    except AlgoPyError as error:
        state.tell(str(error), kind="error")
