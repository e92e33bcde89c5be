"""A snapshot that trades: what was saved, with a schedule, a window, an OMS, and the process that lives it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from algo_py.deployment.manager import Deployment, DeploymentManager
    from algo_py.deployment.request import DeploymentRequest

__all__ = ["Deployment", "DeploymentManager", "DeploymentRequest"]


def __getattr__(name: str) -> Any:
    # Loaded on first use: the supervisor starts as a module of this package and must not wait for what it does not need.
    if name in __all__:
        from algo_py.deployment import manager, request

        return getattr(request if name == "DeploymentRequest" else manager, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
