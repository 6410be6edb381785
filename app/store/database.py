"""Open the database: SQLite in one file, or PostgreSQL. The one place that knows how the two differ in kind."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Self, cast

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Executable,
    Interval,
    Table,
    create_engine,
    event,
    func,
    literal,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.sql.dml import Insert

from app.errors import StoreUnavailable
from app.store.remedies import remedy_for

LOCK_WAIT = timedelta(seconds=2)  # senders give up after 3 s (Zoom) to 30 s
SHORTLY = timedelta(seconds=3)  # for a sign of life, which is of no use later
STATEMENT_LIMIT = timedelta(seconds=30)
IDLE_LIMIT = timedelta(seconds=10)  # a leader that is frozen inside a transaction is replaced within 15 s
_SQLITE_READ = {"relay_read_only": True}
_POSTGRESQL_READ = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}


class Database:
    """One database and its connections; `read` and `write` are the two ways in.

    Both raise StoreUnavailable when the database is full, locked, gone or too slow.

    SQLite is written to in the calling thread: the few milliseconds of a transaction cost less there than handing each
    statement to another thread with the only write lock in hand. The relay therefore writes in a thread whose event
    loop answers no requests (`app.backroom`); reads never block it.
    """

    def __init__(
        self, engine: AsyncEngine, *, sqlite_writer: Engine | None = None, lock_wait: timedelta = LOCK_WAIT
    ) -> None:
        self.engine = engine
        self.is_sqlite = sqlite_writer is not None
        self._sqlite_writer = sqlite_writer
        self._lock_wait = lock_wait
        self._one_writer = asyncio.Lock()

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection inside a transaction, committed at the end of the block."""
        if self._sqlite_writer is None:
            async with _translated(), self.engine.begin() as connection:
                yield connection
            return
        async with self._turn(), _translated():
            with self._sqlite_writer.begin() as connection:
                yield cast("AsyncConnection", _InThisThread(connection))

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._lock_wait.total_seconds()):
                await self._one_writer.acquire()
        except TimeoutError:
            raise StoreUnavailable("other writes of this process wait for the database already") from None
        try:
            yield
        finally:
            self._one_writer.release()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection that sees one moment of the database and changes nothing."""
        async with _translated(), self.engine.connect() as connection:
            yield await connection.execution_options(**(_SQLITE_READ if self.is_sqlite else _POSTGRESQL_READ))

    def insert(self, table: Table) -> Any:
        """Return an INSERT that has this database's ON CONFLICT clauses."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    def insert_or_ignore(self, table: Table, *, on: list[str]) -> Insert:
        """Return an INSERT that passes over rows whose `on` columns are already taken."""
        dialect: Any = sqlite if self.is_sqlite else postgresql
        statement: Insert = dialect.insert(table).on_conflict_do_nothing(index_elements=on)
        return statement

    def insert_or_update(self, table: Table, values: dict[str, object], *, on: list[str]) -> Executable:
        """Return an INSERT that overwrites the row whose `on` columns are already taken."""
        dialect: Any = sqlite if self.is_sqlite else postgresql
        changed = {name: value for name, value in values.items() if name not in on}
        statement: Executable = (
            dialect.insert(table).values(values).on_conflict_do_update(index_elements=on, set_=changed)
        )
        return statement

    def moved(self, column: ColumnElement[datetime], by: timedelta) -> ColumnElement[datetime]:
        """Return the time in the column, so much later; SQLite keeps texts of times, and reckons to the millisecond."""
        if not self.is_sqlite:
            return column + literal(by, Interval)
        return func.strftime("%Y-%m-%d %H:%M:%f000", column, f"{by.total_seconds():+.3f} seconds")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_raised: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self.engine.dispose()
        if self._sqlite_writer is not None:
            self._sqlite_writer.dispose()


class _InThisThread:
    """What the store uses of AsyncConnection, over a connection that answers at once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def execute(self, statement: Executable, parameters: Any = None) -> Any:
        return self._connection.execute(statement, parameters)

    async def scalar(self, statement: Executable, parameters: Any = None) -> Any:
        return self._connection.scalar(statement, parameters)

    async def run_sync(self, work: Callable[[Connection], Any]) -> Any:
        return work(self._connection)


def open_database(
    url: str,
    *,
    connections: int = 10,
    lock_wait: timedelta = LOCK_WAIT,
    statement_limit: timedelta | None = STATEMENT_LIMIT,
) -> Database:
    """Return the database behind `sqlite:///path` or `postgresql://…`; a missing folder of the file is made.

    `lock_wait` is how long a statement waits for a lock that another holds, and for a connection. `connections` is
    how many there are at most, and `statement_limit` how long one statement may take (None: as long as it likes), and
    little more how long we wait for a server that says nothing; both are PostgreSQL's, since a file costs neither.

    Raises:
        StoreUnavailable: the folder cannot be made.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(parsed, lock_wait)
    return _open_postgresql(parsed, connections, lock_wait, statement_limit)


