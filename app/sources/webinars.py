"""The webinars that the configuration knows, and what it adds to those that a source names. Values only, no I/O."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from app.dates import in_utc
from app.domain import CampaignId, Webinar
from app.sources.payload import short_id

_DATED = re.compile(r"(?P<name>.+)(?P<start>, \d{4}-\d\d-\d\d \d\d:\d\d UTC)", re.DOTALL)


def id_of_unnumbered(name: str, starts_at: datetime | None) -> str:
    """Return the id of a webinar to which its source gives none: what it is called, and its start if one is given.

    The dates of a series are called the same.
    """
    return short_id(name) + _start(starts_at)


def _start(at: datetime | None) -> str:
    try:
        return f", {in_utc(at).isoformat(' ', 'minutes')[:16]} UTC" if at else ""
    except OverflowError:
        return ""  # an end of the calendar, which senders use for 'no date'


@dataclass(frozen=True, slots=True)
class ConfiguredWebinar:
    """One `[webinars.…]` of relay.toml. Texts are passed on byte for byte; None leaves the source's value."""

    id: str
    title: str | None = None
    join_link: str | None = None
    image: str | None = None
    starts_at: datetime | None = None
    campaign_id: CampaignId | None = None
    aliases: tuple[str, ...] = ()


class Catalogue:
    """Look webinars up by id or alias, and complete what sources bring."""

    def __init__(
        self,
        webinars: Iterable[ConfiguredWebinar] = (),
        *,
        default_title: str | None = None,
        default_join_link: str | None = None,
        default_image: str | None = None,
    ) -> None:
        """Keep these webinars; ValueError when two share an id or alias: a reminder could carry the wrong link."""
        self._by_name: dict[str, ConfiguredWebinar] = {}
        self._default_title = default_title
        self._default_join_link = default_join_link
        self._default_image = default_image
        for webinar in webinars:
            self._add(webinar)

    def find(self, webinar_id: str) -> ConfiguredWebinar | None:
        """Return the webinar of this id or alias; for a date of a series, the series where the date has none."""
        return self._by_name.get(webinar_id) or self._by_name.get(_apart(webinar_id)[0])

    def own_id(self, webinar_id: str) -> str:
        """Return the configured webinar's own id for one that is named by an alias: both names are one registration.

        The dates of a series stay apart, unless it is configured as one webinar, with its start.
        """
        known = self.find(webinar_id)
        if known is None:
            return webinar_id
        is_date = webinar_id not in self._by_name and known.starts_at is None
        return known.id + _apart(webinar_id)[1] if is_date else known.id

    def complete(self, webinar: Webinar) -> Webinar:
        """Return the webinar as the reminder shall name it: configured, else the source's, else the default.

        The id stays the source's own, also when it was found by an alias. Completing twice changes nothing.
        """
        known = self.find(webinar.id) or ConfiguredWebinar(webinar.id)
        return replace(
            webinar,
            title=known.title or webinar.title or self._default_title,
            join_link=known.join_link or webinar.join_link or self._default_join_link,
            image=known.image or webinar.image or self._default_image,
            starts_at=known.starts_at or webinar.starts_at,
        )

    def _add(self, webinar: ConfiguredWebinar) -> None:
        for name in {webinar.id, *webinar.aliases}:
            other = self._by_name.setdefault(name, webinar)
            if other is not webinar:
                raise ValueError(f"the webinars {other.id} and {webinar.id} are both called {name}")


def _apart(webinar_id: str) -> tuple[str, str]:
    """Return what a webinar without an id is called, and its start, which `id_of_unnumbered` added."""
    dated = _DATED.fullmatch(webinar_id)
    return (dated["name"], dated["start"]) if dated else (webinar_id, "")
