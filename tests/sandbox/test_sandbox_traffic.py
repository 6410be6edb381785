"""The sample traffic: signed as the senders sign, in the order and with the flaws of what really arrives."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime

from standardwebhooks import Webhook

from app.sandbox import seed
from app.sandbox.traffic import Delivery, expected_reminders, load, sample_traffic, standard_signature


def traffic() -> list[Delivery]:
    return sample_traffic("http://127.0.0.1:8080", sandbox_url="http://127.0.0.1:8090", now=datetime.now(UTC))


def test_five_deliveries_of_one_order_come_out_of_order() -> None:
    actions = [json.loads(one.body)["config"]["action"] for one in traffic()[:5]]
    assert actions == ["order.updated", "order.placed", "attendee.updated", "attendee.updated", "order.updated"]
    assert {one.headers["X-Eventbrite-Delivery"] for one in traffic()[:5]} == {seed.EVENTBRITE_WEBHOOK_ID}


def test_every_flaw_is_there_once() -> None:
    outcomes = [one.expect.outcome for one in traffic()]
    assert (len(outcomes), outcomes.count("duplicate"), outcomes.count("refused")) == (11, 1, 1)
    [refused] = [one for one in traffic() if one.expect.outcome == "refused"]
    assert "joinlink" in json.loads(refused.body)["webinar"]
    assert refused.expect.field == "webinar.joinlink"


def test_four_people_are_reminded_once_each() -> None:
    reminders = expected_reminders(traffic())
    assert [one.greeting for one in reminders] == ["Ada", "Grace", "Alan", "Customer"]
    assert len({one.to for one in reminders}) == 4


def test_custom_bodies_are_signed_after_standard_webhooks() -> None:
    """Checked with the reference implementation."""
    signed = [one for one in traffic() if "webhook-signature" in one.headers]
    assert len(signed) == 3
    for one in signed:
        Webhook(seed.CUSTOM_WEBHOOK_SECRET).verify(one.body, dict(one.headers))


def test_a_signature_is_that_of_the_specifications_vector() -> None:
    headers = standard_signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        datetime.fromtimestamp(1614265330, UTC),
        b'{"test": 2432232314}',
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_track_event_is_signed_over_its_body() -> None:
    [pendo] = [one for one in traffic() if one.source == "pendo"]
    digest = hmac.new(seed.PENDO_WEBHOOK_SECRET.encode(), pendo.body, hashlib.sha256).hexdigest()
    assert pendo.headers["X-Pendo-Signature"] == digest
    assert len(base64.b16decode(digest.upper())) == 32


def test_the_repeat_is_the_same_request() -> None:
    first, again = [one for one in traffic() if one.headers.get("webhook-id") == "msg_demo_1001"]
    assert (first.body, first.headers) == (again.body, again.headers)


def test_load_is_of_different_people_over_some_webinars() -> None:
    deliveries = list(load(10, "http://127.0.0.1:8080/", now=datetime.now(UTC), webinars=3))
    bodies = [json.loads(one.body) for one in deliveries]
    assert len({body["email"] for body in bodies}) == len({one.headers["webhook-id"] for one in deliveries}) == 10
    assert len({body["webinar"]["id"] for body in bodies}) == 3
    assert {one.url for one in deliveries} == {"http://127.0.0.1:8080/webhooks/custom"}
    assert len(expected_reminders(deliveries)) == 10
