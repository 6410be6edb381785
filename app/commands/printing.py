"""Print what was found: JSON for scripts, tables for people. What strangers wrote cannot steer the terminal."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.domain import FINAL_STATES
from app.web.console.shown import plain

BODY_REMOVED = "removed after the retention time, or because somebody in it was to be forgotten"
STYLES = {
    "sent": "green",
    "mapped": "green",
    "registers": "green",
    "dead": "bold red",
    "refused": "bold red",
    "lost": "bold red",
    "cancelled": "yellow",
    "cancels": "yellow",
    "ignored": "dim",
}


def console() -> Console:
    """Return where tables go; a file or pipe gets lines as long as they are."""
    return Console(width=None if sys.stdout.isatty() else 200, highlight=False, emoji=False)


def print_json(document: object, *, indent: int | None = 2) -> None:
    """Print one document; without `indent` on one line."""
    sys.stdout.write(json.dumps(document, indent=indent, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def shown(value: object) -> Text:
    """Return a value as one line of plain text, with the colour that its word has."""
    text = "" if value is None else plain(value)
    return Text(text, style=STYLES.get(text, ""), overflow="fold")


def at(text: str | None) -> Text:
    """Return a time of the API as people read it, in UTC."""
    return Text(f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S}" if text else "", no_wrap=True)


def table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Return a table without frames, so that it can be copied and cut."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        made.add_column(title, overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else shown(cell) for cell in row))
    return made


def facts(pairs: Mapping[str, object]) -> Table:
    """Return names and values, those without a value left out."""
    made = Table(box=None, pad_edge=False, show_header=False)
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in pairs.items():
        if value not in (None, "", {}, []):
            made.add_row(name, value if isinstance(value, Text) else shown(value))
    return made


def who(item: Mapping[str, Any]) -> str:
    """Return a registration's person as one calls them."""
    if item["email"] or item["leadId"]:
        return str(item["email"] or f"lead {item['leadId']}")
    return "Somebody whose data was removed" if is_blanked(item) else "Somebody without an address"


def is_blanked(item: Mapping[str, Any]) -> bool:
    """Tell whether the retention time took what was known of a registration's person."""
    return item["state"] in FINAL_STATES and not (item["email"] or item["leadId"] or item["tokens"])
