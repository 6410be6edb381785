"""Replays: what died is taken up again, in steps. A replay is a row, so that it outlives every process.

Each step's work and the place where the next one begins are one transaction: a kill in between repeats nothing and
leaves nothing out. Dead webhooks are put back to be read again, first; registrations begin anew, in the order of ids.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, Self

from sqlalchemy import ColumnElement, Row, Select, Table, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain import Event, EventState, RegistrationState, new_id
from app.errors import ReplayRefused
from app.store.batched import batched
from app.store.database import Database
from app.store.drafts import Draft, draft_of, had_one
from app.store.events import event_of
from app.store.people import People
from app.store.registrations import NOT_AGAIN, Again, Change, Registrations
from app.store.search import first_id
from app.store.spelling import spelt
from app.store.tables import events, registrations, replays, timeline
from app.store.unsettled import cancelled_late
from app.wording import without_addresses

ReplayState = Literal["running", "done", "stopped"]
_BROUGHT = ("registered", "updated", "reopened", "repeated", "replayed")  # what an event that means somebody left
_BECAME = {RegistrationState.DEAD: "stillDead", RegistrationState.IGNORED: "ignored"}
_AT_ONCE = 500  # keys in one statement


@dataclass(frozen=True, slots=True)
class Selection:
    """What is to be replayed: these ids, or all dead ones that fit; None means any.

    With `sent`, registrations of `webinar_id` that were sent already, instead of dead ones.
    """

    ids: Sequence[str] = ()
    cause: str | None = None
    source: str | None = None
    webinar_id: str | None = None
    sent: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """Who wants what replayed, and why. With `resend`, those too who got an e-mail or may have.

    The reason is kept without addresses: it stays for good, and nobody who is forgotten could be found in it.
    `key` is the asker's own: a second time it begins no second replay.
    """

    selection: Selection
    by: str
    why: str = ""
    resend: bool = False
    key: str | None = None

    @property
    def meaning(self) -> str:
        """Return a digest of what is asked for, whoever asks and why."""
        return hashlib.sha256(json.dumps([_plain(self.selection), self.resend]).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Replay:
    """A replay and how far it is. `counts` tells how many of `total` became what, `still_dead` which causes again."""

    id: str
    asked_at: datetime
    asked: Asked
    state: ReplayState
    total: int
    cursor: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    still_dead: Mapping[str, int] = field(default_factory=dict)
    ended_at: datetime | None = None

    @property
    def done(self) -> int:
        return sum(self.counts.values())

    @property
    def said(self) -> str:
        """Return what stands in the timelines of what it takes up again."""
        return f"Replayed by {self.asked.by}{f': {self.asked.why}' if self.asked.why else ''} ({self.id})."


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """A webhook as it stands in the store. `event.body` is empty once it was purged."""

    event: Event
    state: EventState
    cause: str | None
    is_purged: bool


@dataclass(frozen=True, slots=True)
class StoredRegistration:
    """A registration as it stands in the store, with the last webhook that brought it.

    `had_one`: an e-mail went out, or may have. `is_cancelled`: also when that came too late to stop it.
    """

    draft: Draft
    updated_at: datetime
    event: StoredEvent | None
    had_one: bool
    is_cancelled: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """What is asked of a registration before a webhook about it is read again."""

    state: RegistrationState
    had_one: bool

    @classmethod
    def of(cls, row: Mapping[Any, Any]) -> Self:
        return cls(RegistrationState(row["state"]), had_one(row))


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some of what a selection finds, in the order of ids. `last_id` is where the next begins, None at the end."""

    events: Sequence[StoredEvent]
    registrations: Sequence[StoredRegistration]
    last_id: str | None


@dataclass(frozen=True, slots=True)
class Progress:
    """What one step does: webhooks to put back, registrations to begin anew, and how many are left out and why."""

    put_back: Sequence[str]
    again: Sequence[Again]
    left_out: Mapping[str, int]
    last_id: str | None


