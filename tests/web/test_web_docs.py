"""The interface as it describes itself."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import jsonschema

from app.sources.base import Accepted, Inbound
from app.sources.custom.adapter import CustomSource
from app.web.openapi import EXAMPLE
from app.web.waiting import WaitingRoom
from tests.web.relay_server import ADMIN_TOKEN, NOW, Relay, Surroundings, serving


class Tags(HTMLParser):
    """Collects what a page would load, and whether its tags are closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loaded += [value for name, value in attrs if name in ("src", "href", "action") and value]
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


async def test_the_page_loads_nothing_from_elsewhere(relay: Relay) -> None:
    """It is read inside networks without a way out, and a stranger's script has no place beside a token."""
    answer = await relay.client.get("/docs")
    assert answer.status_code == 200
    tags = Tags(answer.text)
    assert (tags.loaded, tags.open) == (["openapi.json"], [])
    [style] = re.findall(r"<style>(.*)</style>", answer.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = answer.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", f"style-src 'sha256-{digest}'", "frame-ancestors 'none'"} <= set(policy)
    assert "script" not in answer.text


async def test_the_page_shows_each_operation(relay: Relay) -> None:
    text = (await relay.client.get("/docs")).text
    for path in ("/webhooks/eventbrite/{token}", "/webhooks/custom", "/readyz", "/api/registrations/{registration_id}"):
        assert f"<code>{path}</code>" in text


async def test_the_description_names_webhooks_beside_the_routes(relay: Relay) -> None:
    paths = (await relay.client.get("/openapi.json")).json()["paths"]
    assert {"/webhooks/custom", "/webhooks/pendo", "/livez", "/metrics", "/api/events/{event_id}"} <= set(paths)
    assert {"200", "202", "400", "401", "413", "415", "422", "503"} <= set(
        paths["/webhooks/custom"]["post"]["responses"]
    )


async def test_the_figures_behind_a_token_are_described_with_their_refusals(around: Surroundings) -> None:
    """Without the gate they refuse nobody, and the description says so."""
    async with serving(around.app()) as relay:
        paths = (await relay.client.get("/openapi.json")).json()["paths"]
        assert set(paths["/metrics"]["get"]["responses"]) == {"200"}
    async with serving(around.app(metrics_need_token=True, waiting=WaitingRoom(seats=0))) as relay:
        described = (await relay.client.get("/openapi.json")).json()["paths"]["/metrics"]["get"]["responses"]
        answers = [await relay.get("/metrics", token=token) for token in (None, "wrong", ADMIN_TOKEN)]
    assert [str(answer.status_code) for answer in answers] == ["401", "429", "200"]
    for answer in answers[:2]:
        assert answer.headers["content-type"] in described[str(answer.status_code)]["content"]
    assert set(described) == {"200", "401", "429"}


async def test_every_reference_of_the_description_leads_somewhere(relay: Relay) -> None:
    found = await relay.client.get("/openapi.json")
    schemas = found.json()["components"]["schemas"]
    assert set(re.findall(r'"#/components/schemas/(\w+)"', found.text)) <= set(schemas)


async def test_a_problem_is_as_described(relay: Relay) -> None:
    schema = (await relay.client.get("/openapi.json")).json()["components"]["schemas"]["Problem"]
    jsonschema.validate((await relay.post("/webhooks/custom", {"wrong": ["a"]})).json(), schema)
    jsonschema.validate((await relay.client.get("/nope")).json(), schema)


async def test_the_example_is_accepted_by_the_source_itself(relay: Relay) -> None:
    """An example that does not work is worse than none."""
    source = CustomSource(signing_secrets=[], api_keys=["k" * 20], allowed_campaigns=[])
    described = (await relay.client.get("/openapi.json")).json()["paths"]["/webhooks/custom"]["post"]["requestBody"]
    example = described["content"]["application/json"]["example"]
    assert example == EXAMPLE
    body = await relay.client.build_request("POST", "/", json=example).aread()
    verdict = source.receive(Inbound({"authorization": "Bearer " + "k" * 20}, body, NOW))
    assert isinstance(verdict, Accepted)


async def test_the_description_can_be_turned_off(around: Surroundings) -> None:
    async with serving(around.app(public_docs=False)) as relay:
        assert [(await relay.client.get(path)).status_code for path in ("/docs", "/openapi.json")] == [404, 404]
