"""Forget a person: every registration with its timeline, the memory of the lead, and each webhook that names them.

What Marketo said of the person elsewhere goes too, see `app.store.hearsay`, and what others' registrations copied, see
`app.store.copies`.
A person who is asked for by lead is found by the addresses too that are known to be this lead's. Also what was purged
already is found, by the keyed hash that was left. A webhook that names others too is blanked
whole. What a call to Marketo holds at the moment, or waits to be read, is left and told: ask again a little later.
"""

import json
import re
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from urllib.parse import unquote_plus

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain import EventState, RegistrationState, is_email
from app.store.batched import in_pages
from app.store.copies import blank_copies, find_copies
from app.store.database import Database
from app.store.hearsay import Hearsay, hear, hush, marks
from app.store.people import People
from app.store.retention import blank_events
from app.store.spelling import GONE
from app.store.tables import events, people, registrations, timeline

# An address begins and ends where no other goes on; a letter behind a backslash is a line's end, say.
_BEGINS = r"(?:(?<![\w.+-])|(?<=\\[bfnrt]))"
_ENDS = r"(?![\w-])(?!\.[\w-])"
_LEAD = "lead:"  # before Marketo's id, where that is all that a person is known by


@dataclass(frozen=True, slots=True)
class Traces:
    """What the store holds of one person. `person` is the keyed hash; what is `under_way` cannot be removed yet."""

    person: str
    registrations: Sequence[str] = ()
    webhooks: Sequence[str] = ()
    remembered: Sequence[str] = field(default=(), repr=False)
    timeline_entries: int = 0
    under_way: Sequence[str] = ()
    hearsay: Hearsay = field(default_factory=Hearsay)
    keys: Collection[str] = field(default=(), repr=False)
    copies: Sequence[str] = ()

    def __bool__(self) -> bool:
        own = self.registrations or self.remembered
        return bool(own or self.webhooks or self.under_way or self.hearsay or self.copies)


@dataclass(frozen=True, slots=True)
class Certificate:
    """What was removed, and when. It names nobody: `person` is a keyed hash that only this store can make again."""

    person: str
    at: datetime
    registrations: int
    timeline_entries: int
    webhooks_blanked: int
    remembered_people: int
    sentences_blanked: int
    copies_blanked: int
    left_under_way: Sequence[str]


