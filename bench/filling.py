"""Fill a relay's store with registrations as they are after months, and say which searches find some of them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.inserting import Insert

_FIRST = ("Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Katherine", "Linus", "Margaret", "Tim")
_LAST = ("Lovelace", "Hopper", "Turing", "Dijkstra", "Liskov", "Knuth", "Johnson", "Torvalds", "Hamilton", "Lee")
_WEBINARS = 500
_SPAN = timedelta(days=90)
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
_TIMELINE_COLUMNS = ("registration_id", "at", "what", "detail", "event_id", "call_id")

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


def fill(insert: Insert, rows: int, now: datetime, span: timedelta = _SPAN) -> None:
    """Add so many registrations, spread over the last 90 days; one in a hundred is dead, one in a hundred ignored."""
    insert("registrations", _COLUMNS, (_row(n, at) for n, at in _spread(rows, now, span)))


def fill_events(insert: Insert, rows: int, now: datetime, span: timedelta = _SPAN, *, blank: int = 0) -> None:
    """Add the webhooks of so many registrations, settled long ago; the oldest are blanked, so many."""
    insert("events", _EVENT_COLUMNS, (_event(n, at, is_blank=n < blank) for n, at in _spread(rows, now, span)))


def fill_timelines(insert: Insert, rows: int, now: datetime, span: timedelta = _SPAN) -> None:
    """Add what happened to so many registrations: each came, was found, and was sent with ninety-nine others."""
    entries = (entry for n, at in _spread(rows, now, span) for entry in _timeline(n, at))
    insert("timeline", _TIMELINE_COLUMNS, entries)


def _spread(rows: int, now: datetime, span: timedelta) -> Iterator[tuple[int, datetime]]:
    return ((n, now - span + n * (span / rows)) for n in range(rows))


def _id(kind: str, n: int, at: datetime) -> str:
    return f"{kind}_{int(at.timestamp() * 1000):012x}{n:016x}"


def _text(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def _timeline(n: int, at: datetime) -> Iterator[tuple[Any, ...]]:
    one, when = _id("reg", n, at), _text(at)
    yield one, when, "registered", "A webhook registered this person.", _id("evt", n, at), None
    yield one, when, "person found", "", None, f"call_{n // 300:028x}"
    yield one, when, "sent", "", None, f"call_{n // 100:028x}"


def _event(n: int, at: datetime, *, is_blank: bool) -> tuple[Any, ...]:
    when, body = _text(at), None if is_blank else b"x" * 400
    return _id("evt", n, at), "custom", when, "{}", body, f"{n:064x}", "forever", "mapped", when, 0, when


def fill_untitled(insert: Insert, rows: int, now: datetime) -> None:
    """Add webhooks of a custom app that wait to be mapped, each of another person, and lack the webinar's title."""
    columns = ("id", "source", "received_at", "headers", "body", "state", "due_at", "attempts")
    when = _text(now)
    bodies = (b'{"email": "dead.%d@example.com", "webinar": {"id": "w-%d"}}' % (n, n % 7) for n in range(rows))
    rest = ((_id("evt", n, now), "custom", when, "{}", body, "waiting", when, 0) for n, body in enumerate(bodies))
    insert("events", columns, rest)


def _row(n: int, at: datetime) -> tuple[Any, ...]:
    given, family, webinar = _FIRST[n % 10], _LAST[n // 10 % 10], n * 7919 % _WEBINARS
    email = f"{given}.{family}.{n}@example.com".lower()
    state = {0: "dead", 50: "ignored"}.get(n % 100, "sent")
    source = ("custom", "eventbrite")[n % 3 % 2]
    cause, detail = ("title_missing", "The webinar has no title.") if state == "dead" else (None, None)
    when, title = _text(at), f"Webinar {webinar} on customer engagement"
    tokens = f'{{"WebinarTitle": "{title}", "JoinLink": "https://meet.example.com/j/{webinar}"}}'
    keys = (f"{given} {family}".lower(), family.lower(), title.lower(), f"w-{webinar}")
    who = (email, given, family)
    until = "2099-01-01 00:00:00.000000"
    return (
        _id("reg", n, at), f"{n:064x}", source, f"w-{webinar}", email, f"{n:064x}", state, 0, cause, detail, *who,
        *keys, 1234, tokens, "{}", 0, f"{webinar:064x}", when, when, until, 0, 0, when, when,
        when if state == "sent" else None,
    )  # fmt: skip
