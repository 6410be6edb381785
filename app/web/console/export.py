"""Write registrations as CSV for a spreadsheet. No I/O: views in, lines out."""

import csv
import io
from collections.abc import Iterable
from datetime import datetime

from app.store.views import RegistrationView
from app.web.console.parts import WebinarTokens
from app.web.console.words import advice, end_word, source_name

COLUMNS = (
    "id", "registered (UTC)", "state", "reason", "what to do", "source", "webinar id", "webinar", "starts (UTC)",
    "e-mail", "first name", "last name", "Marketo lead id", "campaign id", "handed to Marketo (UTC)",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def lines(views: Iterable[RegistrationView], names: WebinarTokens, *, with_header: bool) -> bytes:
    """Return CSV rows as RFC 4180 has them, in UTF-8."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    if with_header:
        writer.writerow(COLUMNS)
    writer.writerows([_harmless(cell) for cell in _cells(view, names)] for view in views)
    return text.getvalue().encode(errors="replace")


def _cells(view: RegistrationView, names: WebinarTokens) -> list[str]:
    return [
        view.id,
        _time(view.created_at),
        end_word(view),
        view.detail or "",
        advice(view.cause) or "",
        source_name(view.source),
        view.webinar_id,
        view.tokens.get(names.title, ""),
        _time(view.starts_at),
        view.email or "",
        view.first_name or "",
        view.last_name or "",
        str(view.lead_id or ""),
        str(view.campaign_id),
        _time(view.sent_at),
    ]


def _time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else ""


def _harmless(cell: str) -> str:
    """Keep a spreadsheet from taking a stranger's text for a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
