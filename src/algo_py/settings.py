"""The workspace: the folder that holds a trader's configuration, strategies and database."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from algo_py.errors import InvalidInput

WORKSPACE_VARIABLE = "ALGO_PY_WORKSPACE"
_MARKER = Path("config") / "algo.toml"


class SupervisorSettings(BaseModel):
    """Times and bounds of the process that keeps deployments alive."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    heartbeat_s: float = Field(2.0, gt=0, description="How often a deployment's loop reports that it is alive")
    stalled_after_s: float = Field(30.0, gt=0, description="Silence after which a deployment is shown as stalled")
    late_after_s: float = Field(15.0, gt=0, description="How long a run may be overdue before its deployment is shown as late")
    hung_after_s: float = Field(600.0, gt=0, description="Silence after which a deployment's process is killed and started anew")
    strategy_timeout_s: float = Field(120.0, gt=0, description="How long a strategy's run may take before it is broken off")
    memory_mib: int = Field(2048, ge=128, description="How much memory a deployment may take beyond what it starts with, MiB")
    open_files: int = Field(1024, ge=64, description="How many files a deployment may hold open")
    stop_grace_s: float = Field(15.0, gt=0, description="How long a deployment may take to stop before it is killed")
    close_grace_s: float = Field(120.0, gt=0, description="How long closing positions may take when a deployment is stopped")
    alert_after_bad_runs: int = Field(3, ge=1, description="Runs in a row without usable bars after which a person is called")
    restart_limit: int = Field(5, ge=0, description="Crashes within the window below after which it is given up")
    restart_window_s: float = Field(600.0, gt=0, description="The window in which crashes are counted")
    idle_exit_s: float = Field(900.0, gt=0, description="How long the supervisor stays when nothing should run")


class PaperSettings(BaseModel):
    """How the paper venue behaves on the live clock."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    latency_s: float = Field(0.0, ge=0, description="How long a market order is under way before it fills, seconds")


class ZerodhaSettings(BaseModel):
    """How orders go to Zerodha."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    product: Literal["CNC", "MIS"] = Field("CNC", description="CNC: delivery; MIS: intraday, which Zerodha closes itself")


class TelegramSettings(BaseModel):
    """What an order in the chat is that nobody has answered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    assume: Literal["nothing", "filled"] = Field(
        "nothing", description="What is assumed then: no trade, or one at the last close"
    )
    answer_within_s: float = Field(86_400.0, gt=0, description="How long an answer is waited for, seconds")


_USUAL_SOURCES = {"crypto_binance": "binance", "indian_equity": "kite"}


class DataSettings(BaseModel):
    """Where bars come from, and how long anybody waits for them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sources: Mapping[str, str] = Field(
        _USUAL_SOURCES, description="The source of each market's bars; none: bars arrive by import only"
    )
    fill_timeout_s: float = Field(45.0, gt=0, description="How long a deployment's run may spend on filling gaps, seconds")

    @field_validator("sources")
    @classmethod
    def _with_usual(cls, sources: Mapping[str, str]) -> Mapping[str, str]:
        return {**_USUAL_SOURCES, **sources}


AlertName = Literal[
    "error",
    "unprotected",
    "halted",
    "crash_loop",
    "stalled",
    "rejected",
    "stuck_order",
    "no_data",
    "missed_runs",
    "run_failed",
    "calendar",
    "summary",
]


class AlertSettings(BaseModel):
    """What a person is told, and how often; to which addresses stands in `config/.env`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kinds: Sequence[AlertName] = Field(list(get_args(AlertName)), description="Which kinds of alerts are sent")
    daily_summary_at: str = Field(
        "", pattern=r"^(|([01]\d|2[0-3]):[0-5]\d)$", description="When the summary of the day is sent, HH:MM; empty: not at all"
    )
    daily_summary_tz: str = Field("UTC", description="The time zone of that time")
    most_per_hour: int = Field(30, ge=1, description="Messages an hour beyond which alerts are put together into one")
    retry_after_s: float = Field(30.0, gt=0, description="How long after a failure it is first tried again, seconds")
    give_up_after_s: float = Field(86_400.0, gt=0, description="How long it is tried to send an alert, seconds")

    @field_validator("daily_summary_tz")
    @classmethod
    def _zone_exists(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):  # unknown, not a zone's name at all, a folder of zones
            raise ValueError(f"must be a time zone such as Asia/Kolkata (was {name!r})") from None
        return name


class LogSettings(BaseModel):
    """How much of a deployment's log is kept, and how much its strategy may write into it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_mib: float = Field(10.0, gt=0, description="The size at which a log's file is set aside and a new one begun, MiB")
    max_age_days: float = Field(7.0, gt=0, description="The age at which it is, days")
    keep_files: int = Field(10, ge=1, description="How many files that were set aside are kept")
    lines_per_run: int = Field(1000, ge=0, description="How many lines a strategy may print and log in a run")


