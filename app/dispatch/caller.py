"""Carry out one call to Marketo: ask, settle each of its registrations, split what was refused for one of them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, Protocol, TypeVar

import structlog

from app.dispatch import verdicts
from app.dispatch.bell import Bell
from app.dispatch.day import Day
from app.dispatch.lease import Lease
from app.dispatch.pausing import Pauses
from app.dispatch.verdicts import Halving, Policy
from app.dispatch.window import Pace, Window
from app.domain import FINAL_STATES, CallId, CampaignId, Clock, LeadId, RegistrationState, Ticks, new_id, steady_seconds
from app.errors import LeadershipLost, StoreUnavailable, WindowTaken
from app.marketo.answers import FindAnswer, FoundPerson, SyncAnswer, TriggerAnswer
from app.marketo.codes import Consequence, Endpoint, Executed, Trouble
from app.marketo.failures import CallFailed, failure
from app.marketo.requests import PersonRecord
from app.metrics import Metrics
from app.store.calls import CallLog
from app.store.claims import Call, CallResult, Claimed
from app.store.fates import Fate
from app.store.sending import Sending
from app.tracing import Passenger, Step, Tracing

_STORE_AWAY = 1.0  # seconds between two tries to write what is known
_Written = TypeVar("_Written")
LIMITS = frozenset({Consequence.RATE, Consequence.CONCURRENCY, Consequence.QUOTA})  # of the instance, by all together
_MOST_FOUND = 3000  # records of one look-up: ten a person would be a strange instance
_log = structlog.get_logger(__name__)


class Marketo(Protocol):
    """What the dispatcher needs of `app.marketo.client`; each method is one request and may raise CallFailed."""

    async def sync_people(self, records: Sequence[PersonRecord], /) -> SyncAnswer: ...

    async def find_people(self, values: Sequence[str], /, *, next_page_token: str | None = None) -> FindAnswer: ...

    async def trigger(
        self, campaign_id: CampaignId, lead_ids: Sequence[LeadId], tokens: "dict[str, str]", /
    ) -> TriggerAnswer: ...


@dataclass(frozen=True, slots=True)
class Caller:
    """Makes the calls of one term of leadership, within its window and the day's budget.

    `bell` tells of the term's end, `ticks` is a monotonic clock in seconds.
    """

    marketo: Marketo
    sending: Sending
    log: CallLog
    lease: Lease
    window: Window
    pauses: Pauses
    policy: Policy
    metrics: Metrics
    clock: Clock
    bell: Bell
    day: Day
    ticks: Ticks = steady_seconds
    tracing: Tracing | None = None
    under_way: set[CallId] = field(default_factory=set)
    _room: Bell = field(default_factory=Bell)

    async def carry_out(self, call: Call, halving: Halving | None = None) -> None:
        """Make a call that was written down and has its place in the window; settle it whatever comes.

        `halving` is that of the refused call of which this one is a part.
        """
        self.under_way.add(call.id)
        try:
            await self._carry_out(call, halving)
        except LeadershipLost as lost:
            _log.warning("call not made", call_id=call.id, reason=str(lost))
        finally:
            self.under_way.discard(call.id)

    async def _carry_out(self, call: Call, halving: Halving | None) -> None:
        await self._check_lease(call)
        begun = self.clock()
        try:
            result, fates = await self._ask(call)
        except CallFailed as failed:
            await self._refused(call, failed, begun, halving)
        except LeadershipLost:
            raise
        except Exception:  # noqa: BLE001  # a defect of ours must not leave registrations in nobody's hands
            _log.exception("a call failed in the relay itself", call_id=call.id, kind=call.kind)
            await self._refused(call, _defect(call), begun, halving)
        else:
            if halving:
                halving.has_passed = True
            await self.pauses.worked(call, begun=begun)
            await self._settle(call, result, fates, begun)

    async def _check_lease(self, call: Call) -> None:
        """Make sure that we may make the call; else write down that nothing of it was sent."""
        try:
            self.lease.check()
        except LeadershipLost:
            self.request_ended()
            back, fence = verdicts.put_back(call, call.registrations), self.lease.fence
            await self._stored(call, lambda: self.sending.not_made(call, back, fence=fence, now=self.clock()))
            raise

    async def _ask(self, call: Call) -> tuple[CallResult, list[Fate]]:
        try:
            return await self._answer(call)
        finally:
            self.request_ended()

    def request_ended(self) -> None:
        """Give the place of one request back to the window, and tell who waits for it."""
        self.window.end(self.ticks())
        self._room.ring()

    async def _answer(self, call: Call) -> tuple[CallResult, list[Fate]]:
        match call.kind:
            case "upsert":
                synced = await self.marketo.sync_people(verdicts.records_of(call))
                return _done(synced), verdicts.after_sync(call, synced, now=self.clock())
            case "lookup":
                return await self._look_up(call)
            case "trigger":
                tokens = dict(call.registrations[0].passed)
                assert call.campaign_id is not None  # noqa: S101  # a trigger call is claimed with its campaign
                taken = await self.marketo.trigger(call.campaign_id, verdicts.leads_of(call), tokens)
                return _done(taken), verdicts.after_trigger(call, taken)
            case "check" | "usage" | "setup":
                raise ValueError(f"calls of the kind {call.kind} are made elsewhere")

    async def _look_up(self, call: Call) -> tuple[CallResult, list[Fate]]:
        addresses = [group[0].email or "" for group in verdicts.by_person(call.registrations).values()]
        answer = await self.marketo.find_people(addresses)
        people: list[FoundPerson] = [*answer.people]
        while answer.next_page_token is not None and len(people) < _MOST_FOUND:
            self.window.end(self.ticks())  # one request ended, the next page is another
            page = await self._in_a_place(call, lambda: self.log.begin("lookup", fence=self.lease.fence))
            if page is None:
                self.window.begin(self.ticks())  # for nothing: `_ask` ends it
                return _done(answer), verdicts.put_back(call, call.registrations)
            answer = await self._further_page(call, page, addresses, answer.next_page_token)
            people += answer.people
        return _done(answer), verdicts.after_find(call, people, policy=self.policy)

    async def _further_page(self, call: Call, page: CallId, addresses: Sequence[str], token: str) -> FindAnswer:
        """Ask for one more page: a request of its own for Marketo's limits, so it is written down like any."""
        self.lease.check()
        try:
            answer = await self.marketo.find_people(addresses, next_page_token=token)
        except CallFailed as failed:
            ended = refusal(failed)
            await self._stored(call, lambda: self.log.end(page, ended))
            raise
        await self._stored(call, lambda: self.log.end(page, _done(answer)))
        return answer

    async def count_day(self) -> None:
        """Take over from the store what was called today."""
        began = self.day.began_at
        await self.count_beside()
        self.day.own = await self.log.count_since(began) - self.day.beside

    async def count_beside(self) -> None:
        """Take over from the store what the relay's other processes have called today."""
        began = self.day.began_at
        self.day.seen_beside(await self.log.count_beside_since(began), began)

    async def _in_a_place(self, call: Call, write: Callable[[], Awaitable[_Written | None]]) -> _Written | None:
        """Wait for a place in the window and write a call down in it; None when it is no time for further ones.

        Or when there was nothing to write down.
        """
        while await self._place(call):
            try:
                written = await self._stored(call, write)
            except WindowTaken:
                self.window.give_back()
                continue
            if written is None:
                self.window.give_back()
                return None
            self.day.begin_call(self.clock())
            return written
        return None

    async def _place(self, call: Call) -> bool:
        """Wait for a place in the window and take it; False when it is no time for further requests of this call."""
        while not self._must_stop(call):
            seconds = self.window.wait(self.ticks(), Pace.AT_ONCE)
            if seconds == 0:
                self.window.begin(self.ticks())
                return True
            await self._room.wait(min(seconds or 1.0, 1.0))
        return False

    def _must_stop(self, call: Call) -> bool:
        is_paused = self.pauses.wait() > 0 or call.campaign_id in self.pauses.paused_campaigns()
        return self.bell.is_stopping or is_paused or self.day.wait(self.clock()) > 0

    async def _refused(self, call: Call, failed: CallFailed, begun: datetime, halving: Halving | None) -> None:
        await self.take_refusal(failed, call, begun)
        result = refusal(failed)
        if failed.consequence is Consequence.NO_DATA and call.kind == "lookup":
            await self._settle(call, result, verdicts.after_find(call, [], policy=self.policy), begun)
        elif verdicts.must_split(call, failed):
            await self._settle(call, result, [], begun)
            if halving is None:
                whole = Halving(failed)
                await self._halve(call, result, whole)
                await self._end(whole)
            else:
                await self._halve(call, result, halving)
        elif halving and halving.is_alike(failed):
            await self._settle(call, result, [], begun)
            halving.lone.append((call, result))
        else:
            fates = verdicts.after_refusal(call, failed, policy=self.policy, now=self.clock())
            await self._settle(call, result, fates, begun)

    async def take_refusal(self, failed: CallFailed, call: Call, begun: datetime) -> None:
        """Pause, and allow ourselves less for a while, as a failure asks for."""
        now = self.ticks()
        begun_at = now - max(0.0, (self.clock() - begun).total_seconds())
        if failed.consequence is Consequence.RATE:
            self.window.rate.shrink(now, begun=begun_at)
        elif failed.consequence is Consequence.CONCURRENCY:
            self.window.concurrency.shrink(now, begun=begun_at)
        elif failed.consequence is Consequence.QUOTA and begun >= self.day.began_at:
            self.day.refuse(self.clock())
        if failed.consequence is Consequence.DEFECT:
            _log.error("batch stopped", call_id=call.id, kind=call.kind, code=failed.code, reason=str(failed))
        await self.pauses.failed(failed, call, begun=begun)

    async def _halve(self, call: Call, result: CallResult, halving: Halving) -> None:
        for part in verdicts.halves(call):
            if halving.is_shared:
                halving.rest.append((replace(call, registrations=part), result))
            else:
                await self._carry_out_part(call, result, part, halving)

    async def _end(self, halving: Halving) -> None:
        """Settle who was refused alone, now that it is known whether that was the fault of each."""
        for call, result in (*halving.lone, *halving.rest):
            fates = halving.fates(call, policy=self.policy, now=self.clock())
            self._tell_fates(call, result, await self._write(call, result, fates))

    async def _carry_out_part(self, call: Call, result: CallResult, part: Sequence[Claimed], halving: Halving) -> None:
        again, fence = CallId(new_id("call", self.clock())), self.lease.fence
        self.under_way.add(again)  # before it is stored: if that answer is lost, nobody must take it for loose
        try:
            smaller = await self._in_a_place(
                call, lambda: self.sending.split(call, part, again=again, fence=fence, now=self.clock())
            )
            if smaller is None:
                await self._write(call, result, verdicts.put_back(call, part))
            else:
                await self.carry_out(smaller, halving)
        finally:
            self.under_way.discard(again)

    async def _settle(self, call: Call, result: CallResult, fates: Sequence[Fate], begun: datetime) -> None:
        answered = self.clock()
        settled = await self._write(call, result, fates)
        self._tell(call, result, settled)
        if self.tracing is not None:
            self.tracing.called(_step(call, result, begun, answered), _passengers(call, settled))

    async def _write(self, call: Call, result: CallResult, fates: Sequence[Fate]) -> list[Fate]:
        return await self._stored(
            call, lambda: self.sending.settle(call, result, fates, fence=self.lease.fence, now=self.clock())
        )

    async def _stored(self, call: Call, write: Callable[[], Awaitable[_Written]]) -> _Written:
        """Write down what is known; a store that is away for a while must not make us forget it."""
        while True:
            try:
                return await write()
            except StoreUnavailable as problem:
                _log.warning("store unavailable", call_id=call.id, reason=str(problem))
                await asyncio.sleep(_STORE_AWAY)  # a stop must not shorten it; the end of the term cancels it

    def _tell(self, call: Call, result: CallResult, settled: Sequence[Fate]) -> None:
        code = result.code or "ok"
        self.metrics.call_finished(call.kind, code)
        _log.info(
            "call answered",
            call_id=call.id,
            kind=call.kind,
            campaign_id=call.campaign_id,
            size=len(call.registrations),
            outcome=result.outcome,
            code=code,
            request_id=result.request_id,
        )
        self._tell_fates(call, result, settled)

    def _tell_fates(self, call: Call, result: CallResult, settled: Sequence[Fate]) -> None:
        for fate in settled:
            if fate.state in FINAL_STATES:
                self.metrics.registration_settled(fate.registration.source, fate.state)
            if fate.state is RegistrationState.DEAD:
                _log.error("registration dead", registration_id=fate.registration.id, cause=fate.cause, call_id=call.id)
            if fate.state is RegistrationState.SENT:
                ids = {"registration_id": fate.registration.id, "call_id": call.id, "request_id": result.request_id}
                _log.info("registration sent", **ids)
                self.metrics.registration_sent(fate.registration.source, self.clock() - fate.registration.came_at)


