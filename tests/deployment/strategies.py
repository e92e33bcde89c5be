"""Strategies that tests write into a workspace, and deployments on the live clock with a local exchange."""

from __future__ import annotations

from algo_py.settings import Workspace

_HEAD = "from algo_py.strategy import Bars, Signals, Strategy\n"
ALWAYS_IN = "        return Signals(entries=bars.close > 0, exits=bars.close < 0)\n"


def write_strategy(workspace: Workspace, name: str, body: str, *, imports: str = "") -> None:
    """Write a strategy called `name` (in kebab case); `body` is the inside of its `run`, indented by eight."""
    class_name = "".join(part.capitalize() for part in name.split("-"))
    workspace.strategies.mkdir(exist_ok=True)
    (workspace.strategies / f"{name.replace('-', '_')}.py").write_text(
        f'{imports}{_HEAD}\n\nclass {class_name}(Strategy):\n    """A strategy of a test."""\n\n'
        f"    @property\n    def warm_up_bars(self) -> int:\n        return 1\n\n"
        f"    def run(self, bars: Bars) -> Signals:\n{body}"
    )
