"""The webinars that the configuration knows, and what it adds to those that a source names. Values only, no I/O."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from app.domain import CampaignId, Webinar


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
        return self._by_name.get(webinar_id)

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
