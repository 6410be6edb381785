"""Dead letters are counted by cause and listed, webhooks and registrations alike."""

import pytest

from app.domain import Cause, EventState, RegistrationState, fields_at_fault
from app.store.database import Database
from app.store.dead import DeadCount, DeadFilter, DeadLetters
from app.store.events import EventFate
from app.store.registrations import Meaning, Registrations
from tests.conftest import MovableClock
from tests.store.given import FENCE, claimed_event, draft, record


async def die(database: Database, clock: MovableClock) -> tuple[list[str], str]:
    """Three registrations of two causes, and a webhook."""
    causes = [Cause.TITLE_MISSING, Cause.TITLE_MISSING, Cause.EMAIL_INVALID]
    drafts = [
        draft(clock(), f"p{n}@example.com", f"w-{n}", state=RegistrationState.DEAD, cause=cause, detail="So.")
        for n, cause in enumerate(causes)
    ]
    await record(database, clock(), *drafts, draft(clock(), "fine@example.com"))
    event = await claimed_event(database, clock())
    fate = EventFate(event, EventState.DEAD, Cause.TITLE_MISSING, "No.")
    await Registrations(database).record([Meaning(fate)], fence=FENCE, now=clock())
    return sorted((one.id for one in drafts), reverse=True), event.id


async def test_every_cause_is_counted(database: Database, clock: MovableClock) -> None:
    """The most frequent one first: that is what to mend."""
    await die(database, clock)
    page = await DeadLetters(database).page(DeadFilter(), limit=10)
    assert page.causes == [DeadCount("title_missing", 2, 1), DeadCount("email_invalid", 1, 0)]


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
async def test_pages_go_from_registrations_to_webhooks(database: Database, clock: MovableClock, limit: int) -> None:
    """Nobody twice, nobody left out, wherever a page ends."""
    registrations, event = await die(database, clock)
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(5):
        page = await DeadLetters(database).page(DeadFilter(), limit=limit, cursor=cursor)
        seen += [item.id for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [*registrations, event]


async def test_a_filter_narrows_the_list(database: Database, clock: MovableClock) -> None:
    """A webhook that was not understood belongs to no webinar."""
    _, event = await die(database, clock)
    letters = DeadLetters(database)
    of_cause = await letters.page(DeadFilter(cause="title_missing"), limit=10)
    assert [item.id == event for item in of_cause.items] == [False, False, True]
    of_webinar = await letters.page(DeadFilter(webinar_id="w-1"), limit=10)
    assert [(item.webinar_id, item.email) for item in of_webinar.items] == [("w-1", "p1@example.com")]
    assert (await letters.page(DeadFilter(source="pendo"), limit=10)).items == []


async def test_a_cursor_of_other_making_is_refused(database: Database) -> None:
    with pytest.raises(ValueError, match="cursor"):
        await DeadLetters(database).page(DeadFilter(), limit=10, cursor="nonsense")


@pytest.mark.parametrize(
    ("cause", "detail", "fields"),
    [
        (Cause.TITLE_MISSING, "The webinar has no title.", ("webinar.title",)),
        (Cause.BAD_PAYLOAD, "webinar.joinlink: is unknown; email: is needed", ("webinar.joinlink", "email")),
        (Cause.BAD_PAYLOAD, "the body is not JSON", ()),
        (Cause.EXPIRED, None, ()),
    ],
)
def test_the_fields_at_fault_are_named(cause: Cause, detail: str | None, fields: tuple[str, ...]) -> None:
    """As the sender's body names them where that is known."""
    assert fields_at_fault(cause, detail) == fields
