"""Where a workspace's database is: what DATABASE_URL in `config/.env` says, else a SQLite file of its own."""

from __future__ import annotations

from algo_py.credentials import Credentials
from algo_py.database import LOCK_TIMEOUT_S, Database, open_database, sqlite_url
from algo_py.errors import InvalidInput
from algo_py.settings import Workspace

_VARIABLE = "DATABASE_URL"
_SCHEMES = ("postgresql://", "postgresql+psycopg://", "postgres://")


def open_workspace_database(workspace: Workspace, *, lock_timeout_s: float = LOCK_TIMEOUT_S) -> Database:
    """Open the workspace's database, creating its tables where needed.

    The URL may hold a password: it is read here, in the process that connects, and goes nowhere else. Raises InvalidInput for one
    that is not PostgreSQL's, and what `open_database` raises.
    """
    credentials = Credentials.of(workspace)
    if not credentials.has(_VARIABLE):
        return open_database(sqlite_url(workspace.database_file), lock_timeout_s=lock_timeout_s)
    url = credentials.secret(_VARIABLE)
    if not url.get_secret_value().startswith(_SCHEMES):
        raise InvalidInput(
            f"{_VARIABLE} in {workspace.credentials_file} must begin with {_SCHEMES[0]}",
            remedy="Correct it, or leave it out: then the workspace has a SQLite file of its own.",
        )
    return open_database(url, lock_timeout_s=lock_timeout_s)
