"""Word what is wrong with a custom body: each field by the path that the sender wrote, and never its value. Pure."""

import difflib
from collections.abc import Collection, Iterable

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from app.domain import CampaignId, Json
from app.errors import FieldProblem, Invalid
from app.sources.custom.body import CustomBody, known_names, parse, token_problem
from app.wording import path_of, problem_in_words

_MOST = 20  # a body with ten thousand unknown keys gets a short answer too


def checked_body(
    document: Json, *, allowed_campaigns: Collection[CampaignId], reserved_tokens: Collection[str]
) -> CustomBody:
    """Return the body if every field of it can be used.

    Raises:
        Invalid: names each field at fault (at most 20).
    """
    if not isinstance(document, dict):
        raise Invalid([FieldProblem("body", "must be a JSON object")])
    try:
        body = parse(document)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        raise Invalid([_problem(detail) for detail in details[:_MOST]]) from None
    wrong = list(_disallowed(body, allowed_campaigns, reserved_tokens))
    if wrong:
        raise Invalid(wrong[:_MOST])
    return body


def _disallowed(
    body: CustomBody, allowed_campaigns: Collection[CampaignId], reserved_tokens: Collection[str]
) -> Iterable[FieldProblem]:
    if body.campaign_id is not None and body.campaign_id not in allowed_campaigns:
        yield FieldProblem("campaignId", "is not one of the campaigns that the relay may request")
    for name, value in body.tokens.items():
        if problem := token_problem(name, value, reserved_tokens):
            yield FieldProblem(path_of(("tokens", name)), problem)


def _problem(detail: ErrorDetails) -> FieldProblem:
    path = detail["loc"]
    if detail["type"] == "extra_forbidden":
        return FieldProblem(path_of(path), _unknown(path))
    return FieldProblem(path_of(path), problem_in_words(detail))


def _unknown(path: tuple[int | str, ...]) -> str:
    """Say that a key is unknown, and which one was probably meant: `joinlink` → `joinLink`."""
    names = {name.lower(): name for name in known_names(path[:-1])}
    written = str(path[-1])[:64].lower().replace("_", "").replace("-", "")
    likely = difflib.get_close_matches(written, names, n=1)
    return f"is not known here; did you mean {names[likely[0]]}?" if likely else "is not known here"
