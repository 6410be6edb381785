"""Look at the Eventbrite account, and judge whether its webhooks come here with what the relay needs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from app.doctor.report import Check, Outcome, fail, ok, unknown, warn
from app.domain import Cause
from app.errors import ResolveFailed
from app.sources.eventbrite.account import EventbriteAccount, Organization, Webhook

PATH = "/webhooks/eventbrite/"
CANCELS = "order.refunded"

_ADD = "In Eventbrite: Account Settings > Developer Links > Webhooks > Add webhook"
_KEYS = "In Eventbrite: Account Settings > Developer Links > API Keys > Show API key > Private token"


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedWebhook:
    """What a subscription must be like: the secret last segments of its path, its actions, the relay's own address."""

    secrets: tuple[str, ...]
    actions: tuple[str, ...]
    public_url: str | None

    @property
    def address(self) -> str:
        """Return where webhooks come to, but for the secret at its end."""
        return f"{(self.public_url or 'https://YOUR-RELAY').rstrip('/')}{PATH}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why Eventbrite did not answer; `is_ours` tells whether it is the token's fault."""

    message: str
    is_ours: bool


@dataclass(frozen=True, slots=True)
class EventbritePicture:
    """What was seen of the account."""

    wanted: WantedWebhook
    organizations: tuple[Organization, ...] | Refusal
    webhooks: tuple[Webhook, ...] | Refusal

    def ours(self) -> list[Webhook]:
        """Return the subscriptions that come here: the secret in their path is this relay's."""
        hooks = () if isinstance(self.webhooks, Refusal) else self.webhooks
        return [hook for hook in hooks if _secret_of(hook) in self.wanted.secrets]


async def look_at_eventbrite(account: EventbriteAccount, wanted: WantedWebhook) -> EventbritePicture:
    """Return what could be seen."""
    try:
        await account.owner()
        organizations = await account.organizations()
        found = [hook for one in organizations for hook in await account.webhooks(one.id)]
    except ResolveFailed as failed:
        refusal = Refusal(failed.detail, failed.cause == Cause.SOURCE_REFUSED)
        return EventbritePicture(wanted, refusal, refusal)
    return EventbritePicture(wanted, organizations, tuple(found))


def _token(seen: EventbritePicture) -> Outcome:
    if not isinstance(seen.organizations, Refusal):
        return ok("Eventbrite takes the private token")
    if seen.organizations.is_ours:
        return fail(
            f"Eventbrite refused the private token ({seen.organizations.message}): no order can be read",
            f"{_KEYS}, and set EVENTBRITE_API_TOKEN to it.",
        )
    return unknown(seen.organizations.message, "Look again later; status.eventbrite.com tells whether it is down.")


def _organization(seen: EventbritePicture) -> Outcome:
    if isinstance(seen.organizations, Refusal):
        return _NOT_LOOKED
    if not seen.organizations:
        return fail(
            "the private token's owner belongs to no organization, so it sees no events",
            f"{_KEYS}, signed in as somebody who belongs to the organization that holds the webinars.",
        )
    return ok(", ".join(one.name for one in seen.organizations[:3]))


def _webhook(seen: EventbritePicture) -> Outcome:
    if isinstance(seen.webhooks, Refusal):
        return _NOT_LOOKED
    if ours := seen.ours():
        return _address(ours, seen.wanted)
    old = [hook for hook in seen.webhooks if PATH in hook.endpoint]
    if old:
        return fail(
            f"one comes to {_shown(old[0])} with a secret that is not in EVENTBRITE_WEBHOOK_TOKEN: it is refused",
            f"{_ADD}: {_payload_url(seen.wanted)}, and delete the old one.",
        )
    number = len(seen.webhooks)
    others = f"{number} {'goes' if number == 1 else 'go'} elsewhere" if number else "there is no webhook"
    return fail(
        f"none comes to this relay ({others}): it never hears of a registration",
        f"{_ADD}: Payload URL {_payload_url(seen.wanted)}, all events, actions {_listed(needed_actions(seen.wanted))}; "
        f"or {'' if seen.wanted.public_url else 'set PUBLIC_URL and '}run relay doctor --fix, which offers to.",
    )


def _address(ours: Sequence[Webhook], wanted: WantedWebhook) -> Outcome:
    if wanted.public_url is None:
        return ok(f"comes to {_shown(ours[0])}; set PUBLIC_URL to have the address compared")
    strange = [hook for hook in ours if not hook.endpoint.startswith(wanted.address)]
    if len(strange) == len(ours):
        return fail(
            f"comes to {_shown(strange[0])}, not to PUBLIC_URL ({wanted.public_url})",
            f"{_ADD}: the address begins with {wanted.public_url}, and delete the old one; or correct PUBLIC_URL.",
        )
    return ok(f"comes to {wanted.address}…")


def _actions(seen: EventbritePicture) -> Outcome:
    def judge(ours: Sequence[Webhook]) -> Outcome:
        subscribed = frozenset().union(*(hook.actions for hook in ours))
        missing = [action for action in needed_actions(seen.wanted) if action not in subscribed]
        advice = f"In Eventbrite: Account Settings > Developer Links > Webhooks: let it send {_listed(missing)}, too."
        if missing == [CANCELS]:
            return warn(f"lacks {CANCELS}: whoever gives a ticket back is reminded all the same", advice)
        if missing:
            return fail(f"lacks {_listed(missing)}, which the relay takes for registrations", advice)
        return ok(_listed(needed_actions(seen.wanted)))

    return _of_ours(seen, judge)


def _scope(seen: EventbritePicture) -> Outcome:
    def judge(ours: Sequence[Webhook]) -> Outcome:
        if all(hook.event_id for hook in ours):
            events = _listed([hook.event_id or "" for hook in ours])
            return warn(f"is for the event {events} only: other webinars are not heard of", f"{_ADD}, for all events.")
        return ok("is for all events")

    return _of_ours(seen, judge)


def _of_ours(seen: EventbritePicture, judge: Callable[[Sequence[Webhook]], Outcome]) -> Outcome:
    if isinstance(seen.webhooks, Refusal):
        return _NOT_LOOKED
    ours = seen.ours()
    return judge(ours) if ours else unknown("there is no webhook to look at")


def needed_actions(wanted: WantedWebhook) -> list[str]:
    """Return the actions that a webhook must send: those that register, and the one that cancels."""
    return list(dict.fromkeys([*wanted.actions, CANCELS]))


def _payload_url(wanted: WantedWebhook) -> str:
    return f"{wanted.address}<your EVENTBRITE_WEBHOOK_TOKEN>"


def _secret_of(hook: Webhook) -> str:
    path = urlsplit(hook.endpoint).path.rstrip("/")
    return path.rpartition("/")[2] if PATH in path else ""


def _shown(hook: Webhook) -> str:
    """Return a subscription's address without the secret."""
    parts = urlsplit(hook.endpoint)
    return f"{parts.scheme}://{parts.hostname or ''}{PATH}…"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)


_NOT_LOOKED = unknown("could not be looked at: Eventbrite did not let the relay in, or did not answer")

CHECKS = (
    Check("eventbrite_token", "Private token", _token),
    Check("eventbrite_organization", "Organization", _organization),
    Check("eventbrite_webhook", "Webhook", _webhook),
    Check("eventbrite_actions", "Actions of the webhook", _actions),
    Check("eventbrite_scope", "Events of the webhook", _scope),
)
