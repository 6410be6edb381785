"""Pendo: signed webhooks of every event of a category; a track event with a certain name is a registration."""

from app.sources.pendo.adapter import PendoSource
from app.sources.pendo.api import PendoApi
from app.sources.pendo.paths import PendoPaths

__all__ = ["PendoApi", "PendoPaths", "PendoSource"]
