"""What is SQLite's alone: locks that a fork does not copy, and files that are replaced under a connection."""

from __future__ import annotations

import gc
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from filelock import FileLock

from algo_py.clock import monotonic_s
from algo_py.database import Database, open_database
from algo_py.errors import AlgoPyError, Conflict, DatabaseReplaced, Refused
from tests.finstore.processes import forked, in_a_child
from tests.processes import posix_locks

ADD = sa.text("INSERT INTO numbers VALUES (1)")
COUNT = sa.text("SELECT count(*) FROM numbers")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "algo.db"


@pytest.fixture
def database(file: Path) -> Iterator[Database]:
    """A database with one table, whose connection is open."""
    database = Database(f"sqlite:///{file}")
    with database.write() as connection:
        connection.execute(sa.text("CREATE TABLE numbers (n INTEGER)"))
    yield database
    database.close()


def add(database: Database) -> None:
    with database.write() as connection:
        connection.execute(ADD)


def count(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute(COUNT).scalar_one())


def open_and_close(file: Path) -> None:
    """Do what any command does: open the database in a process of its own, read, and close it."""
    code = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM numbers').fetchall(); c.close()"
    subprocess.run([sys.executable, "-c", code, str(file)], check=True)


def _wal(file: Path) -> Path:
    return file.with_name("algo.db-wal")