@asynccontextmanager
async def answered_within(limit: timedelta) -> AsyncIterator[None]:
    """Give up what the database has not done by the end of `limit`; what it was told to commit may be stored.

    Raises:
        StoreUnavailable: it took too long.
    """
    try:
        async with asyncio.timeout(limit.total_seconds()):
            yield
    except TimeoutError:
        raise StoreUnavailable(f"the database did not answer within {limit.total_seconds():g} s") from None


def _open_postgresql(url: URL, connections: int, lock_wait: timedelta, statement_limit: timedelta | None) -> Database:
    from app.store.postgres import KEEPALIVES, connector  # noqa: PLC0415  # the driver, which SQLite does not need

    return Database(
        create_async_engine(
            url.set(drivername="postgresql+psycopg"),
            hide_parameters=True,
            pool_size=connections,
            max_overflow=0,
            pool_timeout=lock_wait.total_seconds(),
            pool_pre_ping=True,
            connect_args={
                "async_creator_fn": connector(lock_wait, statement_limit),
                "connect_timeout": max(2, round(lock_wait.total_seconds())),
                "options": f"-c statement_timeout={_ms(statement_limit)} -c lock_timeout={_ms(lock_wait)}"
                f" -c idle_in_transaction_session_timeout={_ms(IDLE_LIMIT)}",
                **KEEPALIVES,
            },
        )
    )


def _ms(limit: timedelta | None) -> int:
    return limit // timedelta(milliseconds=1) if limit else 0  # which PostgreSQL reads as no limit


def _open_sqlite(url: URL, lock_wait: timedelta) -> Database:
    path = Path(url.database or "").expanduser()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise StoreUnavailable(f"the folder for {path} cannot be made: {problem.strerror}") from problem
    _make_private(path)
    options: dict[str, Any] = {
        "hide_parameters": True,
        "pool_size": 5,
        "pool_timeout": lock_wait.total_seconds(),
        "connect_args": {"timeout": lock_wait.total_seconds()},
    }
    reader = create_async_engine(url.set(drivername="sqlite+aiosqlite", database=str(path)), **options)
    options["connect_args"]["check_same_thread"] = False  # closed by whoever closes the database
    writer = create_engine(url.set(drivername="sqlite+pysqlite", database=str(path)), **options)
    event.listen(reader.sync_engine, "connect", _stop_once)
    for engine in (reader.sync_engine, writer):
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return Database(reader, sqlite_writer=writer, lock_wait=lock_wait)


def _make_private(path: Path) -> None:
    """Make the file for its owner alone, since it holds people; SQLite gives those beside it the same mode."""
    with suppress(OSError):  # SQLite says why it cannot be made
        if not path.exists():
            path.touch(mode=0o600)


def _stop_once(connection: Any, _record: object) -> None:
    # A task that is cancelled twice stops its connection twice; the thread answers once, and the other waits for ever.
    connection.driver_connection.stop = cache(connection.driver_connection.stop)


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we begin transactions ourselves, see _begin_sqlite
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that begins as a reader and then writes fails at once when another wrote in between.
    read_only = connection.get_execution_options().get("relay_read_only", False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    try:
        yield
    except IntegrityError:
        raise  # a defect of ours, not of the database
    except (DBAPIError, PoolTimeout, OSError) as problem:
        task = asyncio.current_task()
        if task is not None and task.cancelling():  # the driver failed at ending, and would swallow that
            raise asyncio.CancelledError from problem
        cause = problem.orig if isinstance(problem, DBAPIError) else problem
        raise StoreUnavailable(f"{type(cause).__name__}: {_said(cause)}", remedy=remedy_for(cause)) from problem


def _said(cause: BaseException | None) -> str:
    """Return the first line of what the driver said: PostgreSQL quotes rows, and so people, in the lines below it."""
    return str(cause).partition("\n")[0]