class Replays:
    """The replays of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._people = People(database)

    async def ask(self, asked: Asked, *, now: datetime) -> Replay:
        """Write a replay down; the leader does it. One that was asked for with the same key is returned instead.

        Raises:
            ReplayRefused: the key began another one, or who is to be mailed again is so by one that is under way.
        """
        asked = replace(asked, why=without_addresses(asked.why))
        total = await self.count(asked.selection, before=now)
        made = Replay(new_id("rpl", now), now, asked, "running", total)
        async with self._database.write() as connection:
            this = self._database.insert(replays).values(_row(made)).on_conflict_do_nothing().returning(replays.c.id)
            if await connection.scalar(this):
                return made
            return await _begun_before(connection, asked)

    async def running(self) -> Replay | None:
        """Return the oldest replay that is not at its end."""
        c = replays.c
        return await self._one(select(replays).where(c.state == "running").order_by(c.id).limit(1))

    async def replay(self, replay_id: str) -> Replay | None:
        """Return one replay, None when there is none."""
        return await self._one(select(replays).where(replays.c.id == replay_id))

    async def latest(self, limit: int) -> list[Replay]:
        """Return the latest replays, newest first."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(replays).order_by(replays.c.id.desc()).limit(limit))
            return [_replay(row) for row in rows]

    async def stop(self, replay_id: str, *, now: datetime) -> Replay | None:
        """Go on with it no further; what was taken up stays so. None when there is no such replay."""
        c = replays.c
        async with self._database.write() as connection:
            this = update(replays).where(c.id == replay_id, c.state == "running")
            await connection.execute(this.values(state="stopped", ended_at=now))
        return await self.replay(replay_id)

    async def unknown(self, ids: Sequence[str]) -> list[str]:
        """Return those of the ids that no webhook and no registration has, in their order."""
        known: set[str] = set()
        async with self._database.read() as connection:
            for table in (events, registrations):
                for some in batched(dict.fromkeys(ids), _AT_ONCE):
                    known |= set((await connection.execute(select(table.c.id).where(table.c.id.in_(some)))).scalars())
        return [one for one in dict.fromkeys(ids) if one not in known]

    async def count(self, selection: Selection, *, before: datetime) -> int:
        """Return how many webhooks and registrations a selection finds."""
        async with self._database.read() as connection:
            counted = [
                await connection.scalar(select(func.count()).select_from(table).where(*where))
                for table, where in _places(selection, before)
            ]
        return sum(number or 0 for number in counted)

    async def chunk(self, selection: Selection, *, before: datetime, after: str, limit: int) -> Chunk:
        """Return what comes behind the id `after`: webhooks alone, or registrations alone."""
        async with self._database.read() as connection:
            for table, where in _places(selection, before):
                statement = select(table).where(*where, table.c.id > after).order_by(table.c.id).limit(limit)
                if rows := (await connection.execute(statement)).all():
                    if table is events:
                        return Chunk([_stored_event(row) for row in rows], (), rows[-1].id)
                    found = await _with_events(connection, [row._mapping for row in rows])  # noqa: SLF001  # SQLAlchemy's public name
                    return Chunk((), found, rows[-1].id)
        return Chunk((), (), None)

    async def standing(self, identities: Sequence[str]) -> dict[str, Standing]:
        """Return how the registrations stand that have these identities."""
        await self._people.prepare()
        c = registrations.c
        by_seal = {self._people.sealed(identity): identity for identity in identities}
        found: dict[str, Standing] = {}
        columns = select(c.identity, c.state, c.cause, c.sent_at, c.lost_at)
        async with self._database.read() as connection:
            for some in batched(by_seal, _AT_ONCE):
                rows = (await connection.execute(columns.where(c.identity.in_(some)))).mappings()
                found |= {by_seal[row["identity"]]: Standing.of(row) for row in rows}
        return found

    async def advance(self, replay: Replay, progress: Progress, made: Registrations, *, now: datetime) -> bool:
        """Do one step; False, and nothing done, when another process has done it or the replay was stopped."""
        await made.prepare()
        async with self._database.write() as connection:
            if not await _is_ours(connection, replay):
                return False
            put_back = await _put_back(connection, progress.put_back, replay, now)
            changes = await made.take_up(connection, progress.again, said=replay.said, now=now)
            counts = Counter(replay.counts) + Counter(progress.left_out)
            counts += Counter({"webhooks": put_back}) + Counter(map(_became, changes))
            missed = len(progress.put_back) - put_back + len(progress.again) - len(changes)
            counts += Counter({"changed": missed})
            still_dead = Counter(replay.still_dead) + _causes(progress.again, changes)
            moved = replace(replay, counts=dict(counts), still_dead=dict(still_dead))
            await connection.execute(_moved_on(moved, progress.last_id, now))
        return True

    async def _one(self, statement: Select[tuple[Any, ...]]) -> Replay | None:
        async with self._database.read() as connection:
            row = (await connection.execute(statement)).one_or_none()
            return _replay(row) if row else None


def _row(made: Replay) -> dict[str, object]:
    asked = made.asked
    who = {"asked_by": asked.by, "why": asked.why, "asked_key": asked.key}
    what = {"selection": _plain(asked.selection), "resend": int(asked.resend), "meaning": asked.meaning}
    state = {"state": made.state, "total": made.total, "cursor": made.cursor, "counts": made.counts}
    state["still_dead"] = made.still_dead
    return {"id": made.id, "asked_at": made.asked_at, **who, **what, **state}


def _plain(selection: Selection) -> dict[str, object]:
    return asdict(selection) | {"ids": sorted(set(selection.ids))}


async def _begun_before(connection: AsyncConnection, asked: Asked) -> Replay:
    """Return the replay that was begun with this key.

    Raises:
        ReplayRefused: what is in the way is another one.
    """
    c = replays.c
    keyed = select(replays).where(c.asked_key == asked.key, c.asked_key.is_not(None))
    if row := (await connection.execute(keyed)).one_or_none():
        if row.meaning == asked.meaning:
            return _replay(row)
        raise ReplayRefused(f"This key began {row.id}, which replays something else. Take a new key for each replay.")
    alike = select(c.id).where(c.meaning == asked.meaning).order_by(c.id.desc()).limit(1)
    raise ReplayRefused(
        f"{await connection.scalar(alike)} mails the same people again and is under way: look how far it is, and wait "
        "for its end or stop it."
    )


