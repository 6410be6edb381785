"""Record what events mean: registrations are made, updated and cancelled, and their events settled, at once."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, case, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain import WAITING_STATES, CampaignId, Cancelled, Cause, Event, LeadId, RegistrationState
from app.store.batched import batched
from app.store.database import Database
from app.store.drafts import Draft, draft_of, had_one, identity_of
from app.store.events import EventFate, settle_events
from app.store.links import Holders, batch_key, passed_tokens, read_holders
from app.store.people import People
from app.store.spelling import GONE, name_keys, spelt
from app.store.tables import registrations, timeline

_OF_THE_FIRST = ("id", "state", "lookup", "lead_id", "due_at", "came_at")  # what a later webhook leaves alone
_BEGINNINGS = frozenset({"registered", "reopened", "replayed"})  # what has a flaw ends there, which is told as well
NOT_AGAIN = "not sent again"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What one claimed event came to: its own fate, the registrations it makes, those that it cancels.

    `asked_at` is when its source was asked for what the drafts hold; None when they stand in the webhook itself.
    """

    fate: EventFate
    drafts: Sequence[Draft] = ()
    cancellations: Sequence[Cancelled] = ()
    asked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Again:
    """A registration that is to begin anew: as it is read now, from the webhook `event_id` (None: from itself).

    `seen_at` is when it had changed last, as it was read.
    """

    id: str
    seen_at: datetime
    draft: Draft
    event_id: str | None


@dataclass(frozen=True, slots=True)
class Change:
    """What recording did to one registration: `state` is the one that it has now, `event_id` what brought it."""

    registration_id: str
    source: str
    state: RegistrationState
    what: str
    event_id: str | None


@dataclass(slots=True)
class _Known:
    """A registration in the hands of one recording: as stored, then as changed.

    `had_one`: an e-mail went out, the latest at `sent_at`, or may have. `is_new` tells INSERT from UPDATE;
    `is_released` takes it from whoever has it in a call to Marketo.
    """

    draft: Draft
    sent_at: datetime | None = None
    had_one: bool = False
    cancelled_at: datetime | None = None
    is_new: bool = False
    is_changed: bool = False
    is_released: bool = False

    @classmethod
    def of(cls, row: Mapping[Any, Any]) -> "_Known":
        cancelled_at = row["updated_at"] if row["state"] == RegistrationState.CANCELLED else None
        return cls(draft_of(row), row["sent_at"], had_one(row), cancelled_at)

    @property
    def is_waiting(self) -> bool:
        return self.draft.state in WAITING_STATES


@dataclass(slots=True)
class _Recording:
    """The rows that one transaction reads, and what it will write."""

    known: dict[str, _Known]
    leads: Mapping[str, LeadId]
    holders: Holders
    entries: list[dict[str, Any]]
    changes: list[Change]
    now: datetime

    def note(self, known: _Known, what: str, detail: str, event_id: str | None) -> None:
        self.tell(known, what, detail, event_id)
        self.changes.append(Change(known.draft.id, known.draft.source, known.draft.state, what, event_id))
        if what in _BEGINNINGS and not known.is_waiting:
            self.tell(known, known.draft.state, known.draft.detail or "", event_id)

    def tell(self, known: _Known, what: str, detail: str, event_id: str | None) -> None:
        row = {"registration_id": known.draft.id, "at": self.now, "what": what, "detail": detail, "event_id": event_id}
        self.entries.append(row)


