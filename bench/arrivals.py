"""Who registers when: people whom one announcement brings, and a steady stream. Values only."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.sandbox import seed

MORE_CAMPAIGNS = tuple(range(2001, 2021))  # of the simulation, like seed.CAMPAIGN_ID
ANNOUNCED = 1000  # people a second whom an announcement brings


@dataclass(frozen=True, slots=True)
class Registration:
    """One webhook of a custom app to be: when (seconds from the beginning), who, for which webinar."""

    at: float
    email: str
    webinar: str = "w-1"
    campaign: int = seed.CAMPAIGN_ID
    link: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.email, _title(self.webinar)

    @property
    def person(self) -> dict[str, str]:
        return {"email": self.email, "firstName": "Ada", "lastName": "Lovelace"}

    @property
    def tokens(self) -> dict[str, str]:
        return {
            seed.TITLE_TOKEN: _title(self.webinar),
            seed.JOIN_LINK_TOKEN: self.link or f"https://zoom.example.com/j/{self.webinar}?pwd=Tk9UQVJFQUw",
            seed.IMAGE_TOKEN: f"https://images.example.com/{self.webinar}.png",
        }

    def body(self) -> bytes:
        title, link, image = self.tokens.values()
        webinar = {"id": self.webinar, "title": title, "joinLink": link, "image": image}
        return json.dumps({**self.person, "webinar": webinar, "campaignId": self.campaign}).encode()


def announced(
    size: int, webinar: str = "w-1", *, campaign: int = seed.CAMPAIGN_ID, own_links: bool = False
) -> Iterator[Registration]:
    """Let so many people register for one webinar, a thousand a second."""
    for number in range(size):
        link = f"https://zoom.example.com/w/84512346790?tk=person-{number}" if own_links else None
        yield Registration(number / ANNOUNCED, f"person.{number}@example.com", webinar, campaign, link)


def steady(
    rate: float, seconds: float, webinars: int, *, campaigns: Sequence[int] = MORE_CAMPAIGNS[:3], seed: int = 1
) -> Iterator[Registration]:
    """Let new people register at random (Poisson) moments, `rate` a second, each for one of the webinars."""
    chance = random.Random(seed)
    at, number = chance.expovariate(rate), 0
    while at < seconds:
        webinar = chance.randrange(webinars)
        yield Registration(at, f"person.{number}@example.com", f"w-{webinar}", campaigns[webinar % len(campaigns)])
        at, number = at + chance.expovariate(rate), number + 1


def spread(size: int, webinars: int) -> Iterator[Registration]:
    """Let so many people register at about the same time, each for one of the webinars."""
    for number in range(size):
        campaign = MORE_CAMPAIGNS[number % webinars % len(MORE_CAMPAIGNS)]
        yield Registration(number / ANNOUNCED, f"person.{number}@example.com", f"w-{number % webinars}", campaign)


def _title(webinar: str) -> str:
    return f"Scaling Customer Engagement, {webinar}"
