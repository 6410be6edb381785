"""Start the simulated Marketo, Eventbrite and Pendo alone: `relay sandbox`, or `python -m app.sandbox`."""

import argparse
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from app.sandbox.config import SandboxConfig
from app.sandbox.server import DEFAULT_HOST, DEFAULT_PORT, run_sandbox

_WHAT = "Start the simulated Marketo, Eventbrite and Pendo. Nothing leaves this machine."
_MORE = "What it has seen, and how to make it go wrong, is described at /sandbox/openapi.json and in docs/sandbox.md."


def main(arguments: Sequence[str] | None = None, *, prog: str = "python -m app.sandbox") -> None:
    """Read the command line and serve until interrupted."""
    parser = _parser(prog)
    chosen = parser.parse_args(arguments)
    try:
        config = SandboxConfig(
            latency=timedelta(milliseconds=chosen.latency_ms),
            calls_per_window=chosen.calls_per_window,
            window=timedelta(seconds=chosen.window_seconds),
            max_in_flight=chosen.max_in_flight,
            calls_per_day=chosen.calls_per_day,
            duplicate_within=timedelta(seconds=chosen.duplicate_seconds),
            activity_delay=timedelta(seconds=chosen.activity_delay_seconds),
            sparse=chosen.sparse,
        )
        run_sandbox(chosen.host, chosen.port, config, ready_file=chosen.ready_file, quiet=chosen.quiet)
    except (ValueError, OSError) as wrong:
        parser.error(str(wrong))


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=prog, description=_WHAT, epilog=_MORE)
    parser.add_argument("--host", default=DEFAULT_HOST)
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="0 takes any free one")
    parser.add_argument("--latency-ms", type=float, default=50)
    parser.add_argument("--calls-per-window", type=int, default=100, help="at most Marketo's 100")
    parser.add_argument("--window-seconds", type=float, default=20)
    parser.add_argument("--max-in-flight", type=int, default=10, help="at most Marketo's 10")
    parser.add_argument("--calls-per-day", type=int, default=50_000)
    parser.add_argument(
        "--duplicate-seconds", type=float, default=3, help="two upserts closer than this make two people"
    )
    parser.add_argument(
        "--activity-delay-seconds", type=float, default=2, help="how long after it happened an activity can be read"
    )
    parser.add_argument("--sparse", action="store_true", help="leave empty arrays out of Marketo's answers")
    parser.add_argument("--ready-file", type=Path, help='gets {"url": …} once connections are accepted')
    parser.add_argument("--quiet", action="store_true", help="print no banner")
    return parser


if __name__ == "__main__":
    main()
