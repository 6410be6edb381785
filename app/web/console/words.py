"""Say in words what became of a registration. No I/O: views in, sentences out."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol

from app.domain import ADVICE, FINAL_STATES, OPEN_STATES, Cause, EventState, RegistrationState, campaign_name
from app.store.tallies import Pausing
from app.store.views import CallView, EventView, RegistrationView, TimelineEntry

Tone = Literal["good", "busy", "bad", "idle"]

SOURCES = {"eventbrite": "Eventbrite", "pendo": "Pendo", "custom": "Own app"}
STATES: Mapping[str, tuple[str, frozenset[RegistrationState]]] = {
    "waiting": ("Waiting", frozenset(OPEN_STATES)),
    "sent": ("Sent", frozenset({RegistrationState.SENT})),
    "dead": ("Not sent", frozenset({RegistrationState.DEAD})),
    "cancelled": ("Cancelled", frozenset({RegistrationState.CANCELLED})),
    "ignored": ("Ignored", frozenset({RegistrationState.IGNORED})),
}
_STATE_WORDS: Mapping[str, tuple[str, Tone]] = {
    RegistrationState.NEW: ("Waiting", "busy"),
    RegistrationState.KNOWN: ("Waiting", "busy"),
    RegistrationState.SENDING: ("Sending", "busy"),
    RegistrationState.SENT: ("Sent", "good"),
    RegistrationState.DEAD: ("Not sent", "bad"),
    RegistrationState.CANCELLED: ("Cancelled", "idle"),
    RegistrationState.IGNORED: ("Ignored", "idle"),
    EventState.WAITING: ("Waiting", "busy"),
    EventState.MAPPED: ("Read", "good"),
}
HEADINGS = {
    "registered": "Registered",
    "repeated": "Registered again",
    "updated": "Changed",
    "reopened": "Taken up again",
    "replayed": "Replayed",
    "not sent again": "Not sent again",
    "kept": "Kept",
    "cancelled": "Cancelled",
    "cancelled late": "Cancelled too late",
    "person found": "Person found in Marketo",
    "several people": "Several people in Marketo",
    "person gone": "Person no longer in Marketo",
    "waiting": "Has to wait",
    "answer lost": "Marketo's answer was lost",
    "sent": "Handed to Marketo",
    "dead": "Not sent",
    "ignored": "Ignored",
}
_TONES: Mapping[str, Tone] = {
    "sent": "good",
    "dead": "bad",
    "not sent again": "bad",
    "answer lost": "bad",
    "waiting": "busy",
    "several people": "busy",
    "person gone": "busy",
}
_REPLAYS: Mapping[str, str] = {
    RegistrationState.DEAD: "Replay",
    RegistrationState.IGNORED: "Replay",
    RegistrationState.SENT: "Send again",
}
_REPLAY_NAMED = re.compile(r"(?P<said>Replayed by .*?) \((?P<id>rpl_[0-9a-z]+)\)\.(?P<rest>.*)", re.DOTALL)
_CAMPAIGN = re.compile(r"(?<=campaign )\d+(?=, request)")
_WAS_DEAD = re.compile(r"(?<=It was dead: )\w+(?=\.)")
_CALLS = {
    "upsert": "Create or update people",
    "lookup": "Look people up",
    "trigger": "Request the campaign",
}
ONLY_LOOKS = "You signed in with a token that only looks. Sign out, and in again with the ADMIN_TOKEN."
_GOES_ON = "Nothing: the relay goes on by itself, and nobody has to register again."
_GOES_ON_ONCE_MENDED = (
    "Somebody must mend this, unless it passes soon: Set-up says what is wrong. The relay tries again by itself, and "
    "nobody has to register again."
)
_AFTER_SENT = (
    "Marketo has the request and sends the e-mail itself. If it did not arrive, open the person in Marketo and look at "
    "the Activity Log: no 'Send Email' there means that the campaign's smart list, its qualification rule or an "
    "unsubscribe left this person out."
)


class Doubt(Protocol):
    """What is wrong or doubtful with a campaign: Marketo takes its requests all the same, and may send nothing."""

    @property
    def title(self) -> str: ...

    @property
    def verdict(self) -> str: ...

    @property
    def found(self) -> str: ...

    @property
    def advice(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to 'why did no reminder come?': what is so, what was found, what to do."""

    tone: Tone
    headline: str
    reason: str | None
    to_do: str | None
    doubts: Sequence[Doubt] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a timeline."""

    at: datetime
    heading: str
    detail: str
    tone: Tone
    event_id: str | None = None
    call_id: str | None = None
    replay_id: str | None = None


def source_name(source: str) -> str:
    """Return a source as people call it."""
    return SOURCES.get(source, source.replace("-", " ").replace("_", " ").capitalize())


def state_word(state: str) -> str:
    return _STATE_WORDS.get(state, (state.capitalize(), "idle"))[0]


def end_word(view: RegistrationView) -> str:
    """Return a registration's state as people call it: who may have been mailed is not 'not sent'."""
    return "Not known" if is_unknown(view) else state_word(view.state)


