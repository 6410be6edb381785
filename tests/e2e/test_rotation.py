"""Each secret can be changed while everything runs: nothing is lost, and nobody has to be quick."""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping

import pytest

from app.settings import Settings
from app.settings.layers import secret_fields
from tests.e2e.conftest import StartRelay
from tests.e2e.harness import ROOT, Relay, Sandbox, pendo_signature, registration, standard_webhook, until, web

pytestmark = pytest.mark.no_cover  # under a tracer it takes three times as long, and each part has tests of its own

BUYER = "ada.lovelace@example.com"  # of the simulated account's order


def by_key(relay: Relay, secret: str, person: str) -> int:
    return relay.send(registration(person), headers={"Authorization": f"Bearer {secret}"}).status_code


def by_signature(relay: Relay, secret: str, person: str) -> int:
    body = json.dumps(registration(person)).encode()
    headers = {"content-type": "application/json"} | standard_webhook(body, person, secret=secret)
    return web.post(f"{relay.url}/webhooks/custom", content=body, headers=headers).status_code


def by_digest(relay: Relay, secret: str, person: str) -> int:
    carried = {"webinar_title": "Product Hour", "join_link": "https://meet.example.com/p"}
    event = {
        "event": "trackEventReceived",
        "properties": {"trackEventName": "webinar_registered", "trackEventProperties": carried},
        "visitorId": person,
        "uniqueId": person,
    }
    body = json.dumps(event).encode()
    return web.post(f"{relay.url}/webhooks/pendo", content=body, headers=pendo_signature(body, secret)).status_code


def by_address(relay: Relay, secret: str, _person: str) -> int:
    body = {"config": {"action": "order.placed"}, "api_url": "https://www.eventbriteapi.com/v3/orders/985359169/"}
    return web.post(f"{relay.url}/webhooks/eventbrite/{secret}", json=body).status_code


def by_token(relay: Relay, secret: str, _person: str) -> int:
    return web.get(f"{relay.url}/api/registrations", headers={"Authorization": f"Bearer {secret}"}).status_code


IN: Mapping[str, Callable[[Relay, str, str], int]] = {
    "ADMIN_TOKEN": by_token,
    "ADMIN_READ_TOKEN": by_token,
    "CUSTOM_API_KEYS": by_key,
    "CUSTOM_WEBHOOK_SECRETS": by_signature,
    "EVENTBRITE_WEBHOOK_TOKEN": by_address,
    "PENDO_WEBHOOK_SECRET": by_digest,
}
ALL = set(IN)
OUT = {"ALERT_WEBHOOK_URL", "DATABASE_URL", "EVENTBRITE_API_TOKEN", "MARKETO_CLIENT_SECRET", "PENDO_INTEGRATION_KEY"}
BYSTANDERS = {"ADMIN_TOKEN", "ADMIN_READ_TOKEN", "EVENTBRITE_WEBHOOK_TOKEN"}  # they bring no person of their own


def made(name: str, which: str) -> str:
    secret = f"{which}-{hashlib.sha256(name.encode()).hexdigest()[:24]}"
    is_signing = name == "CUSTOM_WEBHOOK_SECRETS"
    return f"whsec_{base64.b64encode(secret.encode()).decode()}" if is_signing else secret


def person(name: str, which: str, step: int) -> str:
    return f"{name.lower()}.{which}.{step}@example.com"


def test_there_is_a_way_to_change_every_secret() -> None:
    """A new one is named here, takes several values or is one of somebody else's, and has its line in the runbook."""
    assert {name.upper() for name in secret_fields()} == IN.keys() | OUT
    for name in IN:
        assert "tuple[" in str(Settings.model_fields[name.lower()].annotation)
    text = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    section = text.partition("## Change a secret\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert sorted("".join(rows).replace("`", "").replace(",", " ").split()) == sorted(IN.keys() | OUT)


def test_old_and_new_secrets_are_good_at_once_and_nobody_is_lost(start: StartRelay, sandbox: Sandbox) -> None:
    """First the old ones, then both, then the new ones, so three starts; Marketo refuses its old one all the while."""
    sent: list[str] = []

    def admitted(relay: Relay, which: str, step: int) -> set[str]:
        who = {name: person(name, which, step) for name in IN}
        found = {name for name, ask in IN.items() if ask(relay, made(name, which), who[name]) < 300}
        sent.extend(who[name] for name in found - BYSTANDERS)
        return found

    def relay_with(*which: str, **more: str) -> Relay:
        return start(**{name: ",".join(made(name, one) for one in which) for name in IN}, **more)

    revoked = {"MARKETO_CLIENT_SECRET": "xK2vQ9mLzR7cTnWb4HsYdE6uJgPa8FoX"}
    old = relay_with("old", **revoked)
    assert (admitted(old, "old", 1), admitted(old, "new", 1)) == (ALL, set())
    old.process.stop()
    both = relay_with("new", "old", **revoked)
    assert (admitted(both, "old", 2), admitted(both, "new", 2)) == (ALL, ALL)
    both.process.stop()
    assert sandbox.get("emails") == []
    new = relay_with("new")
    assert (admitted(new, "old", 3), admitted(new, "new", 3)) == (set(), ALL)
    everybody = sorted([*sent, BUYER])
    until(lambda: sorted(e["to"] for e in sandbox.get("emails")) == everybody, within=60, what="everybody's e-mail")
    assert sandbox.get("violations") == []
