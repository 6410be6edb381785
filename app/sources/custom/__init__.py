"""Apps of one's own: a strict JSON body, signed as Standard Webhooks or sent with a Bearer key."""

from app.sources.custom.adapter import CustomSource

__all__ = ["CustomSource"]
