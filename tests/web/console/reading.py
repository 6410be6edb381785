"""Read a page as a person does: its text without the markup, its links, its forms' hidden fields."""

import re
from html import unescape

import httpx


def text_of(answer: httpx.Response) -> str:
    """Return what stands on the page, on one line."""
    body = re.sub(r"<(script|style)\b.*?</\1>", " ", answer.text, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


def links_of(answer: httpx.Response) -> list[str]:
    return [unescape(link) for link in re.findall(r'href="([^"]*)"', answer.text)]


def form_token(answer: httpx.Response) -> str:
    found = re.search(r'name="form_token" value="([^"]*)"', answer.text)
    assert found
    return found[1]


def hidden_fields(answer: httpx.Response) -> dict[str, str]:
    """Return what the page's forms send without being shown."""
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', answer.text)
    return {name: unescape(value) for name, value in found}
