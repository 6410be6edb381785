"""Say what Pendo's events mean: which register somebody, who that is, and for what. Pure, and never raises."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from app.domain import Cause, Finding, Json, Person, Registered, Unusable, Webinar, is_email
from app.sources.payload import as_list, as_time, kept_texts, short_id, text_at, value_at
from app.sources.pendo.partial import as_finding
from app.sources.pendo.paths import Paths, PendoPaths
from app.sources.webinars import Catalogue, id_of_unnumbered

TRACK, POLL, GUIDE = "trackEventReceived", "pollSubmitted", "guideDisplayed"
_TOO_LARGE = ("too large",)  # what Pendo writes in place of properties of more than 512 bytes in all
_ANONYMOUS = "_PENDO_T_"  # how Pendo begins the ids that it makes up for visitors without one
_LONGEST_ID = 500
_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Reading:
    """How this installation's Pendo events are read."""

    track_event: str
    polls: Collection[str] = ()
    paths: PendoPaths = field(default_factory=PendoPaths)
    catalogue: Catalogue = field(default_factory=Catalogue)

    def registers(self, item: Json) -> bool:
        """Tell whether an event is a registration. That a guide was shown never is, whatever the paths say."""
        if value_at(item, "event") == GUIDE:
            return False
        kind = self._text(item, self.paths.event_name)
        if kind == TRACK:
            return self._text(item, self.paths.track_name) == self.track_event
        return kind == POLL and self._text(item, self.paths.poll_id) in self.polls

    def visitor_to_ask(self, item: Json) -> str | None:
        """Return the id of the visitor whose address only the API knows; None when the event has one, or nobody can."""
        visitor = text_at(item, ["visitorId"])
        return visitor if visitor and self._email(item) is None and _can_be_asked(visitor) else None

    def kept_of(self, visitor: Json) -> Json:
        """Return of the API's visitor only what a reminder needs, at the paths where it stood."""
        paths = self.paths
        return kept_texts(visitor, (*paths.visitor_email, *paths.visitor_first_name, *paths.visitor_last_name))

    def finding(self, item: Json, visitors: Mapping[str, Json], unresolved: Mapping[str, Json]) -> Finding:
        """Return who registered for what. By visitor id: what the API said, or why it said nothing."""
        person = self._person(item, visitors, unresolved)
        if isinstance(person, Unusable):
            return person
        return self._webinar(item, person)

    def _person(self, item: Json, visitors: Mapping[str, Json], unresolved: Mapping[str, Json]) -> Person | Unusable:
        visitor_id = text_at(item, ["visitorId"]) or ""
        visitor = visitors.get(visitor_id)
        email = self._email(item) or text_at(visitor, self.paths.visitor_email)
        if email is None:
            return as_finding(unresolved[visitor_id]) if visitor_id in unresolved else _nobody(visitor_id, visitors)
        return Person(
            email=email,
            first_name=self._text(item, self.paths.first_name) or text_at(visitor, self.paths.visitor_first_name),
            last_name=self._text(item, self.paths.last_name) or text_at(visitor, self.paths.visitor_last_name),
        )

    def _webinar(self, item: Json, person: Person) -> Finding:
        title = self._text(item, self.paths.title)
        link = self._text(item, self.paths.join_link)
        starts_at = as_time(self._text(item, self.paths.starts_at))
        webinar_id = self._id(item, title or link, starts_at)
        if webinar_id is None:
            return Unusable(Cause.WEBINAR_MISSING, "the event names no webinar" + self._was_too_large(item))
        webinar = Webinar(
            id=webinar_id,
            title=title,
            join_link=link,
            image=self._text(item, self.paths.image),
            starts_at=starts_at,
        )
        return self._if_complete(item, webinar) or Registered(person, webinar)

    def _id(self, item: Json, name: str | None, starts_at: datetime | None) -> str | None:
        if own := self._text(item, self.paths.webinar_id):
            return short_id(own)
        return id_of_unnumbered(name, starts_at) if name else None

    def _if_complete(self, item: Json, webinar: Webinar) -> Unusable | None:
        """Return why a webinar cannot be told, if that is because Pendo left its texts out."""
        whole, because = self.catalogue.complete(webinar), self._was_too_large(item)
        if because and whole.title is None:
            return Unusable(Cause.TITLE_MISSING, "the event has no title" + because)
        if because and whole.join_link is None:
            return Unusable(Cause.JOIN_LINK_MISSING, "the event has no join link" + because)
        return None

    def _was_too_large(self, item: Json) -> str:
        places = {path for paths in (self.paths.title, self.paths.join_link, self.paths.webinar_id) for path in paths}
        if not any(_is_too_large(item, path) for path in places):
            return ""
        return ": Pendo wrote 'too large' for properties of more than 512 bytes; send a short webinar id instead"

    def _email(self, item: Json) -> str | None:
        visitor = text_at(item, ["visitorId"])
        return self._text(item, self.paths.email) or (visitor if visitor and is_email(visitor) else None)

    def _text(self, item: Json, paths: Paths) -> str | None:
        return text_at(item, paths, absent=_TOO_LARGE)


def items_of(document: Json) -> Sequence[Json]:
    """Return the events in a body: Pendo sends one object, or an array of them."""
    found = [document] if isinstance(document, dict) else as_list(document)
    return [item for item in found if isinstance(item, dict)]


def oldest_first(items: Sequence[Json]) -> Sequence[Json]:
    """Return events in the order in which they happened, so that a person's last one has the last word.

    Their order in an array is not documented. Those without a readable `timestamp` count as the oldest.
    """
    return sorted(items, key=lambda item: as_time(text_at(item, ["timestamp"])) or _BEFORE_ALL)


def _is_too_large(item: Json, path: str) -> bool:
    """Tell whether Pendo replaced the value at a path, or what it stands in."""
    steps = path.split(".")
    values = (value_at(item, ".".join(steps[:depth])) for depth in range(1, len(steps) + 1))
    return any(isinstance(value, str) and value.strip().lower() in _TOO_LARGE for value in values)


def _can_be_asked(visitor_id: str) -> bool:
    """Tell whether the API may know an id. Dots alone would climb in the path, however they are quoted."""
    return bool(visitor_id.strip(".")) and not visitor_id.startswith(_ANONYMOUS) and len(visitor_id) <= _LONGEST_ID


def _nobody(visitor_id: str, visitors: Mapping[str, Json]) -> Unusable:
    if visitor_id in visitors:
        return Unusable(Cause.VISITOR_WITHOUT_EMAIL, "Pendo's visitor has no address at the configured paths")
    if visitor_id.startswith(_ANONYMOUS):
        return Unusable(Cause.VISITOR_WITHOUT_EMAIL, "the visitor is anonymous: Pendo made its id up")
    return Unusable(Cause.EMAIL_MISSING, "the event has neither an address nor a visitor id that can be looked up")
