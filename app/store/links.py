"""Whose values a person's fields hold: those of one webinar at a time; all others pass tokens of their own.

A token that is mapped to a person field travels in the upsert of its person, and the campaign request leaves it out, so
that registrations with values of their own still share a request. The e-mail is made some time after the request: until
then no other webinar may write to these fields. `by_field` says that a registration's values travel so, and
`shown_tokens` what its last request may show, should it travel no longer so, or with other values.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, case, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain import OPEN_STATES, CampaignId
from app.store.batched import batched
from app.store.database import Database
from app.store.tables import registrations

_AT_ONCE = 500  # values that one statement takes
_c = registrations.c
SHOWN = {  # what is noted with each campaign request
    "shown_tokens": case((_c.by_field == 1, _c.tokens), else_=_c.shown_tokens),
    "shown_fields": case((_c.by_field == 1, _c.fields), else_=_c.shown_fields),
}
Values = Mapping[str, str]


def batch_key(campaign: CampaignId, tokens: Mapping[str, str]) -> str:
    """Return a key that is equal exactly where one trigger call may serve: same campaign, same values byte for byte."""
    text = json.dumps([campaign, sorted(tokens.items())], ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def passed_tokens(tokens: Mapping[str, str], fields: Mapping[str, str], *, by_field: bool) -> dict[str, str]:
    """Return the tokens that the campaign request passes. `fields` are person fields by the names of their tokens."""
    return {name: value for name, value in tokens.items() if not (by_field and name in fields)}


def field_values(tokens: Mapping[str, str], fields: Mapping[str, str]) -> Values:
    """Return what stands in the person's fields once these tokens have travelled in them."""
    return {fields[name]: tokens[name] for name in fields if name in tokens}


@dataclass(slots=True)
class Holders:
    """What the fields of some people may hold until their e-mails are made, as one transaction sees it."""

    values: dict[str, list[Values]] = field(default_factory=dict)

    def has_room_for(self, person_key: str, values: Values) -> bool:
        """Tell whether these values overwrite nobody's."""
        return all(held == values for held in self.values.get(person_key, ()))

    def add(self, person_key: str, values: Values) -> None:
        self.values.setdefault(person_key, []).append(values)


async def read_holders(connection: AsyncConnection, people: Collection[str], *, since: datetime) -> Holders:
    """Read which values these people's fields may hold: of what is open, and of what ended since then in any way."""
    holders = Holders()
    c = registrations.c
    for some in batched(sorted(people), _AT_ONCE):
        rows = await connection.execute(
            select(c.person_key, c.tokens, c.fields, c.by_field, c.shown_tokens, c.shown_fields)
            .where(c.person_key.in_(some), or_(c.by_field == 1, c.shown_tokens.is_not(None)))
            .where(or_(c.state.in_(OPEN_STATES), c.updated_at > since))
        )
        for row in rows:
            if row.by_field:
                holders.add(row.person_key, field_values(row.tokens, row.fields))
            if row.shown_tokens is not None:
                holders.add(row.person_key, field_values(row.shown_tokens, row.shown_fields))
    return holders


async def fall_back(connection: AsyncConnection, ids: Collection[str]) -> None:
    """Let these registrations pass all their tokens in a campaign request of their own."""
    c = registrations.c
    for some in batched(sorted(ids), _AT_ONCE):
        these = select(c.id, c.campaign_id, c.tokens).where(c.id.in_(some), c.by_field == 1)
        rows: list[dict[str, Any]] = [
            {"this_id": row.id, "new_key": batch_key(row.campaign_id, row.tokens)}
            for row in await connection.execute(these.order_by(c.id).with_for_update())
        ]
        if rows:
            await connection.execute(_FALL_BACK, rows)


async def fall_back_from_other_fields(database: Database, fields: Mapping[str, str]) -> int:
    """Let open registrations that were made under another mapping of tokens to fields fall back; return how many."""
    c = registrations.c
    async with database.write() as connection:
        ids = []
        for state in OPEN_STATES:  # asked one by one: an IN finds no partial index
            rows = await connection.execute(select(c.id, c.fields).where(c.state == state, c.by_field == 1))
            ids += [row.id for row in rows if row.fields != fields]
        await fall_back(connection, ids)
    return len(ids)


_FALL_BACK = (
    update(registrations)
    .where(registrations.c.id == bindparam("this_id"))
    .values(by_field=0, batch_key=bindparam("new_key"))
)
