"""What died is taken up again when a person says so: told beforehand, nobody mailed twice, nothing left half done."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.dispatch.replaying import Replayer, Replaying
from app.domain import Cancelled, Cause, Event, Finding, Json, RegistrationState, Unusable
from app.errors import LeadershipLost, ResolveFailed
from app.sources.webinars import Catalogue, ConfiguredWebinar
from app.store.database import Database
from app.store.lookup import Lookup
from app.store.replays import Asked, Progress, Replay, Replays, Selection
from tests.conftest import MovableClock
from tests.dispatch.stage import JUDGE, Stage, new_event, registered, set_stage, store_events

ALL = Asked(Selection(), "ada", "the title is configured now")
UNTITLED = replace(registered("ada@example.com"), webinar=replace(registered("x@example.com").webinar, title=None))


def untitled(address: str) -> Finding:
    return replace(registered(address), webinar=UNTITLED.webinar)


def replaying(stage: Stage, judge: object = None) -> Replaying:
    """What a process can say and do about replays, with a title configured for the webinar that has none."""
    catalogue = Catalogue([ConfiguredWebinar(id="w-1", title="Configured")])
    mended = replace(JUDGE, catalogue=catalogue)
    return Replaying(
        Replays(stage.database), stage.intake.reader.sources, mended if judge is None else JUDGE, stage.clock
    )


async def replay_all(stage: Stage, asked: Asked = ALL, **judge: object) -> Replay:
    """Ask for a replay, let the leader do it, and return it as it ended."""
    stage.pass_time(1)
    doing = replaying(stage, **judge)
    made = await doing.ask(asked)
    while await doing.step(stage.intake.registrations):
        pass
    found = await doing.store.replay(made.id)
    assert found is not None
    return found


async def kill_ada(database: Database, clock: MovableClock) -> Stage:
    """A registration whose webinar has no title."""
    stage = await set_stage(database, clock)
    await stage.arrive(untitled("ada@example.com"))
    assert (await stage.the_only_one()).cause == Cause.TITLE_MISSING
    return stage


async def test_a_dead_registration_is_mapped_again_with_the_settings_of_now(
    database: Database, clock: MovableClock
) -> None:
    """The title was configured since, and that is what the e-mail has."""
    stage = await kill_ada(database, clock)
    ended = await replay_all(stage)
    await stage.work()
    one = await stage.the_only_one()
    assert (one.state, one.cause, one.tokens["WebinarTitle"]) == (RegistrationState.SENT, None, "Configured")
    assert (ended.state, ended.total, ended.counts) == ("done", 1, {"again": 1})


async def test_the_timeline_says_who_replayed_it_and_why(database: Database, clock: MovableClock) -> None:
    stage = await kill_ada(database, clock)
    ended = await replay_all(stage)
    entry = (await stage.the_only_one()).timeline[-1]
    assert entry.what == "replayed"
    assert entry.detail == f"Replayed by ada: the title is configured now ({ended.id})."


async def test_no_address_in_a_reason_is_kept(database: Database, clock: MovableClock) -> None:
    """It is kept for good, here and in timelines, and whoever asks to be forgotten could not be found in it."""
    stage = await kill_ada(database, clock)
    ended = await replay_all(stage, replace(ALL, why="ada@example.com (Ada) asked for it"))
    assert ended.asked.why == "<address> (Ada) asked for it"
    assert "@" not in str((await stage.the_only_one()).timeline[-1].detail)


async def test_a_preview_changes_nothing(database: Database, clock: MovableClock) -> None:
    """It tells what would be mapped, who would get an e-mail, and how many calls it costs."""
    stage = await kill_ada(database, clock)
    before = await stage.the_only_one()
    stage.pass_time(1)
    told = await replaying(stage).preview(ALL)
    assert (told.total, told.registrations, told.would_send, told.would_send_to) == (1, 1, 1, ["ada@example.com"])
    assert (told.calls, told.already_sent) == (2, 0)
    assert await stage.the_only_one() == before
    assert await Replays(database).running() is None


async def test_a_preview_tells_what_would_die_again(database: Database, clock: MovableClock) -> None:
    """Before anything is mended, a replay helps nobody."""
    stage = await kill_ada(database, clock)
    stage.pass_time(1)
    told = await replaying(stage, judge=JUDGE).preview(ALL)
    assert (told.would_send, told.still_dead, told.calls) == (0, {"title_missing": 1}, 0)
    ended = await replay_all(stage, judge=JUDGE)
    assert (ended.counts, ended.still_dead) == ({"stillDead": 1}, {"title_missing": 1})
    ending = [(entry.what, entry.detail) for entry in (await stage.the_only_one()).timeline[-2:]]
    assert ending == [
        ("replayed", f"Replayed by ada: the title is configured now ({ended.id})."),
        ("dead", "The webinar has no title."),
    ]


async def test_whoever_got_the_reminder_is_left_out_unless_it_is_asked_for(
    database: Database, clock: MovableClock
) -> None:
    """A second e-mail needs a second word."""
    stage = await set_stage(database, clock)
    await stage.arrive(registered("ada@example.com"))
    await stage.work()
    one = await stage.the_only_one()
    asked = Asked(Selection(ids=[one.id]), "ada")
    stage.pass_time(60)
    told = await replaying(stage).preview(asked)
    assert (told.already_sent, told.already_sent_to, told.would_send) == (1, ["ada@example.com"], 0)
    assert (await replay_all(stage, asked)).counts == {"alreadySent": 1}
    await stage.work()
    assert len(stage.marketo.mails) == 1
    assert (await replay_all(stage, replace(asked, resend=True))).counts == {"again": 1}
    await stage.work()
    assert len(stage.marketo.mails) == 2


async def test_all_who_were_sent_for_a_webinar_can_be_mailed_again(database: Database, clock: MovableClock) -> None:
    """When the link was wrong. Those of other webinars are not touched."""
    stage = await set_stage(database, clock)
    await stage.arrive(
        registered("ada@example.com"), registered("bob@example.com"), registered("eve@example.com", "w-2")
    )
    await stage.work()
    stage.pass_time(60)
    asked = Asked(Selection(webinar_id="w-1", sent=True), "ada", "wrong link", resend=True)
    assert (await replaying(stage).preview(asked)).would_send == 2
    assert (await replay_all(stage, asked)).counts == {"again": 2}


async def test_a_dead_webhook_is_fetched_and_read_again(database: Database, clock: MovableClock) -> None:
    """Its token was refused for days; what it means is known only then. Its own timeline says who and why."""
    stage = await set_stage(database, clock)

    async def refuse(event: Event) -> Json:
        raise ResolveFailed(Cause.SOURCE_REFUSED, "401", permanent=True)

    stage.source.fetch = refuse
    await stage.arrive(registered("ada@example.com"))
    stage.pass_time(60)
    told = await replaying(stage).preview(ALL)
    assert (told.webhooks, told.to_fetch, told.would_send, told.calls) == (1, 1, 0, 2)
    stage.source.fetch = None
    clock.move(timedelta(days=20))  # later than it would have been given up
    assert (await replay_all(stage)).counts == {"webhooks": 1}
    await stage.intake.step()
    await stage.work()
    one = await stage.the_only_one()
    assert one.state is RegistrationState.SENT
    event = await stage.event(one.timeline[0].event_id or "")
    assert [entry.what for entry in event.timeline] == ["replayed"]
    assert "It was dead: source_refused." in event.timeline[0].detail


async def test_what_was_fetched_is_not_fetched_again(database: Database, clock: MovableClock) -> None:
    """A replay of a webhook that was not understood reads what is stored."""
    stage = await set_stage(database, clock)

    async def fetch(event: Event) -> Json:
        return {"order": 1}

    meanings: list[Sequence[Finding]] = [[Unusable(Cause.EMAIL_MISSING, "no address")]]
    stage.source.fetch, stage.source.read = fetch, lambda _event, _fetched: meanings[-1]
    await stage.arrive()
    meanings.append([registered("ada@example.com")])
    stage.pass_time(1)
    told = await replaying(stage).preview(ALL)
    assert (told.webhooks, told.to_fetch, told.would_send_to) == (1, 0, ["ada@example.com"])
    await replay_all(stage)
    await stage.intake.step()
    await stage.work()
    assert (await stage.the_only_one()).state is RegistrationState.SENT
    assert len(stage.source.fetched) == 1


async def test_who_cancelled_is_not_mailed_by_a_replay(database: Database, clock: MovableClock) -> None:
    """A dead webhook is older than the cancellation that came since."""
    stage = await set_stage(database, clock)
    stage.source.read = lambda _event, _fetched: [Unusable(Cause.EMAIL_MISSING, "no address")]
    await stage.arrive()
    stage.source.read = None
    await stage.arrive(registered("ada@example.com"))
    await stage.arrive(Cancelled("ada@example.com", "w-1", None))
    stage.source.read = lambda _event, _fetched: [registered("ada@example.com")]
    stage.pass_time(1)
    assert (await replaying(stage).preview(ALL)).would_send == 0
    await replay_all(stage)
    await stage.intake.step()
    assert (await stage.the_only_one()).state is RegistrationState.CANCELLED


async def test_a_kill_between_two_steps_repeats_nothing_and_leaves_nothing_out(
    database: Database, clock: MovableClock
) -> None:
    """450 dead ones take three steps. Another leader goes on where the first was killed."""
    stage = await set_stage(database, clock)
    await stage.arrive(*(untitled(f"p{n}@example.com") for n in range(450)))
    stage.pass_time(1)
    doing = replaying(stage)
    made = await doing.ask(ALL)
    await doing.step(stage.intake.registrations)
    running = await doing.store.running()
    assert running is not None
    assert (running.done, running.total, running.state) == (200, 450, "running")
    await replaying(stage).step(stage.intake.registrations)
    frozen = await doing.store.advance(running, _nothing(), stage.intake.registrations, now=clock())
    assert not frozen, "a leader that wakes with an old place must do nothing"
    while await replaying(stage).step(stage.intake.registrations):
        pass
    ended = await doing.store.replay(made.id)
    assert ended is not None
    assert ended.counts == {"again": 450}
    for one in (await stage.registrations())[::50]:
        view = await Lookup(database).registration(one.id)
        assert view is not None
        assert [entry.what for entry in view.timeline] == ["registered", "dead", "replayed"]


def _nothing() -> Progress:
    return Progress([], [], {"again": 1}, None)


async def test_a_stopped_replay_goes_no_further(database: Database, clock: MovableClock) -> None:
    """What it took up stays so."""
    stage = await set_stage(database, clock)
    await stage.arrive(*(untitled(f"p{n}@example.com") for n in range(250)))
    stage.pass_time(1)
    doing = replaying(stage)
    made = await doing.ask(ALL)
    await doing.step(stage.intake.registrations)
    stopped = await doing.stop(made.id)
    assert stopped is not None
    assert (stopped.state, stopped.done) == ("stopped", 200)
    assert await doing.step(stage.intake.registrations) is None


async def test_a_replay_waits_while_much_is_open(database: Database, clock: MovableClock) -> None:
    """Or somebody who registers now would wait behind 100,000 old ones."""
    stage = await set_stage(database, clock)
    await stage.arrive(*(registered(f"p{n}@example.com") for n in range(2000)))
    await stage.arrive(untitled("ada@example.com"))
    stage.pass_time(1)
    doing = replaying(stage)
    await doing.ask(ALL)
    leader = Replayer(doing, stage.intake.registrations, database, stage.intake.lease)
    assert await leader.step() == 1.0
    running = await doing.store.running()
    assert running is not None
    assert running.done == 0
    stage.lose_the_lease()
    with pytest.raises(LeadershipLost):
        await leader.step()


async def test_the_time_to_the_email_counts_from_the_webhook_and_anew_from_a_replay(
    database: Database, clock: MovableClock
) -> None:
    """A registrant waits from the webhook on, however long it was read; who slept is no delay of the relay's."""
    stage = await set_stage(database, clock)
    stage.source.meanings = {b"1": [registered("ada@example.com")], b"2": [untitled("bob@example.com")]}
    ids = await store_events(database, [new_event(clock, body) for body in (b"1", b"2")])
    stage.pass_time(90)
    while "waiting" in {(await stage.event(one)).state for one in ids}:
        await stage.intake.step()
    await stage.work()
    count, seconds = took(stage)  # and some more, where the machine was slow
    assert (count, 90 <= seconds < 3600) == (1, True)
    stage.pass_time(86_400)
    await replay_all(stage)
    stage.pass_time(5)
    await stage.work()
    count, seconds = took(stage)
    assert (count, 95 <= seconds < 86_400) == (2, True)


def took(stage: Stage) -> tuple[float, float]:
    """Return how many reminders were sent, and in how many seconds together."""
    page = stage.sender.caller.metrics.render(stage.clock()).decode()
    found = {one.name: one.value for family in text_string_to_metric_families(page) for one in family.samples}
    return found["relay_end_to_end_seconds_count"], found["relay_end_to_end_seconds_sum"]
