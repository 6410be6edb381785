"""Write down the settings for people: as the README's table and as `.env.example`."""

from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import wrap

from pydantic import SecretStr

from app.settings.layers import VARIABLES, secret_fields
from app.settings.model import Settings
from app.settings.rules import details

_HEADINGS = {
    "marketo_base_url": "Marketo",
    "default_webinar_title": "Webinars: what a token gets when the source has nothing",
    "eventbrite_webhook_token": "Eventbrite",
    "pendo_webhook_secret": "Pendo",
    "custom_webhook_secrets": "Your own apps",
    "database_url": "The service",
}
_INTRODUCTION = """\
# Settings of the relay. Copy this file to .env and fill in what is needed; a line with # before it shows a default.
# The environment wins over this file, and this file over relay.toml. NAME_FILE=/path reads a value from a file.
# Made by: python -m app.settings --env
"""


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting as people read it. `default` is text as it would be set; empty: none."""

    name: str
    default: str
    meaning: str
    secret: bool
    where: str | None
    needed: bool


def settings_table() -> list[SettingRow]:
    """Return every variable in the order in which the model names them."""
    secret = secret_fields()
    return [
        SettingRow(
            name=name.upper(),
            default=_as_text(Settings.model_fields[name].default),
            meaning=Settings.model_fields[name].description or "",
            secret=name in secret,
            where=details(name)["where"],
            needed=details(name)["needed"],
        )
        for name in VARIABLES
    ]


def as_markdown() -> str:
    """Return the README's table."""
    lines = ["| setting | default | meaning |", "| --- | --- | --- |"]
    for row in settings_table():
        default = "(needed)" if row.needed else f"`{row.default}`" if row.default else ""
        where = f". {row.where}" if row.where else ""
        lines.append(f"| `{row.name}` | {default} | {row.meaning}{where} |")
    return "\n".join(lines)


def as_env_example() -> str:
    """Return `.env.example`: what is needed stands open, all else as a comment that shows its default."""
    return _INTRODUCTION + "".join(f"{line}\n" for row in settings_table() for line in _env_lines(row))


def _env_lines(row: SettingRow) -> Iterator[str]:
    if heading := _HEADINGS.get(row.name.lower()):
        yield from ("", f"# ── {heading} ──")
    where = f". {row.where}" if row.where else ""
    yield ""
    yield from (f"# {line}" for line in wrap(row.meaning.replace("`", "") + where, 110))
    yield f"{row.name}=" if row.needed else f"#{row.name}={row.default}"


def _as_text(default: object) -> str:
    if default is None:
        return ""
    if isinstance(default, SecretStr):
        return default.get_secret_value()
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    return f"{default:g}" if isinstance(default, float) else str(default)