class Registrations:
    """Where registrations are made. Sending them is `app.store.sending`'s.

    `hold` is how long after a campaign request Marketo may still read the person's fields for its e-mail.
    """

    def __init__(
        self, database: Database, *, people: People | None = None, hold: timedelta = timedelta(minutes=10)
    ) -> None:
        self._database = database
        self._people = people or People(database)
        self._hold = hold

    async def record(self, meanings: Sequence[Meaning], *, fence: int, now: datetime) -> list[Change]:
        """Settle these claimed events with all that they mean, in one transaction; return what changed.

        An event that another leader holds by now is left alone, with all that it would have meant. A person whose
        lead is remembered needs no call to be found.
        """
        await self._people.prepare()
        async with self._database.write() as connection:
            fates = [meaning.fate for meaning in meanings]
            settled = await settle_events(connection, fates, fence=fence, now=now)
            ours = [meaning for meaning in meanings if meaning.fate.event.id in settled]
            drafts = [draft for meaning in ours for draft in meaning.drafts]
            recording = await self._begin(connection, await _load(connection, ours, self._people), drafts, now)
            for meaning in ours:
                _apply(recording, meaning)
            await _save(connection, recording, self._people)
        return recording.changes

    async def prepare(self) -> None:
        """Make ready for `take_up`, outside of any transaction."""
        await self._people.prepare()

    async def take_up(
        self, connection: AsyncConnection, again: Sequence[Again], *, said: str, now: datetime
    ) -> list[Change]:
        """Let these registrations begin anew in the caller's transaction, `said` in their timelines; return which did.

        One that has changed since it was read is left alone, and so is one for which another stands by now. Whoever had
        an e-mail, or may have, and cannot be sent a second, stays as before: that is only noted, as NOT_AGAIN.
        """
        by_id = await _load_again(connection, again)
        taken = await _identities(connection, [one.draft.identity for one in again], self._people)
        recording = await self._begin(connection, by_id, [one.draft for one in again], now)
        for one in again:
            known = by_id.get(one.id)
            if known and taken.setdefault(one.draft.identity, one.id) == one.id:
                _take_up(recording, known, one, said)
        ids = [known.draft.id for known in by_id.values() if known.is_changed]
        await connection.execute(_ANEW.where(registrations.c.id.in_(ids)))
        await _save(connection, recording, self._people)
        return recording.changes

    async def _begin(
        self, connection: AsyncConnection, known: dict[str, _Known], drafts: Sequence[Draft], now: datetime
    ) -> _Recording:
        hashes = {draft.person_key: self._people.hashed(draft.person_key) for draft in drafts}
        found = await self._people.known(connection, set(hashes.values()), now)
        leads = {key: found[hashed] for key, hashed in hashes.items() if hashed in found}
        shared = {draft.person_key for draft in drafts if draft.fields}
        holders = await read_holders(connection, shared, since=now - self._hold)
        return _Recording(known, leads, holders, [], [], now)


_ANEW = update(registrations).values(
    attempts=0,
    relooked=0,
    lost_at=case(
        (registrations.c.cause == Cause.ANSWER_LOST, registrations.c.updated_at), else_=registrations.c.lost_at
    ),
)


def _take_up(recording: _Recording, known: _Known, one: Again, said: str) -> None:
    if known.had_one and one.draft.state not in WAITING_STATES:
        recording.tell(known, "replayed", said, one.event_id)
        recording.note(known, NOT_AGAIN, f"No second reminder is sent: {one.draft.detail}", one.event_id)
        return
    known.draft = replace(_begun(recording, one.draft), id=one.id)
    known.is_changed = known.is_released = True
    recording.note(known, "replayed", said, one.event_id)


def _apply(recording: _Recording, meaning: Meaning) -> None:
    event = meaning.fate.event
    for draft in meaning.drafts:
        _register(recording, draft, event, meaning.asked_at)
    for cancelled in meaning.cancellations:
        identity = identity_of(event.source, cancelled.webinar_id, cancelled.person_key)
        if (known := recording.known.get(identity)) is not None:
            _cancel(recording, known, cancelled, event.id)


def _begun(recording: _Recording, draft: Draft) -> Draft:
    """Decide how a registration begins: with its values in its person's fields, or with a lead that is remembered."""
    if draft.state is not RegistrationState.NEW:
        return draft
    if draft.fields and recording.holders.has_room_for(draft.person_key, draft.values):
        recording.holders.add(draft.person_key, draft.values)
        return _by_field(draft)  # known or not, its person needs the upsert that carries the values
    lead_id = recording.leads.get(draft.person_key)
    return replace(draft, state=RegistrationState.KNOWN, lead_id=lead_id) if lead_id is not None else draft


