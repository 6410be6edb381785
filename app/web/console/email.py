"""Fill an e-mail's tokens in as Marketo does, to show how the reminder looks. No I/O."""

import re
from collections.abc import Mapping
from html import escape
from importlib.resources import files

from app.domain import is_web_link
from app.store.views import RegistrationView
from app.web.console.parts import WebinarTokens

_TOKEN = re.compile(r"\{\{(lead|my)\.([^{}:]{1,100})(?::default=([^{}]*))?\}\}")


def tutorial_template(names: WebinarTokens, *, has_image: bool) -> str:
    """Return the reminder of Adobe's tutorial, with the My Tokens as they are called here."""
    text = files("app.web.console").joinpath("templates", "reminder.html").read_text("utf-8")
    if not has_image:
        text = re.sub(r"<!-- image -->.*?<!-- /image -->", "", text, flags=re.DOTALL)
    for ours, own in (("WebinarTitle", names.title), ("JoinLink", names.join_link), ("WebinarImage", names.image)):
        text = text.replace(f"{{{{my.{ours}}}}}", f"{{{{my.{own}}}}}")
    return text


def filled(template: str, lead: Mapping[str, str | None], tokens: Mapping[str, str]) -> str:
    """Put values in the place of tokens, in one pass: what a value contains is never read as a token again."""

    def value_of(found: re.Match[str]) -> str:
        kind, name, default = found.groups()
        value = lead.get(name) if kind == "lead" else tokens.get(name)
        return escape(value or default or "", quote=True)

    return _TOKEN.sub(value_of, template)


def reminder(view: RegistrationView, names: WebinarTokens, letter: tuple[str, Mapping[str, str]] | None = None) -> str:
    """Return the e-mail for one registration: `letter` with its tokens' defaults, else the tutorial's."""
    links = {names.join_link, names.image}
    tokens = {name: value for name, value in view.tokens.items() if name not in links or is_web_link(value)}
    lead = {"First Name": view.first_name, "Last Name": view.last_name, "Email Address": view.email}
    if letter is None:
        return filled(tutorial_template(names, has_image=names.image in tokens), lead, tokens)
    html, defaults = letter
    return filled(html, lead, {**defaults, **tokens})
