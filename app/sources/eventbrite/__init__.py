"""Eventbrite: unsigned, thin webhooks; the order, its attendees and the event are fetched."""

from app.sources.eventbrite.adapter import EventbriteSource
from app.sources.eventbrite.api import EventbriteApi

__all__ = ["EventbriteApi", "EventbriteSource"]
