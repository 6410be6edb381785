"""Judge a program's My Tokens: whether what the relay passes is known there, by the exact name and as text."""

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import NamedTuple

from app.doctor.access import not_looked
from app.doctor.picture import NOT_ASKED, ProgramPicture, Shelf, Unseen
from app.doctor.report import Check, Outcome, Verdict, fail, ok, warn
from app.doctor.wanted import Wanted, WantedToken
from app.marketo.assets import MyToken
from app.marketo.schema import PersonField

_WORST_FIRST = (Verdict.FAIL, Verdict.WARN, Verdict.UNKNOWN, Verdict.OK)
_API_TYPES = frozenset({"date", "number", "rich text", "score", "sfdc campaign", "text"})


class Subject(NamedTuple):
    """What these checks look at."""

    wanted: Wanted
    program: ProgramPicture
    fields: Mapping[str, PersonField] | Unseen = NOT_ASKED

    def lacks(self, field: str) -> bool:
        """Tell whether people surely have no such field, which is told elsewhere."""
        return not isinstance(self.fields, Unseen) and field not in self.fields


def written(name: str) -> str:
    """Return a My Token as one writes it in Marketo."""
    return "{{my." + name + "}}"


def near(name: str, names: Collection[str]) -> str | None:
    """Return the name that somebody may have meant: another spelling of the same letters first."""
    plain = {_plain(one): one for one in names}
    if (same := plain.get(_plain(name))) and same != name:
        return same
    found = get_close_matches(_plain(name), [one for one in plain if plain[one] != name], n=1, cutoff=0.75)
    return plain[found[0]] if found else None


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


def _title(subject: Subject) -> Outcome:
    return _judge(subject, subject.wanted.title)


def _join_link(subject: Subject) -> Outcome:
    return _judge(subject, subject.wanted.join_link)


def _image(subject: Subject) -> Outcome:
    return _judge(subject, subject.wanted.image)


def _further(subject: Subject) -> Outcome | None:
    """Judge the tokens that are mapped to person fields besides the three, and return the worst."""
    outcomes = [_judge(subject, wanted) for wanted in subject.wanted.further]
    return min(outcomes, key=lambda one: _WORST_FIRST.index(one.verdict), default=None)


def _judge(subject: Subject, wanted: WantedToken) -> Outcome:
    program = subject.program
    found = next(((shelf, token) for shelf, token in program.tokens() if token.name == wanted.name), None)
    if found is not None:
        return _judge_found(subject, wanted, *found)
    return not_looked(program.unseen) if program.unseen else _judge_missing(subject, wanted)


def _judge_missing(subject: Subject, wanted: WantedToken) -> Outcome:
    program, taken = subject.program, {token.name for token in subject.wanted.tokens}
    similar = near(wanted.name, {token.name for _, token in program.tokens()} - taken)
    tab = f"Marketing Activities: open the program {program.name} > My Tokens"
    if similar:
        return fail(
            f"{written(wanted.name)} is missing, but there is {written(similar)}: names must agree letter by letter",
            f"{tab}: rename it to {wanted.name}, or set {wanted.setting}={similar}.",
        )
    return fail(
        f"{written(wanted.name)} is missing in {program.name} and above it: its value is passed over in silence",
        f"{tab}: drag in a Text token, name it {wanted.name} and give it a default value; or run relay doctor --fix.",
    )


def _judge_found(subject: Subject, wanted: WantedToken, shelf: Shelf, token: MyToken) -> Outcome:
    where = f"Marketing Activities: open {shelf.place.name} > My Tokens"
    if wanted.field:
        return _judge_mapped(subject, wanted, wanted.field, token, where)
    if token.type.lower() != "text":
        return fail(
            f"{written(wanted.name)} is of type {token.type}, not Text",
            f"{where}: delete {wanted.name} and drag in a Text token of this name.",
        )
    if not token.value.strip():
        return warn(
            f"{written(wanted.name)} has no default value: a test from Marketo shows an empty place",
            f"{where}: give {wanted.name} a value, such as {wanted.example}.",
        )
    above = "" if shelf is subject.program.shelves[0] else f", from {shelf.place.name} above it"
    return ok(f"{written(wanted.name)}{above}, default {_short(token.value)}")


def _judge_mapped(subject: Subject, wanted: WantedToken, field: str, token: MyToken, where: str) -> Outcome:
    """Judge a token whose value travels in a person field for some, and is passed for others: it must serve both."""
    kind = token.type.lower()
    lacks = f"People have no field {field}: mend that first (Field for join links), then check again."
    first = lacks if subject.lacks(field) else None
    if kind in _API_TYPES - {"text"}:
        return fail(
            f"{written(wanted.name)} is of type {token.type}, not Text or Email Script",
            first
            or f"{where}: delete {wanted.name} and drag in a Text token of this name, with the value {{{{lead.…}}}} "
            f"and the name of the field {field}.",
        )
    if kind == "text" and "{{lead." not in token.value:
        return fail(
            f"{written(wanted.name)} reads no person field, where the relay puts the value ({field})",
            first or f"{where}: give {wanted.name} the value {{{{lead.…}}}} with the name of the field {field}.",
        )
    return ok(f"{written(wanted.name)} reads a person field where the relay passes no value")


def _short(value: str, longest: int = 60) -> str:
    shown = "".join(c if c.isprintable() else " " for c in value)
    return f"“{shown if len(shown) <= longest else shown[: longest - 1] + '…'}”"


CHECKS = (
    Check("token_title", "My Token of the title", _title),
    Check("token_join_link", "My Token of the join link", _join_link),
    Check("token_image", "My Token of the image", _image),
    Check("tokens_further", "Further My Tokens", _further),
)
