"""The interface keeps to its own description: Schemathesis tries each endpoint of /openapi.json.

On SQLite: a second time would double most of a minute, and what the two stores do with odd text and numbers is tried on
both in `tests/store`.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Err, Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.specs.openapi.schemas import OpenApiSchema  # here: in a test, under load, 3.11 failed to compile it

from tests.e2e.harness import ADMIN_TOKEN, API_KEY, EVENTBRITE_TOKEN, Relay, environment, registration, start_relay

pytestmark = pytest.mark.no_cover  # under a tracer it takes twice as long, and each part has tests of its own

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 6  # of each endpoint; all together are to take a minute at most


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    """A real one that has something to show, and reaches nobody."""
    folder = tmp_path_factory.mktemp("schema")
    chosen = environment("http://127.0.0.1:1", f"sqlite:///{folder / 'relay.db'}") | {"METRICS_NEED_TOKEN": "true"}
    running = start_relay(chosen, folder)
    for body in (registration("ada@example.com"), registration("bob@example.com", webinar={"id": "w-2"})):
        assert running.send(body).status_code == 202
    yield running
    running.process.stop()


def test_every_endpoint_answers_as_it_is_described(relay: Relay) -> None:
    """No 5xx, no status, type or field that /openapi.json does not name; the same requests each time."""
    schema = schemathesis.openapi.from_url(f"{relay.url}/openapi.json")
    assert isinstance(schema, OpenApiSchema)
    found = list(schema.get_all_operations())
    assert [str(one.err()) for one in found if isinstance(one, Err)] == []  # else it would not be tried
    tried = [try_out(one.ok()) for one in found if isinstance(one, Ok)]
    assert len(tried) > 20
    problems = [problem for one in tried for problem in one]
    assert not problems, "\n\n".join(dict.fromkeys(problems))
    assert "Traceback" not in relay.process.output
    assert relay.send(registration("eve@example.com")).status_code == 202


def try_out(operation: Any) -> list[str]:
    """Return what one endpoint did that it should not."""
    found: list[str] = []

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
        deadline=None,
    )
    @given(case=operation.as_strategy())
    def ask(case: Any) -> None:
        if "token" in (case.path_parameters or {}):
            case.path_parameters["token"] = EVENTBRITE_TOKEN
        key = API_KEY if operation.path.startswith("/webhooks") else ADMIN_TOKEN
        answer = case.call(headers={"Authorization": f"Bearer {key}"})
        try:
            case.validate_response(answer, checks=CHECKS)
        except FailureGroup as failures:
            found.extend(f"{operation.label}: {one}" for one in failures.exceptions)

    ask()
    return found
