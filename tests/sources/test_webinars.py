"""Configured webinars: what they add to those that a source names."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import CampaignId, Webinar
from app.sources.webinars import Catalogue, ConfiguredWebinar

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
