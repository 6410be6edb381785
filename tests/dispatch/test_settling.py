"""Lost answers under `check`: everybody gets exactly one e-mail, over restarts, and without starving anybody."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.dispatch.activity_log import LogReader
from app.dispatch.looks import LOOKS, next_look
from app.dispatch.settling import Settler
from app.dispatch.verdicts import Policy
from app.domain import CampaignId, Clock, LeadId, Person, Registered, RegistrationState, Webinar
from app.errors import LeadershipLost
from app.marketo.activities import Activity, ActivityPage, ActivityTypes, PagingToken
from app.marketo.answers import TriggerAnswer
from app.marketo.codes import Endpoint, Trouble
from app.marketo.failures import CallFailed, failure
from app.store.ahead import count_open
from app.store.calls import CallLog
from app.store.database import Database, open_database
from app.store.takeover import OnAmbiguous, take_over
from app.store.unsettled import Unsettled
from tests.conftest import MovableClock
from tests.dispatch.simulated_marketo import Request, SimulatedMarketo
from tests.dispatch.stage import Stage, Ticks, people, registered, set_stage
from tests.tables import make_tables
from tests.web.log_capture import captured_log

CHECK = Policy(on_ambiguous="check", activity_delay=timedelta(minutes=1))
SENT, DEAD, SENDING = RegistrationState.SENT, RegistrationState.DEAD, RegistrationState.SENDING
REQUESTED, VISITED = 147, 1
CLOSED = failure(Endpoint.ACTIVITIES, "603", "Access denied")


@dataclass
class LoggedMarketo(SimulatedMarketo):
    """Writes an activity for each person that a campaign ran for; it can be read `behind` later.

    `outcomes` of campaign requests, in turn: `ok`; `refused`; or an answer that is lost, after it `ran` for all, for
    `half`, or did `not` run (and then by which code).
    """

    clock: Clock = field(kw_only=True)
    behind: timedelta = timedelta(seconds=59)
    names: dict[str, int] = field(default_factory=lambda: {"Visit Webpage": VISITED, "Request Campaign": REQUESTED})
    log: list[Activity] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)
    received: Counter[tuple[int, str]] = field(default_factory=Counter)  # (lead, webinar's title) → e-mails
    log_faults: list[CallFailed | None] = field(default_factory=list)  # of its requests, in turn
    unreadable: CallFailed | None = None
    searches: CallFailed | None = None  # what becomes of them
    activities_a_page: int = 20
    is_barred: bool = False  # whether the relay's address is not on the allow-list: 603 to whatever is asked

    async def _take(self, request: Request, refuse: Callable[[], None] = lambda: None) -> None:
        await super()._take(request, refuse)
        if self.searches and request.endpoint is Endpoint.FIND:
            raise self.searches
        if self.is_barred:
            raise failure(request.endpoint, "603", "Access denied")

    async def trigger(
        self, campaign_id: CampaignId, lead_ids: Sequence[LeadId], tokens: "dict[str, str]", /
    ) -> TriggerAnswer:
        outcome, _, code = (self.outcomes.pop(0) if self.outcomes else "ok").partition(" ")
        asked = lead_ids if outcome in ("ok", "ran") else lead_ids[: len(lead_ids) // 2] if outcome == "half" else []
        if outcome == "refused":
            raise failure(Endpoint.TRIGGER, "608", "unavailable")
        try:
            await super().trigger(campaign_id, lead_ids, tokens)
        finally:
            self.sent.subtract((lead, campaign_id) for lead in lead_ids[len(asked) :])
            self.received.update((lead, tokens["WebinarTitle"]) for lead in asked)
            self.log += [Activity(lead, REQUESTED, self.clock(), campaign_id) for lead in asked]
        if outcome != "ok":
            raise failure(Endpoint.TRIGGER, code or "502", "no answer")
        return TriggerAnswer(self.request_id, ())

    async def activity_types(self) -> ActivityTypes:
        await self._ask()
        return ActivityTypes("t#1", (), self.names)

    async def paging_token(self, since: datetime, /) -> PagingToken:
        await self._ask()
        return PagingToken("p#1", (), since.isoformat() + " 0")

    async def activities(self, token: str, /, *, type_ids: Collection[int], lead_ids: Sequence[LeadId]) -> ActivityPage:
        await self._ask(tuple(lead_ids))
        self._rule(len(set(lead_ids)) == len(lead_ids) <= 30, "at most 30 people")
        since, _, first = token.partition(" ")
        found = [
            one
            for one in self.log
            if one.lead_id in lead_ids
            and one.type_id in type_ids
            and datetime.fromisoformat(since) <= one.at <= self.clock() - self.behind
        ]
        end = int(first) + self.activities_a_page
        page = tuple(found[int(first) : end])
        return ActivityPage("a#1", (), page, f"{since} {end}" if end < len(found) else None)

    async def _ask(self, leads: tuple[int, ...] = ()) -> None:
        await self._take(Request(Endpoint.ACTIVITIES, ("log",), leads))
        fault = self.log_faults.pop(0) if self.log_faults else self.unreadable
        if fault:
            raise fault


@dataclass
class Settling:
    """A stage with a settler; `work` lets both act, and time pass when neither can."""

    stage: Stage
    settler: Settler
    marketo: LoggedMarketo

    async def work(self, *, at_most: timedelta = timedelta(hours=3)) -> None:
        end, running = self.stage.clock() + at_most, self.stage.sender._running
        while self.stage.clock() < end:
            waits = [await self.settler.step(), await self.stage.sender.step()]
            if running:
                await asyncio.wait(running, timeout=0.05, return_when=asyncio.FIRST_COMPLETED)
            elif not (await count_open(self.stage.database))[0]:
                return
            elif min(waits) > 0:
                self.stage.pass_time(max(0.01, await self._until_something()))

    async def _until_something(self) -> float:
        """Return how long nothing can happen, where all that is open are lost requests."""
        states = await self.stage.states()
        if states.keys() & {RegistrationState.NEW, RegistrationState.KNOWN}:
            return 0.2
        at = await self.settler.unsettled.next_look()
        paused = self.stage.sender.caller.pauses.wait()
        return max(0.2, paused, (at - self.stage.clock()).total_seconds() if at else 0.0)

    def mails(self) -> list[int]:
        return sorted(count for count in self.marketo.sent.values() if count)

    async def timeline(self) -> list[str]:
        """Return what happened to the only registration, and whether each step is told with a reason."""
        return [entry.what for entry in (await self.stage.the_only_one()).timeline if entry.detail]


async def begin(
    database: Database, clock: MovableClock, *outcomes: str, policy: Policy = CHECK, ticks: Ticks | None = None
) -> Settling:
    """Begin a term; `outcomes` are those of the first campaign requests."""
    ticks = ticks or Ticks()
    marketo = LoggedMarketo(ticks, clock=clock, outcomes=list(outcomes))
    stage = await set_stage(database, clock, policy=policy, marketo=marketo, ticks=ticks)
    return Settling(
        stage,
        Settler(
            stage.sender.caller,
            LogReader(stage.sender.caller, marketo, CallLog(database, clock=clock)),
            Unsettled(database),
        ),
        marketo,
    )


AMBIGUOUS = pytest.mark.parametrize("code", ["500", "502", "503", "504", Trouble.TIMED_OUT, Trouble.ANSWER_LOST])


async def test_who_got_the_mail_gets_no_second_one(database: Database, clock: MovableClock) -> None:
    """Marketo ran the campaign, its answer was lost: the first look tells, and the timeline says so."""
    here, began = await begin(database, clock, "ran"), clock()
    await here.stage.arrive(*people(100))
    await here.work()
    assert here.mails() == [1] * 100
    assert await here.stage.states() == {SENT: 100}
    some = (await here.stage.registrations())[0]
    assert "its activity log shows campaign 7" in (some.detail or "")
    assert some.sent_at is not None
    assert began <= some.sent_at < began + timedelta(minutes=1)
    assert clock() - began < timedelta(minutes=1, seconds=30)
    assert here.marketo.broken_rules == []


@AMBIGUOUS
async def test_who_got_none_gets_one(sqlite: Database, clock: MovableClock, code: str) -> None:
    """Nothing ran: what is not there after fifteen times the delay is requested again."""
    here, began = await begin(sqlite, clock, f"not {code}"), clock()
    await here.stage.arrive(registered("ada@example.com"))
    await here.work()
    assert here.mails() == [1]
    assert clock() - began >= LOOKS[-1] * CHECK.activity_delay
    assert await here.timeline() == ["registered", "person found", "answer lost", "checked", "sent"]
    assert len(here.marketo.asked(Endpoint.ACTIVITIES)) == 2 + len(LOOKS), "types and paging token are asked for once"


async def test_only_those_who_did_not_get_it_are_sent_again(sqlite: Database, clock: MovableClock) -> None:
    """Marketo stopped in the middle."""
    here = await begin(sqlite, clock, "half")
    await here.stage.arrive(*people(99))
    await here.work()
    assert here.mails() == [1] * 99
    assert here.marketo.sizes(Endpoint.TRIGGER) == [99, 50]


async def test_what_the_activity_log_told_of_each_is_logged(sqlite: Database, clock: MovableClock) -> None:
    """By registration, so that one finds how a lost request ended for somebody."""
    here = await begin(sqlite, clock, "half")
    with captured_log() as lines:
        await here.stage.arrive(*people(2))
        await here.work()
    told = lines.facts("registration settled")
    assert sorted((line["state"], line["what"]) for line in told) == [("known", "checked"), ("sent", "sent")]
    assert {line["registration_id"] for line in told} == {one.id for one in await here.stage.registrations()}
    assert all(line["call_id"].startswith("call_") for line in told)


async def test_an_activity_that_is_late_is_waited_for(sqlite: Database, clock: MovableClock) -> None:
    """Marketo is busy: ten minutes until it can be read, and nobody is mailed twice."""
    here = await begin(sqlite, clock, "ran")
    here.marketo.behind = timedelta(minutes=10)
    await here.stage.arrive(registered("ada@example.com"))
    await here.work()
    assert (here.mails(), await here.timeline()) == ([1], ["registered", "person found", "answer lost", "sent"])


async def test_a_webinar_that_starts_soon_is_not_waited_for(sqlite: Database, clock: MovableClock) -> None:
    """Who would come too late at the next look is decided upon at this one."""
    here, began = await begin(sqlite, clock, "not 502"), clock()
    soon = began + timedelta(minutes=3, seconds=30)
    person = Person("ada@example.com")
    await here.stage.arrive(Registered(person, Webinar("w-1", "Talk", "https://example.com/j", starts_at=soon)))
    await here.work()
    assert here.mails() == [1]
    assert clock() < soon


@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.sampled_from(["ran", "not 502", "half", "ok", "refused"]), max_size=8),
    st.lists(st.tuples(st.integers(1, 6), st.integers(0, 400)), min_size=1, max_size=5),
    st.integers(1, 55),
)
async def test_everybody_gets_exactly_one_mail_of_each_webinar(
    outcomes: list[str], arrivals: list[tuple[int, int]], behind: int
) -> None:
    """For any mix of answers: who cannot be told apart is held for a person, and nobody is mailed too often."""
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(f"sqlite:///{folder}/relay.db")
        await make_tables(database)
        clock = MovableClock(datetime(2026, 11, 23, 12, tzinfo=UTC))
        here = await begin(database, clock, *outcomes)
        here.marketo.behind = timedelta(seconds=behind)
        for number, (count, seconds) in enumerate(arrivals):
            await here.stage.arrive(*people(count, f"w-{number}"))
            await here.work(at_most=timedelta(seconds=seconds))
        await here.work()
        ended = await here.stage.registrations()
        await database.close()
    for one in ended:
        mails = here.marketo.received[one.lead_id or 0, one.tokens["WebinarTitle"]]
        assert mails == 1 if one.state is SENT else mails <= 1
    assert {one.state for one in ended} <= {SENT, DEAD}
    assert all(one.cause == "answer_lost" for one in ended if one.state is DEAD)
    assert here.marketo.broken_rules == []


async def test_two_that_cannot_be_told_apart_are_held(sqlite: Database, clock: MovableClock) -> None:
    """Two webinars of one person, both answers lost at one moment, one of them ran: a person decides, of two."""
    here = await begin(sqlite, clock, "ran", "not 502")
    here.marketo.gate = asyncio.Event()
    await here.stage.arrive(_lead("w-1"), _lead("w-2"))
    await here.stage.work(at_most=timedelta(seconds=1))
    here.marketo.gate.set()
    await here.work()
    assert here.mails() == [1]
    assert {one.cause for one in await here.stage.registrations()} == {"answer_lost"}


async def test_an_earlier_webinars_mail_does_not_hide_the_lost_one(sqlite: Database, clock: MovableClock) -> None:
    """One run is there, and it belongs to the request that Marketo had taken."""
    here = await begin(sqlite, clock, "ok", "not 502")
    await here.stage.arrive(_lead("w-1"))
    await here.work()
    await here.stage.arrive(_lead("w-2"))
    await here.work()
    assert here.mails() == [2]
    assert await here.stage.states() == {SENT: 2}


@pytest.mark.parametrize("outcome", ["ran", "not 502"])
async def test_it_survives_a_restart(database: Database, clock: MovableClock, outcome: str) -> None:
    """All that is known is in the store."""
    first = await begin(database, clock, outcome)
    await first.stage.arrive(*people(5))
    await first.work(at_most=timedelta(minutes=2))
    clock.move(timedelta(minutes=1))
    await first.stage.lease.give_back()
    second = await begin(database, clock)
    second.marketo.log, second.marketo.people = first.marketo.log, first.marketo.people
    fence = second.stage.lease.fence
    await take_over(database, fence=fence, on_ambiguous="check", now=clock())
    await second.work()
    assert sorted((first.marketo.sent + second.marketo.sent).values()) == [1] * 5


async def test_without_the_permission_it_is_requested_again(sqlite: Database, clock: MovableClock) -> None:
    """603 at the log is no reason to pause: after three of them, while other calls work, the relay does without."""
    here, began = await begin(sqlite, clock, "not 502", "not 502"), clock()
    here.marketo.unreadable = CLOSED
    await here.stage.arrive(registered("ada@example.com"))
    await here.work()
    assert here.mails() == [1]
    assert timedelta(minutes=3) < clock() - began < timedelta(minutes=6)
    assert len(here.marketo.asked(Endpoint.ACTIVITIES)) == 3
    assert here.settler.described().startswith("retry, not check: The API user may not read activities")
    one = await here.stage.the_only_one()
    assert any("Read-Only Activity" in entry.detail for entry in one.timeline)
    assert here.stage.sender.caller.pauses.described() == {}


async def test_one_603_of_the_log_mails_nobody_twice(sqlite: Database, clock: MovableClock) -> None:
    """It also means that the address was not allowed for a moment: what waits is not released."""
    here = await begin(sqlite, clock, "ran")
    here.marketo.log_faults = [CLOSED]
    await here.stage.arrive(*people(5))
    await here.work(at_most=timedelta(seconds=70))
    assert here.settler.described().startswith("check, but the activity log is refused (603) since 12:01:")
    await here.work()
    assert here.mails() == [1] * 5
    assert here.settler.described() == "check"


async def test_an_address_that_is_barred_for_hours_mails_nobody_twice(sqlite: Database, clock: MovableClock) -> None:
    """With nobody else to mail, the relay looks itself whether other calls work, and pauses as they do not."""
    here = await begin(sqlite, clock, "ran")
    await here.stage.arrive(*people(5))
    await here.work(at_most=timedelta(seconds=50))
    here.marketo.is_barred = True
    for _ in range(8):
        await here.work(at_most=timedelta(minutes=15))
    assert await here.stage.states() == {SENDING: 5}
    assert here.settler.way == "check"
    here.marketo.is_barred = False
    await here.work()
    assert here.mails() == [1] * 5


async def test_what_is_lost_while_the_log_refuses_shares_its_questions(sqlite: Database, clock: MovableClock) -> None:
    """A request a minute is lost: the log is asked three times in all, not three times for each."""
    here = await begin(sqlite, clock, *["ran"] * 4)
    here.marketo.unreadable = CLOSED
    for number in range(4):
        await here.stage.arrive(*people(2, f"w-{number}"))
        await here.work(at_most=timedelta(seconds=20))
    await here.work()
    assert len(here.marketo.asked(Endpoint.ACTIVITIES)) == 3


async def test_a_permission_that_is_given_later_is_noticed(sqlite: Database, clock: MovableClock) -> None:
    """Nobody has to start the relay again: a later lost answer is looked up."""
    here = await begin(sqlite, clock, "not 502", "ok", "ran")
    here.marketo.unreadable = CLOSED
    await here.stage.arrive(*people(1, "w-1"))
    await here.work()
    assert here.settler.way == "retry"
    here.marketo.unreadable = None
    here.stage.pass_time(16 * 60)
    await here.stage.arrive(*people(1, "w-2"))
    await here.work()
    assert (here.mails(), here.settler.described()) == ([2], "check")


async def test_a_permission_that_is_still_missing_costs_a_question_now_and_then(
    sqlite: Database, clock: MovableClock
) -> None:
    """What was established once needs one refusal to stand."""
    here = await begin(sqlite, clock, "not 502", "ok", "not 502", "ok", "not 502")
    here.marketo.unreadable = CLOSED
    for number, (pause, asked) in enumerate([(0, 3), (16 * 60, 4), (60, 4)]):
        here.stage.pass_time(pause)
        await here.stage.arrive(*people(1, f"w-{number}"))
        await here.work()
        assert len(here.marketo.asked(Endpoint.ACTIVITIES)) == asked
    assert here.mails() == [3]


async def test_an_outage_of_a_gateway_costs_few_calls_and_mails_nobody_twice(
    sqlite: Database, clock: MovableClock
) -> None:
    """It answers 503 for most of an hour: what may have run is looked up ever more seldom, not each minute."""
    here = await begin(sqlite, clock, *["not 503"] * 50)
    here.marketo.unreadable = failure(Endpoint.ACTIVITIES, "503", "no")
    await here.stage.arrive(*people(3))
    await here.work(at_most=timedelta(minutes=50))
    during = len(here.marketo.requests)
    here.marketo.unreadable, here.marketo.outcomes = None, []
    await here.work()
    assert here.mails() == [1] * 3
    assert during <= 15
    assert here.marketo.broken_rules == []


async def test_one_failed_request_does_not_begin_the_reading_anew(sqlite: Database, clock: MovableClock) -> None:
    """A hundred people are four requests; where each fifth fails, none of such readings would end."""
    here = await begin(sqlite, clock, "half")
    here.marketo.log_faults = [None, None, None, None, None, failure(Endpoint.ACTIVITIES, "502", "no")]
    await here.stage.arrive(*people(99))
    await here.work()
    assert here.mails() == [1] * 99
    assert await here.stage.states() == {SENT: 99}
    looks = 1 + 4  # at thirty people first, fifteen of whom it ran for; at the others in the end, on four pages
    assert len(here.marketo.asked(Endpoint.ACTIVITIES)) == 2 + looks + 1, "types, a token, the looks, and one again"


async def test_a_large_request_that_ran_costs_one_look(sqlite: Database, clock: MovableClock) -> None:
    """Marketo shows thirty people a call: where it ran for as many, spread over the request, it ran."""
    here = await begin(sqlite, clock, "ran")
    await here.stage.arrive(*people(100))
    here.marketo.activities_a_page = 300
    await here.work(at_most=timedelta(minutes=2))
    assert here.mails() == [1] * 100
    assert len(here.marketo.asked(Endpoint.ACTIVITIES)) == 2 + 1, "types, a token, and one look"
    details = Counter((one.detail or "").rpartition(": ")[2] for one in await here.stage.registrations())
    assert details["its activity log shows it for all 30 of the request who were looked at."] == 70


async def test_a_large_request_that_stopped_in_the_middle_is_looked_at_whole(
    sqlite: Database, clock: MovableClock
) -> None:
    """Those who are spread over it tell of that, and everybody is looked at before anybody is requested again."""
    here = await begin(sqlite, clock, "half")
    await here.stage.arrive(*people(100))
    await here.work()
    assert here.mails() == [1] * 100
    leads = {lead for request in here.marketo.asked(Endpoint.ACTIVITIES) for lead in request.leads}
    assert len(leads) == 100
    assert here.marketo.broken_rules == []


async def test_who_cannot_wait_for_the_log_is_requested_again(sqlite: Database, clock: MovableClock) -> None:
    """The webinar begins before the log is asked again; for the others of that request it is waited."""
    here, began = await begin(sqlite, clock, "not 502"), clock()
    here.marketo.unreadable = CLOSED
    soon = Webinar("w-1", "Talk", "https://example.com/j", starts_at=began + timedelta(minutes=2, seconds=30))
    later = replace(soon, starts_at=began + timedelta(days=1))
    await here.stage.arrive(Registered(Person("ada@example.com"), soon), Registered(Person("bob@example.com"), later))
    await here.work(at_most=timedelta(minutes=2, seconds=20))
    assert await here.stage.states() == {SENT: 1, SENDING: 1}


async def test_an_instance_without_such_activities_is_told(sqlite: Database, clock: MovableClock) -> None:
    """Nothing could ever be found there."""
    here = await begin(sqlite, clock, "not 502")
    here.marketo.names = {"Visit Webpage": VISITED}
    await here.stage.arrive(registered("ada@example.com"))
    await here.work()
    assert here.mails() == [1]
    assert "activity types" in here.settler.described()


@pytest.mark.parametrize(("way", "mails"), [("retry", [1]), ("hold", [])])
async def test_another_policy_settles_what_waits(
    sqlite: Database, clock: MovableClock, way: OnAmbiguous, mails: list[int]
) -> None:
    """The setting was changed while requests were unsettled."""
    first = await begin(sqlite, clock, "not 502")
    await first.stage.arrive(registered("ada@example.com"))
    await first.work(at_most=timedelta(seconds=30))
    await first.stage.lease.give_back()
    second = await begin(sqlite, clock, policy=Policy(on_ambiguous=way))
    second.marketo.people = first.marketo.people
    await second.work()
    assert second.mails() == mails
    assert second.settler.described() == way


@pytest.mark.parametrize("code", ["606", "615", "500", "1003", Trouble.UNREADABLE])
async def test_trouble_of_the_log_costs_time_and_no_mail(
    sqlite: Database, clock: MovableClock, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rates pause everything as always; the log's own trouble leaves campaigns alone."""
    here = await begin(sqlite, clock, "ran")
    here.marketo.log_faults = [failure(Endpoint.ACTIVITIES, code, "no") for _ in range(3)]
    await here.stage.arrive(*people(3))
    await here.work()
    assert here.mails() == [1] * 3
    told = [line for line in capsys.readouterr().out.splitlines() if "paused " in line and f"code={code}" in line]
    assert bool(told) == (code in ("606", "615"))