def _by_field(draft: Draft) -> Draft:
    passed = passed_tokens(draft.tokens, draft.fields, by_field=True)
    return replace(draft, by_field=True, batch_key=batch_key(CampaignId(draft.campaign_id), passed))


def _unlike(draft: Draft) -> str:
    """Say so when a registration could have travelled in fields and does not."""
    if draft.by_field or not draft.fields or draft.state not in WAITING_STATES:
        return ""
    return " Its tokens are passed: the person's fields hold another webinar's values."


def _register(recording: _Recording, draft: Draft, event: Event, asked_at: datetime | None) -> None:
    event_id = event.id
    known = recording.known.get(draft.identity)
    if known is None:
        draft = _begun(recording, draft)
        known = recording.known[draft.identity] = _Known(draft, is_new=True)
        recording.note(known, "registered", f"A webhook registered this person.{_unlike(draft)}", event_id)
        return
    old = known.draft
    if known.had_one and not known.is_waiting:
        recording.note(known, "repeated", "Registered again; the reminder is not sent a second time.", event_id)
    elif event.replayed_at and old.state is RegistrationState.CANCELLED:
        recording.note(known, "repeated", "Cancelled since this webhook came; a replay does not change that.", event_id)
    elif _is_outdated(known, draft, asked_at):
        recording.note(known, "repeated", "Read at the source before it was cancelled there.", event_id)
    elif draft.state not in WAITING_STATES and known.is_waiting:
        recording.note(known, "repeated", f"A later webhook could not be used: {draft.detail}", event_id)
    elif known.is_waiting:
        kept = {name: getattr(old, name) for name in _OF_THE_FIRST}
        same = replace(draft, **kept)
        if old.by_field and draft.values == old.values:  # others may be in the field already, so it passes them itself
            same = _by_field(same)
        _replace(recording, known, same, what="updated", detail="A later webhook changed it.", event_id=event_id)
    else:
        again = replace(_begun(recording, draft), id=old.id)
        detail = f"A later webhook replaced the state {old.state}."
        _replace(recording, known, again, what="reopened", detail=detail, event_id=event_id)


def _is_outdated(known: _Known, draft: Draft, asked_at: datetime | None) -> bool:
    """Tell whether the source gave this answer before it told that the same order is cancelled."""
    if known.cancelled_at is None or asked_at is None:
        return False
    return draft.subject is not None and draft.subject == known.draft.subject and asked_at <= known.cancelled_at


def _replace(recording: _Recording, known: _Known, draft: Draft, *, what: str, detail: str, event_id: str) -> None:
    if draft == known.draft:
        what, detail = "repeated", "A later webhook brought nothing new."
    known.is_changed |= draft != known.draft
    known.is_released |= draft.state is not known.draft.state
    known.draft = draft
    recording.note(known, what, detail, event_id)


def _cancel(recording: _Recording, known: _Known, cancelled: Cancelled, event_id: str) -> None:
    held_by_another = None not in (cancelled.subject, known.draft.subject) and cancelled.subject != known.draft.subject
    if held_by_another:
        recording.note(known, "kept", "Cancelled elsewhere, but registered by another order too.", event_id)
    elif known.draft.state is RegistrationState.SENDING:
        known.draft = replace(known.draft, cause=cancelled.cause)  # seen when the request is settled
        known.is_changed = True
        recording.note(known, "cancelled late", "Cancelled during the campaign request; it is not repeated.", event_id)
    elif known.had_one and known.is_waiting:
        detail = "Cancelled before the reminder was sent a second time."
        _replace(recording, known, _as_before(known), what="cancelled late", detail=detail, event_id=event_id)
    elif known.had_one:
        recording.note(known, "cancelled late", "Cancelled after the reminder was sent.", event_id)
    else:
        draft = replace(known.draft, state=RegistrationState.CANCELLED, cause=cancelled.cause, detail=None)
        detail = "Cancelled before the reminder was sent."
        _replace(recording, known, draft, what="cancelled", detail=detail, event_id=event_id)
        known.cancelled_at = recording.now


