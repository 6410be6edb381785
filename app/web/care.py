"""The admin API's hand: what needs a person, and how it is taken up again. Nothing is done before it was shown."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Self

import structlog
from fastapi import APIRouter, Body, Query
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, model_validator
from pydantic.alias_generators import to_camel
from starlette.responses import JSONResponse, Response

from app.domain import DEADLY, Cause, fields_at_fault
from app.errors import FieldProblem, ReplayRefused, StoreUnavailable
from app.store.dead import DeadFilter, DeadLetter, DeadPage
from app.store.replays import Asked, Replay, Selection
from app.web.admin import Id, gated_router
from app.web.answers import Out, ProblemOut, WithCause, advice_on
from app.web.care_parts import CareParts
from app.web.cursors import PRINTABLE, Paged, Word
from app.web.parts import WebParts
from app.web.problems import NO_SUCH_ID, UNSTORED, Problem, Refused

_MOST_IDS = 1000  # in one request
_NAMED = 20  # replays that a list has
NOT_KNOWN_TO_HAVE_BEGUN = replace(
    UNSTORED,
    detail="It is not known whether it has begun. With the same key, send it again: it begins once. Without a key, "
    "look at /api/replays first.",
)
Name = Annotated[Word, Field(min_length=1)]
Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Why = Annotated[str, Field(max_length=500, pattern=PRINTABLE)]
Who = Annotated[str, Field(max_length=80, pattern=PRINTABLE), AfterValidator(str.strip)]
_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("app.web")
_SAY_WHICH = "say which: ids alone; or one or several of cause, source and webinar; or all alone"
_ID = r"(reg|evt)_[0-9a-z]{1,36}"


def _checked_id(text: str) -> str:
    if re.fullmatch(_ID, text) is None:
        raise ValueError("must be an id that begins with reg_ or evt_, as lists and pages show it")
    return text


ReplayedId = Annotated[str, AfterValidator(_checked_id), Field(json_schema_extra={"pattern": f"^{_ID}$"})]


def _deadly(value: object) -> object:
    if value not in DEADLY:
        raise ValueError(f"must be one of {', '.join(DEADLY)}")
    return value


DeadlyCause = Annotated[Cause, BeforeValidator(_deadly)]


class DeadQuery(Paged):
    """Which dead letters to list."""

    cause: DeadlyCause | None = None
    source: Word | None = None
    webinar: Word | None = Field(None, description="The source's own id of the webinar.")

    def filter(self) -> DeadFilter:
        return DeadFilter(self.cause, self.source, self.webinar)


class ReplayBody(BaseModel):
    """What to replay. Without `confirm` nothing is done, and the answer says what it would come to."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)

    ids: list[ReplayedId] = Field([], max_length=_MOST_IDS, description="reg_… or evt_…")
    cause: DeadlyCause | None = Field(None, description="All that are dead for this cause.")
    source: Name | None = Field(None, description="All dead ones of this source.")
    webinar: Name | None = Field(None, description="All dead ones of this webinar, by the source's own id.")
    all: StrictBool = Field(False, description="All that are dead.")
    sent: StrictBool = Field(False, description="With webinar and resend: those that were sent, instead of dead ones.")
    resend: StrictBool = Field(False, description="Mail those too who got an e-mail already, or may have.")
    confirm: StrictBool = Field(False, description="Do it.")
    by: Who = Field("the admin API", description="Who asks.")
    why: Why = Field("", description="It stands in each timeline.")
    key: Key | None = Field(
        None, description="Your own for this replay: sent again with it, none is begun, and the first one is answered."
    )

    def names_nothing(self, unknown: Collection[str]) -> bool:
        """Tell whether ids are given, and these, which nothing has, are all of them."""
        return bool(unknown) and len(unknown) == len(set(self.ids))

    @model_validator(mode="after")
    def _is_told_what(self) -> Self:
        narrowed = any((self.cause, self.source, self.webinar))
        if self.sent and not self.webinar:
            raise ValueError("sent needs a webinar, whose registrations that were sent are meant")
        if sum((bool(self.ids), narrowed, self.all)) != 1:
            raise ValueError(_SAY_WHICH)
        return self

    def asked(self) -> Asked:
        selection = Selection(self.ids, self.cause, self.source, self.webinar, self.sent)
        return Asked(selection, self.by or "the admin API", self.why, self.resend, self.key)


class CauseOut(Out):
    """How many are dead for one cause, and what to do about it."""

    cause: str
    registrations: int
    events: int
    advice: str | None
    fields: Sequence[str] = Field(description="What to mend, as a custom body names it.")


class DeadLetterOut(WithCause):
    """One that needs a person: a registration (`reg_…`), or a webhook of which none could be made (`evt_…`)."""

    id: str
    source: str
    fields: Sequence[str] = Field(description="What to mend, as a custom body names it.")
    webinar_id: str | None
    email: str | None
    lead_id: int | None
    died_at: datetime

    @classmethod
    def of(cls, letter: DeadLetter) -> Self:
        seen = {name: getattr(letter, name) for name in cls.model_fields if name != "fields"}
        return cls(**seen, fields=_fields(letter.cause, letter.detail))


class DeadLettersOut(Out):
    """All causes with their counts, and a page of what the filter wants: registrations first, each newest first."""

    causes: Sequence[CauseOut]
    items: Sequence[DeadLetterOut]
    next_cursor: str | None

    @classmethod
    def of(cls, page: DeadPage) -> Self:
        causes = [
            CauseOut(
                cause=one.cause,
                registrations=one.registrations,
                events=one.events,
                advice=advice_on(one.cause),
                fields=_fields(one.cause, None),
            )
            for one in page.causes
        ]
        return cls(causes=causes, items=[DeadLetterOut.of(one) for one in page.items], next_cursor=page.next_cursor)