def _places(selection: Selection, before: datetime) -> Iterator[tuple[Table, list[ColumnElement[bool]]]]:
    """Yield each table with what finds the selection's rows there, webhooks first.

    What came after the replay was asked for is not its business: its own webhooks may make dead registrations.
    """
    if not selection.webinar_id and not selection.sent:
        yield events, [*_narrowed(events, selection), events.c.id < first_id("evt", before)]
    yield registrations, [*_narrowed(registrations, selection), registrations.c.id < first_id("reg", before)]


def _narrowed(table: Table, selection: Selection) -> Iterator[ColumnElement[bool]]:
    c = table.c
    if selection.ids:
        yield c.id.in_(selection.ids)
        return
    yield c.state == ("sent" if selection.sent else "dead")
    if selection.cause is not None:
        yield c.cause == selection.cause
    if selection.source is not None:
        yield c.source == selection.source
    if selection.webinar_id is not None:
        if selection.sent:
            yield c.webinar_ref == spelt(selection.webinar_id)  # the index
        yield c.webinar_id == selection.webinar_id


async def _with_events(connection: AsyncConnection, rows: Sequence[Mapping[Any, Any]]) -> list[StoredRegistration]:
    t, e = timeline.c, events.c
    brought = await connection.execute(
        select(t.registration_id, t.event_id)
        .where(t.registration_id.in_([row["id"] for row in rows]), t.event_id.is_not(None), t.what.in_(_BROUGHT))
        .order_by(t.id)
    )
    last = {row.registration_id: row.event_id for row in brought}
    found = await connection.execute(select(events).where(e.id.in_(set(last.values()))))
    by_id = {row.id: _stored_event(row) for row in found}
    gone = await cancelled_late(connection, [row["id"] for row in rows])
    return [_stored(row, by_id.get(last.get(row["id"], "")), gone) for row in rows]


def _stored(row: Mapping[Any, Any], event: StoredEvent | None, gone: Collection[str]) -> StoredRegistration:
    draft = draft_of(row)
    is_cancelled = draft.state is RegistrationState.CANCELLED or row["id"] in gone
    return StoredRegistration(draft, row["updated_at"], event, had_one(row), is_cancelled)


async def _is_ours(connection: AsyncConnection, replay: Replay) -> bool:
    """Tell whether nobody else took this step; whoever tries meanwhile waits for our transaction here."""
    c = replays.c
    this = update(replays).where(c.id == replay.id, c.state == "running", c.cursor == replay.cursor)
    return bool((await connection.execute(this.values(cursor=replay.cursor))).rowcount)


async def _put_back(connection: AsyncConnection, ids: Sequence[str], replay: Replay, now: datetime) -> int:
    c = events.c
    dead = select(c.id, c.cause).where(c.id.in_(ids), c.state == EventState.DEAD, c.body.is_not(None))
    rows = (await connection.execute(dead.order_by(c.id).with_for_update())).all()
    if not rows:
        return 0
    anew = {"cause": None, "detail": None, "settled_at": None, "attempts": 0, "claimed_by": None}
    await connection.execute(
        update(events)
        .where(c.id.in_([row.id for row in rows]))
        .values(**anew, state=EventState.WAITING, due_at=now, replayed_at=now)
    )
    entry = {"at": now, "what": "replayed"}
    said = [entry | {"registration_id": row.id, "detail": f"{replay.said} It was dead: {row.cause}."} for row in rows]
    await connection.execute(insert(timeline), said)
    return len(rows)


def _became(change: Change) -> str:
    return "notSentAgain" if change.what == NOT_AGAIN else _BECAME.get(change.state, "again")


def _causes(again: Sequence[Again], changes: Sequence[Change]) -> Counter[str]:
    """Count for which causes those died again that did."""
    dead = {change.registration_id for change in changes if change.state is RegistrationState.DEAD}
    return Counter(str(one.draft.cause) for one in again if one.id in dead)


def _moved_on(replay: Replay, last_id: str | None, now: datetime) -> Any:
    this = update(replays).where(replays.c.id == replay.id)
    this = this.values(counts=replay.counts, still_dead=replay.still_dead)
    return this.values(state="done", ended_at=now) if last_id is None else this.values(cursor=last_id)


def _stored_event(row: Row[Any]) -> StoredEvent:
    return StoredEvent(event_of(row), EventState(row.state), row.cause, row.body is None)


def _replay(row: Row[Any]) -> Replay:
    selection = Selection(**row.selection)
    asked = Asked(selection, row.asked_by, row.why, bool(row.resend), row.asked_key)
    how_far = row.state, row.total, row.cursor, row.counts, row.still_dead, row.ended_at
    return Replay(row.id, row.asked_at, asked, *how_far)
