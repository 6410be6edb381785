"""Pendo's API as far as it turns a visitor id into a person: one operation, protected by the integration key."""

from typing import Any

from app.sandbox.wire import Answer, Request, json_answer
from app.sandbox.world import Work

_VISITOR = "/visitor/"


class Pendo:
    """`/pendo/api/v1`."""

    name = "pendo"

    def operation(self, request: Request) -> str:
        return "pendo_visitor" if request.path.startswith(_VISITOR) else "pendo_unknown"

    async def answer(self, work: Work) -> Answer:
        await work.world.config.sleep(work.world.config.latency.total_seconds())
        request = work.request
        if request.headers.get("x-pendo-integration-key") != work.world.config.pendo_key:
            return self.error(work, "http 403")
        if request.method != "GET":
            return self.error(work, "http 405")
        visitor_id = request.path.removeprefix(_VISITOR)
        metadata = work.world.visitors.get(visitor_id) if request.path.startswith(_VISITOR) else None
        return json_answer(200, _visitor(visitor_id, metadata)) if metadata else self.error(work, "http 404")

    def error(self, work: Work, code: str) -> Answer:
        """Answer in plain words: Pendo documents no shape for its errors."""
        status = int(code.removeprefix("http ")) if code.startswith("http ") else 400
        work.call.code = f"http {status}"
        return Answer(status, f"error {status}".encode(), {"content-type": "text/plain"})


def _visitor(visitor_id: str, metadata: dict[str, Any]) -> dict[str, Any]:
    return {"id": visitor_id, "metadata": metadata}
