"""Name the sources for the command line, so that a shell can complete them."""

from enum import StrEnum


class SourceName(StrEnum):
    """Whose webhooks can be made here."""

    EVENTBRITE = "eventbrite"
    PENDO = "pendo"
    CUSTOM = "custom"
