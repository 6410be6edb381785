"""The way of every request to a simulated service: read, go wrong if a fault says so, answer, write down."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import NamedTuple, Protocol

from starlette.types import Receive, Scope, Send

from app.sandbox.faults import Fault
from app.sandbox.ledger import Call
from app.sandbox.marketo_answers import request_id
from app.sandbox.wire import Answer, Request, cut, gone, html_answer, read_request, send_answer, send_half
from app.sandbox.world import Simulation, Work, World

_BAD_GATEWAY = "<html><head><title>{0}</title></head><body><center><h1>{0} Error</h1></center><hr></body></html>"


class Service(Protocol):
    """One simulated API: names its operations, answers requests, and words its own errors."""

    @property
    def name(self) -> str: ...

    def operation(self, request: Request) -> str: ...

    async def answer(self, work: Work) -> Answer: ...

    def error(self, work: Work, code: str) -> Answer:
        """Return what `code:…` or `http:…` means at this service."""
        ...


class Line(NamedTuple):
    """The connection of one request, as ASGI gives it."""

    scope: Scope
    receive: Receive
    send: Send


class Door:
    """An ASGI application that leads to one service."""

    def __init__(self, simulation: Simulation, service: Service) -> None:
        self._simulation = simulation
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        world = self._simulation.world
        started = world.now()
        request = await read_request(scope, receive)
        kind = self._service.operation(request)
        fault = world.faults.take(self._service.name, kind, request, world.now())
        with ExitStack() as held:
            work = Work(world, request, _open_call(world, self._service.name, kind, request), held)
            work.call.started = started
            held.callback(_close_call, work)
            await self._carry_out(work, fault, Line(scope, receive, send))

    async def _carry_out(self, work: Work, fault: Fault | None, line: Line) -> None:
        if fault is None or fault.runs_request:
            answer = await self._service.answer(work)
        else:
            await work.world.config.sleep(work.world.config.latency.total_seconds())
            answer = self._faulty(work, fault)
        work.call.status = answer.status
        answer = _dated(work.world, answer)
        accepts = work.request.headers.get("accept-encoding", "")
        if fault is None:
            await send_answer(line.send, answer, accepts=accepts)
            return
        work.call.fault = fault.kind
        await self._go_wrong(work, fault, answer, line)

    async def _go_wrong(self, work: Work, fault: Fault, answer: Answer, line: Line) -> None:
        match fault.name:
            case "lost" | "cut":
                await cut(line.scope, line.receive)
            case "timeout" | "hang":
                await gone(line.receive)
            case "half":
                await send_half(line.send, answer)
            case "slow":
                await work.world.config.sleep(float(fault.argument))
                await send_answer(line.send, answer)
            case _:
                await send_answer(line.send, _dated(work.world, self._faulty(work, fault)))

    def _faulty(self, work: Work, fault: Fault) -> Answer:
        status, _, form = fault.argument.partition(" ")
        match fault.name:
            case "code":
                return self._service.error(work, fault.argument)
            case "http" if form == "html":
                return html_answer(int(status), _BAD_GATEWAY.format(status))
            case "http":
                answer = self._service.error(work, f"http {status}")
                return replace(answer, headers={**answer.headers, **_retry_after(work.world, form)})
            case "redirect":
                return Answer(302, b"", {"location": work.request.base_url + "/sandbox/elsewhere"})
            case _:
                return Answer(
                    200, b'\x00\xff{"requestId": <!-- not what you expected', {"content-type": "application/json"}
                )


def _dated(world: World, answer: Answer) -> Answer:
    return replace(answer, headers={**answer.headers, "date": _shown(world.now() + world.ahead)})


def _retry_after(world: World, form: str) -> Mapping[str, str]:
    """Return the header of a fault that says `after 90` or `until 90`; none for others."""
    way, _, seconds = form.partition(" ")
    match way:
        case "after":
            return {"retry-after": seconds}
        case "until":
            return {"retry-after": _shown(world.now() + world.ahead + timedelta(seconds=int(seconds)))}
        case _:
            return {}


def _shown(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)


def _open_call(world: World, service: str, kind: str, request: Request) -> Call:
    n, now = world.calls.next_number(), world.now()
    endpoint = request.target.partition("?")[0].lstrip("/")
    call = Call(n, now, service, kind, endpoint, request.method, started=now)
    call.request_id = request_id(n, now)
    return call


def _close_call(work: Work) -> None:
    """Write the call down. It stands in the ledger when its answer has left, or its caller has."""
    world, call = work.world, work.call
    call.ms = round((world.now() - call.started).total_seconds() * 1000, 1)
    world.calls.add(call)
    world.outcomes[call.kind, call.code or "ok"] += 1