def is_unknown(view: RegistrationView) -> bool:
    """Tell whether nobody knows if a reminder was sent: the answer to the campaign request was lost."""
    is_lost = view.lost_at is not None or view.cause == Cause.ANSWER_LOST
    return view.state is RegistrationState.DEAD and is_lost and view.sent_at is None


def webhook_word(state: str) -> str:
    """Return a webhook's state as people call it: nothing is sent of it, it is read or not."""
    return "Not usable" if state == EventState.DEAD else state_word(state)


def state_tone(state: str) -> Tone:
    return _STATE_WORDS.get(state, ("", "bad" if state == "dead" else "idle"))[1]


def call_name(kind: str) -> str:
    return _CALLS.get(kind, kind.capitalize())


def advice(cause: str | None) -> str | None:
    """Return the sentence of what to do about a cause."""
    return ADVICE.get(Cause(cause)) if cause in set(Cause) else None


def moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%-d %b %Y, %H:%M:%S}"


def name_of(view: RegistrationView) -> str:
    """Return whom a registration is about, as well as it is known."""
    full = f"{view.first_name or ''} {view.last_name or ''}".strip()
    return full or view.email or (f"Person {view.lead_id}" if view.lead_id else _nobody(view))


def _nobody(view: RegistrationView) -> str:
    return "Somebody whose data was removed" if is_purged(view) else "Somebody without an address"


def verdict(
    view: RegistrationView, pauses: Iterable[Pausing], *, day: str | None = None, doubts: Sequence[Doubt] = ()
) -> Verdict:
    """Say what became of a registration, as somebody from marketing asks it.

    `day` says why not everything is sent today; `doubts` are of its campaign, as the last check of the set-up saw it.
    """
    match view.state:
        case RegistrationState.SENT:
            return _sent(view, doubts)
        case RegistrationState.SENDING:
            return Verdict("busy", "The reminder is being handed to Marketo right now.", None, None)
        case RegistrationState.NEW | RegistrationState.KNOWN:
            return _waiting(view, pauses, day)
        case RegistrationState.DEAD:
            return Verdict("bad", _not_sent(view), view.detail, advice(view.cause))
        case RegistrationState.CANCELLED:
            return Verdict("idle", "No reminder: the registration was cancelled.", view.detail, advice(view.cause))
    return Verdict("idle", "No reminder: there was no need for one.", view.detail, advice(view.cause))


def _sent(view: RegistrationView, doubts: Sequence[Doubt]) -> Verdict:
    handed = f"The reminder was handed to Marketo: {moment(view.sent_at) if view.sent_at else 'earlier'} UTC."
    if any(doubt.verdict == "fail" for doubt in doubts):
        return Verdict("bad", f"{handed} But Marketo may have sent nothing.", None, None, doubts)
    return Verdict("good", handed, None, _AFTER_SENT, doubts)


def _not_sent(view: RegistrationView) -> str:
    if view.sent_at:
        return f"No second reminder was sent. The first was handed to Marketo: {moment(view.sent_at)} UTC."
    if is_unknown(view):
        return "Whether a reminder was sent is not known."
    return "No reminder was sent."


