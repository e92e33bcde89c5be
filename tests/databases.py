"""Databases that have all tables already: made once, then copied. How tables are made is proved in test_database.py."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from algo_py.database import open_database
from algo_py.settings import Workspace


def with_tables(file: Path) -> str:
    """Put a SQLite database with all tables and no rows at `file`, where nothing may be yet; return its URL."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("xb") as stream:
        stream.write(_made_once())
    return f"sqlite:///{file}"


def give_tables(workspace: Workspace) -> Workspace:
    """Give a new workspace its database, as its first command would."""
    with_tables(workspace.database_file)
    return workspace


@cache
def _made_once() -> bytes:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "algo.db"
        open_database(f"sqlite:///{file}").close()  # the last one that closes writes the log back into the file
        return file.read_bytes()
