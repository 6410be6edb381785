"""Say in one sentence whether everything is fine, and if not, what is not. No I/O."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain import campaign_name
from app.store.tallies import Now, Pausing, Tally
from app.web.console.words import Tone, source_name

SILENT_AFTER = timedelta(days=3)
WAITS_LONG = timedelta(minutes=10)
_NO_NAMES: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing that is not as it should be, and the page that says more."""

    tone: Tone
    text: str
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """How things stand: the worst tone, a sentence, and the remarks behind it."""

    tone: Tone
    sentence: str
    remarks: Sequence[Remark]


def health(now: Now, at: datetime, *, over: str, wrong: int = 0, campaigns: Mapping[str, str] = _NO_NAMES) -> Health:
    """Return how things stand. `over` names the stretch of time that was counted, as in 'in the last 24 hours'.

    `wrong` counts what the last check of the set-up found wrong: Marketo may take every request, and send nothing.
    `campaigns` are names by numbers.
    """
    paused = [_paused(pause, campaigns) for pause in now.pauses]
    remarks = [*paused, *_remarks(now, at, over), *_of_setup(wrong)]
    if any(remark.tone == "bad" for remark in remarks):
        return Health("bad", "Something needs a person.", remarks)
    if remarks:
        return Health("busy", "It works, but look at this.", remarks)
    return Health("good", _fine(now, over), [])


def _fine(now: Now, over: str) -> str:
    registered = sum(tally.registered for tally in now.tallies)
    if not registered:
        return f"Everything is fine. Nobody registered {over}."
    people = "1 registration" if registered == 1 else f"{registered:,} registrations"
    waiting = now.backlog.registrations + now.backlog.webhooks
    return f"Everything is fine: {people} {over}, {f'{waiting:,} on their way' if waiting else 'none waits'}."


def _remarks(now: Now, at: datetime, over: str) -> Iterator[Remark]:
    dead = sum(tally.of("dead") for tally in now.tallies)
    unread = sum(tally.unread for tally in now.tallies)
    if dead:
        what = "1 reminder" if dead == 1 else f"{dead:,} reminders"
        yield Remark("bad", f"{what} could not be sent {over}.", "/console/dead-letters")
    if unread:
        what = "1 webhook" if unread == 1 else f"{unread:,} webhooks"
        yield Remark("bad", f"{what} could not be used {over}.", "/console/events?state=dead")
    if now.backlog.oldest and at - now.backlog.oldest > WAITS_LONG and not now.pauses:
        yield Remark(
            "busy",
            f"Something has been waiting for {span(at - now.backlog.oldest)}.",
            "/console/registrations?state=waiting" if now.backlog.registrations else "/console/events?state=waiting",
        )
    yield from (remark for tally in now.tallies if (remark := _silent(tally, at)))


def _of_setup(wrong: int) -> list[Remark]:
    what = "1 thing is" if wrong == 1 else f"{wrong} things are"
    return [Remark("bad", f"{what} wrong with the set-up, at its last check.", "/console/set-up")] if wrong else []


def _paused(pause: Pausing, campaigns: Mapping[str, str]) -> Remark:
    number = pause.scope.rpartition(":")[2]
    what = "Marketo" if pause.scope == "marketo" else f"Campaign {campaign_name(number, campaigns)}"
    until = f"{pause.until:%-d %b, %H:%M:%S} UTC"
    return Remark("busy" if pause.is_routine else "bad", f"{what} is paused until {until}. {pause.reason}")


def _silent(tally: Tally, at: datetime) -> Remark | None:
    if tally.last_at is None or at - tally.last_at < SILENT_AFTER:
        return None
    return Remark(
        "busy", f"{source_name(tally.source)} has been silent for {span(at - tally.last_at)}.", "/console/sources"
    )


def span(length: timedelta) -> str:
    """Return a length of time as people say it: its largest whole unit."""
    seconds = max(0, int(length.total_seconds()))
    for unit, size in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if n := seconds // size:
            return f"{n} {unit}{'s' if n > 1 else ''}"
    return f"{seconds} second{'s' if seconds != 1 else ''}"
