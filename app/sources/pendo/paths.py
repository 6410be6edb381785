"""Where in Pendo's bodies the relay looks for what. Pendo documents the envelope only, so every path is a setting."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

Paths = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PendoPaths:
    """Dotted paths; of each field the first one that holds a text counts. `visitor_…` are in the API's visitor."""

    event_name: Paths = ("event",)
    track_name: Paths = ("properties.trackEventName", "properties.eventName", "properties.name")
    email: Paths = (
        "properties.trackEventProperties.email",
        "properties.email",
    )
    first_name: Paths = (
        "properties.trackEventProperties.first_name",
        "properties.trackEventProperties.firstName",
        "properties.first_name",
        "properties.firstName",
    )
    last_name: Paths = (
        "properties.trackEventProperties.last_name",
        "properties.trackEventProperties.lastName",
        "properties.last_name",
        "properties.lastName",
    )
    webinar_id: Paths = (
        "properties.trackEventProperties.webinar_id",
        "properties.trackEventProperties.webinarId",
        "properties.webinar_id",
        "properties.webinarId",
    )
    title: Paths = (
        "properties.trackEventProperties.webinar_title",
        "properties.trackEventProperties.webinarTitle",
        "properties.webinar_title",
        "properties.webinarTitle",
    )
    join_link: Paths = (
        "properties.trackEventProperties.join_link",
        "properties.trackEventProperties.joinLink",
        "properties.join_link",
        "properties.joinLink",
    )
    image: Paths = (
        "properties.trackEventProperties.webinar_image",
        "properties.trackEventProperties.webinarImage",
        "properties.webinar_image",
        "properties.webinarImage",
    )
    starts_at: Paths = (
        "properties.trackEventProperties.starts_at",
        "properties.trackEventProperties.startsAt",
        "properties.starts_at",
        "properties.startsAt",
    )
    poll_id: Paths = ("properties.pollId", "properties.guideId")
    visitor_email: Paths = ("metadata.agent.email", "metadata.agent.emailaddress", "metadata.auto.email")
    visitor_first_name: Paths = ("metadata.agent.first_name", "metadata.agent.firstName")
    visitor_last_name: Paths = ("metadata.agent.last_name", "metadata.agent.lastName")

    @classmethod
    def of(cls, own: Mapping[str, Sequence[str]]) -> "PendoPaths":
        """Return the built-in paths, except for the fields whose own paths are given (none: the built-in ones)."""
        return replace(cls(), **{name: tuple(paths) for name, paths in own.items() if paths})