async def test_a_log_that_cannot_be_read_for_an_hour_is_done_without(sqlite: Database, clock: MovableClock) -> None:
    """Nothing waits for ever."""
    here, began = await begin(sqlite, clock, "not 502"), clock()
    here.marketo.unreadable = failure(Endpoint.ACTIVITIES, "1003", "no")
    await here.stage.arrive(registered("ada@example.com"))
    await here.work()
    assert here.mails() == [1]
    assert timedelta(hours=1) < clock() - began < timedelta(hours=2)


async def test_an_outage_of_everything_mails_nobody_twice(sqlite: Database, clock: MovableClock) -> None:
    """Nothing says that requests do not run meanwhile: one is made again only where other calls are answered."""
    here = await begin(sqlite, clock, "ran")
    here.marketo.unreadable = failure(Endpoint.ACTIVITIES, "503", "no")
    here.marketo.searches = failure(Endpoint.FIND, "503", "no")
    await here.stage.arrive(registered("ada@example.com"))
    await here.work(at_most=timedelta(hours=5))
    here.marketo.unreadable = here.marketo.searches = None
    await here.work()
    assert here.mails() == [1]
    assert len(here.marketo.asked(Endpoint.FIND)) <= 5 * 4


async def test_an_outage_of_everything_when_a_webinar_begins_mails_nobody_twice(
    sqlite: Database, clock: MovableClock
) -> None:
    """However little time is left: what is requested meanwhile may run as the first did, and its answer be lost too."""
    here, began = await begin(sqlite, clock, *["ran"] * 9), clock()
    here.marketo.unreadable = failure(Endpoint.ACTIVITIES, "503", "no")
    here.marketo.searches = failure(Endpoint.FIND, "503", "no")
    soon = Webinar("w-1", "Talk", "https://example.com/j", starts_at=began + timedelta(minutes=12))
    await here.stage.arrive(Registered(Person("ada@example.com"), soon))
    await here.work(at_most=timedelta(minutes=30))
    here.marketo.unreadable = here.marketo.searches = None
    await here.work()
    assert here.mails() == [1]
    assert len(here.marketo.asked(Endpoint.FIND)) <= 10


