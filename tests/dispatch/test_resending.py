"""Who was mailed, or may have been, is never forgotten: a resend that does not go out leaves that as it was."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from app.dispatch.replaying import Preview
from app.dispatch.verdicts import Policy
from app.domain import Cancelled, Cause, Finding, RegistrationState
from app.marketo.codes import Endpoint
from app.marketo.failures import failure
from app.store.database import Database
from app.store.replays import Asked, Replay, Selection
from tests.conftest import MovableClock
from tests.dispatch.stage import CAMPAIGN, JUDGE, Stage, events_of, registered, set_stage
from tests.dispatch.test_replaying import replay_all, replaying, took, untitled

ADA = "ada@example.com"
REFUND = Cancelled(ADA, "w-1", None)
PLAIN = Asked(Selection(), "bob", "mended")
SENT, DEAD, CANCELLED = RegistrationState.SENT, RegistrationState.DEAD, RegistrationState.CANCELLED
Past = Callable[[Database, MovableClock], Awaitable[Stage]]


async def mailed(database: Database, clock: MovableClock) -> Stage:
    """Ada was sent the reminder."""
    stage = await set_stage(database, clock)
    await stage.arrive(registered(ADA))
    await stage.work()
    assert (await stage.the_only_one()).state is SENT
    return stage


async def perhaps_mailed(database: Database, clock: MovableClock) -> Stage:
    """Ada may have been sent it: the answer was lost, and a person decides."""
    stage = await set_stage(database, clock, policy=Policy(on_ambiguous="hold"))
    stage.marketo.lost = [failure(Endpoint.TRIGGER, "502", "lost")]
    await stage.arrive(registered(ADA))
    await stage.work()
    assert (await stage.the_only_one()).cause == Cause.ANSWER_LOST
    return stage


async def resend(stage: Stage) -> Replay:
    """Ask for a second e-mail to her."""
    return await replay_all(stage, Asked(Selection(ids=[(await stage.the_only_one()).id]), "bob", resend=True))


async def resend_what_is_read_as(stage: Stage, finding: Finding) -> Replay:
    """The same, when that is what her webhook means now, with nothing configured."""
    stage.source.read = lambda _event, _fetched: [finding]
    asked = Asked(Selection(ids=[(await stage.the_only_one()).id]), "bob", resend=True)
    ended = await replay_all(stage, asked, judge=JUDGE)
    stage.source.read = None
    return ended


async def expire(stage: Stage) -> None:
    """Let what waits wait for its campaign until its time is over."""
    stage.marketo.unknown_campaigns = {CAMPAIGN}
    await stage.work(at_most=timedelta(seconds=30))
    stage.clock.move(timedelta(days=8))
    await stage.sender.sweep()
    stage.marketo.unknown_campaigns = set()
    assert (await stage.the_only_one()).cause == Cause.EXPIRED


async def foreseen(stage: Stage, asked: Asked) -> Preview:
    stage.pass_time(1)
    return await replaying(stage).preview(asked)


async def she_has_one_email(stage: Stage) -> None:
    """Neither a replay without --resend, as its preview says, nor a later webhook makes a second one."""
    before = await stage.the_only_one()
    for asked in (PLAIN, replace(PLAIN, selection=Selection(ids=[before.id]))):
        assert (await foreseen(stage, asked)).would_send == 0
        assert "again" not in (await replay_all(stage, asked)).counts
    await stage.arrive(registered(ADA))
    await stage.work()
    after = await stage.the_only_one()
    assert (after.state, after.timeline[-1].what) == (before.state, "repeated")
    assert len(stage.marketo.mails) == 1


def without_title(_now: datetime) -> Finding:
    return untitled(ADA)


def over(now: datetime) -> Finding:
    found = registered(ADA)
    return replace(found, webinar=replace(found.webinar, starts_at=now - timedelta(days=3)))


@pytest.mark.parametrize("past", [mailed, perhaps_mailed])
@pytest.mark.parametrize("flaw", [without_title, over])
async def test_a_resend_that_cannot_be_made_leaves_the_registration_as_it_was(
    database: Database, clock: MovableClock, past: Past, flaw: Callable[[datetime], Finding]
) -> None:
    """The replay's counts and the timeline tell of it; that she had one is not overwritten by it."""
    stage = await past(database, clock)
    before = await stage.the_only_one()
    ended = await resend_what_is_read_as(stage, flaw(clock()))
    assert ended.counts == {"notSentAgain": 1}
    after = await stage.the_only_one()
    assert replace(after, timeline=before.timeline) == before
    replayed, told = after.timeline[len(before.timeline) :]
    assert (replayed.what, told.what) == ("replayed", "not sent again")
    assert told.detail.startswith("No second reminder is sent: The webinar ")
    await she_has_one_email(stage)


