"""Judge the relay's own house: its settings, its store, and the webinars that it was told of."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from app.doctor.report import Check, Finding, Outcome, Verdict, fail, ok, warn
from app.errors import FieldProblem
from app.store.looking import StoreState

SECTION = "This relay"


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What these checks look at."""

    store: StoreState
    migrates_at_start: bool
    has_admin_token: bool
    public_url: str | None
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebinarSeen:
    """One webinar of relay.toml, with the defaults that it gets; `over_at` is when its registrations are ignored."""

    id: str
    title: str | None
    starts_at: datetime | None
    over_at: datetime | None
    join_link: str | None
    image: str | None
    is_completed_by_source: bool
    now: datetime


def settings_findings(
    problems: Sequence[FieldProblem], doubts: Iterable[FieldProblem] = (), *, secrets: int
) -> Iterator[Finding]:
    """Yield one error for each setting at fault, or that all are in order; and a warning for each that is doubtful."""
    for problem in problems:
        yield _settings(
            problem.field, Verdict.FAIL, f"{problem.field} {problem.problem}", "Correct it, and look again."
        )
    if not problems:
        yield _settings("", Verdict.OK, f"complete and well-formed; {secrets} secrets, none of them weak", "")
    for doubt in doubts:
        yield _settings(doubt.field, Verdict.WARN, f"{doubt.field} {doubt.problem}", "Take the setting out.")


def _settings(subject: str, verdict: Verdict, found: str, advice: str) -> Finding:
    return Finding(SECTION, "settings", "Settings", subject, verdict, found, advice)


def _sources(house: House) -> Outcome | None:
    return ok(f"takes webhooks from {', '.join(house.sources)}") if house.sources else None


def _store(house: House) -> Outcome:
    store = house.store
    if store.problem:
        return fail(f"{store.where}: {store.problem}", store.remedy or _STORE_ADVICE)
    if store.is_new:
        return _to_be_made(house, f"{store.where} is not there yet", "relay serve makes it")
    if store.is_old:
        return _to_be_made(house, f"{store.where} has another version's tables", "relay serve brings them up to date")
    return ok(f"{store.where} takes writes")


def _to_be_made(house: House, found: str, later: str) -> Outcome:
    if house.migrates_at_start:
        return ok(f"{found}; {later}")
    return fail(f"{found}, and MIGRATE_ON_START is off", "Run relay migrate.")


def _admin_token(house: House) -> Outcome:
    if house.has_admin_token:
        return ok("set: registrations can be looked up")
    return warn(
        "not set: nobody can look up what became of a registrant",
        'Set ADMIN_TOKEN; a good one is made by: python3 -c "import secrets; print(secrets.token_urlsafe(32))"',
    )


def _public_url(house: House) -> Outcome | None:
    if house.public_url is None:
        return None
    if urlsplit(house.public_url).scheme == "https":
        return ok(house.public_url)
    return warn(
        f"{house.public_url} is not https: secrets and people's data would travel in clear text",
        "Put a proxy with a certificate before the relay, and set PUBLIC_URL to its https:// address.",
    )


def _over(webinar: WebinarSeen) -> Outcome | None:
    if webinar.over_at is None or webinar.over_at > webinar.now:
        return None
    return warn(
        "is over: its registrations are ignored",
        f"Correct starts_at in [webinars.{webinar.id}] of relay.toml, or take the webinar out.",
    )


def _title(webinar: WebinarSeen) -> Outcome | None:
    if webinar.title or webinar.is_completed_by_source:
        return None
    return warn(
        "has no title: a registration that brings none ends as dead",
        f"Add title to [webinars.{webinar.id}] of relay.toml, or set DEFAULT_WEBINAR_TITLE.",
    )


def _join_link(webinar: WebinarSeen) -> Outcome | None:
    if webinar.join_link or webinar.is_completed_by_source:
        return None
    return warn(
        "has no join link: a registration that brings none ends as dead",
        f"Add join_link to [webinars.{webinar.id}] of relay.toml, or set DEFAULT_JOIN_LINK.",
    )


def _image(webinar: WebinarSeen) -> Outcome | None:
    if webinar.image is None or urlsplit(webinar.image).scheme == "https":
        return None
    return warn(
        f"its image is not https ({urlsplit(webinar.image).hostname}): many mail programs do not show it",
        f"Give image in [webinars.{webinar.id}] of relay.toml an address that begins with https://.",
    )


def _sound(webinar: WebinarSeen) -> Outcome | None:
    if any(check.judge(webinar) for check in _FLAWS):
        return None
    title = f"“{webinar.title}”" if webinar.title else "its title comes from Eventbrite"
    starts = f"starts {webinar.starts_at:%-d %b %Y, %H:%M %Z}" if webinar.starts_at else "its start is not set here"
    return ok(f"{title}, {starts}")


_STORE_ADVICE = "Look at DATABASE_URL: without a store that takes writes, every webhook is refused with 503."

CHECKS = (
    Check("store", "Store", _store),
    Check("sources", "Sources", _sources),
    Check("admin_token", "Admin token", _admin_token),
    Check("public_url", "Public address", _public_url),
)
_FLAWS = (
    Check("webinar_over", "Start of", _over),
    Check("webinar_title", "Title of", _title),
    Check("webinar_join_link", "Join link of", _join_link),
    Check("webinar_image", "Image of", _image),
)
WEBINAR_CHECKS = (Check("webinar", "Webinar", _sound), *_FLAWS)
