"""Marketo's campaigns: reading them, and requesting one for up to 100 people."""

import re
from collections.abc import Mapping
from typing import Any

from app.sandbox.emails import Email, Mail
from app.sandbox.marketo_activities import note_delivery, note_request
from app.sandbox.marketo_answers import Refusal, Result, stamp
from app.sandbox.marketo_bodies import json_object, listed, parameters, whole_number
from app.sandbox.people import Person
from app.sandbox.programs import Campaign
from app.sandbox.world import Work

MOST_LEADS = 100
MOST_TOKENS = 100
WORKSPACE = "Default"
_TOKEN_NAME = re.compile(r"\{\{my\.([^{}]+)\}\}")


def campaign(work: Work) -> Result:
    return Result([campaign_record(_campaign(work))])


def campaigns(work: Work) -> Result:
    """Return the campaigns, filtered by `id`, `name`, `programName` and `isTriggerable`."""
    given = parameters(work)
    ids, names = set(listed(given, "id", most=300)), set(listed(given, "name", most=300))
    programs = set(listed(given, "programName", most=300))
    found = [
        campaign_record(one)
        for one in work.world.assets.campaigns.values()
        if (not ids or str(one.id) in ids)
        and (not names or one.name in names)
        and (not programs or one.program.name in programs)
        and (given.get("isTriggerable", "").lower() != "true" or one.is_triggerable)
    ]
    return Result(found)


def membership(work: Work) -> Result:
    """Return the campaigns that one person has run through."""
    person = work.world.people.get(whole_number(work.params["id"], "id"))
    if person is None:
        raise Refusal("1004", f"Lead '{work.params['id']}' not found")
    return Result(
        [
            {"smartCampaignId": number, "createdAt": stamp(first), "updatedAt": stamp(last)}
            for number, (first, last) in person.runs.items()
        ]
    )


def trigger(work: Work) -> Result:
    """Request the campaign. Whoever does not qualify is skipped in silence; one unknown lead refuses the whole call."""
    chosen = _campaign(work)
    work.call.campaign = chosen.id
    body = json_object(work).get("input")
    if not isinstance(body, dict):
        raise Refusal("1002", "Missing value for required parameter 'input'")
    leads, tokens = _leads(work, body), _tokens(body)
    work.call.size, work.call.tokens = len(leads), tokens
    if not chosen.trigger:
        raise Refusal("1003", f"Campaign '{chosen.id}' is a batch campaign; only trigger campaigns can be requested")
    people = [_person(work, lead) for lead in leads]
    _run(work, chosen, people, _known_tokens(work, chosen, tokens))
    return Result([{"id": chosen.id}] if work.world.config.sparse else [campaign_record(chosen)])


def campaign_record(one: Campaign) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "description": "",
        "type": "trigger" if one.trigger else "batch",
        "programName": one.program.name,
        "programId": one.program.id,
        "workspaceName": WORKSPACE,
        "createdAt": stamp(one.created),
        "updatedAt": stamp(one.created),
        "active": one.active,
    }


def _campaign(work: Work) -> Campaign:
    found = work.world.assets.campaigns.get(whole_number(work.params["id"], "id"))
    if found is None:
        raise Refusal("1013", f"Campaign '{work.params['id']}' not found")
    return found


def _leads(work: Work, body: Mapping[str, Any]) -> list[int]:
    leads = body.get("leads")
    if not isinstance(leads, list) or not leads:
        raise Refusal("1002", "Missing value for required parameter 'leads'")
    if len(leads) > MOST_LEADS:
        raise Refusal("1003", f"Number of leads exceeds {MOST_LEADS}")
    ids = [lead.get("id") if isinstance(lead, dict) else None for lead in leads]
    if not all(type(lead) is int and 0 < lead < 2**63 for lead in ids):
        raise Refusal("1001", "Invalid value for 'id'. Required of type 'Long'")
    if len(set(ids)) < len(ids):
        work.violation("duplicate_lead_in_call", "one lead stands twice in one campaign request")
    return [lead for lead in ids if lead is not None]


def _tokens(body: Mapping[str, Any]) -> dict[str, str]:
    """Return the tokens by name without `{{my.` and `}}`, which must be written exactly so."""
    tokens = body.get("tokens", [])
    if not isinstance(tokens, list) or not all(isinstance(token, dict) for token in tokens):
        raise Refusal("1001", "Invalid value for 'tokens'. Required of type 'Array'")
    if len(tokens) > MOST_TOKENS:
        raise Refusal("1003", f"Number of tokens exceeds {MOST_TOKENS}")
    values: dict[str, str] = {}
    for token in tokens:
        name, value = token.get("name"), token.get("value")
        found = _TOKEN_NAME.fullmatch(name) if isinstance(name, str) else None
        if not found or found[1] in values:
            raise Refusal("1003", f"Invalid token name '{str(name)[:60]}': each once, as {{{{my.Name}}}}")
        if not isinstance(value, str):
            raise Refusal("1001", f"Invalid value for token '{name}'. Required of type 'String'")
        values[found[1]] = value
    return values


def _person(work: Work, lead: int) -> Person:
    person = work.world.people.get(lead)
    if person is None:
        raise Refusal("1004", f"Lead '{lead}' not found")
    return person


def _known_tokens(work: Work, chosen: Campaign, tokens: Mapping[str, str]) -> dict[str, str]:
    """Return the call's tokens without those that the program lacks, which change nothing."""
    known = chosen.program.known_tokens()
    for name in tokens.keys() - known.keys():
        work.violation("unknown_token", f"'{name[:50]}' is no My Token of program {chosen.program.id} or above it")
    return {name: value for name, value in tokens.items() if name in known}


def _run(work: Work, chosen: Campaign, people: list[Person], tokens: Mapping[str, str]) -> None:
    now = work.world.now()
    for person in people:
        if reason := chosen.skips(person, now):
            work.call.skipped, work.call.skip_reason = work.call.skipped + 1, reason
            work.world.skips[reason] += 1
            continue
        first = person.runs.get(chosen.id, (now, now))[0]
        person.runs[chosen.id] = (first, now)
        note_request(work.world, chosen, person.id)
        if (mail := chosen.program.mail) and _leaves(mail, person):
            _send(work, chosen, person, tokens, mail)


def _leaves(mail: Mail, person: Person) -> bool:
    """Tell whether the flow's Send Email step sends it: never a draft, and to the unsubscribed only what it must."""
    return mail.approved and (mail.operational or not person.fields.get("unsubscribed"))


def _send(work: Work, chosen: Campaign, person: Person, tokens: Mapping[str, str], mail: Mail) -> None:
    world = work.world
    email = Email(
        n=world.emails.next_number(),
        at=world.now(),
        lead_id=person.id,
        campaign_id=chosen.id,
        mail=mail,
        email_id=chosen.program.email_id,
        request_id=work.call.request_id,
        lead=dict(person.fields),
        own=chosen.program.known_tokens(),
        passed=tokens,
    )
    person.making.append((world.now() + world.config.email_delay, email.lead))
    world.emails.add(email)
    person.emails += 1
    work.call.sent += 1
    note_delivery(world, chosen, email)