async def test_more_pages_than_are_read_prove_nothing(sqlite: Database, clock: MovableClock) -> None:
    """What is not found then may stand on the next page, so nobody is mailed again."""
    here = await begin(sqlite, clock, "not 502")
    here.marketo.activities_a_page = 1
    await here.stage.arrive(_lead("w-1"))
    here.marketo.log = [Activity(LeadId(7), REQUESTED, clock(), CampaignId(99)) for _ in range(30)]
    await here.work()
    assert here.mails() == []
    assert (await here.stage.the_only_one()).cause == "answer_lost"


async def test_looks_leave_places_to_what_is_urgent(sqlite: Database, clock: MovableClock) -> None:
    """One at a time, never in the last place in flight, and under load every fifth call of the window at most."""
    here = await begin(sqlite, clock, *["ran"] * 3)
    await here.stage.arrive(*people(300))
    await here.work(at_most=timedelta(seconds=59))
    window, ticks = here.stage.sender.caller.window, here.stage.ticks
    here.stage.pass_time(61)
    window.in_flight = window.most_in_flight - 1
    assert await here.settler.step() > 0
    window.in_flight = 0
    window.remember([ticks()] * 20)
    before = len(here.marketo.asked(Endpoint.ACTIVITIES))
    for _ in range(200):
        await here.settler.step()
        here.stage.pass_time(0.1)
    assert 0 < len(here.marketo.asked(Endpoint.ACTIVITIES)) - before <= 10


