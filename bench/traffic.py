"""Make whole HTTP requests in advance, each one different and, where it must be, signed. Bytes out, no I/O."""

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from app.sandbox import seed
from app.sources.signing import sign_standard_webhook
from bench.noop import PATH

WEBINARS = 3
_NOT_OURS = "whsec_bm90LXRoZS1zZWNyZXQtb2YtYW55Ym9keS1oZXJl"

Maker = Callable[[int, str], bytes]


def custom_body(number: int, prefix: str, *, webinar: int | None = None) -> bytes:
    """Return the registration of one person; numbers and prefixes that differ are different people."""
    chosen = number % WEBINARS if webinar is None else webinar
    body = {
        "email": f"{prefix}.{number}@example.com",
        "firstName": "Ada",
        "lastName": f"Lovelace {number}",
        "webinar": {
            "id": f"bench-{chosen}",
            "title": f"Scaling Customer Engagement in 2025, part {chosen}",
            "joinLink": f"https://zoom.example.com/j/8451234679{chosen}?pwd=Tk9UQVJFQUw",
            "image": f"https://images.example.com/webinar-{chosen}.png",
        },
    }
    return json.dumps(body).encode()


def signed(
    number: int, prefix: str, path: str = "/webhooks/custom", *, webinar: int | None = None, person: str | None = None
) -> bytes:
    """Return a Standard-Webhooks-signed request of a custom app; `person` instead of the prefix says who registers."""
    body = custom_body(number, person or prefix, webinar=webinar)
    now = datetime.fromtimestamp(time.time(), UTC)
    return _request(path, body, sign_standard_webhook(seed.CUSTOM_WEBHOOK_SECRET, f"{prefix}_{number}", now, body))


def bearer(number: int, prefix: str) -> bytes:
    """Return a custom app's request with an API key, and an Idempotency-Key."""
    headers = {"authorization": f"Bearer {seed.CUSTOM_API_KEY}", "idempotency-key": f"{prefix}-{number}"}
    return _request("/webhooks/custom", custom_body(number, prefix), headers)


def eventbrite(number: int, prefix: str) -> bytes:
    """Return Eventbrite's thin notice of one order; the order is not one that the simulation knows."""
    order = 7_000_000_000 + sum(prefix.encode()) * 1_000_000 + number
    config = {
        "action": "order.placed",
        "user_id": seed.EVENTBRITE_USER_ID,
        "endpoint_url": "https://relay.example.com/webhooks/eventbrite/secret",
        "webhook_id": seed.EVENTBRITE_WEBHOOK_ID,
    }
    body = {"config": config, "api_url": f"https://www.eventbriteapi.com/v3/orders/{order}/"}
    headers = {"x-eventbrite-event": "order.placed", "x-eventbrite-delivery": seed.EVENTBRITE_WEBHOOK_ID}
    return _request(f"/webhooks/eventbrite/{seed.EVENTBRITE_WEBHOOK_TOKEN}", json.dumps(body).encode(), headers)


def noop(number: int, prefix: str) -> bytes:
    """Return the signed request, headers and body alike, addressed to the endpoint that does nothing."""
    return signed(number, prefix, PATH)


def hostile(number: int, prefix: str) -> bytes:
    """Return one of the requests that strangers make; each has to be refused."""
    good, key = custom_body(number, prefix), {"authorization": f"Bearer {seed.CUSTOM_API_KEY}"}
    now = datetime.fromtimestamp(time.time(), UTC)
    forged = sign_standard_webhook(_NOT_OURS, f"{prefix}_{number}", now, good)
    kinds = [
        ("/webhooks/custom", good, forged),
        ("/webhooks/custom", good, {}),
        ("/webhooks/custom", good[:-1], key),
        ("/webhooks/custom", b"[" * 5000, key),
        ("/webhooks/custom", good.replace(b"joinLink", b"joinlink"), key),
        ("/webhooks/custom", good, key | {"content-type": "text/plain"}),
        ("/webhooks/eventbrite/not-the-secret", good, {}),
        ("/webhooks/nobody", good, key),
        ("/.env", good, {}),
    ]
    return _request(*kinds[number % len(kinds)])


MAKERS: Mapping[str, Maker] = {
    "signed": signed,
    "bearer": bearer,
    "eventbrite": eventbrite,
    "noop": noop,
    "hostile": hostile,
}


def _request(path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    head = {
        "host": "127.0.0.1",
        "user-agent": "relay-bench/1",
        "accept": "*/*",
        "content-type": "application/json",
        "content-length": str(len(body)),
        **headers,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + body
