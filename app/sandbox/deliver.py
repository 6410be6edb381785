"""`python -m app.sandbox.deliver`: send the sample traffic to a relay that already runs, and print its answers."""

import argparse
import sys
from datetime import UTC, datetime

import httpx

from app.sandbox.traffic import sample_traffic


def main(arguments: list[str] | None = None) -> int:
    """Send everything once; return 0 if each answer has the expected status."""
    chosen = _parser().parse_args(arguments)
    deliveries = sample_traffic(chosen.relay, sandbox_url=chosen.sandbox, now=datetime.now(UTC))
    as_expected = True
    with httpx.Client(timeout=10, trust_env=False) as http:
        for delivery in deliveries:
            headers = dict(delivery.headers)
            answer = http.request(delivery.method, delivery.url, content=delivery.body, headers=headers)
            as_expected &= answer.status_code == delivery.expect.status
            sys.stdout.write(f"{answer.status_code} {delivery.title}: {answer.text}\n")
    return 0 if as_expected else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app.sandbox.deliver", description=__doc__)
    parser.add_argument("--relay", default="http://127.0.0.1:8080", help="base URL of the relay")
    parser.add_argument("--sandbox", default="http://127.0.0.1:8090", help="base URL of the simulation")
    return parser


if __name__ == "__main__":
    sys.exit(main())
