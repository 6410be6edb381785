"""Make `Settings` of what the surroundings say, or say everything that is wrong with them at once."""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from app.errors import FieldProblem, SettingsInvalid
from app.settings.kinds import COPY_AGAIN
from app.settings.layers import VARIABLES, gather
from app.settings.model import Settings
from app.settings.rules import Checks, details, problems_of

_NO_CHECKS = Checks()


def load_settings(
    overrides: Mapping[str, object] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
    checks: Checks = _NO_CHECKS,
    only: Collection[str] | None = None,
    may_lack: bool = False,
) -> Settings:
    """Return the settings that hold here.

    `overrides` are the command's options by field name (None: not given). `environ` and `folder` (of `.env` and
    `relay.toml`) are the process's own unless told otherwise. `only` names the fields that a command needs which does
    not send (`migrate`, `healthcheck`), with `FILES` for whether `.env` and `relay.toml` can be read at all: nothing
    else is judged, and what is wrong elsewhere has its default. What `may_lack` needs nothing to be there.

    Raises:
        SettingsInvalid: with every setting that is missing, malformed or weak.
    """
    found = gather(overrides or {}, os.environ if environ is None else environ, folder or Path())
    settings, malformed = _judge_one_by_one(found.values)
    at_fault = {name for problem in [*(one.problem for one in found.misread), *malformed] for name in _named(problem)}
    odd = [p for p in problems_of(settings, checks, may_lack=may_lack) if not at_fault & _named(p)]
    told = [one.problem for one in found.misread if only is None or one.setting in only]
    told += [problem for problem in [*malformed, *odd] if only is None or _settings_of(problem) <= set(only)]
    if told:
        raise SettingsInvalid(sorted(told, key=_place))
    return settings


def render_problems(problems: Sequence[FieldProblem], *, in_vain: str) -> str:
    """Return the problems as plain text for a terminal, one paragraph each; `in_vain` is what is not done for them."""
    number = f"{len(problems)} settings need" if len(problems) > 1 else "one setting needs"
    paragraphs = (f"  {problem.field}\n      {problem.problem}" for problem in problems)
    return "\n".join(
        (
            f"{in_vain}: {number} attention.",
            "",
            *paragraphs,
            "",
            f"Settings come from the environment, .env and relay.toml in {Path.cwd()}; .env.example explains each.",
        )
    )


def _judge_one_by_one(values: dict[str, object]) -> tuple[Settings, list[FieldProblem]]:
    """Return settings without the fields that are wrong by themselves, so that the rest can still be judged."""
    try:
        return Settings(**values), []  # type: ignore[arg-type]  # judging them is what it does
    except ValidationError as refused:
        wrong = refused.errors(include_url=False)
        return Settings(**_without(values, wrong)), list(_problems(wrong))  # type: ignore[arg-type]


def _without(values: dict[str, object], wrong: Iterable[ErrorDetails]) -> dict[str, object]:
    """Return the values that are right by themselves; of a webinar all that is, since it is judged with the others."""
    rest, webinars = dict(values), _copied(values.get("webinars"))
    for error in wrong:
        field, *inner = error["loc"]
        if field != "webinars" or not inner or not isinstance(webinars, dict):
            rest.pop(str(field), None)
        elif len(inner) > 1 and isinstance(one := webinars.get(inner[0]), dict):
            one.pop(inner[1], None)
        else:
            webinars.pop(inner[0], None)
    return rest | {"webinars": webinars} if "webinars" in rest else rest


def _copied(webinars: object) -> object:
    if not isinstance(webinars, dict):
        return webinars
    return {key: dict(one) if isinstance(one, dict) else one for key, one in webinars.items()}


def _problems(wrong: Iterable[ErrorDetails]) -> Iterable[FieldProblem]:
    told: set[str] = set()
    for error in wrong:
        field, *inner = (str(part) for part in error["loc"])
        name = ".".join((field, *inner[:2])) if field == "webinars" else field.upper()
        if name not in told:
            told.add(name)
            yield FieldProblem(name, _sentence(field, error))


def _sentence(field: str, error: ErrorDetails) -> str:
    if error["type"] == "value_error":
        said, where = str(error["ctx"]["error"]), details(field).get("where")
        return f"{said}. {where}." if where and said.endswith(COPY_AGAIN) else said
    if error["type"] == "extra_forbidden":
        return "is no key of a webinar; there are title, join_link, image, starts_at, campaign_id and aliases"
    if error["type"].startswith(("timezone", "datetime")):
        return "must be a time with its offset, such as 2026-12-01T16:00:00Z"
    expects = details(field).get("expects")
    return f"is {error['input']!r} but must be {expects}" if expects else error["msg"].replace("Input should", "should")


def _place(problem: FieldProblem) -> int:
    """Return where the model names a setting, so that problems are told in the order of `.env.example`."""
    places = (VARIABLES.index(name.lower()) for name in _named(problem) if name.lower() in VARIABLES)
    return min(places, default=len(VARIABLES))


def _settings_of(problem: FieldProblem) -> set[str]:
    """Return the fields that a problem is about; one about a webinar is about all of them."""
    return {name.partition(".")[0].lower() for name in _named(problem)}


def _named(problem: FieldProblem) -> set[str]:
    return {part.strip() for part in problem.field.replace(" or ", ",").split(",")}
