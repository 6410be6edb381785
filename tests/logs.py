"""How this process logs, put back: each command of the relay that runs in it sets that, and others read their log."""

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import structlog


@contextmanager
def logs_restored() -> Iterator[None]:
    root, access, configuration = logging.getLogger(), logging.getLogger("uvicorn.access"), structlog.get_config()
    before = root.handlers[:], root.level, access.disabled, sys.excepthook, threading.excepthook
    try:
        yield
    finally:
        root.handlers[:], root.level, access.disabled, sys.excepthook, threading.excepthook = before
        logging.captureWarnings(False)
        structlog.configure(**configuration)
        structlog.contextvars.clear_contextvars()
