"""Where alerts go: the addresses in ALERT_URLS, spoken to through Apprise.

An address holds a password or a token. It leaves this file as its schema only (`tgram`, `mailtos`), and what Apprise says about a
failure is read for what is known to be harmless, never passed on.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from algo_py.credentials import Credentials

ALERT_URLS = "ALERT_URLS"
_BETWEEN = re.compile(r"[\s,]*\s[\s,]*|,+(?=[A-Za-z0-9]+://)")  # an address may hold commas of its own
_STATUS = re.compile(r"\berror[= ]+(\d{3})\b")
# An answer that comes later than this may be one to a message that did arrive, which then is sent again.
_READ_S = 10.0
_CONNECT_S = 5.0
_DELIVERY_S = 15.0
_AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What became of a message at one address. `problem` is empty when it took the message."""

    address: str
    problem: str = ""


class Addresses:
    """The addresses of one workspace, each of which gets every message."""

    def __init__(self, urls: SecretStr) -> None:
        _be_silent()
        import apprise

        self._services = [
            apprise.Apprise.instantiate(url) or _schema(url) for url in _BETWEEN.split(urls.get_secret_value().strip(" ,")) if url
        ]

    @classmethod
    def of(cls, credentials: Credentials) -> Addresses:
        """Read them; raises AuthFailed when there are none."""
        return cls(credentials.secret(ALERT_URLS))

    def send(self, title: str, body: str) -> Sequence[Delivery]:
        """Send a message to all addresses at once, within a bounded time, and say of each what became of it."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(lambda service: _deliver(service, title, body), self._services))


def _deliver(service: Any, title: str, body: str) -> Delivery:
    if isinstance(service, str):
        return Delivery(address=service, problem="the address cannot be used; config/.env.example shows some")
    import apprise

    address = _schema(service.url(privacy=True))
    service.socket_connect_timeout = max(service.socket_connect_timeout, _CONNECT_S)
    service.socket_read_timeout = max(service.socket_read_timeout, _READ_S)
    courier = apprise.Apprise()
    courier.add(service)
    outcome = courier.notify(body=body, title=title, body_format=apprise.NotifyFormat.TEXT, timeout=_DELIVERY_S)
    # Of the attempt itself: an address that is marked as optional counts as reached by Apprise, whatever happened.
    attempts = [attempt for result in outcome.results for attempt in result.attempts]
    if attempts and attempts[-1]:
        return Delivery(address=address)
    return Delivery(address=address, problem=_problem([entry.message for entry in outcome.logs()], str(outcome.status.name)))


def _problem(told: Sequence[str], status: str) -> str:
    """Say in words of our own what went wrong: Apprise's may hold parts of the address."""
    if status == "TIMEOUT":
        return f"no answer within {_DELIVERY_S:.0f} s"
    statuses = [match.group(1) for text in told for match in [_STATUS.search(text)] if match]
    if statuses:
        return f"answered with error {statuses[-1]}"
    if any("onnection" in text for text in told):
        return "cannot be reached, or did not answer"
    return "the message was not taken"


def _schema(url: str) -> str:
    """Return what stands before `://` when Apprise knows it: anything else may be a secret in the wrong place."""
    from apprise.plugins import N_MGR

    schema = url.partition("://")[0].lower()
    return schema if schema in N_MGR else "unknown"


def _be_silent() -> None:
    """Keep libraries from printing what they log or warn of; hosts and paths stand in it."""
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.NullHandler())
    warnings.simplefilter("ignore")
