"""Fill an e-mail's tokens in as Marketo does, to show how the reminder looks. No I/O."""

import re
from collections.abc import Mapping
from html import escape, unescape
from importlib.resources import files

from app.domain import is_web_link
from app.store.views import RegistrationView
from app.web.console.parts import Letter, NoLetter, WebinarTokens

_IMAGE = re.compile(r"""<img\b(?:[^>"']|"[^"]*"|'[^']*')*>""", re.IGNORECASE)
_SRC = re.compile(r"""\ssrc\s*=\s*("[^"]*"|'[^']*'|[^\s>]+)""", re.IGNORECASE)
_ALT = re.compile(r"""\salt\s*=\s*("[^"]*"|'[^']*'|[^\s>]+)""", re.IGNORECASE)
_BOX = (
    "display:block;margin:0 auto 12px;max-width:536px;padding:12px 16px;border:1px dashed #8a94a8;border-radius:8px;"
    "background:#fff8e6;color:#3d3523;font:14px/20px Helvetica,Arial,sans-serif;"
)
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


def reminder(view: RegistrationView, names: WebinarTokens, letter: Letter | NoLetter) -> str:
    """Return the e-mail for one registration: `letter` with its tokens' defaults, else the tutorial's and why."""
    links = {names.join_link, names.image}
    tokens = {name: value for name, value in view.tokens.items() if name not in links or is_web_link(value)}
    lead = {"First Name": view.first_name, "Last Name": view.last_name, "Email Address": view.email}
    if isinstance(letter, NoLetter):
        shown = filled(tutorial_template(names, has_image=names.image in tokens), lead, tokens)
        return _noticed(shown, f"This is the tutorial's e-mail, not yours. {letter.why}")
    return labelled(filled(letter.html, lead, {**letter.defaults, **tokens}))


def labelled(html: str) -> str:
    """Say in the place of each picture what is missing: that it has no address, or which one did not load.

    A mail program shows a torn picture for both, and so would the browser.
    """

    def shown(found: re.Match[str]) -> str:
        tag = found[0]
        source = unescape(_attribute(tag, _SRC)).strip()
        if not source:
            return f'<span style="{_BOX}">No picture: its token has no value.</span>'
        if _attribute(tag, _ALT).strip():
            return tag
        said = escape(f"Picture that could not be loaded here: {source[:200]}", quote=True)
        return f'{tag[:4]} alt="{said}"{_ALT.sub("", tag[4:], count=1)}'

    return _IMAGE.sub(shown, html)


def _attribute(tag: str, one: re.Pattern[str]) -> str:
    found = one.search(tag)
    return found[1].strip("\"'") if found else ""


def _noticed(html: str, said: str) -> str:
    return html.replace("<!-- notice -->", f'<p style="{_BOX}">{escape(said)}</p>', 1)
