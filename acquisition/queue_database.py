"""The database of the queue: its tables, how it is opened, and what it says when it cannot be used."""

import math
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    URL,
    CheckConstraint,
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    Table,
    Text,
    create_engine,
    event,
    inspect,
    select,
    text,
)
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from acquisition.queue_errors import QueueError
from acquisition.queue_url import queue_url

POLL_S = 0.01
BUSY_S = 5.0  # whoever writes is done within milliseconds; beyond this something is wrong
MIGRATIONS = Path(__file__).parent / "migrations"
HEAD = "0002"
"""The newest of `migrations/versions`; a database that is there already need not load the migration machinery."""

METADATA = MetaData()
QUEUE = Table(
    "queue",
    METADATA,
    Column("id", Integer, CheckConstraint("id = 1", name="one_queue"), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("held", Text),
)
JOBS = Table(
    "jobs",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("plan", JSON, nullable=False),
    Column("rig", Text),
    Column("position", Integer, nullable=False),
    Column("start_at", Text),
    Column("time_window", Text),
    Column("state", Text, nullable=False),
    Column("doing", Text, nullable=False),
    Column("outcome", Text),
    Column("ending", Text),
    Column("run", Text, unique=True),
    Column("owner", Text),
    Column("created_at", Text, nullable=False),
    Column("started_at", Text),
    Column("ended_at", Text),
    Column("error", Text),
    Column("tiles_taken", Integer),
    Column("tiles_planned", Integer),
    sqlite_autoincrement=True,  # the number of a job is never given again
)


class QueueDatabase:
    """An open database; may be used by several threads, beside other processes."""

    def __init__(self, url: str) -> None:
        """Open the database at a SQLAlchemy URL; create it, or bring its tables up to date, if need be.

        Raises:
            ValueError: the URL cannot be used.
            QueueError: the database does not answer, or is from a newer nanoraster.
        """
        try:
            self._engine = create_engine(found := queue_url(url), **_options(found))
        except (ArgumentError, NoSuchModuleError, ImportError) as error:
            raise ValueError(f"database: not a URL that can be used: {error}") from error
        self.place = _place(self._engine.url)
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "connect", _prepare_sqlite)
            event.listen(self._engine, "begin", _begin_sqlite)
        elif self._engine.dialect.name == "postgresql":
            event.listen(self._engine, "begin", _begin_postgresql)
        try:
            with self._telling():
                self._bring_up_to_date()
        except BaseException:
            self.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A consistent view; blocks nobody."""
        with self._telling(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction of which there is one at a time; committed at the end, unless an error leaves the block."""
        with self._telling(), self._engine.execution_options(writing=True).begin() as connection:
            connection.execute(QUEUE.update().values(version=QUEUE.c.version + 1))  # others wait here for its end
            yield connection

    def close(self) -> None:
        """May be called twice."""
        self._engine.dispose()

    def _bring_up_to_date(self) -> None:
        with self._engine.begin() as connection:
            found = _revision(connection)
            if found is None and inspect(connection).has_table(QUEUE.name):
                raise QueueError(f"queue {self.place}: damaged: it does not say which version it has; use a copy of it")
        if found != HEAD:
            _migrate(self._engine)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise QueueError(f"queue {self.place}: {' '.join(str(error.orig).split())}") from error


def sqlite_url(path: Path) -> str:
    """The URL of a database in a file."""
    return URL.create("sqlite", database=str(path.absolute())).render_as_string()


def _place(url: URL) -> str:
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return url.set(query={}).render_as_string(hide_password=True)  # a query may hold a password, too


def _options(url: URL) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": BUSY_S}}
    waits = {"connect_timeout": math.ceil(BUSY_S), "tcp_user_timeout": round(1e3 * BUSY_S)}
    return {"connect_args": waits, "pool_pre_ping": True}  # the server may have been restarted since


def _write_ahead(connection: Any) -> None:
    """Keep a log ahead of the file; of two that change a new file over at once, SQLite does not let the second wait."""
    deadline_s = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(POLL_S)


def _prepare_sqlite(connection: Any, record: object) -> None:
    connection.isolation_level = None  # transactions begin where we say, see `_begin_sqlite`
    _write_ahead(connection)
    connection.execute("PRAGMA synchronous=FULL")  # a commit survives a power cut


def _begin_sqlite(connection: Connection) -> None:
    """Take the lock to write at the start: taken half-way it could be refused at once, without waiting."""
    writing = connection.get_execution_options().get("writing")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _begin_postgresql(connection: Connection) -> None:
    connection.exec_driver_sql(f"SET LOCAL statement_timeout = {round(1e3 * BUSY_S)}")


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(select(text("version_num")).select_from(text("alembic_version"))).scalar()
    return found


def _migrate(engine: Engine) -> None:
    from alembic import command  # a fifth of a second that only new and old databases need
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with engine.execution_options(writing=True).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('nanoraster'))"))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise QueueError(f"queue: made by a newer nanoraster: {error}") from error
