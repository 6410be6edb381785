"""What holds for every source, whoever it is: `docs/write-a-source.md` promises these tests to a new one.

A new source adds one `Subject` below: how it is built, how a request of it is made authentic, what its samples mean.
"""

import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import CampaignId, Finding, Ignored, Json, Registered, Unusable
from app.errors import Invalid, Malformed, NotAuthentic, RequestRefused, ResolveFailed
from app.sources.base import Accepted, Inbound, Source
from app.sources.custom import CustomSource
from app.sources.eventbrite import EventbriteSource
from app.sources.pendo import PendoSource
from app.sources.signing import sign_hmac_hex
from app.sources.webinars import Catalogue
from tests.sources.deliveries import NOW, as_bytes, stored
from tests.sources.test_payload import REFUSED, documents

FOLDER = Path(__file__).parents[2] / "app" / "sources"
SECRET = "a secret of some length"


@dataclass(frozen=True)
class Subject:
    """A source under the contract. `samples` says of each `samples/*.json` what `receive` makes of it."""

    source: Source
    authentic: Callable[[bytes], Inbound]
    samples: Mapping[str, type]
    fetched: Callable[[], Json] = lambda: None


def _inbound(body: bytes, headers: Mapping[str, str] | None = None, path_secret: str | None = None) -> Inbound:
    return Inbound(headers=headers or {}, body=body, received_at=NOW, path_secret=path_secret)


def _sample(path: Path) -> Any:
    return json.loads(path.read_text())["body"]


SUBJECTS = [
    Subject(
        EventbriteSource(
            path_secrets=[SECRET],
            actions=["order.placed", "attendee.updated"],
            api=None,
            catalogue=Catalogue(),
            clock=lambda: NOW,
        ),
        authentic=lambda body: _inbound(body, path_secret=SECRET),
        samples={
            "attendee_updated__captured": Accepted,
            "order_placed__captured": Accepted,
            "order_placed__newer": Accepted,
            "test__button": Ignored,
        },
        fetched=lambda: {"order": _sample(FOLDER / "eventbrite/samples/api/order__composed.json")},
    ),
    Subject(
        PendoSource(
            secrets=[SECRET], track_event="webinar_registered", api=None, catalogue=Catalogue(), clock=lambda: NOW
        ),
        authentic=lambda body: _inbound(body, {"x-pendo-signature": sign_hmac_hex(SECRET, body)}),
        samples={
            "guide_displayed__documented": Ignored,
            "poll_displayed__partial": Ignored,
            "poll_submitted__inferred": Ignored,
            "track_event_received__inferred": Accepted,
        },
    ),
    Subject(
        CustomSource(signing_secrets=[], api_keys=[SECRET], allowed_campaigns=[CampaignId(1234)]),
        authentic=lambda body: _inbound(body, {"authorization": f"Bearer {SECRET}"}),
        samples={
            "registration__whole": Accepted,
            "registration__smallest": Accepted,
            "registration__by_lead_id": Accepted,
            "registration__misspelt": Invalid,
        },
    ),
]
every_source = pytest.mark.parametrize("subject", SUBJECTS, ids=lambda one: one.source.name)


def judged(subject: Subject, request: Inbound) -> Accepted | Ignored | type:
    """Return what `receive` says, or the kind of refusal. Any other exception is a failure of the contract."""
    try:
        return subject.source.receive(request)
    except RequestRefused as refusal:
        return type(refusal)


@every_source
def test_every_sample_is_in_the_table_and_meets_its_fate(subject: Subject) -> None:
    """A sample beside the code that no test reads would only look like evidence."""
    paths = sorted((FOLDER / subject.source.name / "samples").glob("*.json"))
    assert {path.stem for path in paths} == set(subject.samples)
    for path in paths:
        verdict = judged(subject, subject.authentic(as_bytes(_sample(path))))
        assert verdict is subject.samples[path.stem] or type(verdict) is subject.samples[path.stem], path.stem


@every_source
def test_every_sample_says_how_far_it_can_be_trusted(subject: Subject) -> None:
    for path in (FOLDER / subject.source.name / "samples").rglob("*.json"):
        assert json.loads(path.read_text())["_evidence"], path


@every_source
def test_every_accepted_sample_registers_somebody(subject: Subject) -> None:
    for name in (name for name, fate in subject.samples.items() if fate is Accepted):
        event = stored(_sample(FOLDER / subject.source.name / "samples" / f"{name}.json"), source=subject.source.name)
        found = subject.source.map(event, subject.fetched())
        assert [type(one) for one in found] == [Registered], name


@every_source
@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED.keys())
def test_a_body_that_is_no_json_is_malformed_once_it_is_authentic(subject: Subject, body: bytes) -> None:
    assert judged(subject, subject.authentic(body)) is Malformed
    assert judged(subject, _inbound(body)) is NotAuthentic


@every_source
@given(body=st.binary() | documents.map(as_bytes), headers=st.dictionaries(st.text(max_size=8), st.text()))
def test_a_stranger_is_never_let_in(subject: Subject, body: bytes, headers: dict[str, str]) -> None:
    named = ("authorization", "webhook-signature", "webhook-id", "webhook-timestamp", "x-pendo-signature")
    for mixed in (headers, *(dict.fromkeys(named, value) for value in headers.values())):
        for path_secret in (None, *headers):
            assert judged(subject, _inbound(body, mixed, path_secret)) is NotAuthentic


@every_source
@given(body=st.binary() | documents.map(as_bytes))
def test_junk_is_refused_or_ignored_and_never_crashes(subject: Subject, body: bytes) -> None:
    verdict = judged(subject, subject.authentic(body))
    assert verdict in (Malformed, Invalid) or isinstance(verdict, Ignored)


@every_source
@given(body=documents.map(as_bytes) | st.sampled_from([*REFUSED.values()]), fetched=documents)
def test_mapping_never_raises_and_repeats_itself(subject: Subject, body: bytes, fetched: Json) -> None:
    event = stored(body, source=subject.source.name)
    found = list(subject.source.map(event, fetched))
    assert found == list(subject.source.map(event, fetched))
    assert all(isinstance(one, Finding) for one in found)
    assert not any(isinstance(one, Registered) for one in found)


@every_source
def test_receiving_is_deterministic(subject: Subject) -> None:
    """The same request gets the same answer and the same key, also from another process."""
    for name in subject.samples:
        body = as_bytes(_sample(FOLDER / subject.source.name / "samples" / f"{name}.json"))
        assert judged(subject, subject.authentic(body)) == judged(subject, subject.authentic(body))


@every_source
def test_a_header_that_is_kept_is_no_secret(subject: Subject) -> None:
    for name in subject.samples:
        body = as_bytes(_sample(FOLDER / subject.source.name / "samples" / f"{name}.json"))
        verdict = judged(subject, subject.authentic(body))
        assert SECRET not in str(verdict)


@every_source
@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'"x"'])
async def test_what_names_nothing_is_never_fetched(subject: Subject, body: bytes) -> None:
    """There is no API behind these sources: one that tried to ask would fail otherwise than so."""
    event = stored(body, source=subject.source.name)
    with contextlib.suppress(ResolveFailed):
        assert await subject.source.resolve(event) is None
    found = subject.source.map(event, None)
    assert all(isinstance(one, Unusable | Ignored) for one in found)