class PreviewOut(Out):
    """What a replay would come to."""

    total: int = Field(description="Webhooks and registrations that fit.")
    webhooks: int = Field(description="Webhooks that would be read again.")
    to_fetch: int = Field(description="Of these, whose source must be asked first: nobody can say yet whom they mean.")
    registrations: int = Field(description="Registrations that would be mapped again.")
    would_send: int = Field(description="People who would get an e-mail.")
    would_send_to: Sequence[str] = Field(description="The first of them.")
    already_sent: int = Field(description="Who got one already, or may have, and is left out.")
    already_sent_to: Sequence[str] = Field(description="The first of them.")
    still_dead: Mapping[str, int] = Field(description="What still cannot be sent, by cause.")
    left_out: Mapping[str, int] = Field(
        description="What else is not replayed: underWay, cancelled, notDead, purged, unknown."
    )
    calls: int = Field(description="How many calls to Marketo it costs, at most.")
    resend: bool

    def and_unknown(self, ids: Collection[str]) -> Self:
        """Return it with these counted among what is left out."""
        return self.model_copy(update={"left_out": {**self.left_out, "unknown": len(ids)}}) if ids else self


class ReplayOut(Out):
    """A replay and how far it is. `counts` tells what became of the `done` ones."""

    id: str
    asked_at: datetime
    by: str
    why: str
    resend: bool
    state: str = Field(description="running, done or stopped")
    total: int
    done: int
    counts: Mapping[str, int]
    still_dead: Mapping[str, int] = Field(description="Of the dead among them, how many for which cause.")
    ended_at: datetime | None

    @classmethod
    def of(cls, replay: Replay) -> Self:
        asked = replay.asked
        seen = {name: getattr(replay, name) for name in cls.model_fields if hasattr(replay, name)}
        return cls(**seen, by=asked.by, why=asked.why, resend=asked.resend)


class ReplayAnswer(Out):
    """Either what it would come to, or the replay that has begun; and the ids that nothing here has, if any."""

    preview: PreviewOut | None = None
    replay: ReplayOut | None = None
    unknown: Sequence[str] = Field((), description="Ids that no webhook and no registration has: look at each.")


class ReplaysOut(Out):
    """The latest replays, newest first."""

    items: Sequence[ReplayOut]


def care_router(parts: WebParts, care: CareParts) -> APIRouter:
    router = gated_router(parts)

    @router.get("/dead", summary="What needs a person, by cause, and what to do about it")
    async def dead(asked: Annotated[DeadQuery, Query()]) -> DeadLettersOut:
        which, limit = asked.filter(), asked.limit
        page = await asked.page(lambda cursor: care.dead.page(which, limit=limit, cursor=cursor))
        return DeadLettersOut.of(page)

    @router.post(
        "/replay",
        summary="Take up again what died: first what it would come to, with confirm it is done",
        response_model=ReplayAnswer,
        responses={
            202: {"model": ReplayAnswer, "description": "The replay has begun; its id tells how far it is."},
            409: {"model": ProblemOut, "description": "The same people are mailed again already, or the key is used."},
        },
    )
    async def replay(body: Annotated[ReplayBody, Body()]) -> Response:
        unknown = await care.replays.unknown(body.ids)
        if body.names_nothing(unknown):
            raise Refused(_none_of(body.ids))
        told = {"unknown": unknown} if unknown else {}
        if body.confirm:
            begun = ReplayOut.of(await _begun(care, body.asked()))
            return _answer(ReplayAnswer(replay=begun, **told), 202)
        foreseen = PreviewOut.model_validate(await care.replaying.preview(body.asked()))
        return _answer(ReplayAnswer(preview=foreseen.and_unknown(unknown), **told), 200)

    @router.get("/replays", summary="The latest replays")
    async def replays() -> ReplaysOut:
        return ReplaysOut(items=[ReplayOut.of(one) for one in await care.replays.latest(_NAMED)])

    @router.get("/replays/{replay_id}", summary="How far a replay is")
    async def one_replay(replay_id: Id) -> ReplayOut:
        return _found(await care.replays.replay(replay_id))

    @router.post("/replays/{replay_id}/stop", summary="Go on with a replay no further")
    async def stop(replay_id: Id) -> ReplayOut:
        return _found(await care.replaying.stop(replay_id))

    return router


async def begin(care: CareParts, asked: Asked) -> Replay:
    """Return the replay that this asking began, now or before.

    Raises:
        Refused: 409, another one is in its way.
        StoreUnavailable: it is not known whether it has begun.
    """
    try:
        return await care.replaying.ask(asked)
    except ReplayRefused as refused:
        raise Refused(Problem(409, "replay_refused", str(refused))) from None


async def _begun(care: CareParts, asked: Asked) -> Replay:
    try:
        return await begin(care, asked)
    except StoreUnavailable as error:
        _log.warning("store_unavailable", reason=str(error), remedy=error.remedy or None)
        raise Refused(NOT_KNOWN_TO_HAVE_BEGUN) from None


def _found(replay: Replay | None) -> ReplayOut:
    if replay is None:
        raise Refused(NO_SUCH_ID)
    return ReplayOut.of(replay)


def _none_of(ids: Sequence[str]) -> Problem:
    named = [FieldProblem(f"ids.{place}", "nothing here has this id") for place, _ in enumerate(ids)]
    return replace(NO_SUCH_ID, errors=named)


def _answer(answer: ReplayAnswer, status: int) -> Response:
    return JSONResponse(answer.model_dump(mode="json", by_alias=True, exclude_unset=True), status)


def _fields(cause: str, detail: str | None) -> Sequence[str]:
    return fields_at_fault(Cause(cause), detail) if cause in set(Cause) else ()
