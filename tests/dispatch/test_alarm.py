"""Told once, with recovery, rate-limited; over a real store."""

from datetime import timedelta

from app.dispatch.alarm import EVERY, Alarm, NotDelivered
from app.store.alarms import Alarms
from app.store.database import Database
from tests.conftest import MovableClock


class Chat:
    """Keeps what was said, unless it is away."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.is_away = False

    async def send(self, text: str) -> None:
        if self.is_away:
            raise NotDelivered("away")
        self.said.append(text)


async def test_a_trouble_is_told_once_also_by_the_next_leader(database: Database, clock: MovableClock) -> None:
    chat = Chat()
    for _ in range(2):
        alarm = Alarm(chat.send, Alarms(database), clock)
        for _ in range(2):
            await alarm.step({"day": "Near its end."})
    assert chat.said == ["Marketo webhook relay: Near its end."]


async def test_its_end_is_told_once_it_has_lasted(database: Database, clock: MovableClock) -> None:
    """What comes and goes would fill the chat else."""
    chat = Chat()
    alarm = Alarm(chat.send, Alarms(database), clock)
    await alarm.step({"day": "Near its end."})
    await alarm.step({})
    clock.move(timedelta(minutes=4))
    await alarm.step({"day": "Near its end."})
    await alarm.step({})
    clock.move(timedelta(minutes=4))
    await alarm.step({})
    assert len(chat.said) == 1
    clock.move(timedelta(minutes=1))
    await alarm.step({})
    await alarm.step({})
    assert chat.said[1:] == ["Marketo webhook relay: over again: Near its end."]
    await alarm.step({"day": "Once more."})
    assert len(chat.said) == 3


async def test_what_cannot_be_seen_is_neither_new_nor_over(database: Database, clock: MovableClock) -> None:
    """While Marketo does not answer, nobody knows whether the campaign was activated."""
    chat = Chat()
    alarm = Alarm(chat.send, Alarms(database), clock)
    await alarm.step({"setup:a": "Inactive."})
    for _ in range(2):
        await alarm.step({}, {"setup:a", "setup:b"})
        clock.move(timedelta(minutes=6))
    assert len(chat.said) == 1
    await alarm.step({})
    clock.move(timedelta(minutes=5))
    await alarm.step({})
    assert chat.said[1:] == ["Marketo webhook relay: over again: Inactive."]


async def test_all_that_is_new_is_one_message_and_the_next_waits(database: Database, clock: MovableClock) -> None:
    chat = Chat()
    alarm = Alarm(chat.send, Alarms(database), clock)
    assert await alarm.step({"day": "One.", "dead": "Two."}) == EVERY
    assert chat.said == ["Marketo webhook relay: One.\nMarketo webhook relay: Two."]
    assert await alarm.step({"day": "One.", "dead": "Two."}) < EVERY


async def test_what_was_not_delivered_is_told_later(database: Database, clock: MovableClock) -> None:
    chat = Chat()
    chat.is_away = True
    alarm = Alarm(chat.send, Alarms(database), clock)
    assert await alarm.step({"day": "One."}) > EVERY
    chat.is_away = False
    await alarm.step({"day": "One."})
    assert chat.said == ["Marketo webhook relay: One."]
