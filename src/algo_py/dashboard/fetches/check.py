"""Looking at every stored file, and moving damaged ones out of the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from algo_py.clock import SystemClock
from algo_py.errors import AlgoPyError, Refused
from algo_py.finstore import Finding, FinStore, SetAside
from algo_py.market.own_facts import use_files
from algo_py.settings import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What was found at a moment. findings: what is wrong now; moved: what was set aside just before."""

    at: datetime
    findings: tuple[Finding, ...]
    moved: tuple[SetAside, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOrder:
    """Check all files of the workspace at `root`; with `set_aside` damaged ones are set aside first."""

    root: Path
    set_aside: bool = False

    def carry_out(self, tell: Callable[[None], None], cancelled: Callable[[], bool]) -> CheckResult:
        """Do it. It knows no progress, and it is cancelled by ending its process: each of its steps may be the last one."""
        workspace = Workspace(self.root)
        use_files(workspace.calendar_file, workspace.derivatives_file)
        store = FinStore(workspace.finstore)
        moved = store.set_aside(now=SystemClock().now()) if self.set_aside else []
        return CheckResult(at=SystemClock().now(), findings=tuple(store.check()), moved=tuple(moved))

    def without_answer(self, how: str | None) -> AlgoPyError:
        """Say why nothing is known."""
        work = "setting files aside" if self.set_aside else "the check"
        if how is None:
            return Refused(f"{work} was cancelled")
        return Refused(f"the process of {work} ended without an answer ({how})", remedy="Do it again.")
