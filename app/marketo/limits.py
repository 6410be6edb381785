"""Marketo's window of calls in seconds, as the clocks that pace the calls count them."""

from app.domain import MARKETO_WINDOW

SPAN = MARKETO_WINDOW.total_seconds()
