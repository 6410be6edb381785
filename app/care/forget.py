"""`relay forget`: show what the store holds of a person; with --yes, remove it and write a certificate."""

import json
from typing import Any

from app.domain import utc_now
from app.store.database import open_database
from app.store.forgetting import Certificate, Forgetting, Traces
from app.store.opening import prepare_store


async def traces_of(url: str, person: str) -> Traces:
    """Return what the store holds of this person.

    Raises:
        StoreTooNew, StoreUnavailable: the store cannot be used.
    """
    await prepare_store(url, may_migrate=False)
    async with open_database(url) as database:
        return await Forgetting(database).traces(person)


async def forget(url: str, person: str) -> Certificate:
    """Remove it, and certify it.

    Raises:
        StoreTooNew, StoreUnavailable: the store cannot be used.
    """
    await prepare_store(url, may_migrate=False)
    async with open_database(url) as database:
        return await Forgetting(database).forget(person, now=utc_now())


def shown(found: Traces, *, as_json: bool) -> str:
    told: dict[str, Any] = {
        "person": found.person,
        "registrations": len(found.registrations),
        "timelineEntries": found.timeline_entries,
        "webhooksToBlank": len(found.webhooks),
        "sentencesToBlank": len(found.hearsay),
        "copiesToBlank": len(found.copies),
        "underWay": list(found.under_way),
    }
    if as_json:
        return json.dumps(told, indent=2)
    if not found:
        return "Nothing is known of this person."
    lines = [
        f"  registrations to remove     {told['registrations']:>6}",
        f"  entries of their timelines  {told['timelineEntries']:>6}",
        f"  webhooks to blank           {told['webhooksToBlank']:>6}  (each whole, also where it names others)",
        f"  sentences to blank          {told['sentencesToBlank']:>6}  (in calls, and in others' timelines)",
        f"  registrations to clean      {told['copiesToBlank']:>6}  (others', whose title or tokens hold the address)",
        *_left(found.under_way),
        "Nothing was removed. --yes does it, for good.",
    ]
    return "\n".join(lines)


def certified(certificate: Certificate, *, as_json: bool) -> str:
    told: dict[str, Any] = {
        "person": certificate.person,
        "at": certificate.at.isoformat(timespec="seconds"),
        "registrationsRemoved": certificate.registrations,
        "timelineEntriesRemoved": certificate.timeline_entries,
        "webhooksBlanked": certificate.webhooks_blanked,
        "sentencesBlanked": certificate.sentences_blanked,
        "copiesBlanked": certificate.copies_blanked,
        "rememberedPeopleRemoved": certificate.remembered_people,
        "leftUnderWay": list(certificate.left_under_way),
    }
    if as_json:
        return json.dumps(told, indent=2)
    lines = [
        f"Removed at {told['at']} of the person with the keyed hash {told['person']}:",
        f"  registrations               {certificate.registrations:>6}",
        f"  entries of their timelines  {certificate.timeline_entries:>6}",
        f"  webhooks, blanked           {certificate.webhooks_blanked:>6}",
        f"  sentences, blanked          {certificate.sentences_blanked:>6}",
        f"  others' registrations       {certificate.copies_blanked:>6}  (the address in their titles or tokens)",
        f"  memories of the lead        {certificate.remembered_people:>6}",
        *_left(certificate.left_under_way),
        "Marketo, the source, backups and logs of proxies are not the relay's to clean. A new webhook about the person",
        "registers and reminds them anew: end that at its sender.",
    ]
    return "\n".join(lines)


def _left(ids: Any) -> list[str]:
    if not ids:
        return []
    return [f"  under way, left             {len(ids):>6}  ({', '.join(ids[:5])}): run it again in some minutes"]