def _as_before(known: _Known) -> Draft:
    """Return a registration as it ended before a second e-mail was asked for."""
    if known.sent_at is not None:
        return replace(known.draft, state=RegistrationState.SENT, cause=None, detail=None)
    return replace(known.draft, state=RegistrationState.DEAD, cause=Cause.ANSWER_LOST, detail=None)


async def _load(connection: AsyncConnection, meanings: Sequence[Meaning], people: People) -> dict[str, _Known]:
    wanted = {draft.identity for meaning in meanings for draft in meaning.drafts} | {
        identity_of(meaning.fate.event.source, gone.webinar_id, gone.person_key)
        for meaning in meanings
        for gone in meaning.cancellations
    }
    found: dict[str, _Known] = {}
    by_seal = {people.sealed(identity): identity for identity in wanted}
    for some in batched(sorted(by_seal), 500):
        those = select(registrations).where(registrations.c.identity.in_(some))
        rows = await connection.execute(those.order_by(registrations.c.id).with_for_update())
        for row in rows.mappings():
            found[by_seal[row["identity"]]] = _Known.of(row)
    return found


async def _load_again(connection: AsyncConnection, again: Sequence[Again]) -> dict[str, _Known]:
    """Lock those registrations that are as they were read."""
    seen = {one.id: one.seen_at for one in again}
    these = select(registrations).where(registrations.c.id.in_(seen)).order_by(registrations.c.id).with_for_update()
    rows = (await connection.execute(these)).mappings()
    return {r["id"]: _Known.of(r) for r in rows if r["updated_at"] == seen[r["id"]]}


async def _identities(connection: AsyncConnection, wanted: Sequence[str], people: People) -> dict[str, str]:
    c, by_seal = registrations.c, {people.sealed(identity): identity for identity in wanted}
    rows = await connection.execute(select(c.identity, c.id).where(c.identity.in_(by_seal)))
    return {by_seal[row.identity]: row.id for row in rows}


async def _save(connection: AsyncConnection, recording: _Recording, people: People) -> None:
    new = [known for known in recording.known.values() if known.is_new]
    changed = [known for known in recording.known.values() if known.is_changed and not known.is_new]
    if new:
        fresh = {"attempts": 0, "relooked": 0, "created_at": recording.now, "updated_at": recording.now}
        await connection.execute(insert(registrations), [_row(known.draft, people) | fresh for known in new])
    for rows in _updates(changed, people, recording.now):
        await connection.execute(_update_by_id(rows[0]), [{f"new_{k}": v for k, v in row.items()} for row in rows])
    if released := [known.draft.id for known in changed if known.is_released]:
        await connection.execute(update(registrations).where(registrations.c.id.in_(released)).values(claimed_by=None))
    if recording.entries:
        await connection.execute(insert(timeline), recording.entries)


def _updates(changed: Sequence[_Known], people: People, now: datetime) -> list[list[dict[str, Any]]]:
    """Return the rows to update, apart by their columns: of a purged one nobody knows any more who it is."""
    kept, purged = [], []
    for known in changed:
        row = _row(known.draft, people) | {"updated_at": now}
        if known.draft.person_key.startswith(GONE):
            purged.append({name: value for name, value in row.items() if name not in ("identity", "person_hash")})
        else:
            kept.append(row | {"purged_at": None})
    return [rows for rows in (kept, purged) if rows]


def _update_by_id(row: Mapping[str, Any]) -> Any:
    values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in row if name != "id"}
    return update(registrations).where(registrations.c.id == bindparam("new_id")).values(values)


def _row(draft: Draft, people: People) -> dict[str, Any]:
    who = {"identity": people.sealed(draft.identity), "person_hash": people.hashed(draft.person_key)}
    mappings = {"tokens": dict(draft.tokens), "fields": dict(draft.fields)}
    searched = name_keys(draft.first_name, draft.last_name) | {"webinar_ref": spelt(draft.webinar_id)}
    flags = {"lookup": int(draft.lookup), "by_field": int(draft.by_field)}
    return asdict(draft) | who | mappings | searched | flags
