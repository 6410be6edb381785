"""The overview: is everything fine, in one sentence; and what the figures behind it look like."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import Cause, RegistrationState
from app.store.database import Database
from app.store.tallies import Backlog, Bucket, Now, Pausing, Tally
from app.web.console.health import health, span
from app.web.console.keeping import AT_LEAST, SHARE, Kept
from app.web.console.plots import HEIGHT, WIDTH, calls_plot, registrations_plot
from tests.store.given import accept, draft, ended, new_event, record, tried_in_vain
from tests.web.console.reading import links_of, text_of
from tests.web.relay_server import ADMIN_TOKEN, NOW, Relay, Surroundings

SENT, DEAD, NEW = RegistrationState.SENT, RegistrationState.DEAD, RegistrationState.NEW
OVER = "in the last 24 hours"


def stands(*tallies: Tally, backlog: Backlog | None = None, pauses: tuple[Pausing, ...] = ()) -> Now:
    return Now(tallies, [], backlog or Backlog(0, 0, None), pauses, 0)


def test_all_sent_is_fine() -> None:
    tally = Tally("custom", {SENT: 1234}, 1234, 0, NOW)
    assert health(stands(tally), NOW, over=OVER).sentence == (
        "Everything is fine: 1,234 registrations in the last 24 hours, none waits."
    )
    one = Tally("custom", {NEW: 1}, 1, 0, NOW)
    waiting = health(stands(one, backlog=Backlog(1, 0, NOW)), NOW, over=OVER)
    assert (waiting.tone, waiting.sentence) == (
        "good",
        "Everything is fine: 1 registration in the last 24 hours, 1 on their way.",
    )
    assert "Nobody registered" in health(stands(), NOW, over=OVER).sentence


@pytest.mark.parametrize(("wrong", "said"), [(1, "1 thing is wrong"), (3, "3 things are wrong")])
def test_a_wrong_set_up_is_not_fine(wrong: int, said: str) -> None:
    """An inactive campaign takes every request: the figures look as if all had been sent."""
    found = health(stands(Tally("custom", {SENT: 5})), NOW, over=OVER, wrong=wrong)
    assert (found.tone, found.sentence) == ("bad", "Something needs a person.")
    [remark] = found.remarks
    assert remark.text.startswith(said)
    assert remark.address == "/console/set-up"


@pytest.mark.parametrize(
    ("now", "tone", "said"),
    [
        (stands(Tally("custom", {DEAD: 1})), "bad", "1 reminder could not be sent in the last 24 hours."),
        (stands(Tally("custom", {DEAD: 2})), "bad", "2 reminders could not be sent"),
        (stands(Tally("custom", {}, 1, 1)), "bad", "1 webhook could not be used"),
        (stands(Tally("custom", {}, 3, 2)), "bad", "2 webhooks could not be used"),
        (
            stands(Tally("eventbrite", {}, last_at=NOW - timedelta(days=3))),
            "busy",
            "Eventbrite has been silent for 3 days.",
        ),
        (stands(backlog=Backlog(1, 0, NOW - timedelta(minutes=11))), "busy", "has been waiting for 11 minutes"),
        (
            stands(pauses=(Pausing("marketo", NOW, "606: rate"),)),
            "busy",
            "Marketo is paused until 23 Nov, 12:00:00 UTC. 606",
        ),
        (stands(pauses=(Pausing("marketo", NOW, "603: denied"),)), "bad", "603: denied"),
        (stands(pauses=(Pausing("campaign:1234", NOW, "1013: gone"),)), "bad", "Campaign 1234 is paused"),
    ],
)
def test_what_is_not_fine_is_named(now: Now, tone: str, said: str) -> None:
    found = health(now, NOW, over=OVER)
    assert found.tone == tone
    assert said in found.remarks[0].text
    assert "fine" not in found.sentence


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (timedelta(days=2, hours=5), "2 days"),
        (timedelta(hours=1), "1 hour"),
        (timedelta(seconds=1), "1 second"),
        (timedelta(0), "0 seconds"),
        (timedelta(seconds=-5), "0 seconds"),
    ],
)
def test_spans_are_said_in_their_largest_unit(length: timedelta, said: str) -> None:
    assert span(length) == said


@given(st.lists(st.dictionaries(st.sampled_from(list(RegistrationState)), st.integers(0, 10**6)), max_size=40))
def test_bars_stay_within_their_plot(counts: list[dict[RegistrationState, int]]) -> None:
    """And each state has the height that it deserves."""
    buckets = [Bucket(NOW + timedelta(hours=n), count, sum(count.values())) for n, count in enumerate(counts)]
    for plot in (registrations_plot(buckets), calls_plot(buckets)):
        assert len(plot.bars) == len(buckets)
        for bar, count in zip(plot.bars, counts, strict=True):
            assert 0 <= bar.x <= bar.x + bar.width <= WIDTH
            assert all(-0.01 <= part.y <= part.y + part.height <= HEIGHT + 0.01 for part in bar.parts)
            height = sum(part.height for part in bar.parts)
            assert height == pytest.approx(sum(count.values()) / plot.top * HEIGHT, abs=0.05)


def test_a_bar_says_what_it_shows() -> None:
    plot = registrations_plot([Bucket(NOW, {SENT: 3, DEAD: 1}, 0), Bucket(NOW + timedelta(hours=1), {}, 0)])
    assert [bar.title for bar in plot.bars] == ["23 Nov, 12:00: 3 sent, 1 not sent", "23 Nov, 13:00: nothing"]
    assert plot.summary == "4 registrations, at most 4 in one bar"
    assert plot.ticks[0] == (0.0, "12:00")
    days = registrations_plot([Bucket(NOW + timedelta(days=n), {}, 0) for n in range(7)])
    assert days.ticks[0][1] == "23 Nov"


async def test_what_took_long_is_kept_long() -> None:
    """Ten people who look make no more work than one, and a large store no more than its share of the time."""
    ticks, asked = [0.0], 0

    async def find() -> int:
        nonlocal asked
        asked += 1
        ticks[0] += 3.0  # it took so long
        await asyncio.sleep(0)
        return asked

    kept = Kept(find, ticks=lambda: ticks[0])
    assert await asyncio.gather(*(kept.get() for _ in range(10))) == [1] * 10
    ticks[0] = 3.0 + 3.0 / SHARE - 1
    assert await kept.get() == 1
    ticks[0] += 1
    assert await kept.get() == 2


async def test_what_failed_is_asked_again() -> None:
    failures = [ValueError("once")]

    async def find() -> str:
        if failures:
            raise failures.pop()
        return "found"

    kept = Kept(find, ticks=lambda: 0.0)
    with pytest.raises(ValueError, match="once"):
        await kept.get()
    assert await kept.get() == "found"
    assert AT_LEAST > 0


async def test_the_overview_shows_it_all(signed_in: Relay, database: Database, around: Surroundings) -> None:
    around.status |= {
        "leader": True, "window_used": 7, "in_flight": 2, "day_used_by_others": 11,
        "allowed": {"calls_per_window": 25},
        "forecast": {"calls": 3, "through_at": (NOW + timedelta(minutes=2)).isoformat()},
    }  # fmt: skip
    await ended(database, NOW - timedelta(minutes=5), state="sent")
    flaw = {"state": DEAD, "cause": Cause.TITLE_MISSING, "detail": "No title."}
    await record(database, NOW - timedelta(minutes=4), draft(NOW - timedelta(minutes=4), "b@example.com", **flaw))
    page = await signed_in.client.get("/console")
    text = text_of(page)
    for said in ("Something needs a person.", "1 reminder could not be sent", "7 of 25", "2 under way",
                 "12 of 50,000", "1 by the relay", "11 by other integrations",
                 "through by 23 Nov 2026, 12:02:00", "4 minutes ago"):  # fmt: skip
        assert said in text
    assert "/console/dead-letters" in links_of(page)
    assert page.text.count("<svg") == 4
    assert 'aria-label="Calls of today: 12 of 50,000, 11 of them by others"' in page.text
    assert '<rect x="1" width="11" height="4" class="idle">' in page.text
    for over in ("7d", "30d", "nonsense"):
        assert (await signed_in.client.get(f"/console?over={over}")).status_code == 200


@pytest.mark.parametrize(
    ("midnight", "hours"),
    [(datetime(2026, 3, 8, 6, tzinfo=UTC), 23), (datetime(2026, 11, 1, 5, tzinfo=UTC), 25)],
)
async def test_calls_are_counted_from_midnight_us_central_on_a_day_with_a_clock_change(
    relay: Relay, database: Database, around: Surroundings, midnight: datetime, hours: int
) -> None:
    """Counted from 24 hours before its end, the one took an hour of the day before, and the other lacked its first."""
    around.now = midnight + timedelta(hours=hours, minutes=-1)
    await ended(database, midnight - timedelta(minutes=1), state="sent", email="yesterday@example.com")
    await ended(database, midnight + timedelta(minutes=1), state="sent", email="today@example.com")
    await relay.client.post("/console/sign-in", data={"token": ADMIN_TOKEN})
    said = text_of(await relay.client.get("/console"))
    assert "Calls to Marketo today 1 of 50,000" in said
    assert f"The day begins anew {midnight + timedelta(hours=hours):%-d %b %Y, %H:%M:%S}" in said


def test_a_paused_campaign_is_told_by_its_name() -> None:
    """Nobody in marketing knows its number."""
    paused = stands(pauses=(Pausing("campaign:1234", NOW, "1013: gone"),))
    [remark] = health(paused, NOW, over=OVER, campaigns={"1234": "Send Webinar Reminder"}).remarks
    assert remark.text.startswith("Campaign Send Webinar Reminder (1234) is paused until")


async def test_the_overview_counts_by_webinar(signed_in: Relay, database: Database) -> None:
    """Of the stretch of time that is shown, as it does by source."""
    for n, state in enumerate((SENT, DEAD)):
        made = draft(NOW, f"{n}@example.com", webinar="w&1", tokens={"WebinarTitle": "R&D <live>"}, state=state)
        await record(database, NOW, made)
    old = draft(NOW - timedelta(days=2), webinar="w-2", tokens={"WebinarTitle": "Long ago"})
    await record(database, NOW - timedelta(days=2), old)
    page = await signed_in.client.get("/console")
    shown = text_of(page).partition("By webinar")[2]
    assert "R&D <live> w&1 Own app not known 2 1 0 0 0 1" in shown
    assert "Long ago" not in shown
    assert "/console/registrations?webinar=w%261&source=custom" in links_of(page)
    assert "Long ago" in text_of(await signed_in.client.get("/console?over=7d"))


async def test_of_many_webinars_the_latest_are_shown_and_how_many_there_are(
    signed_in: Relay, database: Database
) -> None:
    """Ten rows and no word would read as if there were no more."""
    for n in range(12):
        at = NOW - timedelta(minutes=12 - n)
        await record(database, at, draft(at, webinar=f"w-{n}", tokens={"WebinarTitle": f"Talk {n}!"}))
    shown = text_of(await signed_in.client.get("/console")).partition("By webinar")[2]
    assert "The 10 with the latest registrations, of 12. All webinars" in shown
    assert ("Talk 2!" in shown, "Talk 1!" in shown) == (True, False)
    assert "Talk 0!" in text_of(await signed_in.client.get("/console/webinars"))


async def test_another_process_that_sends_is_said(signed_in: Relay) -> None:
    assert "Another process of the relay sends" in text_of(
        await signed_in.client.get("/console/", follow_redirects=True)
    )


AHEAD = {"leader": True, "forecast": {"calls": 1, "through_at": (NOW + timedelta(seconds=1)).isoformat()}}


async def test_a_webhook_that_is_tried_again_is_said_to_be_and_leads_to_the_list(
    signed_in: Relay, database: Database, around: Surroundings
) -> None:
    """`through by` slid on with each look: there is no such time while Eventbrite does not know the order."""
    around.status |= AHEAD
    one = await tried_in_vain(database, NOW, again_at=NOW + timedelta(minutes=2))
    page = await signed_in.client.get("/console")
    assert "1 webhook could not be read so far; the next try 23 Nov 2026, 12:02:00" in text_of(page)
    assert "through by" not in text_of(page)
    (link,) = [link for link in links_of(page) if "state=waiting" in link]
    listed = await signed_in.client.get(link)
    assert f"/console/events/{one}" in links_of(listed)
    assert "Eventbrite does not know order 17 yet. 23 Nov 2026, 12:02:00 tried once so far" in text_of(listed)


async def test_what_else_waits_is_foreseen_beside_it(
    signed_in: Relay, database: Database, around: Surroundings
) -> None:
    around.status |= AHEAD
    await tried_in_vain(database, NOW, again_at=NOW + timedelta(minutes=2))
    await record(database, NOW, draft(NOW))
    page = await signed_in.client.get("/console")
    assert "the rest through by 23 Nov 2026, 12:00:01" in text_of(page)
    assert {"/console/registrations?state=waiting", "/console/events?state=waiting"} <= set(links_of(page))


async def test_webhooks_are_listed_by_state_and_source_a_page_at_a_time(signed_in: Relay, database: Database) -> None:
    assert "No webhook has come yet." in text_of(await signed_in.client.get("/console/events"))
    for n in range(51):
        await accept(database, new_event(NOW + timedelta(seconds=n)))
    first = await signed_in.client.get("/console/events?state=waiting&source=custom")
    (following,) = [link for link in links_of(first) if "cursor=" in link]
    assert "at once" in text_of(first)
    last = text_of(await signed_in.client.get(following))
    assert ("12:00:00 Own app Waiting" in last, "That is all of them." in last) == (True, True)
    assert "No webhook is like this" in text_of(await signed_in.client.get("/console/events?source=pendo"))


@pytest.mark.parametrize("question", ["state=nonsense", "source=nonsense", "cursor=nonsense"])
async def test_a_list_of_webhooks_that_makes_no_sense_is_a_page_that_says_so(signed_in: Relay, question: str) -> None:
    answer = await signed_in.client.get(f"/console/events?{question}")
    assert (answer.status_code, "This list cannot be shown." in text_of(answer)) == (400, True)


async def test_before_anybody_registers_there_is_no_webinar(signed_in: Relay) -> None:
    assert "No webinar yet" in text_of(await signed_in.client.get("/console/webinars"))


async def test_webinars_link_to_their_registrations(signed_in: Relay, database: Database) -> None:
    made = draft(NOW - timedelta(days=1), webinar="w&1", tokens={"WebinarTitle": "R&D <live>"})
    await record(database, NOW, made)
    page = await signed_in.client.get("/console/webinars")
    assert "R&D <live>" in text_of(page)
    (link,) = [link for link in links_of(page) if "webinar=" in link]
    assert made.id in (await signed_in.client.get(link)).text


async def test_dead_letters_say_what_to_do(signed_in: Relay, database: Database) -> None:
    flaw = {"state": DEAD, "cause": Cause.TITLE_MISSING, "detail": "The webinar has no title."}
    made = draft(NOW, **flaw)
    await record(database, NOW, made)
    page = await signed_in.client.get("/console/dead-letters")
    assert "Title missing" in text_of(page)
    assert "What to do: Send a title; or add it under" in text_of(page)
    (link,) = [link for link in links_of(page) if "registrations?" in link]
    assert made.id in (await signed_in.client.get(link)).text


async def test_no_dead_letter_is_good_news(signed_in: Relay) -> None:
    assert "There is none" in text_of(await signed_in.client.get("/console/dead-letters"))
