"""Make the tables of the first release."""

import sqlalchemy as sa
from alembic import op

from app.store.tables import Key, UtcDateTime, only

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "calls",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=True),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("started_at", UtcDateTime, nullable=False),
        sa.Column("finished_at", UtcDateTime, nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calls")),
    )
    op.create_index("ix_calls_beside", "calls", ["started_at"], unique=False, **only("fence = 0"))
    op.create_index("ix_calls_said", "calls", ["started_at"], unique=False, **only("message IS NOT NULL"))
    op.create_index("ix_calls_started_at", "calls", ["started_at"], unique=False)
    op.create_index("ix_calls_unfinished", "calls", ["started_at"], unique=False, **only("finished_at IS NULL"))
    op.create_table(
        "events",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("source", sa.String(length=40), nullable=False),
        sa.Column("received_at", UtcDateTime, nullable=False),
        sa.Column("headers", sa.JSON(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("dedupe_key", sa.String(length=64), nullable=True),
        sa.Column("dedupe_scope", sa.String(length=10), nullable=True),
        sa.Column("dedupe_content", sa.String(length=64), nullable=True),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("due_at", UtcDateTime, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("claimed_by", sa.BigInteger(), nullable=True),
        sa.Column("claimed_at", UtcDateTime, nullable=True),
        sa.Column("interrupted", sa.Integer(), server_default="0", nullable=False),
        sa.Column("fetched", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("cause", sa.String(length=40), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("settled_at", UtcDateTime, nullable=True),
        sa.Column("replayed_at", UtcDateTime, nullable=True),
        sa.Column("traceparent", sa.String(length=55), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
    )
    op.create_index(
        "ix_events_kept", "events", ["settled_at"], unique=False, **only("settled_at IS NOT NULL AND body IS NOT NULL")
    )
    op.create_index("ix_events_dead_by_cause", "events", ["cause", "id"], unique=False, **only("state = 'dead'"))
    op.create_index("ix_events_waiting", "events", ["due_at", "id"], unique=False, **only("state = 'waiting'"))
    op.create_index(
        "ix_events_waiting_of_source", "events", ["source", "due_at", "id"], unique=False, **only("state = 'waiting'")
    )
    op.create_index("ix_events_dead", "events", ["id"], unique=False, **only("state = 'dead'"))
    op.create_index("ix_events_settled", "events", ["source", "id"], unique=False, **only("state != 'waiting'"))
    op.create_index("uq_events_source_dedupe_key", "events", ["source", "dedupe_key"], unique=True)
    op.create_table(
        "keys",
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_keys")),
    )
    op.create_table(
        "alarms",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("said", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_alarms")),
    )
    op.create_table(
        "reports",
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("made_at", UtcDateTime, nullable=False),
        sa.Column("report", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_reports")),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("holder", sa.String(length=200), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("beats", sa.BigInteger(), nullable=False),
        sa.Column("is_free", sa.Integer(), nullable=False),
        sa.Column("at", UtcDateTime, nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "pauses",
        sa.Column("scope", sa.String(length=60), nullable=False),
        sa.Column("until", UtcDateTime, nullable=False),
        sa.Column("since", UtcDateTime, nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("scope", name=op.f("pk_pauses")),
    )
    op.create_table(
        "people",
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("lead_id", sa.BigInteger(), nullable=True),
        sa.Column("known_at", UtcDateTime, nullable=True),
        sa.Column("quiet_until", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("key_hash", name=op.f("pk_people")),
    )
    op.create_index("ix_people_quiet_until", "people", ["quiet_until"], unique=False)
    op.create_table(
        "probes",
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_probes")),
    )
    op.create_table(
        "registrations",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("identity", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=40), nullable=False),
        sa.Column("webinar_id", sa.Text(), nullable=False),
        sa.Column("person_key", Key, nullable=False),
        sa.Column("person_hash", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("lookup", sa.Integer(), nullable=False),
        sa.Column("cause", sa.String(length=40), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("lead_id", sa.BigInteger(), nullable=True),
        sa.Column("first_name", sa.Text(), nullable=True),
        sa.Column("last_name", sa.Text(), nullable=True),
        sa.Column("name_key", Key, nullable=True),
        sa.Column("surname_key", Key, nullable=True),
        sa.Column("webinar_key", Key, nullable=True),
        sa.Column("webinar_ref", Key, nullable=True),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("tokens", sa.JSON(), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("by_field", sa.Integer(), nullable=False),
        sa.Column("shown_tokens", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("shown_fields", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("batch_key", sa.String(length=64), nullable=False),
        sa.Column("starts_at", UtcDateTime, nullable=True),
        sa.Column("due_at", UtcDateTime, nullable=False),
        sa.Column("came_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("relooked", sa.Integer(), nullable=False),
        sa.Column("claimed_by", sa.BigInteger(), nullable=True),
        sa.Column("call_id", sa.String(length=40), nullable=True),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
        sa.Column("sent_at", UtcDateTime, nullable=True),
        sa.Column("lost_at", UtcDateTime, nullable=True),
        sa.Column("purged_at", UtcDateTime, nullable=True),
        sa.Column("traceparent", sa.String(length=55), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registrations")),
    )
    op.create_index("ix_registrations_dead", "registrations", ["id"], unique=False, **only("state = 'dead'"))
    op.create_index(
        "ix_registrations_dead_by_cause", "registrations", ["cause", "id"], unique=False, **only("state = 'dead'")
    )
    op.create_index(
        "ix_registrations_known",
        "registrations",
        ["batch_key", "due_at", "id"],
        unique=False,
        **only("state = 'known'"),
    )
    op.create_index("ix_registrations_new", "registrations", ["due_at", "id"], unique=False, **only("state = 'new'"))
    op.create_index(
        "ix_registrations_lead_id", "registrations", ["lead_id"], unique=False, **only("lead_id IS NOT NULL")
    )
    op.create_index(
        "ix_registrations_new_of_source",
        "registrations",
        ["source", "lookup", "due_at", "id"],
        unique=False,
        **only("state = 'new'"),
    )
    op.create_index(
        "ix_registrations_new_by_start",
        "registrations",
        ["source", "lookup", "starts_at", "id"],
        unique=False,
        **only("state = 'new'"),
    )
    op.create_index(
        "ix_registrations_known_of_source",
        "registrations",
        ["source", "due_at", "id"],
        unique=False,
        **only("state = 'known'"),
    )
    op.create_index(
        "ix_registrations_known_by_start",
        "registrations",
        ["source", "starts_at", "id"],
        unique=False,
        **only("state = 'known'"),
    )
    for key in ("name_key", "person_key", "surname_key", "webinar_key", "webinar_ref"):
        op.create_index(f"ix_registrations_{key}", "registrations", [key, sa.text("id DESC")], unique=False)
    for state in ("cancelled", "ignored"):
        op.create_index(
            f"ix_registrations_{state}", "registrations", ["id"], unique=False, **only(f"state = '{state}'")
        )
    op.create_index(
        "ix_registrations_sending", "registrations", ["call_id", "id"], unique=False, **only("state = 'sending'")
    )
    op.create_index("ix_registrations_kept", "registrations", ["id"], unique=False, **only("purged_at IS NULL"))
    op.create_index("ix_registrations_source", "registrations", ["source", "id"], unique=False)
    op.create_index("uq_registrations_identity", "registrations", ["identity"], unique=True)
    op.create_table(
        "replays",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("asked_at", UtcDateTime, nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("selection", sa.JSON(), nullable=False),
        sa.Column("resend", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("cursor", sa.String(length=40), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("still_dead", sa.JSON(), nullable=False),
        sa.Column("ended_at", UtcDateTime, nullable=True),
        sa.Column("asked_key", sa.String(length=64), nullable=True),
        sa.Column("meaning", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_replays")),
    )
    op.create_index("uq_replays_asked_key", "replays", ["asked_key"], unique=True)
    op.create_index(
        "uq_replays_resending", "replays", ["meaning"], unique=True, **only("state = 'running' AND resend = 1")
    )
    op.create_index("ix_replays_running", "replays", ["id"], unique=False, **only("state = 'running'"))
    op.create_table(
        "timeline",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("registration_id", sa.String(length=40), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("what", sa.String(length=24), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("event_id", sa.String(length=40), nullable=True),
        sa.Column("call_id", sa.String(length=40), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_timeline")),
    )
    op.create_index("ix_timeline_event_id", "timeline", ["event_id"], unique=False, **only("event_id IS NOT NULL"))
    op.create_index("ix_timeline_call_id", "timeline", ["call_id"], unique=False, **only("call_id IS NOT NULL"))
    op.create_index("ix_timeline_registration_id", "timeline", ["registration_id", "id"], unique=False)
    op.create_table(
        "unsettled",
        sa.Column("call_id", sa.String(length=40), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("began_at", UtcDateTime, nullable=False),
        sa.Column("ended_at", UtcDateTime, nullable=False),
        sa.Column("look_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("call_id", name=op.f("pk_unsettled")),
    )
