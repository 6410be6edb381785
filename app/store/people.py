"""Remember people: which lead somebody is in Marketo, and until when nobody may upsert them again.

Two upserts of one key in flight, or close together, make duplicate people. So an upsert is noted in the transaction
that claims it, and nobody else claims that person before it is surely over: over batches, sources, retries, processes
and changes of leader. Keys are hashed with a random key that lives in the store, so that the memory holds no address.
"""

import hmac
import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Delete, case, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain import LeadId
from app.store.batched import batched
from app.store.database import Database
from app.store.tables import keys, people

APART = timedelta(seconds=5)  # after an answer; Marketo makes duplicates of upserts that come close together
RUNS_ON = timedelta(seconds=90)  # Marketo's time-out of Sync Leads: an upsert without an answer is over by then
SENT_WITHIN = timedelta(seconds=30)  # of its claim; so much longer it is waited for, should no answer be written down
IN_FLIGHT = SENT_WITHIN + RUNS_ON
_AT_ONCE = 1000  # rows that one statement takes
_PEOPLE_KEY = "people"


@dataclass(frozen=True, slots=True)
class Memory:
    """How long and how many people are remembered.

    `scope` is what makes equal keys the same person: the Marketo instance and the field by which people are found.
    """

    scope: str = ""
    ttl: timedelta = timedelta(days=30)
    most: int = 1_000_000


class People:
    """The remembered people of one Marketo instance."""

    def __init__(self, database: Database, memory: Memory | None = None) -> None:
        self._database = database
        self._memory = memory or Memory()
        self._key: bytes | None = None

    async def prepare(self) -> None:
        """Read the store's key, or make it; to be called before `hashed`, outside of any transaction."""
        if await self.is_ready():
            return
        async with self._database.write() as connection:
            made = {"name": _PEOPLE_KEY, "value": secrets.token_bytes(32)}
            await connection.execute(self._database.insert_or_ignore(keys, on=["name"]).values(made))
            self._key = await connection.scalar(select(keys.c.value).where(keys.c.name == _PEOPLE_KEY))

    async def is_ready(self) -> bool:
        """Read the store's key; tell whether there is one. Without it nobody was ever hashed."""
        if self._key is None:
            async with self._database.read() as connection:
                self._key = await connection.scalar(select(keys.c.value).where(keys.c.name == _PEOPLE_KEY))
        return self._key is not None

    def hashed(self, person_key: str) -> str:
        """Return what stands for this person of this Marketo instance in the store."""
        return self._hmac(f"{self._memory.scope}\x00{person_key}")

    def sealed(self, text: str) -> str:
        """Return what stands for this text, whatever the Marketo instance; without the store's key it tells nothing."""
        return self._hmac(f"sealed\x00\x00{text}")

    def _hmac(self, text: str) -> str:
        assert self._key is not None  # noqa: S101  # `prepare` comes first
        return hmac.digest(self._key, text.encode("utf-8", "surrogatepass"), "sha256").hex()

    async def known(self, connection: AsyncConnection, hashes: Collection[str], now: datetime) -> Mapping[str, LeadId]:
        """Return the leads of those people that were found within the time to live."""
        found: dict[str, LeadId] = {}
        c = people.c
        for some in _chunks(hashes):
            rows = await connection.execute(
                select(c.key_hash, c.lead_id)
                .where(c.key_hash.in_(some), c.lead_id.is_not(None), c.known_at > now - self._memory.ttl)
                .with_for_update(read=True)  # so that nobody forgets one of them meanwhile
            )
            found |= {row.key_hash: LeadId(row.lead_id) for row in rows}
        return found

    async def take(self, person_key: str, now: datetime) -> bool:
        """Note that this person is upserted now; False while somebody else's upsert may still run."""
        await self.prepare()
        async with self._database.write() as connection:
            return bool(await ask(self._database, connection, {self.hashed(person_key)}, now))

    async def leave(self, person_key: str, outcome: str, now: datetime) -> None:
        """Note how that upsert ended, as `answered` has it."""
        async with self._database.write() as connection:
            await answered(connection, {self.hashed(person_key)}, outcome, now)

    async def prune(self, now: datetime) -> int:
        """Forget the oldest people beyond the time to live and the number, at most 1,000; return how many."""
        c = people.c
        async with self._database.write() as connection:
            count = await connection.scalar(select(func.count()).select_from(people)) or 0
            is_old = c.quiet_until < now - self._memory.ttl
            gone = await connection.execute(_oldest(is_old, _AT_ONCE))
            surplus = min(count - gone.rowcount - self._memory.most, _AT_ONCE - gone.rowcount)
            if surplus <= 0:
                return gone.rowcount
            more = await connection.execute(_oldest(c.quiet_until <= now, surplus))
            return gone.rowcount + more.rowcount