def _make(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE numbers (n INTEGER)")
    connection.close()


def replace_file(file: Path) -> None:
    _make(file.with_name("other.db"))
    file.with_name("other.db").replace(file)


def replace_by_nothing(file: Path) -> None:
    file.rename(file.with_name("moved.db"))


def delete_log(file: Path) -> None:
    _wal(file).unlink()


def replace_log(file: Path) -> None:
    _wal(file).rename(file.with_name("moved-wal"))
    _wal(file).touch()


@pytest.mark.parametrize("harm", [replace_file, replace_by_nothing, delete_log, replace_log])
def test_a_file_that_is_not_the_one_that_was_opened_is_noticed(
    file: Path, database: Database, harm: Callable[[Path], None]
) -> None:
    add(database)
    harm(file)
    for act in (add, count, add):
        with pytest.raises(
            DatabaseReplaced, match=rf"was replaced, moved or deleted .*process {os.getpid()}.*has to start again"
        ):
            act(database)


def test_a_file_that_is_replaced_during_a_transaction_is_noticed_before_anybody_acts_on_it(
    file: Path, database: Database
) -> None:
    def write() -> None:
        with database.write() as connection:
            connection.execute(ADD)
            replace_file(file)

    with pytest.raises(DatabaseReplaced):
        write()


def test_it_stays_so_even_when_the_old_file_comes_back(file: Path, database: Database) -> None:
    """A process that has missed what others did on the other file must not go on."""
    moved = file.with_name("moved.db")
    file.rename(moved)
    with pytest.raises(DatabaseReplaced):
        add(database)
    moved.rename(file)
    with pytest.raises(DatabaseReplaced):
        count(database)


@pytest.mark.parametrize("is_noticed", [True, False])
def test_the_end_of_who_had_the_old_log_does_not_touch_the_new_one(file: Path, database: Database, is_noticed: bool) -> None:
    add(database)
    delete_log(file)
    file.with_name("algo.db-shm").unlink()
    code = (
        "import os, sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "connection.execute('CREATE TABLE more (n INTEGER)')\n"
        "os._exit(0)"  # as when it is killed: what it wrote is in its log
    )
    subprocess.run([sys.executable, "-c", code, str(file)], check=True)
    written = _wal(file).read_bytes()
    assert written
    if is_noticed:
        with pytest.raises(DatabaseReplaced):
            add(database)
    database.close()
    assert _wal(file).read_bytes() == written


def test_commands_that_open_and_close_the_database_are_not_taken_for_a_replacement(file: Path, database: Database) -> None:
    for turn in range(3):
        add(database)
        open_and_close(file)
        assert count(database) == turn + 1
    database.close()
    open_and_close(file)
    add(database)
    assert count(database) == 4


def test_a_database_in_memory_has_no_file_to_lose() -> None:
    database = Database("sqlite:///:memory:")
    with database.write() as connection:
        connection.execute(sa.text("CREATE TABLE numbers (n INTEGER)"))
    database.close()


def test_a_forked_process_is_refused_what_its_parent_has_open(file: Path, database: Database) -> None:
    def try_all() -> str:
        said = []
        for act in (add, count):
            for one in (database, Database(f"sqlite:///{file}")):
                try:
                    act(one)
                    said.append("done")
                except AlgoPyError as error:
                    said.append(type(error).__name__)
        return " ".join(said)

    assert in_a_child(try_all) == " ".join([Refused.__name__] * 4)
    add(database)
    assert count(database) == 1


def test_the_refusal_says_what_to_do(file: Path, database: Database) -> None:
    def say() -> str:
        try:
            add(database)
        except Refused as error:
            return str(error)
        return ""

    said = in_a_child(say)
    assert f"forked from one that has {file} open" in said
    assert "subprocess" in said


def test_a_forked_process_may_open_what_was_closed_before_and_what_is_another_file(file: Path, database: Database) -> None:
    other = Database(f"sqlite:///{file.with_name('other.db')}")

    def work() -> str:
        with other.write() as connection:
            connection.execute(sa.text("CREATE TABLE numbers (n INTEGER)"))
        add(other)
        return str(len(posix_locks(os.getpid(), file.with_name("other.db"))) > 0)

    assert in_a_child(work) == "True"
    database.close()

    def write() -> str:
        add(database)
        return str(count(database))

    assert in_a_child(write) == "1"
    assert count(database) == 1
    other.close()


def test_a_forked_process_that_ends_takes_no_lock_and_no_log_from_its_parent(file: Path, database: Database) -> None:
    add(database)
    held, log = posix_locks(os.getpid(), file), _wal(file).stat().st_ino
    assert held

    def close() -> str:
        database.close()
        gc.collect()
        return "closed"

    assert in_a_child(close) == "closed"
    open_and_close(file)
    assert (posix_locks(os.getpid(), file), _wal(file).stat().st_ino) == (held, log)
    add(database)
    assert count(database) == 2


OLD_WAY = """
import os, sqlite3, sys, time

def connect():
    connection = sqlite3.connect(sys.argv[1], isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("SELECT * FROM numbers").fetchall()
    return connection

mine = connect()
if os.fork() == 0:
    own = connect()
    print(os.getpid(), flush=True)
    for line in sys.stdin:
        own.execute("INSERT INTO numbers VALUES (1)")
        print("written", flush=True)
os._exit(0)
"""


def test_without_all_this_what_a_forked_process_writes_is_lost(file: Path, database: Database) -> None:
    """The negative control: SQLite as it is, carried across a fork. The parent ends, somebody else is the last to close."""
    database.close()
    command = [sys.executable, "-c", OLD_WAY, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert parent.wait(timeout=10) == 0
        assert posix_locks(child, file) == []
        open_and_close(file)
        parent.stdin.write("\n")
        parent.stdin.flush()
        assert parent.stdout.readline() == "written\n"
    assert count(database) == 0


@pytest.fixture
def not_yet_wal(file: Path) -> Iterator[sqlite3.Connection]:
    """Another's connection to a file that is not in WAL mode yet; it may be used from any thread."""
    _make(file)
    with closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as other:
        yield other


@pytest.mark.parametrize("begin", ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
def test_who_opens_a_file_while_another_writes_it_waits_its_turn_to_switch_to_wal(
    file: Path, not_yet_wal: sqlite3.Connection, begin: str
) -> None:
    """SQLite itself refuses the switch at once while a writer's lock (RESERVED) is held; see the negative control below."""
    not_yet_wal.execute(begin)
    not_yet_wal.execute("INSERT INTO numbers VALUES (1)")
    timer = threading.Timer(0.3, lambda: not_yet_wal.execute("COMMIT"))
    timer.start()
    with closing(Database(f"sqlite:///{file}")) as database:
        assert count(database) == 1
        with database.read() as connection:
            assert connection.execute(sa.text("PRAGMA journal_mode")).scalar_one() == "wal"
    timer.join()


def test_without_all_this_the_switch_is_refused_at_once_whatever_the_timeout(file: Path, not_yet_wal: sqlite3.Connection) -> None:
    not_yet_wal.execute("BEGIN IMMEDIATE")
    with closing(sqlite3.connect(file, timeout=30.0)) as mine:
        began_s = monotonic_s()
        with pytest.raises(sqlite3.OperationalError, match="database is locked"):
            mine.execute("PRAGMA journal_mode=WAL")
        assert monotonic_s() - began_s < 15.0


@pytest.mark.parametrize("lock", ["reads", "writes", "holds all"])
def test_who_cannot_switch_in_time_says_how_long_it_really_waited(file: Path, not_yet_wal: sqlite3.Connection, lock: str) -> None:
    not_yet_wal.execute({"reads": "BEGIN", "writes": "BEGIN IMMEDIATE", "holds all": "BEGIN EXCLUSIVE"}[lock])
    not_yet_wal.execute("SELECT * FROM numbers").fetchall()
    database = Database(f"sqlite:///{file}", lock_timeout_s=0.3)
    began_s = monotonic_s()
    with pytest.raises(Conflict, match=rf"locked by another process for \d+\.\d s \(asked by process {os.getpid()}\)") as caught:
        count(database)
    waited_s = monotonic_s() - began_s
    said_s = float(str(caught.value).split(" for ")[1].split(" s ")[0])
    assert 0.25 <= said_s <= waited_s + 0.1
    assert waited_s < 10
    not_yet_wal.execute("ROLLBACK")
    assert count(database) == 0
    database.close()


def test_nobody_who_opens_a_file_in_wal_mode_asks_for_more_than_to_read(file: Path, database: Database) -> None:
    add(database)
    with database.write() as connection, closing(Database(f"sqlite:///{file}", lock_timeout_s=0.0)) as other:
        connection.execute(ADD)
        assert count(other) == 1


def test_a_lock_that_is_refused_at_once_is_not_said_to_have_lasted(file: Path, database: Database) -> None:
    """A reader that wants to write after another has written can never do so: SQLite does not wait (BUSY_SNAPSHOT)."""
    add(database)

    def read_then_write(other: Database) -> None:
        with other.read() as connection:
            assert connection.execute(COUNT).scalar_one() == 1
            add(database)
            connection.execute(ADD)

    with (
        closing(Database(f"sqlite:///{file}")) as other,
        pytest.raises(Conflict, match=rf"the database is locked by another process \(asked by process {os.getpid()}\)"),
    ):
        read_then_write(other)
    assert count(database) == 2


def test_who_waits_in_vain_for_another_to_make_the_tables_says_so(file: Path) -> None:
    with (
        FileLock(f"{file}.migrate.lock"),
        pytest.raises(Conflict, match=r"bringing the database up to date for 0\.2 s .*Try again"),
    ):
        open_database(f"sqlite:///{file}", lock_timeout_s=0.2)
    open_database(f"sqlite:///{file}", lock_timeout_s=0.2).close()


def _all_at_once(work: Callable[[], None], *, processes: int) -> list[int]:
    """Run `work` in several processes that begin together, and return their exit codes."""
    reading, writing = os.pipe()

    def wait_and_work() -> None:
        os.close(writing)
        os.read(reading, 1)  # comes back when the last writing end is closed
        work()

    pids = [forked(wait_and_work) for _ in range(processes)]
    os.close(reading)
    os.close(writing)
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


def test_processes_that_open_a_new_file_together_all_get_in(tmp_path: Path) -> None:
    for turn in range(25):
        url = f"sqlite:///{tmp_path / f'{turn}.db'}"

        def work(url: str = url) -> None:
            with closing(Database(url)) as database, database.read() as connection:
                connection.execute(sa.text("SELECT * FROM sqlite_master")).all()

        assert _all_at_once(work, processes=4) == [0] * 4


def test_processes_that_open_a_file_after_a_kill_and_close_it_all_the_time_are_never_refused(file: Path) -> None:
    """The first one recovers the log that the killed one left; the last one that closes deletes the log, while others open it."""

    def die() -> None:
        database = Database(f"sqlite:///{file}")
        with database.write() as connection:
            connection.execute(sa.text("CREATE TABLE IF NOT EXISTS numbers (n INTEGER)"))
            connection.execute(ADD)
        os._exit(0)  # nothing is closed

    def work() -> None:
        for turn in range(10):
            with closing(Database(f"sqlite:///{file}")) as database:
                add(database) if turn % 3 == 0 else count(database)

    for _ in range(3):
        os.waitpid(forked(die), 0)
        assert _all_at_once(work, processes=4) == [0] * 4
    with closing(Database(f"sqlite:///{file}")) as database:
        assert count(database) == 3 * (1 + 4 * 4)
