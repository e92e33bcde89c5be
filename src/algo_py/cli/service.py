"""`algo-py service install | show | uninstall`: the supervisor as a unit of systemd, so that deployments outlive a reboot."""

from __future__ import annotations

import getpass
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from algo_py.cli.output import workspace_of
from algo_py.errors import NotFound, Refused
from algo_py.settings import Workspace

_SYSTEMCTL_TIMEOUT_S = 30.0

service = typer.Typer(
    help="Keep the supervisor running by systemd, over logouts and reboots.", no_args_is_help=True, rich_markup_mode=None
)


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.add_typer(service, name="service")


@service.command("install")
def install(
    context: typer.Context,
    start: Annotated[bool, typer.Option("--start/--no-start", help="Enable and start it too; else only write the file.")] = False,
) -> None:
    """Write a systemd user unit for the supervisor of this workspace."""
    workspace = workspace_of(context)
    if not workspace.is_initialised:
        raise Refused(f"{workspace.root} is not a workspace", remedy="Make one: algo-py init")
    path = unit_path(workspace)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(unit_text(workspace, sys.executable), encoding="utf-8")
    typer.echo(f"Wrote {path}")
    if start:
        _systemctl("daemon-reload")
        _systemctl("enable", "--now", path.name)
        typer.echo(f"{path.name} is running.")
    else:
        typer.echo(f"Start it: systemctl --user daemon-reload && systemctl --user enable --now {path.name}")
    typer.echo(f"To let it start before you log in: loginctl enable-linger {getpass.getuser()}")


@service.command("show")
def show(context: typer.Context) -> None:
    """Print the unit as `install` would write it."""
    typer.echo(unit_text(workspace_of(context), sys.executable), nl=False)


@service.command("uninstall")
def uninstall(context: typer.Context) -> None:
    """Stop the unit and remove its file. Deployments go on without a supervisor until another one starts."""
    path = unit_path(workspace_of(context))
    if not path.exists():
        raise NotFound(f"{path} is not there", remedy="Nothing is installed for this workspace.")
    if shutil.which("systemctl") is not None:
        _systemctl("disable", "--now", path.name, is_needed=False)
    path.unlink()
    typer.echo(f"Removed {path}")


def unit_path(workspace: Workspace) -> Path:
    """Return where the user's systemd looks for the unit of a workspace; each workspace has its own."""
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    name = re.sub(r"[^A-Za-z0-9]+", "-", workspace.root.name).strip("-") or "workspace"
    mark = hashlib.sha256(str(workspace.root).encode()).hexdigest()[:6]
    return home / "systemd" / "user" / f"algo-py-{name}-{mark}.service"


def unit_text(workspace: Workspace, python: str) -> str:
    """Return the unit. Stopping it ends the supervisor and its fork server: deployments are of its cgroup, and go on."""
    command = " ".join(_quoted(part) for part in (python, "-m", "algo_py.deployment.supervisor", "--stay", str(workspace.root)))
    return f"""[Unit]
Description=Algo.Py supervisor of {_escaped(str(workspace.root))}
After=network-online.target

[Service]
Type=simple
ExecStart={command}
Restart=always
RestartSec=2
# The supervisor alone is ended, and its fork server ends by itself; deployments go on, and the next supervisor adopts them.
KillMode=process
Environment=OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 ARROW_IO_THREADS=1

[Install]
WantedBy=default.target
"""


def _quoted(part: str) -> str:
    """Quote a word of ExecStart as systemd.service(5) reads it."""
    text = _escaped(part).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{text}"' if re.search(r'[\s"\'\\;]', part) else text


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def _systemctl(*arguments: str, is_needed: bool = True) -> None:
    try:
        subprocess.run(
            ["systemctl", "--user", *arguments], check=True, capture_output=True, text=True, timeout=_SYSTEMCTL_TIMEOUT_S
        )
    except FileNotFoundError:
        raise Refused("there is no systemctl on this machine", remedy="Run the supervisor another way: algo-py up") from None
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        if is_needed:
            said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
            raise Refused(f"systemctl --user {' '.join(arguments)} failed: {said[0] if said else ''}") from None
