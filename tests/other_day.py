"""A plugin of pytest: the tests run as of the moment in TEST_TODAY, on a clock that goes on from there."""

from __future__ import annotations

import os

import pytest
import time_machine

_TRAVELLER = pytest.StashKey[time_machine.travel]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_TRAVELLER] = traveller = time_machine.travel(os.environ["TEST_TODAY"], tick=True)
    traveller.start()


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[_TRAVELLER].stop()
