"""Read what a search form was filled in with. No I/O: parameters in, a search or sentences about its mistakes out."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from app.domain import Cause
from app.store.views import Wanted
from app.web.console.words import STATES

LONGEST = 200  # characters
FIELDS = ("q", "webinar", "source", "state", "cause", "from", "to")


@dataclass(frozen=True, slots=True)
class Asked:
    """A search as it was typed (`given`, without empty fields), what it means, and what is wrong with it."""

    given: Mapping[str, str]
    wanted: Wanted
    problems: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_narrow(self) -> bool:
        return bool(self.given)


def asked(parameters: Mapping[str, str], sources: Collection[str]) -> Asked:
    """Return what was searched for. Nonsense is named in `problems` and searched for nothing."""
    given = {name: text for name in FIELDS if (text := _cleaned(parameters.get(name, "")))}
    problems = {name[:LONGEST]: "is nothing to search by" for name in parameters if name not in (*FIELDS, "cursor")}
    for name, text in given.items():
        if len(text) > LONGEST:
            problems[name] = f"is longer than {LONGEST} characters; the beginning is enough"
    _check_choice(given, "state", STATES, problems)
    _check_choice(given, "source", sources, problems)
    _check_choice(given, "cause", set(Cause), problems)
    since, until = _day(given, "from", problems), _day(given, "to", problems)
    if since and until and until < since:
        problems["to"] = "lies before the first day; exchange the two"
    wanted = Wanted(
        text=given.get("q"),
        webinar=given.get("webinar"),
        source=given.get("source"),
        states=STATES[given["state"]][1] if given.get("state") in STATES else frozenset(),
        cause=given.get("cause"),
        since=since,
        until=until + timedelta(days=1) if until else None,
    )
    return Asked(given, wanted, problems)


def _cleaned(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _check_choice(given: Mapping[str, str], name: str, known: Collection[str], problems: dict[str, str]) -> None:
    if name in given and given[name] not in known:
        problems[name] = f"is none of: {', '.join(sorted(known)) or 'there is none yet'}"


def _day(given: Mapping[str, str], name: str, problems: dict[str, str]) -> datetime | None:
    if name not in given:
        return None
    try:
        day = date.fromisoformat(given[name])
    except ValueError:
        day = date.min
    if 1970 <= day.year <= 9000:
        return datetime.combine(day, time(), UTC)
    problems[name] = "is no day; write it as 2026-11-25"
    return None
