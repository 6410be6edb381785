"""Judge a program's e-mails: whether they show what the relay passes, and reach everybody who registered."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser

from app.doctor.access import not_looked
from app.doctor.picture import Letter, Unseen
from app.doctor.report import Check, Outcome, fail, ok, unknown, warn
from app.doctor.tokens import Subject, near, written

_MY_TOKEN = re.compile(r"\{\{\s*my\.([^{}:]{1,80}?)\s*(?::default=[^{}]*)?\}\}")
_FIRST_NAME = re.compile(r"\{\{\s*lead\.First Name\s*(:default=[^{}]*)?\}\}", re.IGNORECASE)
_EDIT = "Marketing Activities: open the e-mail > Edit Draft"
_APPROVE = "then Email Actions > Approve and Close"


@dataclass(slots=True)
class _Markup(HTMLParser):
    """Collects where tokens stand that work only there."""

    sources: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        HTMLParser.__init__(self, convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "img":
            self.sources.append(given.get("src", "").strip())
        if "href" in given:
            self.links.append(given["href"].strip())


@dataclass(frozen=True, slots=True)
class _Read:
    """One e-mail, taken apart."""

    name: str
    text: str
    names: frozenset[str]
    sources: tuple[str, ...]
    links: tuple[str, ...]


def _exists(subject: Subject) -> Outcome:
    letters, program = subject.program.letters, subject.program.name
    if isinstance(letters, Unseen):
        return not_looked(letters)
    if not letters:
        return warn(
            f"the program {program} has no e-mail",
            "Marketing Activities: put the e-mail that the campaign's Send Email step sends into the program. If it "
            "stands elsewhere on purpose, look yourself whether it names the tokens.",
        )
    drafts = [letter.asset.name for letter in letters if not letter.asset.is_approved]
    if len(drafts) == len(letters):
        return fail(f"{_listed(drafts)}: not approved, so nothing can be sent", f"{_EDIT}, {_APPROVE}.")
    return ok(_listed([letter.asset.name for letter in letters if letter.asset.is_approved]))


def _title(subject: Subject) -> Outcome:
    name = subject.wanted.title.name
    return _of_letters(subject, lambda read: _named(read, name, "title", warn))


def _join_link(subject: Subject) -> Outcome:
    name = subject.wanted.join_link.name

    def judge(read: Sequence[_Read]) -> Outcome:
        without = [one.name for one in read if name in one.names and not any(written(name) in to for to in one.links)]
        if without:
            return warn(
                f"{_listed(without)}: {written(name)} is no link there, only text",
                f'{_EDIT}: make it a link, <a href="{written(name)}">Join</a>, {_APPROVE}.',
            )
        return _named(read, name, "join link", fail)

    return _of_letters(subject, judge)


def _image(subject: Subject) -> Outcome:
    name = subject.wanted.image.name

    def judge(read: Sequence[_Read]) -> Outcome:
        bare = [one.name for one in read if name in one.names and not any(written(name) in src for src in one.sources)]
        if bare:
            return fail(
                f"{_listed(bare)}: {written(name)} stands outside of an image: its address is shown, not the picture",
                f'{_EDIT}: write <img src="{written(name)}" alt=""> in the HTML, {_APPROVE}.',
            )
        return _named(read, name, "image", warn, form=f'<img src="{written(name)}" alt="">')

    return _of_letters(subject, judge)


def _known_tokens(subject: Subject) -> Outcome:
    known = {token.name for _, token in subject.program.tokens()}
    judged_elsewhere = {token.name for token in subject.wanted.tokens}

    def judge(read: Sequence[_Read]) -> Outcome:
        strange = sorted({name for one in read for name in one.names} - known - judged_elsewhere)
        if not strange:
            return ok("every My Token in the e-mail is one of the program's")
        if subject.program.unseen:
            return not_looked(subject.program.unseen)
        similar = near(strange[0], known)
        hint = f" Did you mean {written(similar)}?" if similar else ""
        return fail(
            f"the e-mail names {_listed([written(name) for name in strange])}, which the program does not have",
            f"{_EDIT}: correct it, {_APPROVE}; or add the token in the program's My Tokens.{hint}",
        )

    return _of_letters(subject, judge)


def _greeting(subject: Subject) -> Outcome:
    def judge(read: Sequence[_Read]) -> Outcome:
        bare = [one.name for one in read if any(not default for default in _FIRST_NAME.findall(one.text))]
        if not bare:
            return ok("greets people also when their first name is not known")
        return warn(
            f"{_listed(bare)}: {{{{lead.First Name}}}} has no default, so people without a first name read 'Hi ,'",
            f"{_EDIT}: write {{{{lead.First Name:default=there}}}}, {_APPROVE}.",
        )

    return _of_letters(subject, judge)


def _operational(subject: Subject) -> Outcome:
    letters = subject.program.letters
    if isinstance(letters, Unseen):
        return not_looked(letters)
    if not letters:
        return _NO_EMAIL
    plain = [letter.asset.name for letter in letters if not letter.asset.is_operational]
    if not plain:
        return ok("goes to people who have unsubscribed, too: it is operational")
    return warn(
        f"{_listed(plain)}: not operational, so people who have unsubscribed get no reminder",
        f"{_EDIT} > Email Settings: tick Operational Email, if your policy lets a reminder be one, {_APPROVE}.",
    )


_NO_EMAIL = unknown("there is no e-mail to look at")


def _of_letters(subject: Subject, judge: Callable[[Sequence[_Read]], Outcome]) -> Outcome:
    """Judge the e-mails that name one of the relay's tokens; all of them where none does."""
    letters = subject.program.letters
    if isinstance(letters, Unseen):
        return not_looked(letters)
    read = [_read(letter, letter.html) for letter in letters if isinstance(letter.html, str)]
    if not read:
        return next((not_looked(letter.html) for letter in letters if isinstance(letter.html, Unseen)), _NO_EMAIL)
    ours = {token.name for token in subject.wanted.tokens}
    return judge([one for one in read if one.names & ours] or read)


def _read(letter: Letter, html: str) -> _Read:
    markup = _Markup()
    markup.feed(html)
    text = f"{letter.asset.subject}\n{html}"
    names = frozenset(_MY_TOKEN.findall(text))
    return _Read(letter.asset.name, text, names, tuple(markup.sources), tuple(markup.links))


def _named(
    read: Sequence[_Read], name: str, what: str, otherwise: Callable[[str, str], Outcome], *, form: str = ""
) -> Outcome:
    without = [one.name for one in read if name not in one.names]
    if not without:
        return ok(f"shows the {what}")
    return otherwise(
        f"{_listed(without)}: {written(name)} is not in it, so the {what} is not shown",
        f"{_EDIT}: write {form or written(name)} where the {what} belongs, {_APPROVE}.",
    )


def _listed(names: Iterable[str], most: int = 3) -> str:
    given = list(names)
    shown = ", ".join(given[:most])
    return shown if len(given) <= most else f"{shown} and {len(given) - most} more"


CHECKS = (
    Check("email_exists", "E-mail", _exists),
    Check("email_title", "Title in the e-mail", _title),
    Check("email_join_link", "Join link in the e-mail", _join_link),
    Check("email_image", "Image in the e-mail", _image),
    Check("email_tokens", "Tokens of the e-mail", _known_tokens),
    Check("email_greeting", "Greeting", _greeting),
    Check("email_operational", "Operational e-mail", _operational),
)
