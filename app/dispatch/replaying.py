"""Replay what died: tell beforehand what it would come to, then do it in steps that a kill may interrupt anywhere."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil

import structlog

from app.dispatch.forecast import calls_of
from app.dispatch.judgement import Judge
from app.dispatch.lease import Lease
from app.dispatch.rereading import Rereader, needs_fetching
from app.domain import WAITING_STATES, Clock, EventState, RegistrationState
from app.sources.base import Source
from app.store.ahead import Ahead, count_open
from app.store.database import Database
from app.store.drafts import Draft
from app.store.heads import MOST_LEADS
from app.store.registrations import Again, Registrations
from app.store.replays import Asked, Chunk, Progress, Replay, Replays, StoredEvent

_AT_ONCE = 200  # rows of a step; it holds SQLite's only lock, which accepting needs too
_MOST_OPEN = 2000  # registrations: beyond them a replay waits, so that what comes in now does not wait behind it
_IDLE = 1.0  # seconds
_BREATH = 0.05  # seconds between two steps
_NAMED = 20  # people that a preview names
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Preview:
    """What a replay would come to. `total` webhooks and registrations fit the selection.

    Of them `webhooks` would be read again; who is in the `to_fetch` among these only their source can tell.
    `registrations` would be mapped again, `would_send` people would get an e-mail, `already_sent` got one, or may have,
    and are left out (with `resend` they are among those who would). `still_dead` counts by cause what cannot be sent,
    `left_out` what is not replayed for other reasons. It would cost `calls` to Marketo at most.
    """

    total: int
    webhooks: int
    to_fetch: int
    registrations: int
    would_send: int
    would_send_to: Sequence[str]
    already_sent: int
    already_sent_to: Sequence[str]
    still_dead: Mapping[str, int]
    left_out: Mapping[str, int]
    calls: int
    resend: bool


@dataclass(slots=True)
class _Tally:
    """Counts as the preview goes on."""

    webhooks: int = 0
    to_fetch: int = 0
    registrations: int = 0
    would_send: list[str] = field(default_factory=list)
    already_sent: list[str] = field(default_factory=list)
    sends: int = 0
    sent: int = 0
    upserts: int = 0
    lookups: int = 0
    batches: Counter[str] = field(default_factory=Counter)
    still_dead: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)

    def mapped(self, draft: Draft) -> None:
        self.registrations += 1
        if draft.state not in WAITING_STATES:
            self.still_dead[str(draft.cause)] += 1
            return
        self.sends += 1
        self.batches[draft.batch_key] += 1
        self.upserts += draft.state is RegistrationState.NEW and not draft.lookup
        self.lookups += draft.state is RegistrationState.NEW and draft.lookup
        _name(self.would_send, draft)

    def had_one(self, draft: Draft) -> None:
        self.sent += 1
        _name(self.already_sent, draft)

    def told(self, total: int, *, resend: bool) -> Preview:
        requests = sum(ceil(size / MOST_LEADS) for size in self.batches.values())
        return Preview(
            total=total,
            webhooks=self.webhooks,
            to_fetch=self.to_fetch,
            registrations=self.registrations,
            would_send=self.sends,
            would_send_to=self.would_send,
            already_sent=self.sent,
            already_sent_to=self.already_sent,
            still_dead=dict(self.still_dead),
            left_out=dict(self.left_out),
            calls=calls_of(Ahead(self.sends, self.upserts, self.lookups, requests, self.to_fetch)),
            resend=resend,
        )


def _name(names: list[str], draft: Draft) -> None:
    if len(names) < _NAMED:
        names.append(draft.email or f"lead {draft.lead_id}")


@dataclass(frozen=True, slots=True)
class Replaying:
    """What can be said and done about replays, by whichever process."""

    store: Replays
    sources: Mapping[str, Source]
    judge: Judge
    clock: Clock

    async def preview(self, asked: Asked) -> Preview:
        """Read everything again that the selection finds, and change nothing."""
        now, tally = self.clock(), _Tally()
        total = await self.store.count(asked.selection, before=now)
        async for chunk in self._chunks(asked, now):
            reader = Rereader(self.sources, self.judge, now)
            for stored in chunk.registrations:
                if (why := reader.left_out(stored, resend=asked.resend)) == "alreadySent":
                    tally.had_one(stored.draft)
                elif why:
                    tally.left_out[why] += 1
                else:
                    tally.mapped(reader.draft(stored))
            await self._tally_events(tally, reader, chunk.events)
            await asyncio.sleep(0)  # others are served in this loop
        return tally.told(total, resend=asked.resend)

    async def ask(self, asked: Asked) -> Replay:
        """Write the replay down, for the leader to do."""
        return await self.store.ask(asked, now=self.clock())

    async def stop(self, replay_id: str) -> Replay | None:
        """Go on with a replay no further; None when there is no such one."""
        return await self.store.stop(replay_id, now=self.clock())

    async def step(self, registrations: Registrations) -> Replay | None:
        """Do the next step of the oldest replay that is not at its end, and return it as it was; None without one."""
        replay = await self.store.running()
        if replay is None:
            return None
        now = self.clock()
        chunk = await self.store.chunk(
            replay.asked.selection, before=replay.asked_at, after=replay.cursor, limit=_AT_ONCE
        )
        progress = self._progress(replay, chunk, now)
        if await self.store.advance(replay, progress, registrations, now=now) and progress.last_id is None:
            _log.info("replayed", replay_id=replay.id, **replay.counts)
        return replay

    def _progress(self, replay: Replay, chunk: Chunk, now: datetime) -> Progress:
        reader = Rereader(self.sources, self.judge, now)
        left_out: Counter[str] = Counter()
        again = []
        for stored in chunk.registrations:
            if why := reader.left_out(stored, resend=replay.asked.resend):
                left_out[why] += 1
            else:
                event_id = stored.event.event.id if stored.event else None
                again.append(Again(stored.draft.id, stored.updated_at, reader.draft(stored), event_id))
        put_back = []
        for event in chunk.events:
            if reason := _not_read_again(event):
                left_out[reason] += 1
            else:
                put_back.append(event.event.id)
        return Progress(put_back, again, left_out, chunk.last_id)

    async def _chunks(self, asked: Asked, before: datetime) -> AsyncIterator[Chunk]:
        after: str | None = ""
        while after is not None:
            chunk = await self.store.chunk(asked.selection, before=before, after=after, limit=_AT_ONCE)
            yield chunk
            after = chunk.last_id

    async def _tally_events(self, tally: _Tally, reader: Rereader, events: Sequence[StoredEvent]) -> None:
        drafts: list[Draft] = []
        for stored in events:
            if reason := _not_read_again(stored):
                tally.left_out[reason] += 1
                continue
            tally.webhooks += 1
            tally.to_fetch += needs_fetching(stored)
            found = reader.drafts(stored)
            drafts += found
            if not found and not needs_fetching(stored):
                tally.still_dead[str(stored.cause)] += 1
        there = await self.store.standing([draft.identity for draft in drafts])
        for draft in drafts:
            one = there.get(draft.identity)
            if one is None:
                tally.mapped(draft)
            elif one.state in WAITING_STATES:
                tally.left_out["underWay"] += 1
            elif one.state is RegistrationState.CANCELLED:
                tally.left_out["cancelled"] += 1
            elif one.had_one:
                tally.had_one(draft)
            else:
                tally.mapped(draft)


def _not_read_again(stored: StoredEvent) -> str | None:
    if stored.state is not EventState.DEAD:
        return "notDead"
    return "purged" if stored.is_purged else None


@dataclass(frozen=True, slots=True)
class Replayer:
    """The leader's loop: a step at a time, and no faster than its registrations are sent."""

    replaying: Replaying
    registrations: Registrations
    database: Database
    lease: Lease

    async def step(self) -> float:
        """Do one step; return how many seconds to wait for the next."""
        self.lease.check()
        if await self.replaying.store.running() is None:
            return _IDLE
        if (await count_open(self.database))[0] >= _MOST_OPEN:
            return _IDLE
        await self.replaying.step(self.registrations)
        return _BREATH
