"""Count what needs a person, when each source was last heard of, and how large the store is. Reads only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from app.store.database import Database
from app.store.dead import count_dead
from app.store.overview import last_webhook


@dataclass(frozen=True, slots=True)
class Census:
    """What is dead by cause (webhooks and registrations together), the sources' last webhooks, and the size."""

    dead: Mapping[str, int]
    last_webhooks: Mapping[str, datetime]
    size: int  # bytes


async def take_census(database: Database, sources: Sequence[str]) -> Census:
    """Return how the store stands; it costs in proportion to what is dead."""
    async with database.read() as connection:
        counts = await count_dead(connection)
        dead = {one.cause or "unknown": one.registrations + one.events for one in counts}
        heard = {source: await last_webhook(connection, source) for source in sources}
        size = await connection.scalar(text(_SQLITE_SIZE if database.is_sqlite else _POSTGRESQL_SIZE))
    return Census(dead, {source: at for source, at in heard.items() if at}, size or 0)


_SQLITE_SIZE = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
_POSTGRESQL_SIZE = "SELECT pg_database_size(current_database())"
