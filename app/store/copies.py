"""Find and blank what other people's registrations copied from a webhook that named one person: titles, tokens, names.

Every registration that is not purged is read, since its webhook may be blank by now; of a purged one only the webinar
is left. What is still to be sent is left and told: its e-mail would lack what is blanked.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain import FINAL_STATES, CampaignId, RegistrationState
from app.store.batched import batched, in_pages
from app.store.database import Database
from app.store.links import batch_key, passed_tokens
from app.store.spelling import GONE, name_keys, spelt
from app.store.tables import registrations

Names = Callable[[str], bool]  # tells whether a text names the person
Seal = Callable[[str], str]  # returns what stands for a text that is gone
_TEXTS = ("subject", "detail", "first_name", "last_name")
_AT_ONCE = 500
_c = registrations.c
_COPYING = select(
    _c.id, _c.state, _c.campaign_id, _c.webinar_id, _c.webinar_key, _c.tokens, _c.shown_tokens, _c.fields, _c.by_field,
    *(_c[name] for name in _TEXTS),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Copies:
    """The registrations of others that name the person: those that have ended, and those that are still to be sent."""

    ended: Sequence[str] = ()
    under_way: Sequence[str] = ()


async def find_copies(database: Database, keys: Collection[str], names: Names, *, but: Collection[str]) -> Copies:
    """Return which registrations besides these name the person of these keys, and change nothing."""
    own, ended, under_way = set(but), list[str](), list[str]()
    kept = _COPYING.where(or_(_c.purged_at.is_(None), *_webinars(keys)))
    async for row in in_pages(database, kept, registrations):
        if row.id not in own and _without(row, names, str):
            (ended if RegistrationState(row.state) in FINAL_STATES else under_way).append(row.id)
    return Copies(ended, under_way)


def _webinars(keys: Collection[str]) -> Iterator[ColumnElement[bool]]:
    for key in keys:
        yield func.lower(_c.webinar_id).contains(key, autoescape=True)
        yield _c.webinar_key.contains(key, autoescape=True)


async def blank_copies(connection: AsyncConnection, ids: Sequence[str], names: Names, seal: Seal) -> int:
    """Blank whatever names the person in these registrations, as far as they have still ended; return in how many."""
    blanked = 0
    for some in batched(ids, _AT_ONCE):
        these = _COPYING.where(_c.id.in_(some), _c.state.in_(FINAL_STATES)).order_by(_c.id).with_for_update()
        for row in (await connection.execute(these)).all():
            if values := _without(row, names, seal):
                await connection.execute(update(registrations).where(_c.id == row.id).values(values))
                blanked += 1
    return blanked


def _without(row: Any, names: Names, seal: Seal) -> dict[str, Any]:
    """Return what is to be written over a registration's values, so that none names the person."""
    values: dict[str, Any] = {name: None for name in _TEXTS if _said(getattr(row, name), names)}
    if {"first_name", "last_name"} & values.keys():
        values |= name_keys(values.get("first_name", row.first_name), values.get("last_name", row.last_name))
    if _said(row.webinar_id, names):
        values["webinar_id"] = GONE + seal(row.webinar_id)
        values["webinar_ref"] = spelt(values["webinar_id"])
    if _said(row.webinar_key, names):
        values["webinar_key"] = None
    for column in ("tokens", "shown_tokens"):
        tokens: Mapping[str, str] = getattr(row, column) or {}
        if any(_said(value, names) for value in tokens.values()):
            values[column] = {name: "" if _said(value, names) else value for name, value in tokens.items()}
    return values | _of_tokens(row, values["tokens"]) if "tokens" in values else values


def _of_tokens(row: Any, tokens: Mapping[str, str]) -> dict[str, Any]:
    """Return what follows from a registration's tokens: what it may share a request with, and its title's spelling."""
    passed = passed_tokens(tokens, row.fields, by_field=bool(row.by_field))
    gone = {spelt(value) for name, value in row.tokens.items() if tokens[name] != value}
    title = {"webinar_key": None} if row.webinar_key in gone else {}  # it may hold the address cut short
    return {"batch_key": batch_key(CampaignId(row.campaign_id), passed), **title}


def _said(text: str | None, names: Names) -> bool:
    return text is not None and names(text)