def _oldest(which: ColumnElement[bool], most: int) -> Delete:
    c = people.c
    some = select(c.key_hash).where(which).order_by(c.quiet_until).limit(most)
    return delete(people).where(c.key_hash.in_(some))


async def ask(
    database: Database,
    connection: AsyncConnection,
    hashes: Collection[str],
    now: datetime,
    runs_on: timedelta = RUNS_ON,
) -> set[str]:
    """Note that these people are upserted now; return those that are ours, the others are another's at the moment.

    Two transactions that want the same person wait for each other here, and one of them gets it.
    """
    if not hashes:
        return set()
    rows = [{"key_hash": key_hash, "quiet_until": now + SENT_WITHIN + runs_on} for key_hash in sorted(hashes)]
    statement = database.insert(people).values(rows)
    ours = await connection.execute(
        statement.on_conflict_do_update(
            index_elements=["key_hash"],
            set_={"quiet_until": statement.excluded.quiet_until},
            where=people.c.quiet_until <= now,
        ).returning(people.c.key_hash)
    )
    return set(ours.scalars())


async def held_until(connection: AsyncConnection, hashes: Collection[str], now: datetime) -> Mapping[str, datetime]:
    """Return until when those of these people are left alone who are in an upsert, or were so lately.

    Asked by their keys: as a condition of the queue's own query it makes PostgreSQL compare each with each, as long as
    it has no statistics of a crowd that has just come.
    """
    c, held = people.c, dict[str, datetime]()
    for some in _chunks(hashes):
        rows = await connection.execute(
            select(c.key_hash, c.quiet_until).where(c.key_hash.in_(some), c.quiet_until > now)
        )
        held.update((row.key_hash, row.quiet_until) for row in rows)
    return held


async def ask_again(
    connection: AsyncConnection, hashes: Collection[str], now: datetime, runs_on: timedelta = RUNS_ON
) -> None:
    """Note a further upsert of people who are in our hands already: a part of a call that was refused."""
    await _quiet(connection, hashes, until=now + SENT_WITHIN + runs_on)


async def answered(
    connection: AsyncConnection, hashes: Collection[str], outcome: str, now: datetime, runs_on: timedelta = RUNS_ON
) -> datetime:
    """Note how the upsert of these people ended: `done`, `refused` (nothing was done) or `lost` (it may run on).

    Return until when they are left alone.
    """
    after = {"done": APART, "refused": timedelta(0), "lost": runs_on + APART}
    until = now + after[outcome]
    await _quiet(connection, hashes, until=until)
    return until


async def _quiet(connection: AsyncConnection, hashes: Collection[str], *, until: datetime) -> None:
    for some in _chunks(hashes):
        await connection.execute(update(people).where(people.c.key_hash.in_(some)).values(quiet_until=until))


async def remember(database: Database, connection: AsyncConnection, leads: Mapping[str, LeadId], now: datetime) -> None:
    """Keep the leads that these people (by their hash) were found to be."""
    c = people.c
    for some in _chunks(leads):
        rows = [{"key_hash": h, "lead_id": leads[h], "known_at": now, "quiet_until": now} for h in some]
        statement = database.insert(people).values(rows)
        new = statement.excluded
        kept = case((c.quiet_until > new.quiet_until, c.quiet_until), else_=new.quiet_until)
        values = {"lead_id": new.lead_id, "known_at": new.known_at, "quiet_until": kept}
        await connection.execute(statement.on_conflict_do_update(index_elements=["key_hash"], set_=values))


async def forget(connection: AsyncConnection, leads: Mapping[str, LeadId]) -> None:
    """Forget that these people are these leads, which Marketo no longer knows."""
    for key_hash, lead_id in sorted(leads.items()):
        this = (people.c.key_hash == key_hash, people.c.lead_id == lead_id)
        await connection.execute(update(people).where(*this).values(lead_id=None, known_at=None))


def _chunks(hashes: Iterable[str]) -> Iterator[list[str]]:
    """Return the hashes in an order in which no two transactions lock each other out, some at a time."""
    return batched(sorted(hashes), _AT_ONCE)
