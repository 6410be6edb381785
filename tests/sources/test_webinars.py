"""Configured webinars: what they add to those that a source names."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import CampaignId, Webinar
from app.sources.webinars import Catalogue, ConfiguredWebinar, id_of_unnumbered

STARTS = datetime(2026, 12, 1, 16, tzinfo=UTC)
KNOWN = ConfiguredWebinar(
    id="w-42",
    title="  Öffnen & <go>  ",
    join_link="https://zoom.us/j/1?pwd=a%2Fb",
    image="https://cdn.example.com/w.png",
    starts_at=STARTS,
    campaign_id=CampaignId(7),
    aliases=("64592778740", "w-42"),
)
DEFAULTS = Catalogue([KNOWN], default_title="T", default_join_link="https://d", default_image="https://i")
texts = st.none() | st.text(max_size=5)


def test_a_webinar_is_found_by_id_and_by_alias() -> None:
    assert DEFAULTS.find("w-42") is DEFAULTS.find("64592778740") is KNOWN
    assert DEFAULTS.find("w-43") is None


def test_what_is_configured_wins_over_what_the_source_says() -> None:
    """Byte for byte, and under the source's own id: that is part of who has registered for what already."""
    said = Webinar("64592778740", "other", "https://other", "https://other", datetime(2020, 1, 1, tzinfo=UTC))
    assert DEFAULTS.complete(said) == Webinar("64592778740", KNOWN.title, KNOWN.join_link, KNOWN.image, STARTS)


def test_defaults_fill_only_what_is_absent() -> None:
    assert DEFAULTS.complete(Webinar("x", title="own")) == Webinar("x", "own", "https://d", "https://i")


def test_without_defaults_the_gaps_stay() -> None:
    assert Catalogue().complete(Webinar("x")) == Webinar("x")


@given(st.sampled_from(["w-42", "64592778740", "x"]), texts, texts, texts)
def test_completing_twice_changes_nothing(id: str, title: str | None, link: str | None, image: str | None) -> None:  # noqa: A002  # the field's name
    once = DEFAULTS.complete(Webinar(id, title, link, image))
    assert DEFAULTS.complete(once) == once


def test_two_webinars_may_not_share_a_name() -> None:
    """A reminder could carry the wrong link."""
    with pytest.raises(ValueError, match="w-42 and w-43 are both called 64592778740"):
        Catalogue([KNOWN, ConfiguredWebinar("w-43", aliases=("64592778740",))])


IN_INDIA = timezone(timedelta(hours=5, minutes=30))


@pytest.mark.parametrize(
    ("name", "starts_at", "made"),
    [
        ("Office hours", None, "Office hours"),
        ("Office hours", STARTS, "Office hours, 2026-12-01 16:00 UTC"),
        ("Office hours", datetime(2026, 12, 1, 21, 30, 59, tzinfo=IN_INDIA), "Office hours, 2026-12-01 16:00 UTC"),
        ("Office hours", datetime(1, 1, 1, tzinfo=IN_INDIA), "Office hours"),
        ("Office hours", datetime(1, 1, 1, tzinfo=UTC), "Office hours, 0001-01-01 00:00 UTC"),
    ],
)
def test_what_has_no_id_is_known_by_its_name_and_start(name: str, starts_at: datetime | None, made: str) -> None:
    """Each date of a series is a webinar of its own; the same moment elsewhere is the same date."""
    assert id_of_unnumbered(name, starts_at) == made


def test_the_id_of_what_has_none_is_short() -> None:
    made = id_of_unnumbered("x" * 300, STARTS)
    assert made.startswith("sha256:")
    assert made.endswith(", 2026-12-01 16:00 UTC")


SERIES = ConfiguredWebinar("Office hours", join_link="https://every-week", aliases=("Sprechstunde",))


@pytest.mark.parametrize("title", ["Office hours", "Sprechstunde", "Office\nhours"])
def test_a_series_is_configured_by_its_title_for_all_dates(title: str) -> None:
    """Which stay apart; an alias is its own date's other name."""
    catalogue = Catalogue([replace(SERIES, aliases=("Sprechstunde", "Office\nhours"))])
    webinar = Webinar(id_of_unnumbered(title, STARTS), title, starts_at=STARTS)
    assert catalogue.complete(webinar).join_link == "https://every-week"
    assert catalogue.own_id(webinar.id) == "Office hours, 2026-12-01 16:00 UTC"
    assert catalogue.own_id(title) == "Office hours"


def test_a_date_may_be_configured_by_itself() -> None:
    date = ConfiguredWebinar(id_of_unnumbered("Office hours", STARTS), join_link="https://this-week")
    catalogue = Catalogue([SERIES, date])
    assert catalogue.find(date.id) is date
    assert catalogue.own_id(date.id) == date.id


def test_a_title_that_is_configured_with_its_start_is_one_webinar() -> None:
    """Whatever start the source sends: what is configured wins."""
    catalogue = Catalogue([replace(SERIES, starts_at=STARTS)])
    assert catalogue.own_id(id_of_unnumbered("Office hours", STARTS + timedelta(days=7))) == "Office hours"