async def test_who_leads_no_more_asks_nothing(sqlite: Database, clock: MovableClock) -> None:
    """The next leader looks."""
    here = await begin(sqlite, clock, "ran")
    await here.stage.arrive(*people(1))
    await here.work(at_most=timedelta(seconds=70))
    here.stage.lose_the_lease()
    with pytest.raises(LeadershipLost):
        await here.settler.step()


@given(st.floats(0, 5000), st.floats(0.1, 3600))
def test_looks_end(age: float, delay: float) -> None:
    """Each lies in the future, and the last is shared with what was lost within one delay."""
    ended = datetime(2026, 11, 23, 12, tzinfo=UTC)
    at = next_look(ended, ended + timedelta(seconds=age), timedelta(seconds=delay))
    if at is None:
        assert timedelta(seconds=age) >= LOOKS[-1] * timedelta(seconds=delay)
    else:
        assert ended + timedelta(seconds=age) < at <= ended + (LOOKS[-1] + 1) * timedelta(seconds=delay)


def test_requests_that_were_lost_together_are_looked_at_together() -> None:
    """Ten lost requests must not cost ten times the calls of one."""
    began, delay = datetime(2026, 11, 23, 12, 0, 20, tzinfo=UTC), timedelta(minutes=1)
    lost = [began + timedelta(seconds=4 * number) for number in range(10)]
    last = {next_look(ended, ended + delay, delay) for ended in lost}
    assert last == {datetime(2026, 11, 23, 12, 16, tzinfo=UTC)}


def _lead(webinar: str) -> Registered:
    return Registered(Person(lead_id=LeadId(7)), Webinar(webinar, "Talk", f"https://example.com/{webinar}"))
