"""Insert many rows into a relay's database as fast as it takes them, whichever it is."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from app.store.batched import batched

Insert = Callable[[str, Sequence[str], Iterable[tuple[Any, ...]]], None]  # table, columns, values

_AT_ONCE = 20_000  # rows a transaction: the relay writes meanwhile


def into_sqlite(database: Path) -> Insert:
    """Return what inserts into this file."""

    def insert(table: str, columns: Sequence[str], values: Iterable[tuple[Any, ...]]) -> None:
        marks = ", ".join("?" * len(columns))
        statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"
        with closing(sqlite3.connect(database, timeout=30)) as connection:
            for some in batched(values, _AT_ONCE):
                with connection:
                    connection.executemany(statement, some)

    return insert


def into_postgresql(url: str) -> Insert:
    """Return what inserts into the database at this address, by COPY. Times without a zone are UTC."""

    def insert(table: str, columns: Sequence[str], values: Iterable[tuple[Any, ...]]) -> None:
        names = sql.SQL(", ").join(map(sql.Identifier, columns))
        statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), names)
        with psycopg.connect(url, autocommit=True, options="-c TimeZone=UTC") as connection:
            for some in batched(values, _AT_ONCE):
                with connection.cursor().copy(statement) as copy:
                    for row in some:
                        copy.write_row(row)

    return insert
