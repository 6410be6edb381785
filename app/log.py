"""Write log lines: facts with fields, one a line, on one pipe, and nothing in them that must not leave.

Our own lines (structlog) and everybody else's (logging: uvicorn, SQLAlchemy, httpx) are rendered by the same steps.
The last of them masks e-mail addresses and the configured secrets in the whole line, tracebacks included.
"""

import json
import logging
import re
import sys
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, TextIO
from urllib.parse import quote, quote_plus

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

LogFormat = Literal["json", "console"]
MASK = "***"
LINES_TOGETHER = 8  # less than a pipe's 4096 bytes, up to which those of several workers are not mixed
SHORTEST_SECRET = 4  # masking anything shorter would blacken ordinary words

# What uvicorn must be started with: its loggers then have no handlers of their own, and no access lines with raw paths.
UVICORN_OPTIONS: dict[str, Any] = {"log_config": None, "access_log": False}

_TOO_TALKATIVE = ("httpx", "httpcore", "aiosqlite", "sqlalchemy", "alembic", "asyncio")  # URLs and parameters at INFO
_AT = r"(?:@|%40|\\+u0040)"
_ENDS = r"\s\"'<>()\[\]{},;:\\/=?&@|"  # what an address ends at
_PART = rf"[^{_ENDS}]+"
# An address starts where its characters do (looking further on each of them would take quadratic time), and never
# inside an escape: the line must stay JSON, so the n of \n is no letter.
_START = rf"(?:(?<![^{_ENDS}])(?<!\\)|(?<=\\[^u])|(?<=\\u[0-9a-f]{{4}}))"
_ADDRESS = re.compile(rf"{_START}{_PART}{_AT}{_PART}", re.IGNORECASE)
# What libraries put into their messages about data: SQLAlchemy its parameters, pydantic the input it refused.
_QUOTED_DATA = re.compile(r"\[parameters: .*?\](?=\n|\\n|\"|$)|input_value=.*?(?=, input_type=)", re.DOTALL)
_encode = json.JSONEncoder(ensure_ascii=False, default=str, separators=(",", ":")).encode


def configure_logging(
    *,
    level: str = "info",
    format: LogFormat = "json",  # noqa: A002  # the setting's own name, LOG_FORMAT
    secrets: Iterable[str] = (),
    stream: TextIO | None = None,
) -> None:
    """Send every log line of this process to `stream` (standard output), masked. May be called again."""
    out = stream or sys.stdout
    threshold = logging.getLevelNamesMapping()[level.upper()]
    render: list[Processor] = [*_renderers(format), Masker(secrets)]
    structlog.configure(
        processors=[*_shared(), structlog.processors.format_exc_info, *render],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    _take_over_logging(threshold, render, out)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def prepared_line(
    event: str, *fields: str, soon: Callable[[Callable[[], None]], object] = lambda write: write()
) -> Callable[..., None]:
    """Return a function that logs this fact at level info, given the fields' values in order.

    For the hot path only: a fraction of the usual cost, since nothing is looked for in the line. So every value must be
    a number, None, or a word or id of our own, never anything that a sender wrote. `soon` says when what it is handed
    is called: with an event loop's `call_soon`, the lines of one turn are written together.
    """
    config = structlog.get_config()
    logger: FilteringBoundLogger = structlog.get_logger().bind()
    if not logger.is_enabled_for(logging.INFO):
        return lambda *_values: None
    if _render_json not in config["processors"]:
        return lambda *values: logger.info(event, **dict(zip(fields, values, strict=True)))
    lines: list[str] = []
    write = config["logger_factory"]().msg

    def write_lines() -> None:
        together = lines[:]
        lines.clear()
        for start in range(0, len(together), LINES_TOGETHER):
            write("\n".join(together[start : start + LINES_TOGETHER]))

    template = f'{{"event":"{event}",' + "".join(f'"{field}":%s,' for field in fields) + '"level":"info","at":"%s"}'

    def line(*values: float | str | None) -> None:
        at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        lines.append(template % (*[_literal(value) for value in values], at))
        if len(lines) == 1:
            soon(write_lines)

    return line


def _literal(value: float | str | None) -> object:
    if value is None:
        return "null"
    return f'"{value}"' if isinstance(value, str) else value


def secret_forms(secrets: Iterable[str]) -> tuple[str, ...]:
    """Return every spelling in which a secret can turn up in a line, the longest first."""
    forms: set[str] = set()
    for secret in secrets:
        spelt = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret)}
        spelt |= {json.dumps(text)[1:-1] for text in spelt} | {_encode(text)[1:-1] for text in spelt}
        forms |= spelt | {repr(secret)[1:-1], repr(secret.encode("utf-8", "replace"))[2:-1]}
    return tuple(sorted((form for form in forms if len(form) >= SHORTEST_SECRET), key=len, reverse=True))


class Masker:
    """The last step: masks addresses and secrets in a rendered line, and makes it writable."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._forms = secret_forms(secrets)

    def __call__(self, _logger: WrappedLogger, _name: str, rendered: Any) -> str:
        return self.mask(rendered)

    def mask(self, line: str) -> str:
        for form in self._forms:
            if form in line:
                line = line.replace(form, MASK)
        if "@" in line or "%40" in line or "u0040" in line:
            line = _ADDRESS.sub(MASK, line)
        if "[parameters: " in line or "input_value=" in line:
            line = _QUOTED_DATA.sub(MASK, line)
        # A lone surrogate, as JSON may hold one, cannot be written as UTF-8.
        return line if line.isascii() else line.encode("utf-8", "backslashreplace").decode()


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    ]


def _renderers(format: LogFormat) -> list[Processor]:  # noqa: A002  # as above
    if format == "json":
        return [_render_json]
    console = structlog.dev.ConsoleRenderer(
        colors=sys.stdout.isatty(), exception_formatter=structlog.dev.plain_traceback, timestamp_key="at"
    )
    return [console]


def _render_json(_logger: WrappedLogger, _name: str, event: EventDict) -> str:
    return _encode(event)


def _take_over_logging(threshold: int, render: list[Processor], out: TextIO) -> None:
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_shared(), structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                *render,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(threshold)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.asgi"):
        theirs = logging.getLogger(name)
        theirs.handlers.clear()
        theirs.propagate = True
        theirs.disabled = False
        theirs.setLevel(logging.NOTSET)
    logging.getLogger("uvicorn.access").disabled = True  # ours names the route's template, theirs the raw path
    for name in _TOO_TALKATIVE:
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))
    logging.captureWarnings(True)


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    structlog.get_logger("app").critical("uncaught_exception", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None:
        _log_uncaught(args.exc_type, args.exc_value, args.exc_traceback)
