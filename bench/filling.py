"""Fill a relay's SQLite file with registrations as they are after months, and say which searches find some of them."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from app.store.batched import batched

_FIRST = ("Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Katherine", "Linus", "Margaret", "Tim")
_LAST = ("Lovelace", "Hopper", "Turing", "Dijkstra", "Liskov", "Knuth", "Johnson", "Torvalds", "Hamilton", "Lee")
_WEBINARS = 500
_SPAN = timedelta(days=90)
_AT_ONCE = 20_000  # rows a transaction: the relay writes meanwhile
_COLUMNS = (
    "id", "identity", "source", "webinar_id", "person_key", "person_hash", "state", "lookup", "cause", "detail",
    "email", "first_name", "last_name", "name_key", "surname_key", "webinar_key", "webinar_ref", "campaign_id",
    "tokens", "fields", "by_field", "batch_key", "due_at", "came_at", "expires_at", "attempts", "relooked",
    "created_at", "updated_at", "sent_at",
)  # fmt: skip
_EVENT_COLUMNS = (
    "id", "source", "received_at", "headers", "body", "dedupe_key", "dedupe_scope", "state", "due_at", "attempts",
    "settled_at",
)  # fmt: skip

# What people search for, from a rare address to half of the table with a filter that hardly anybody passes.
SEARCHES = {
    "newest": "",
    "one address": "q=ada.hopper.10%40",
    "how an address begins": "q=ada",
    "a full name": "q=margaret+hamilton",
    "a surname": "q=turing",
    "one letter": "q=a",
    "a webinar's title": "webinar=webinar+77",
    "not sent": "state=dead",
    "ignored, of one source, in one week": "state=ignored&source=eventbrite&from=2020-01-01",
    "a letter, not sent, of one source": "q=a&state=dead&source=eventbrite",
}


def fill(database: Path, rows: int, now: datetime, span: timedelta = _SPAN) -> None:
    """Add so many registrations, spread over the last 90 days; one in a hundred is dead, one in a hundred ignored."""
    _insert(database, "registrations", _COLUMNS, (_row(n, at) for n, at in _spread(rows, now, span)))


def fill_events(database: Path, rows: int, now: datetime, span: timedelta = _SPAN) -> None:
    """Add the webhooks of so many registrations, settled long ago; the older half is blanked."""
    values = (_event(n, at, is_blank=n <= rows // 2) for n, at in _spread(rows, now, span))
    _insert(database, "events", _EVENT_COLUMNS, values)


def _spread(rows: int, now: datetime, span: timedelta) -> Iterator[tuple[int, datetime]]:
    return ((n, now - span + n * (span / rows)) for n in range(rows))


def _insert(database: Path, table: str, columns: Sequence[str], values: Iterable[tuple[Any, ...]]) -> None:
    marks = ", ".join("?" * len(columns))
    statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        for some in batched(values, _AT_ONCE):
            with connection:
                connection.executemany(statement, some)


def _event(n: int, at: datetime, *, is_blank: bool) -> tuple[Any, ...]:
    when, body = at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"), None if is_blank else b"x" * 400
    row_id = f"evt_{int(at.timestamp() * 1000):012x}{n:016x}"
    return row_id, "custom", when, "{}", body, f"{n:064x}", "forever", "mapped", when, 0, when


def fill_untitled(database: Path, rows: int, now: datetime) -> None:
    """Add webhooks of a custom app that wait to be mapped, each of another person, and lack the webinar's title."""
    when = now.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    statement = (
        "INSERT INTO events (id, source, received_at, headers, body, state, due_at, attempts) "
        "VALUES (?, 'custom', ?, '{}', ?, 'waiting', ?, 0)"
    )
    with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        bodies = (b'{"email": "dead.%d@example.com", "webinar": {"id": "w-%d"}}' % (n, n % 7) for n in range(rows))
        first = int(now.timestamp() * 1000)
        connection.executemany(
            statement, ((f"evt_{first:012x}{n:016x}", when, body, when) for n, body in enumerate(bodies))
        )


def _row(n: int, at: datetime) -> tuple[Any, ...]:
    given, family, webinar = _FIRST[n % 10], _LAST[n // 10 % 10], n * 7919 % _WEBINARS
    email = f"{given}.{family}.{n}@example.com".lower()
    state = {0: "dead", 50: "ignored"}.get(n % 100, "sent")
    source = ("custom", "eventbrite")[n % 3 % 2]
    cause, detail = ("title_missing", "The webinar has no title.") if state == "dead" else (None, None)
    when, title = at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"), f"Webinar {webinar} on customer engagement"
    tokens = f'{{"WebinarTitle": "{title}", "JoinLink": "https://meet.example.com/j/{webinar}"}}'
    row_id = f"reg_{int(at.timestamp() * 1000):012x}{n:016x}"
    keys = (f"{given} {family}".lower(), family.lower(), title.lower(), f"w-{webinar}")
    who = (email, given, family)
    until = "2099-01-01 00:00:00.000000"
    return (
        row_id, f"{n:064x}", source, f"w-{webinar}", email, f"{n:064x}", state, 0, cause, detail, *who, *keys, 1234,
        tokens, "{}", 0, f"{webinar:064x}", when, when, until, 0, 0, when, when, when if state == "sent" else None,
    )  # fmt: skip
