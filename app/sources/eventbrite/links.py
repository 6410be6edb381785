"""Find the join link of an Eventbrite event in what its organiser published. Pure.

The shape of `modules` is only partly known (the webinar module was seen as written, not as read), so this searches.
"""

import html
import re
from collections.abc import Iterable, Iterator

from app.domain import Json, is_web_link
from app.sources.payload import as_list, as_object, first, value_at

_LINK_IN_TEXT = re.compile(r"https?://[^\s\"'<>]+")


def join_link_in(content: Json) -> str | None:
    """Return the link in structured content: the webinar module's, else any other http(s) URL, else None.

    Pictures are passed over: nobody joins a webinar by its banner.
    """
    modules = [as_object(module) for module in as_list(as_object(content).get("modules"))]
    webinars = (value_at(m, "data.webinar_url.url") for m in modules if m.get("type") == "webinar")
    others = [m.get("data") for m in modules if "image" not in str(m.get("type"))]
    texts = list(_texts(others))
    whole = (text for text in texts if is_web_link(text))
    inside = (link for text in texts for link in _links_inside(text))
    return first(_web_links(webinars)) or first(whole) or first(inside)


def digital_content_page(event: Json) -> str | None:
    """Return the page for ticket holders, of an event fetched with `expand=has_digital_content`."""
    inner = value_at(event, "has_digital_content.digital_content_url")
    return first(_web_links([inner, value_at(event, "digital_content_url")]))


def _web_links(values: Iterable[Json]) -> Iterator[str]:
    return (value for value in values if isinstance(value, str) and is_web_link(value))


def _links_inside(text: str) -> Iterator[str]:
    found = (html.unescape(link).rstrip(".,;:!?)") for link in _LINK_IN_TEXT.findall(text))
    return (link for link in found if is_web_link(link))


def _texts(value: Json) -> Iterator[str]:
    """Yield the texts of a document in reading order."""
    left = [value]
    while left:
        here = left.pop()
        if isinstance(here, str):
            yield here
        elif isinstance(here, dict):
            left.extend(reversed(here.values()))
        elif isinstance(here, list):
            left.extend(reversed(here))
