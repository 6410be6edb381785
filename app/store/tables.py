"""The tables: the inbox of events, registrations with their timelines, calls to Marketo, pauses and leases.

The tables are the queue. What is due is found by partial indexes, so that finished rows cost a claim nothing.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    text,
)

from app.dates import in_utc

metadata = MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "pk": "pk_%(table_name)s"},
)


class UtcDateTime(TypeDecorator[datetime]):
    """Aware datetimes in and out, in UTC; SQLite itself gives back naive ones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else in_utc(value)


def only(condition: str) -> dict[str, Any]:
    """Return what makes an index partial, in both databases: it holds only the rows that meet the condition."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


Key = String(320).with_variant(String(320, collation="C"), "postgresql")  # sorted by code point, as SQLite does

events = Table(
    "events",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("source", String(40), nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("headers", JSON, nullable=False),
    Column("body", LargeBinary, nullable=True),  # NULL once the retention time has passed
    Column("dedupe_key", String(64), nullable=True),  # a keyed hash, see app.store.inbox
    Column("dedupe_scope", String(10), nullable=True),
    Column("dedupe_content", String(64), nullable=True),  # the same of what a repeat must say too
    Column("state", String(12), nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("claimed_by", BigInteger, nullable=True),  # the fence of the leader that works on it
    Column("claimed_at", UtcDateTime, nullable=True),
    Column("interrupted", Integer, nullable=False, server_default="0"),  # leaders in a row that ended in its reading
    Column("fetched", JSON(none_as_null=True), nullable=True),
    Column("cause", String(40), nullable=True),
    Column("detail", Text, nullable=True),
    Column("settled_at", UtcDateTime, nullable=True),
    Column("replayed_at", UtcDateTime, nullable=True),  # from then on its time counts, see app.store.replays
    Column("traceparent", String(55), nullable=True),  # of the span that took it in, see app.tracing
    Index("uq_events_source_dedupe_key", "source", "dedupe_key", unique=True),
    Index("ix_events_waiting", "due_at", "id", **only("state = 'waiting'")),
    Index("ix_events_waiting_of_source", "source", "due_at", "id", **only("state = 'waiting'")),
    Index("ix_events_dead", "id", **only("state = 'dead'")),
    Index(
        "ix_events_settled",  # when a source was last heard of; accepting does not write to it
        "source",
        "id",
        **only("state != 'waiting'"),
    ),
    Index(
        "ix_events_kept",  # and settled; accepting does not write to it
        "settled_at",
        **only("settled_at IS NOT NULL AND body IS NOT NULL"),
    ),
    Index("ix_events_dead_by_cause", "cause", "id", **only("state = 'dead'")),
)

registrations = Table(
    "registrations",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("identity", String(64), nullable=False),  # a hash, since PostgreSQL indexes no value over 2.7 kB
    Column("source", String(40), nullable=False),
    Column("webinar_id", Text, nullable=False),
    Column("person_key", Key, nullable=False),
    Column("person_hash", String(64), nullable=False),  # that of `people`
    Column("subject", Text, nullable=True),
    Column("state", String(12), nullable=False),
    Column("lookup", Integer, nullable=False),  # 1: find the person, 0: upsert it
    Column("cause", String(40), nullable=True),
    Column("detail", Text, nullable=True),
    Column("email", Text, nullable=True),
    Column("lead_id", BigInteger, nullable=True),
    Column("first_name", Text, nullable=True),
    Column("last_name", Text, nullable=True),
    Column("name_key", Key, nullable=True),  # these four are what it is searched by, see app.store.spelling
    Column("surname_key", Key, nullable=True),
    Column("webinar_key", Key, nullable=True),
    Column("webinar_ref", Key, nullable=True),
    Column("campaign_id", BigInteger, nullable=False),
    Column("tokens", JSON, nullable=False),
    Column("fields", JSON, nullable=False),  # person fields that its tokens may travel in, by the tokens' names
    Column("by_field", Integer, nullable=False),  # 1: they do, and the campaign request leaves them out
    Column("shown_tokens", JSON(none_as_null=True), nullable=True),  # what the last such request may show, and of
    Column("shown_fields", JSON(none_as_null=True), nullable=True),  # which fields, whatever the webhooks say since
    Column("batch_key", String(64), nullable=False),  # equal for equal campaign and passed token values
    Column("starts_at", UtcDateTime, nullable=True),
    Column("due_at", UtcDateTime, nullable=False),
    Column("came_at", UtcDateTime, nullable=False),  # the webhook that wants it sent
    Column("expires_at", UtcDateTime, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("relooked", Integer, nullable=False),  # 1 once a lead that Marketo no longer knew was looked up again
    Column("claimed_by", BigInteger, nullable=True),
    Column("call_id", String(40), nullable=True),  # the campaign request under way
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("sent_at", UtcDateTime, nullable=True),  # the latest e-mail; kept whatever becomes of a resend
    Column("lost_at", UtcDateTime, nullable=True),  # an e-mail that may have gone out, before it was replayed
    Column("purged_at", UtcDateTime, nullable=True),  # when its person was blanked, see app.store.retention
    Column("traceparent", String(55), nullable=True),  # its event's
    Index("uq_registrations_identity", "identity", unique=True),
    Index("ix_registrations_person_key", "person_key", text("id DESC")),
    Index("ix_registrations_name_key", "name_key", text("id DESC")),
    Index("ix_registrations_surname_key", "surname_key", text("id DESC")),
    Index("ix_registrations_webinar_key", "webinar_key", text("id DESC")),
    Index("ix_registrations_webinar_ref", "webinar_ref", text("id DESC")),
    Index("ix_registrations_source", "source", "id"),
    Index("ix_registrations_kept", "id", **only("purged_at IS NULL")),
    Index("ix_registrations_new", "due_at", "id", **only("state = 'new'")),
    Index("ix_registrations_known", "batch_key", "due_at", "id", **only("state = 'known'")),
    Index("ix_registrations_lead_id", "lead_id", **only("lead_id IS NOT NULL")),
    Index("ix_registrations_new_of_source", "source", "lookup", "due_at", "id", **only("state = 'new'")),
    Index("ix_registrations_new_by_start", "source", "lookup", "starts_at", "id", **only("state = 'new'")),
    Index("ix_registrations_known_of_source", "source", "due_at", "id", **only("state = 'known'")),
    Index("ix_registrations_known_by_start", "source", "starts_at", "id", **only("state = 'known'")),
    Index("ix_registrations_sending", "call_id", "id", **only("state = 'sending'")),
    Index("ix_registrations_dead", "id", **only("state = 'dead'")),
    Index("ix_registrations_dead_by_cause", "cause", "id", **only("state = 'dead'")),
    Index("ix_registrations_ignored", "id", **only("state = 'ignored'")),
    Index("ix_registrations_cancelled", "id", **only("state = 'cancelled'")),
)

people = Table(
    "people",
    metadata,
    Column("key_hash", String(64), primary_key=True),
    Column("lead_id", BigInteger, nullable=True),
    Column("known_at", UtcDateTime, nullable=True),
    Column("quiet_until", UtcDateTime, nullable=False),  # no upsert of this person is begun before
    Index("ix_people_quiet_until", "quiet_until"),
)

keys = Table(
    "keys",
    metadata,
    Column("name", String(20), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

timeline = Table(
    "timeline",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("registration_id", String(40), nullable=False),  # or the event's, for what happened to a webhook itself
    Column("at", UtcDateTime, nullable=False),
    Column("what", String(24), nullable=False),
    Column("detail", Text, nullable=False),
    Column("event_id", String(40), nullable=True),
    Column("call_id", String(40), nullable=True),
    Index("ix_timeline_registration_id", "registration_id", "id"),
    Index("ix_timeline_event_id", "event_id", **only("event_id IS NOT NULL")),
    Index("ix_timeline_call_id", "call_id", **only("call_id IS NOT NULL")),
)

calls = Table(
    "calls",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("kind", String(12), nullable=False),
    Column("campaign_id", BigInteger, nullable=True),
    Column("size", Integer, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime, nullable=True),
    Column("outcome", String(16), nullable=True),
    Column("code", Text, nullable=True),
    Column("message", Text, nullable=True),
    Column("request_id", Text, nullable=True),
    Index("ix_calls_started_at", "started_at"),
    Index("ix_calls_said", "started_at", **only("message IS NOT NULL")),
    Index("ix_calls_beside", "started_at", **only("fence = 0")),  # not the leader's, see app.store.sharing
    Index("ix_calls_unfinished", "started_at", **only("finished_at IS NULL")),
)

unsettled = Table(
    "unsettled",
    metadata,
    Column("call_id", String(40), primary_key=True),
    Column("campaign_id", BigInteger, nullable=False),
    Column("began_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime, nullable=False),  # or was given up
    Column("look_at", UtcDateTime, nullable=False),
)

pauses = Table(
    "pauses",
    metadata,
    Column("scope", String(60), primary_key=True),
    Column("until", UtcDateTime, nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("code", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("times", Integer, nullable=False),
)

replays = Table(
    "replays",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("asked_at", UtcDateTime, nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("selection", JSON, nullable=False),
    Column("resend", Integer, nullable=False),
    Column("state", String(12), nullable=False),  # running, done or stopped
    Column("total", Integer, nullable=False),
    Column("cursor", String(40), nullable=False),  # all up to this id are done
    Column("counts", JSON, nullable=False),  # how many became what
    Column("still_dead", JSON, nullable=False),  # of the dead among them, how many for which cause
    Column("ended_at", UtcDateTime, nullable=True),
    Column("asked_key", String(64), nullable=True),  # the asker's own: pressed twice, a button replays once
    Column("meaning", String(64), nullable=False),  # a digest of what is asked for
    Index("uq_replays_asked_key", "asked_key", unique=True),
    Index("uq_replays_resending", "meaning", unique=True, **only("state = 'running' AND resend = 1")),
    Index("ix_replays_running", "id", **only("state = 'running'")),
)

alarms = Table(
    "alarms",
    metadata,
    Column("name", String(80), primary_key=True),
    Column("said", Text, nullable=False),
)

reports = Table(
    "reports",
    metadata,
    Column("name", String(20), primary_key=True),
    Column("made_at", UtcDateTime, nullable=False),
    Column("report", JSON, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(20), primary_key=True),
    Column("holder", String(200), nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("beats", BigInteger, nullable=False),  # signs of life under this fence
    Column("is_free", Integer, nullable=False),
    Column("at", UtcDateTime, nullable=True),  # what time it was for its holder at the last beat, see app.store.jumps
)

probes = Table(
    "probes",
    metadata,
    Column("name", String(20), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
)