@pytest.mark.parametrize("past", [mailed, perhaps_mailed])
async def test_a_resend_that_expires_is_dead_and_needs_resend_again(
    database: Database, clock: MovableClock, past: Past
) -> None:
    """`replay --cause expired` is what the README advises, and says who is left out."""
    stage = await past(database, clock)
    sent_at = (await stage.the_only_one()).sent_at
    assert (await resend(stage)).counts == {"again": 1}
    await expire(stage)
    assert (await stage.the_only_one()).sent_at == sent_at
    expired = replace(PLAIN, selection=Selection(cause="expired"))
    told = await foreseen(stage, expired)
    assert (told.would_send, told.already_sent_to) == (0, [ADA])
    assert (await replay_all(stage, expired)).counts == {"alreadySent": 1}
    await she_has_one_email(stage)
    assert (await foreseen(stage, replace(expired, resend=True))).would_send == 1
    await replay_all(stage, replace(expired, resend=True))
    await stage.work()
    assert len(stage.marketo.mails) == 2


@pytest.mark.parametrize("past", [mailed, perhaps_mailed])
async def test_who_cancels_while_a_resend_waits_is_as_before_it(
    database: Database, clock: MovableClock, past: Past
) -> None:
    """The first e-mail stays told, and the second is not sent."""
    stage = await past(database, clock)
    before = await stage.the_only_one()
    await resend(stage)
    await stage.arrive(REFUND)
    await stage.work()
    after = await stage.the_only_one()
    assert (after.state, after.cause, after.sent_at) == (before.state, before.cause, before.sent_at)
    assert after.timeline[-1].detail == "Cancelled before the reminder was sent a second time."
    await she_has_one_email(stage)


async def test_a_webhook_while_a_resend_waits_changes_it(database: Database, clock: MovableClock) -> None:
    """The second e-mail was asked for, and goes out with the newest link."""
    stage = await mailed(database, clock)
    await resend(stage)
    found = registered(ADA)
    await stage.arrive(replace(found, webinar=replace(found.webinar, join_link="https://example.com/mended")))
    await stage.work()
    assert [mail.link for mail in stage.marketo.mails] == ["https://example.com/w-1", "https://example.com/mended"]


@pytest.mark.parametrize("past", [mailed, perhaps_mailed])
async def test_who_cancelled_after_the_reminder_gets_no_second_one(
    database: Database, clock: MovableClock, past: Past
) -> None:
    """A refund is no reason to forget that; whoever registers again afterwards is in the webinar."""
    stage = await past(database, clock)
    await stage.arrive(REFUND)
    asked = Asked(Selection(ids=[(await stage.the_only_one()).id]), "bob", resend=True)
    told = await foreseen(stage, asked)
    assert (told.would_send, told.left_out) == (0, {"cancelled": 1})
    assert (await resend(stage)).counts == {"cancelled": 1}
    await she_has_one_email(stage)
    assert (await resend(stage)).counts == {"again": 1}


async def test_a_dead_webhook_about_somebody_who_may_have_been_mailed_mails_nobody(
    database: Database, clock: MovableClock
) -> None:
    """It could not be read when it came; the preview names whom it would not mail."""
    stage = await perhaps_mailed(database, clock)
    await resend(stage)
    await expire(stage)
    await events_of(stage, b"not understood")
    await stage.intake.step()
    stage.source.meanings[b"not understood"] = [registered(ADA)]
    told = await foreseen(stage, PLAIN)
    assert (told.webhooks, told.would_send, told.already_sent) == (1, 0, 2)


async def test_a_second_email_is_timed_from_its_replay(database: Database, clock: MovableClock) -> None:
    """Not from the webhook, which came a day before; and its time is the one that is told."""
    stage = await mailed(database, clock)
    stage.pass_time(86_400)
    await resend(stage)
    await stage.work()
    count, seconds = took(stage)
    assert (count, seconds < 3600) == (2, True)
    assert ((await stage.the_only_one()).sent_at or clock()) > clock() - timedelta(hours=1)
