"""The body that a custom app sends: strict, so that a misspelt `joinlink` is told on the first try. No I/O."""

import re
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from app.domain import LARGEST_LEAD_ID, Json, is_email, is_web_link

MOST_TOKENS = 97  # Marketo takes 100 in a call, three are the webinar's
_LONGEST_NAME = 255  # Marketo's string fields
_LONGEST_LINK = 4096
_LONGEST_TOKEN_NAME = 50  # Marketo's My Tokens
_TOKEN_NAME = re.compile(r"[^{}\x00-\x1f\x7f-\x9f]+")


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def _checked(is_good: Callable[[str], bool], expected: str) -> AfterValidator:
    def check(text: str) -> str:
        if not is_good(text):
            raise ValueError(expected)
        return text

    return AfterValidator(check)


def _printable(text: str) -> bool:
    return _CONTROL.search(text) is None


def _read_time(value: object) -> object:
    """Read JSON's text as a time here, since strict mode takes only times that are times already."""
    if not isinstance(value, str):
        raise ValueError("must be text, a time such as 2026-12-01T16:00:00Z")  # noqa: TRY004  # pydantic's way
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("must be a time such as 2026-12-01T16:00:00Z") from None


_Line = Annotated[
    str, Field(max_length=_LONGEST_NAME), _checked(_printable, "must not hold control characters or line breaks")
]
_Title = Annotated[str, Field(max_length=1000), _checked(_printable, "must not hold control characters or line breaks")]
_Id = Annotated[
    str,
    Field(min_length=1, max_length=255),
    _checked(lambda text: _printable(text) and bool(text.strip()), "must hold visible characters only"),
]
_Link = Annotated[
    str,
    Field(max_length=_LONGEST_LINK),
    _checked(is_web_link, "must be a link that starts with https:// or http:// and holds no spaces"),
]
_Email = Annotated[str, _checked(is_email, "must be an e-mail address in plain ASCII, such as ada@example.com")]
_Time = Annotated[AwareDatetime, BeforeValidator(_read_time)]


class _Strict(BaseModel):
    """What both levels share: camelCase, nothing unknown, no conversions, and values stay out of error texts."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, alias_generator=to_camel, hide_input_in_errors=True
    )


class WebinarBody(_Strict):
    """`webinar`: an id that the configuration knows, or a title, or both."""

    id: _Id | None = None
    title: _Title | None = None
    join_link: _Link | None = None
    image: _Link | None = None
    starts_at: _Time | None = None

    @model_validator(mode="after")
    def _is_named(self) -> "WebinarBody":
        if not self.id and not (self.title and self.title.strip()):
            raise ValueError("id or title is needed")
        return self


class CustomBody(_Strict):
    """One registration. The e-mail address or the Marketo lead id says whose."""

    email: _Email | None = None
    first_name: _Line | None = None
    last_name: _Line | None = None
    webinar: WebinarBody
    lead_id: Annotated[int, Field(ge=1, le=LARGEST_LEAD_ID)] | None = None
    campaign_id: Annotated[int, Field(ge=1, le=LARGEST_LEAD_ID)] | None = None
    tokens: dict[str, str] = Field(default_factory=dict, max_length=MOST_TOKENS)
    registration_id: _Id | None = None

    @model_validator(mode="after")
    def _is_somebody(self) -> "CustomBody":
        if self.email is None and self.lead_id is None:
            raise ValueError("email or leadId is needed")
        return self


def token_problem(name: str, value: str, reserved: Collection[str]) -> str | None:
    """Return what is wrong with one of `tokens`, or None. `reserved` are the names of the webinar's own three."""
    if len(name) > _LONGEST_TOKEN_NAME or not _TOKEN_NAME.fullmatch(name) or not name.strip():
        return f"a token's name has 1 to {_LONGEST_TOKEN_NAME} characters, no braces and no control characters"
    if name.startswith("my."):
        return "write the token's name alone, without my."
    if name.casefold() in {one.casefold() for one in reserved}:
        return "this token carries the webinar; send title, joinLink or image inside webinar"
    if "\0" in value:
        return "must not hold a NUL character"
    return None


def known_names(path: tuple[int | str, ...]) -> Mapping[str, Any]:
    """Return the names that may stand at the level of a path, for a suggestion."""
    model = WebinarBody if path and path[0] == "webinar" else CustomBody
    return {field.alias or name: None for name, field in model.model_fields.items()}


def parse(document: Json) -> CustomBody:
    """Return the body. Raises pydantic's ValidationError; `problems` words it."""
    return CustomBody.model_validate(document)