def _waiting(view: RegistrationView, pauses: Iterable[Pausing], day: str | None) -> Verdict:
    next_is = (
        "its person is looked for in Marketo" if view.state is RegistrationState.NEW else "the campaign is requested"
    )
    if held := held_by(pauses, view.campaign_id):
        return held
    if day:
        return Verdict("busy", "The reminder waits: the day's calls to Marketo run short.", day, _GOES_ON)
    return Verdict("busy", f"The reminder waits; next, {next_is}.", view.detail, None)


def held_by(pauses: Iterable[Pausing], campaign_id: int) -> Verdict | None:
    """Say until when a campaign's registrations wait, and why; None when they do not wait for a pause."""
    held = [pause for pause in pauses if pause.scope in ("marketo", f"campaign:{campaign_id}")]
    if not held:
        return None
    until = moment(max(pause.until for pause in held))
    reason, routine = " ".join(pause.reason for pause in held), all(pause.is_routine for pause in held)
    headline = f"The reminder waits until {until} UTC: Marketo is paused."
    return Verdict("busy" if routine else "bad", headline, reason, _GOES_ON if routine else _GOES_ON_ONCE_MENDED)


def is_purged(view: RegistrationView) -> bool:
    """Tell whether the retention time took what was known of the person."""
    return view.state in FINAL_STATES and not (view.email or view.lead_id or view.tokens)


def replay_label(view: RegistrationView) -> str | None:
    """Return what a replay of it is called; None where there is nothing to replay."""
    return None if is_purged(view) else _REPLAYS.get(view.state)


def cause_name(cause: str) -> str:
    return cause.replace("_", " ").capitalize()


def with_names(detail: str, campaigns: Mapping[str, str]) -> str:
    """Return a timeline's sentence with the campaign that it speaks of as people call it."""
    return _CAMPAIGN.sub(lambda number: campaign_name(number[0], campaigns), detail, count=1)


def steps(view: RegistrationView, events: Iterable[EventView], campaigns: Mapping[str, str]) -> list[Step]:
    """Return the timeline from the webhook to the campaign, oldest first. `campaigns` are names by numbers."""
    came = {event.id: _came(event) for event in events}
    told = [_step(entry, view, campaigns, is_linked=entry.event_id in came) for entry in view.timeline]
    return sorted([*came.values(), *told], key=lambda step: step.at)


def _came(event: EventView) -> Step:
    sender = "your own app" if event.source == "custom" else source_name(event.source)
    return Step(event.received_at, f"Webhook from {sender}", "Stored before it was answered.", "idle", event.id)


def _step(entry: TimelineEntry, view: RegistrationView, campaigns: Mapping[str, str], *, is_linked: bool) -> Step:
    heading, tone = HEADINGS.get(entry.what, entry.what.capitalize()), _TONES.get(entry.what, "idle")
    detail, replay_id = _said(entry)
    detail = with_names(detail, campaigns)
    return Step(entry.at, heading, detail, tone, None if is_linked else entry.event_id, entry.call_id, replay_id)


def replays_of(event: EventView) -> list[Step]:
    """Return the replays of a webhook, oldest first."""
    said = [(entry, *_said(entry)) for entry in event.timeline]
    return [Step(entry.at, "Replayed", detail, "idle", replay_id=id_) for entry, detail, id_ in said]


def _said(entry: TimelineEntry) -> tuple[str, str | None]:
    """Return an entry's sentence and the replay that it names; the id is a link, not a word."""
    named = _REPLAY_NAMED.fullmatch(entry.detail) if entry.what == "replayed" else None
    if named is None:
        return entry.detail, None
    rest = _WAS_DEAD.sub(lambda cause: cause_name(cause[0]).lower(), named["rest"])
    return f"{named['said']}.{rest}", named["id"]


def call_outcome(call: CallView) -> tuple[str, Tone]:
    """Say how a request to Marketo ended."""
    match call.outcome:
        case None:
            return "No answer yet", "busy"
        case "done":
            return "Marketo did it", "good"
        case "lost":
            return "The answer was lost", "bad"
    return "Marketo refused it", "bad"
