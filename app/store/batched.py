"""Split what is too much for one statement, whose values databases bound, or for the memory."""

from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Row, Select, Table

from app.store.database import Database

_A_PAGE = 500  # rows
_One = TypeVar("_One")


def batched(items: Iterable[_One], size: int) -> Iterator[list[_One]]:
    """Return the items in their order, in lists of at most `size`."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


async def in_pages(database: Database, rows: Select[Any], table: Table) -> AsyncIterator[Row[Any]]:
    """Yield all these rows of the table, `id` among their columns, by their ids; no transaction outlasts a page."""
    c, last = table.c, ""
    while True:
        page = rows.where(c.id > last).order_by(c.id).limit(_A_PAGE)
        async with database.read() as connection:
            found = (await connection.execute(page)).all()
        for row in found:
            yield row
        if len(found) < _A_PAGE:
            return
        last = found[-1].id
