"""Say what needs a person, from what the leader sees. No I/O; no person's data: pauses are told by their codes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from app.domain import ADVICE, Cause, campaign_name
from app.marketo.codes import Consequence, Endpoint, meaning_of_call
from app.store.calls import Pause
from app.store.census import Census

# What these checks look at holds the dispatcher up, and is told by its pauses and the day.
_TOLD_OTHERWISE = frozenset({"marketo_network", "marketo_credentials", "marketo_allow_list", "daily_calls"})
_LONGEST_NAME = 80
_LASTS = timedelta(minutes=10)  # an outage of Marketo that is over by then needs nobody


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From when on silence, and how many dead, need a person."""

    silent_after: timedelta = timedelta(days=3)
    dead: int = 10


def troubles(
    pauses: Sequence[Pause],
    day: str | None,
    census: Census,
    now: datetime,
    thresholds: Thresholds,
    *,
    campaigns: Mapping[str, str],
) -> dict[str, str]:
    """Return what needs a person as sentences, by a name that stays the same while the trouble lasts.

    `day` says why not everything is sent today, None while everything is; `campaigns` are names by numbers.
    """
    found = dict(filter(None, (_of_pause(pause, now, campaigns) for pause in pauses)))
    if day:
        found["day"] = f"Marketo's calls of the day are near their end. {day}"
    found.update(_silent(census.last_webhooks, now, thresholds.silent_after))
    if (dead := sum(census.dead.values())) >= thresholds.dead:
        found["dead"] = f"{dead} dead letters need a person. {_commonest(census.dead)}"
    return found


@dataclass(frozen=True, slots=True)
class SetupTroubles:
    """What the last check of the set-up found wrong, by its name, and the names of what could not be looked at.

    `campaigns` is what the campaigns are called, by their numbers.
    """

    wrong: Mapping[str, str]
    unseen: frozenset[str] = frozenset()
    campaigns: Mapping[str, str] = field(default_factory=dict)


def setup_troubles(report: Mapping[str, Any] | None) -> SetupTroubles:
    """Return what a report says of the set-up: an inactive campaign takes every request, and sends nothing."""
    findings = [one for one in report["findings"] if one["check"] not in _TOLD_OTHERWISE] if report else []
    wrong = {_name(one): _sentence(one) for one in findings if one["verdict"] == "fail"}
    unseen = frozenset(_name(one) for one in findings if one["verdict"] == "unknown")
    return SetupTroubles(wrong, unseen, report.get("campaigns", {}) if report else {})


def _name(finding: Mapping[str, Any]) -> str:
    return f"setup:{finding['check']}:{finding['subject'] or ''}"[:_LONGEST_NAME]


def _sentence(finding: Mapping[str, Any]) -> str:
    return f"{finding['section']}, {finding['title']}: {finding['found']}. {finding['advice'] or ''}".strip()


def _of_pause(pause: Pause, now: datetime, campaigns: Mapping[str, str]) -> tuple[str, str] | None:
    meanings = [meaning_of_call(endpoint, pause.code) for endpoint in (Endpoint.TRIGGER, Endpoint.IDENTITY)]
    meaning = next((one for one in meanings if one.alert), meanings[0])
    if meaning.consequence in (Consequence.RATE, Consequence.CONCURRENCY, Consequence.QUOTA):
        return None  # these end by themselves; the day's quota is told by `day`
    if not meaning.alert and now - pause.since < _LASTS:
        return None
    campaign = campaign_name(pause.scope.removeprefix("campaign:"), campaigns)
    where = "to Marketo" if pause.scope == "marketo" else f"for the campaign {campaign}"
    return (
        f"paused:{pause.scope}:{pause.code}",
        f"Nothing is sent {where} since {pause.since:%-d %b %H:%M} UTC ({pause.code}). {meaning.advice}",
    )


def _silent(heard: Mapping[str, datetime], now: datetime, after: timedelta) -> Iterator[tuple[str, str]]:
    for source, at in heard.items():
        if now - at >= after:
            said = f"No webhook of {source} since {at:%-d %b %H:%M} UTC. Send a test there, or run relay doctor."
            yield f"silent:{source}", said


def _commonest(dead: Mapping[str, int]) -> str:
    cause = max(dead, key=lambda one: dead[one])
    advice = ADVICE[Cause(cause)] if cause in set(Cause) else ""
    return f"Most often: {cause}. {advice}".strip()
