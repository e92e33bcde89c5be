"""A real file system of a few hundred kilobytes, in a mount namespace of its own, which ends with the process that uses it."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from .processes import in_a_child

_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MS_RDONLY, _MS_REMOUNT, _MS_REC, _MS_PRIVATE = 1, 32, 16384, 1 << 18
_NOT_ALLOWED = "this process may not mount"


def on_a_small_disk(folder: Path, action: Callable[[], str], *, size: int) -> str:
    """Run `action` in a child in which `folder` is an empty disk of `size` bytes; skip the test where that may not be done."""
    folder.mkdir(exist_ok=True)

    def run() -> str:
        try:
            _own_mounts()
            _mount(folder, options=f"size={size},mode=755")
        except OSError:
            return _NOT_ALLOWED
        return action()

    answer = in_a_child(run)
    if answer == _NOT_ALLOWED:
        pytest.skip(_NOT_ALLOWED)
    return answer


def make_read_only(folder: Path) -> None:
    """Turn the small disk read-only."""
    _mount(folder, flags=_MS_REMOUNT | _MS_RDONLY)


def _own_mounts() -> None:
    """Leave the mount namespace of everybody else; for that, who is not root becomes root in a user namespace first."""
    user, group = os.geteuid(), os.getegid()
    _call("unshare", _CLONE_NEWNS | (_CLONE_NEWUSER if user else 0))
    if user:
        for name, content in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
            Path(f"/proc/self/{name}").write_text(content)
    _call("mount", b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)


def _mount(folder: Path, *, flags: int = 0, options: str = "") -> None:
    _call("mount", b"tmpfs", os.fsencode(folder), b"tmpfs", flags, options.encode() or None)


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    values = [ctypes.c_ulong(one) if isinstance(one, int) else one for one in arguments]
    if getattr(libc, name)(*values):
        raise OSError(ctypes.get_errno(), name)