class Settings(BaseModel):
    """`config/algo.toml`: everything that is not a secret."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    supervisor: SupervisorSettings = SupervisorSettings()
    data: DataSettings = DataSettings()
    paper: PaperSettings = PaperSettings()
    zerodha: ZerodhaSettings = ZerodhaSettings()
    telegram: TelegramSettings = TelegramSettings()
    logs: LogSettings = LogSettings()
    alerts: AlertSettings = AlertSettings()


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where things live. Building one touches nothing on disk."""

    root: Path

    @classmethod
    def find(cls, explicit: str | Path | None = None) -> Workspace:
        """Return the workspace: `explicit`, else $ALGO_PY_WORKSPACE, else the nearest parent with config/algo.toml, else here."""
        chosen = explicit or os.environ.get(WORKSPACE_VARIABLE)
        if chosen:
            return cls(Path(chosen).expanduser().resolve())
        here = Path.cwd()
        return cls(next((folder for folder in (here, *here.parents) if (folder / _MARKER).is_file()), here))

    @property
    def is_initialised(self) -> bool:
        return self.settings_file.is_file()

    @property
    def settings_file(self) -> Path:
        return self.root / _MARKER

    @property
    def credentials_file(self) -> Path:
        return self.root / "config" / ".env"

    @property
    def calendar_file(self) -> Path:
        """The trading days that a person has written down, see `market.own_facts`; it need not exist."""
        return self.root / "config" / "calendar.toml"

    @property
    def derivatives_file(self) -> Path:
        """Which of NSE's shares have derivatives, as a broker last listed them; it need not exist."""
        return self.root / "database" / "instruments" / "nse_derivatives.json"

    @property
    def strategies(self) -> Path:
        return self.root / "strategies"

    @property
    def finstore(self) -> Path:
        return self.root / "database" / "finstore"

    @property
    def instruments(self) -> Path:
        return self.root / "database" / "instruments"

    @property
    def backtests(self) -> Path:
        return self.root / "database" / "backtests"

    @property
    def deployments(self) -> Path:
        return self.root / "database" / "deployments"

    @property
    def database_file(self) -> Path:
        """The SQLite file; not in use where `config/.env` names a database elsewhere, see `workspace_database`."""
        return self.root / "database" / "algo.db"

    def settings(self) -> Settings:
        """Read `config/algo.toml`; a workspace without one has the defaults."""
        if not self.settings_file.is_file():
            return Settings()
        try:
            content: dict[str, Any] = tomllib.loads(self.settings_file.read_text(encoding="utf-8"))
            return Settings.model_validate(content)
        except (tomllib.TOMLDecodeError, ValidationError) as error:
            raise InvalidInput(f"{self.settings_file} cannot be used: {first_problem(error)}", remedy="Correct it.") from None


def first_problem(error: Exception) -> str:
    """Return one line about an error; of a validation error the first field, its value and what is wrong with it."""
    if not isinstance(error, ValidationError):
        return str(error).splitlines()[0]
    first = error.errors()[0]
    problem = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if not first["loc"]:
        return problem  # of the whole, not of one field: its own words name what is wrong
    name = ".".join(str(part) for part in first["loc"])
    text = f"{name}: {problem}" if first["type"] == "value_error" else f"{name} must be {problem}"
    if first["type"] == "missing":
        return f"{name} is missing"
    if first["type"] == "extra_forbidden":
        return f"there is no parameter {name!r}"
    given = first["input"]
    return f"{text} (was {given!r})" if isinstance(given, (str, int, float, bool)) else text