class Forgetting:
    """Finds and removes one person's data; `person_key` is an e-mail address, or `lead:` with Marketo's id."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._people = People(database)

    async def traces(self, person_key: str) -> Traces:
        """Return what there is, and change nothing. It reads all that is not blanked yet."""
        await self._people.prepare()
        key = person_key.lower()
        async with self._database.read() as connection:
            rows, remembered = await self._rows_of(connection, key)
            told = await _told(connection, [row.id for row in rows])
            lead_ids = await _lead_ids(connection, key, rows)
        keys = {key, *(row.person_key for row in rows if not row.person_key.startswith((GONE, _LEAD)))}
        named = {event_id: state async for event_id, state in self._naming(keys)}
        said = await hear(self._database, [row.id for row in rows], marks(keys, lead_ids, _names_in(rows)))
        copies = await find_copies(self._database, keys, _naming_any(keys), but=[row.id for row in rows])
        found = _traces(self._people.sealed(key), rows, told, named)
        return replace(
            found,
            remembered=sorted({*found.remembered, *remembered}),
            hearsay=said,
            keys=keys,
            copies=copies.ended,
            under_way=sorted({*found.under_way, *copies.under_way}),
        )

    async def forget(self, person_key: str, *, now: datetime) -> Certificate:
        """Remove it in one transaction, and certify it."""
        found = await self.traces(person_key)
        async with self._database.write() as connection:
            ids = await _not_sending(connection, found.registrations)
            said = await hush(connection, found.hearsay, ids)
            copies = await blank_copies(connection, found.copies, _naming_any(found.keys), self._people.sealed)
            entries = await _remove(connection, ids)
            blanked = await _blank_settled(connection, found.webhooks)
            gone = await connection.execute(delete(people).where(people.c.key_hash.in_(found.remembered)))
        begun = [one for one in found.registrations if one not in set(ids)]
        left = sorted({*found.under_way, *begun})
        return Certificate(found.person, now, len(ids), entries, blanked, gone.rowcount, said, copies, left)

    async def _rows_of(self, connection: AsyncConnection, key: str) -> tuple[list[Any], set[str]]:
        """Return the person's registrations, and the hashes by which a lead that was asked for is remembered.

        An address is followed to the leads that it was found to be, and a lead to the addresses that it was found by.
        """
        number, c = _lead_in(key), registrations.c
        if number is None:
            rows = await self._with_keys(connection, {key})
            leads = {f"{_LEAD}{row.lead_id}" for row in rows if row.lead_id is not None}
            return _together(rows, await self._with_keys(connection, leads)), set()
        remembered = {
            *(await connection.execute(select(people.c.key_hash).where(people.c.lead_id == number))).scalars()
        }
        found = await _registrations_where(connection, or_(c.lead_id == number, c.person_hash.in_(remembered)))
        keys = {key, *(row.person_key for row in found)}
        return _together(found, await self._with_keys(connection, keys)), remembered

    async def _with_keys(self, connection: AsyncConnection, keys: Collection[str]) -> list[Any]:
        """Return the registrations of these keys, also those that were purged."""
        either = [*keys, *(GONE + self._people.sealed(key) for key in keys)]
        return await _registrations_where(connection, registrations.c.person_key.in_(either))

    async def _naming(self, keys: Collection[str]) -> AsyncIterator[tuple[str, str]]:
        """Yield (id, state) of each webhook in which one of these stands, however it is spelt there."""
        c = events.c
        kept = select(c.id, c.state, c.body, c.fetched).where(c.body.is_not(None))
        async for row in in_pages(self._database, kept, events):
            if any(names(key, row.body, row.fetched) for key in keys):
                yield row.id, row.state


def names(key: str, body: bytes, fetched: object) -> bool:
    """Tell whether the address stands in a webhook's body, or in what was fetched for it; not as a part of another."""
    return any(_names(key, text) for text in (*_texts_of(key, body), *_texts(fetched)))


def _naming_any(keys: Collection[str]) -> Callable[[str], bool]:
    return lambda text: any(_names(key, text.lower()) for key in keys)


def _names(key: str, text: str) -> bool:
    spelt = {text, unquote_plus(text)} if "%" in text else {text}  # URLs and forms may spell a character by its number
    return any(_stands_in(key, one.strip()) for one in spelt if key in one)


def _stands_in(key: str, text: str) -> bool:
    """Compare what is an address as a whole, since o'ada@example.com is somebody else; search in any other text.

    A form's field and a path, as email=ada@example.com, could be addresses too; they are searched.
    """
    before = text.removesuffix(key)
    if is_email(text) and before and not before.startswith(tuple("/?#&")) and not before.endswith(("=", "/")):
        return False
    return re.search(f"{_BEGINS}{re.escape(key)}{_ENDS}", text) is not None


def _texts_of(key: str, body: bytes) -> Iterator[str]:
    """Yield the texts in a JSON body, or else the body as one text; nothing when the address cannot be in it."""
    text = body.decode("utf-8", "replace").lower()
    if key not in text and "\\" not in text and "%" not in text:  # JSON may spell any character by its number
        return
    try:
        yield from _texts(json.loads(body, object_pairs_hook=_all_pairs))
    except (ValueError, RecursionError):
        yield text


def _all_pairs(pairs: list[tuple[str, object]]) -> list[object]:
    """Keep also what stands under a name that comes again."""
    return [part for pair in pairs for part in pair]


def _texts(found: object) -> Iterator[str]:
    """Yield each text in a JSON value, the names of its fields among them, in small letters."""
    left = [found]
    while left:
        one = left.pop()
        if isinstance(one, str):
            yield one.lower()
        elif isinstance(one, dict):
            left += [*one.keys(), *one.values()]
        elif isinstance(one, list):
            left += one


