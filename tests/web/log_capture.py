"""Configure the log as `relay serve` does, into memory, and put everything back."""

import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from app.log import LogFormat, configure_logging


class Lines(io.StringIO):
    """What was logged."""

    @property
    def text(self) -> str:
        return self.getvalue()

    def facts(self, event: str | None = None) -> list[dict[str, Any]]:
        """Return our own JSON lines (not uvicorn's), or those of one event."""
        lines = [json.loads(line) for line in self.text.splitlines()]
        return [line for line in lines if "logger" not in line and event in (None, line["event"])]


@contextmanager
def captured_log(*secrets: str, level: str = "info", style: LogFormat = "json") -> Iterator[Lines]:
    root, access, configuration = logging.getLogger(), logging.getLogger("uvicorn.access"), structlog.get_config()
    before = root.handlers[:], root.level, access.disabled, sys.excepthook, threading.excepthook
    lines = Lines()
    configure_logging(level=level, format=style, secrets=secrets, stream=lines)
    try:
        yield lines
    finally:
        root.handlers[:], root.level, access.disabled, sys.excepthook, threading.excepthook = before
        logging.captureWarnings(False)
        structlog.configure(**configuration)
        structlog.contextvars.clear_contextvars()
