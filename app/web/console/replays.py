"""Replay with a preview: what it would come to, a button that does it, and how far it is."""

import secrets
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.responses import RedirectResponse, Response

from app.store.replays import Replay, Selection
from app.web.care import PreviewOut, ReplayBody, begin
from app.web.console import words
from app.web.console.guard import NO_SUCH_THING, known_id, page_router, read_signed_form
from app.web.console.pages import page
from app.web.console.parts import ConsoleParts
from app.web.problems import Problem, Refused

BY = "the console"
_NARROWS = ("cause", "source", "webinar")
BAD_REPLAY = Problem(
    422,
    "bad_replay",
    "Begin on the page of a registration or webhook, at Dead letters, or at Webinars. A name has at most "
    "80 characters, a reason 500.",
)
LEFT_OUT = {
    "underWay": "on their way anyway",
    "cancelled": "cancelled",
    "notDead": "not dead any more",
    "purged": "blanked after the retention time: nothing is left to read again",
}
BECAME = {
    "webhooks": "webhooks are read again",
    "again": "registrations are on their way again",
    "stillDead": "cannot be sent still",
    "ignored": "need no reminder",
    "notSentAgain": "cannot be sent a second time: their timelines say why",
    "alreadySent": "got an e-mail already and are left out",
    "changed": "changed meanwhile and are left out",
} | LEFT_OUT
STATES: Mapping[str, tuple[words.Tone, str]] = {
    "running": ("busy", "It is being done."),
    "done": ("good", "It is done."),
    "stopped": ("idle", "It was stopped. What was taken up before goes on."),
}


def replays_router(console: ConsoleParts) -> APIRouter:
    router = page_router()
    care = console.care

    def found(replay: Replay | None) -> Replay:
        if replay is None:
            raise Refused(NO_SUCH_THING)
        return replay

    @router.get("/replay")
    async def preview(request: Request) -> Response:
        body = chosen(request.query_params)
        foreseen = PreviewOut.model_validate(await care.replaying.preview(body.asked()))
        if body.ids and not foreseen.total:
            raise Refused(NO_SUCH_THING)
        return page(
            request,
            "replay_preview.html",
            told=foreseen,
            chosen=_chooses(body),
            subject=subject(body.asked().selection),
            back=back(body.asked().selection),
            left_out=LEFT_OUT,
            key=secrets.token_urlsafe(),
        )

    @router.post("/replay")
    async def confirmed(request: Request) -> Response:
        form = await read_signed_form(request, request.state.session)
        begun = await begin(care, chosen(form).asked())
        return RedirectResponse(f"/console/replays/{begun.id}", 303)

    @router.get("/replays/{replay_id}")
    async def progress(request: Request, replay_id: str) -> Response:
        replay = found(await care.replays.replay(known_id(replay_id)))
        return page(
            request,
            "replay.html",
            replay=replay,
            state=STATES[replay.state],
            subject=subject(replay.asked.selection),
            back=back(replay.asked.selection),
            became=[(BECAME.get(name, name), number) for name, number in replay.counts.items()],
        )

    @router.post("/replays/{replay_id}/stop")
    async def stop(request: Request, replay_id: str) -> Response:
        await read_signed_form(request, request.state.session)
        stopped = found(await care.replaying.stop(known_id(replay_id)))
        return RedirectResponse(f"/console/replays/{stopped.id}", 303)

    return router


def chosen(given: Mapping[str, str]) -> ReplayBody:
    """Return what a link or form of ours asks for: one thing by its `id`, or all dead ones that fit.

    With `sent`, all of a webinar who were sent their reminder.

    Raises:
        Refused: it is neither, or what was typed is too long.
    """
    by, why = (" ".join(given.get(name, "").split()) for name in ("by", "why"))
    asked: dict[str, Any] = {name: text for name in _NARROWS if (text := given.get(name, "").strip())}
    asked |= {"ids": [given["id"]] if given.get("id") else [], "by": by or BY, "why": why, "key": given.get("key")}
    try:
        return ReplayBody(**asked, resend="resend" in given, sent="sent" in given)
    except ValidationError:
        raise Refused(BAD_REPLAY) from None


def _chooses(body: ReplayBody) -> Mapping[str, str]:
    if body.ids:
        return {"id": body.ids[0]}
    narrowed = {name: str(text) for name in _NARROWS if (text := getattr(body, name))}
    return narrowed | ({"sent": "on"} if body.sent else {})


def subject(selection: Selection) -> str:
    """Say in words what is replayed."""
    if selection.ids:
        many = len(selection.ids)
        what = "webhook" if selection.ids[0].startswith("evt_") else "registration"
        return f"one {what}" if many == 1 else f"{many:,} registrations and webhooks"
    who = "everybody who was sent a reminder" if selection.sent else "all that could not be sent"
    parts = [who]
    if selection.cause:
        parts.append(f"for this cause: {words.cause_name(selection.cause).lower()}")
    if selection.source:
        parts.append(f"from {words.source_name(selection.source)}")
    if selection.webinar_id:
        parts.append(f"of webinar {selection.webinar_id}")
    return " ".join(parts)


def back(selection: Selection) -> tuple[str, str]:
    """Return the page that what is replayed stands on, and its name."""
    if selection.webinar_id:
        return "/console/webinars", "Webinars"
    if len(selection.ids) != 1:
        return "/console/dead-letters", "Dead letters"
    (one,) = selection.ids
    if one.startswith("evt_"):
        return f"/console/events/{one}", "The webhook"
    return f"/console/registrations/{one}", "The registration"