def _step(call: Call, result: CallResult, begun: datetime, ended: datetime) -> Step:
    facts: dict[str, str | int] = {"relay.call_id": call.id, "relay.call": call.kind, "relay.outcome": result.outcome}
    facts["relay.size"] = len(call.registrations)
    if call.campaign_id is not None:
        facts["relay.campaign_id"] = call.campaign_id
    return Step(f"marketo {call.kind}", begun, ended, facts, result.code)


def _passengers(call: Call, settled: Sequence[Fate]) -> list[Passenger]:
    """Return all whom a call served; of one whose fate is not settled yet the state is not known."""
    states = {fate.registration.id: fate.state.value for fate in settled}
    return [
        Passenger(one.traceparent, {"relay.registration_id": one.id, "relay.state": states.get(one.id, "unsettled")})
        for one in call.registrations
    ]


def _done(answer: SyncAnswer | FindAnswer | TriggerAnswer) -> CallResult:
    return CallResult("done", request_id=answer.request_id)


def refusal(failed: CallFailed) -> CallResult:
    """Return how a call ended that failed."""
    outcome: Literal["refused", "lost"] = "refused" if failed.executed is Executed.NO else "lost"
    return CallResult(outcome, failed.code, failed.message, failed.request_id)


def _defect(call: Call) -> CallFailed:
    endpoint = {"upsert": Endpoint.SYNC, "lookup": Endpoint.FIND, "trigger": Endpoint.TRIGGER}[call.kind]
    return failure(endpoint, Trouble.ANSWER_LOST, "The relay failed while it made this call; its log says where.")
