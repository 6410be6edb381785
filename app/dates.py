"""Read moments that others wrote. One without a zone is taken for UTC."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def in_utc(when: datetime) -> datetime:
    """Return the same moment in UTC.

    Raises:
        OverflowError: there it is before the first or after the last that can be written.
    """
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def read_http_date(header: str | None) -> datetime | None:
    """Read a header's date (Date, Retry-After); None when it is absent or none. Never raises."""
    try:
        return in_utc(parsedate_to_datetime(header)) if header else None
    except (ValueError, OverflowError):
        return None
