"""Real processes for the tests: forked, so that they start at once."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any


def forked(action: Callable[[], None]) -> int:
    """Run `action` in a child that ends right after it, and return its pid; exit code 0 is success, 1 an exception."""
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        # Later Pythons warn of threads at a fork; the children here use none, and the store must bear it in any case.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        action()
        code = 0
    except BaseException:  # noqa: BLE001 - the outermost edge of a process
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def in_a_child(action: Callable[[], str]) -> str:
    """Run `action` in a child and return what it returned."""
    reading, writing = os.pipe()

    def send() -> None:
        os.write(writing, action().encode())

    pid = forked(send)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read().decode()
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    return answer


def stopped_at_file_operation(number: int, action: Callable[[], None]) -> bool:
    """Run `action` in a child that dies, as if killed, before its `number`-th change on the disk; return whether it got that far.

    Opening to write, renaming, linking, deleting and making or removing a folder count, in Python's own audit of what a process
    does to the world.
    """
    watched = {"os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir"}

    def run() -> None:
        left = number

        def watch(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal left
            if event in watched or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
                left -= 1
                if left == 0:
                    os._exit(9)

        sys.addaudithook(watch)
        action()

    _, status = os.waitpid(forked(run), 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, 9)
    return code == 9
