"""Configure the log as `relay serve` does, into memory, and put everything back."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from app.log import LogFormat, configure_logging
from tests.logs import logs_restored


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
    lines = Lines()
    with logs_restored():
        configure_logging(level=level, format=style, secrets=secrets, stream=lines)
        yield lines