def _traces(person: str, rows: Sequence[Any], told: Mapping[str, Sequence[str]], named: Mapping[str, str]) -> Traces:
    sending = {row.id for row in rows if row.state == RegistrationState.SENDING}
    waiting = {event_id for event_id, state in named.items() if state == EventState.WAITING}
    return Traces(
        person=person,
        registrations=[row.id for row in rows if row.id not in sending],
        webhooks=sorted({*named, *(event for brought in told.values() for event in brought)} - waiting),
        remembered=sorted({row.person_hash for row in rows}),
        timeline_entries=sum(row.entries for row in rows),
        under_way=sorted(sending | waiting),
    )


def _together(some: Sequence[Any], others: Sequence[Any]) -> list[Any]:
    known = {row.id for row in some}
    return [*some, *(row for row in others if row.id not in known)]


async def _registrations_where(connection: AsyncConnection, which: ColumnElement[bool]) -> list[Any]:
    c, t = registrations.c, timeline.c
    entries = select(func.count()).where(t.registration_id == c.id).correlate(registrations).scalar_subquery()
    names = (c.first_name, c.last_name)
    columns = select(c.id, c.state, c.lead_id, c.person_key, c.person_hash, *names, entries.label("entries"))
    return [*(await connection.execute(columns.where(which).order_by(c.id)))]


def _lead_in(key: str) -> int | None:
    number = key.removeprefix(_LEAD)
    return int(number) if number != key and number.isdecimal() else None


async def _lead_ids(connection: AsyncConnection, key: str, rows: Sequence[Any]) -> set[int]:
    """Return the numbers that Marketo knows the person by, as far as the store knows."""
    hashes = {row.person_hash for row in rows}
    remembered = await connection.execute(select(people.c.lead_id).where(people.c.key_hash.in_(hashes)))
    known = {*remembered.scalars(), *(row.lead_id for row in rows), _lead_in(key)}
    return {lead_id for lead_id in known if lead_id is not None}


def _names_in(rows: Sequence[Any]) -> set[str]:
    """Return the surnames, and the names of whom has none: a first name beside one tells nobody."""
    return {(row.last_name or row.first_name or "").strip() for row in rows}


async def _told(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, list[str]]:
    """Return the webhooks that each registration's timeline names and that are not blanked yet."""
    t, e = timeline.c, events.c
    kept = select(t.registration_id, t.event_id).distinct().join(events, e.id == t.event_id)
    rows = await connection.execute(kept.where(t.registration_id.in_(ids), e.body.is_not(None)))
    found: dict[str, list[str]] = {}
    for registration_id, event_id in rows:
        found.setdefault(registration_id, []).append(event_id)
    return found


async def _not_sending(connection: AsyncConnection, ids: Sequence[str]) -> list[str]:
    """Lock those of these registrations that are in no call's hands."""
    c = registrations.c
    free = select(c.id).where(c.id.in_(ids), c.state != RegistrationState.SENDING, c.claimed_by.is_(None))
    return list((await connection.execute(free.order_by(c.id).with_for_update())).scalars())


async def _remove(connection: AsyncConnection, ids: Sequence[str]) -> int:
    gone = await connection.execute(delete(timeline).where(timeline.c.registration_id.in_(ids)))
    await connection.execute(delete(registrations).where(registrations.c.id.in_(ids)))
    return int(gone.rowcount)


async def _blank_settled(connection: AsyncConnection, ids: Sequence[str]) -> int:
    c = events.c
    settled = select(c.id).where(c.id.in_(ids), c.state != EventState.WAITING, c.body.is_not(None))
    locked = list((await connection.execute(settled.order_by(c.id).with_for_update())).scalars())
    await connection.execute(update(events).where(c.id.in_(locked)).values(dedupe_content=None))
    return await blank_events(connection, locked)
