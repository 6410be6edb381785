"""What must hold after any fault: read from the store and from the simulation, not from the relay's own words."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, NullPool, create_engine, make_url, text
from sqlalchemy.exc import DatabaseError, OperationalError

from tests.chaos.senders import Senders
from tests.chaos.stage import Stage
from tests.e2e.harness import until
from tests.soundness import damage, held

_PATIENCE = 120.0  # seconds; a person whose upsert was cut off is left alone for half a minute
_OPEN = """
    SELECT (SELECT count(*) FROM events WHERE state = 'waiting')
         + (SELECT count(*) FROM registrations WHERE state IN ('new', 'known', 'sending'))
         + (SELECT count(*) FROM unsettled)
"""


def check(stage: Stage, senders: Senders) -> list[str]:
    """Wait until nothing is open, and return every promise that was broken, in words."""
    try:
        return _checked(stage, senders)
    except DatabaseError as problem:
        if isinstance(problem, OperationalError):
            raise  # it cannot be reached
        return [f"the store is damaged: {problem.orig}"]


def _checked(stage: Stage, senders: Senders) -> list[str]:
    try:
        until(lambda: _open(stage.store) == 0, within=_PATIENCE, what="everything to be settled")
    except AssertionError:
        return [f"{_open(stage.store)} things are still open after {_PATIENCE:g} s: {_states(stage.store)}"]
    return [*_in_the_store(stage.store, senders.acknowledged), *_at_marketo(stage, senders.acknowledged)]


def calls_hit(url: str) -> int:
    """Return how many leaders ended while a call of theirs to Marketo had no answer yet."""
    query = "SELECT count(DISTINCT fence) FROM calls WHERE outcome = 'lost' AND message LIKE 'The relay stopped%'"
    with _opened(url) as connection:
        return int(connection.execute(text(query)).scalar_one())


def _at_marketo(stage: Stage, acknowledged: Collection[str]) -> list[str]:
    seen: dict[str, Any] = stage.sandbox.get("stats")
    mailed = {email["to"] for email in stage.sandbox.get("emails?limit=100000&html=false")}
    complaints = {
        f"{len(set(acknowledged) - mailed)} who were acknowledged got no e-mail": set(acknowledged) - mailed,
        f"somebody got {seen['mostEmailsPerPerson']} e-mails": seen["mostEmailsPerPerson"] > 1,
        f"{seen['duplicatePeople']} people are there twice": seen["duplicatePeople"],
        f"Marketo's rules were broken: {seen['violations']}": seen["violations"],
    }
    return [words for words, is_so in complaints.items() if is_so]


def _in_the_store(url: str, acknowledged: dict[str, str]) -> list[str]:
    with _opened(url) as connection:
        kept = set(connection.execute(text("SELECT id FROM events")).scalars())
        sent = set(connection.execute(text("SELECT email FROM registrations WHERE state = 'sent'")).scalars())
        in_hands, broken = held(connection), damage(connection)
    lost = set(acknowledged.values()) - kept
    unsent = set(acknowledged) - sent
    complaints = {
        f"{len(lost)} acknowledged webhooks are not in the store": lost,
        f"{len(unsent)} acknowledged registrations are not sent": unsent,
        f"{in_hands} rows are held by nobody": in_hands,
        f"the store is damaged: {broken}": broken,
    }
    return [words for words, is_so in complaints.items() if is_so]


def _open(url: str) -> int | None:
    with _opened(url) as connection:
        return int(connection.execute(text(_OPEN)).scalar_one())


def _states(url: str) -> list[tuple[str, str, int]]:
    query = (
        "SELECT 'event', state, count(*) FROM events GROUP BY 2 "
        "UNION ALL SELECT 'registration', state, count(*) FROM registrations GROUP BY 2"
    )
    with _opened(url) as connection:
        return [(str(kind), str(state), int(count)) for kind, state, count in connection.execute(text(query))]


def _opened(url: str) -> Connection:
    parsed = make_url(url)
    driver = "sqlite" if parsed.get_backend_name() == "sqlite" else "postgresql+psycopg"
    return create_engine(parsed.set(drivername=driver), poolclass=NullPool).connect()
