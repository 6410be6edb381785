"""`relay replay`: show what it would come to; with --yes, ask for it and follow it to its end."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from app.care.at_hand import AtHand
from app.errors import AskedInVain, RelayError, Unclear

Say = Callable[[str], None]
_LOOK_EVERY = 0.5  # seconds
_IDLE = 20  # looks without progress, before it is asked whether anybody leads
_WORDS = {
    "webhooks": "webhooks put back to be read",
    "again": "registrations on their way again",
    "stillDead": "dead again",
    "ignored": "ignored now",
    "notSentAgain": "not sent a second time",
    "alreadySent": "already got one",
    "underWay": "on their way anyway",
    "cancelled": "cancelled",
    "notDead": "not dead any more",
    "purged": "blanked after the retention time: nothing is left to read again",
    "unknown": "not known here",
    "changed": "changed meanwhile",
}


async def replay(at_hand: AtHand, body: Mapping[str, Any], *, yes: bool, as_json: bool, say: Say, note: Say) -> bool:
    """Preview, or do it and tell whether nobody died again. `say` tells what was asked for, `note` the progress."""
    answer = await (_begun(at_hand, {**body, "confirm": True}, note) if yes else at_hand.replay(body))
    if unknown := answer.get("unknown"):
        note(f"Nothing here has these ids: {', '.join(unknown)}. Look whether each is whole.")
    if not yes:
        say(json.dumps(answer["preview"], indent=2, ensure_ascii=False) if as_json else preview_in_words(answer))
        return True
    return await follow(at_hand, answer["replay"], as_json=as_json, say=say, note=note)


async def _begun(at_hand: AtHand, body: Mapping[str, Any], note: Say) -> Mapping[str, Any]:
    """Ask for it, and once more where the answer got lost: the key in the body begins it once."""
    try:
        return await at_hand.replay(body)
    except Unclear as problem:
        note(f"{problem}\nIt is asked for once more; it begins once.")
    try:
        return await at_hand.replay(body)
    except AskedInVain as problem:
        again = f"It may have begun all the same: repeat the command with --key {body['key']}, and it begins once."
        raise _with(problem, again) from problem


def _with(problem: RelayError, more: str) -> AskedInVain:
    return AskedInVain(str(problem), remedy="\n".join(filter(None, (problem.remedy, more))))


async def follow(at_hand: AtHand, begun: Mapping[str, Any], *, as_json: bool, say: Say, note: Say) -> bool:
    """Tell how far a replay is until its end, or at once where nobody does it now; and whether nobody died again."""
    try:
        now = await _ended(at_hand, begun, note)
    except RelayError as problem:
        later = f"The replay goes on by itself while a relay leads. `relay replay --follow {begun['id']}` looks again."
        raise _with(problem, later) from problem
    say(json.dumps(now, indent=2, ensure_ascii=False) if as_json else replay_in_words(now))
    return not now["stillDead"]


async def _ended(at_hand: AtHand, begun: Mapping[str, Any], note: Say) -> Mapping[str, Any]:
    told, idle, now = -1, _IDLE, begun
    while now["state"] == "running" and (idle < _IDLE or await at_hand.has_leader()):
        idle = idle % _IDLE + 1
        if now["done"] != told:
            told, idle = now["done"], 0
            note(f"{now['id']}: {told} of {now['total']}")
        await asyncio.sleep(_LOOK_EVERY)
        now = await at_hand.progress(now["id"])
    return now


def preview_in_words(answer: Mapping[str, Any]) -> str:
    told = answer["preview"]
    second = "--resend: whoever had one gets a second" if told["resend"] else ""
    lines = [
        _fitting(told["total"]),
        _line("webhooks to read again", told["webhooks"], _fetched(told["toFetch"])),
        _line("registrations to map again", told["registrations"]),
        _line("e-mails", told["wouldSend"], _names(told["wouldSendTo"], told["wouldSend"], second)),
        *_had_one(told),
        _line("still cannot be sent", sum(told["stillDead"].values()), _counts(told["stillDead"])),
        _line("left out otherwise", sum(told["leftOut"].values()), _counts(told["leftOut"])),
        _line("calls to Marketo, at most", told["calls"]),
        "Nothing was done. --yes does it." if told["webhooks"] + told["registrations"] else "There is nothing to do.",
    ]
    return "\n".join(lines)


def _fitting(total: int) -> str:
    return "1 webhook or registration fits." if total == 1 else f"{total} webhooks and registrations fit."


def replay_in_words(now: Mapping[str, Any]) -> str:
    lines = [_line(_WORDS.get(name, name), number) for name, number in now["counts"].items()]
    head = f"{now['id']}: {now['state']}, {now['done']} of {now['total']}."
    if now["state"] == "running":
        lines.append("No relay leads at the moment. The next one that starts does it.")
    if now["stillDead"]:
        lines.append(f"    {_counts(now['stillDead'])}: /api/dead, or Dead letters at the console, says what to do.")
        lines.append("    A relay has the settings with which it started: mend them, restart it, and replay again.")
    return "\n".join([head, *lines])


def _had_one(told: Mapping[str, Any]) -> Iterator[str]:
    """Say who is left out for an e-mail that went out or may have, and what would change that."""
    count = told["alreadySent"]
    yield _line("left out: had one, or may have", count, _names(told["alreadySentTo"], count))
    if count and not told["resend"]:
        these = "this one" if count == 1 else f"these {count}"
        yield f"    --resend mails {these}, too: a second time, to whoever had one."
        yield "    Who is dead for answer_lost may have: Marketo's activity log of the person says whether it went out."


def _line(what: str, number: int, more: str = "") -> str:
    return f"  {what:<34}{number:>8}  {more}".rstrip()


def _fetched(count: int) -> str:
    return f"{count} are fetched from their source first: whom they mean is known only then" if count else ""


def _names(first: list[str], count: int, also: str = "") -> str:
    rest = [f"and {count - len(first)} more"] if count > len(first) else []
    listed = ", ".join([*first, *rest])
    return f"{listed} ({also})" if listed and also else listed


def _counts(by_name: Mapping[str, int]) -> str:
    return ", ".join(f"{_WORDS.get(name, name)} {number}" for name, number in by_name.items())
