"""Judging findings: every flaw has its cause, configuration wins, values pass byte for byte, keys fit the store."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.dispatch.judgement import Judge, TokenNames, expiry, person_key, storable
from app.domain import CampaignId, Cause, LeadId, Person, Registered, RegistrationState, Webinar
from app.sources.webinars import Catalogue, ConfiguredWebinar
from app.store.drafts import Draft
from app.store.links import batch_key

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ADA = Person("Ada@Example.com", first_name="Ada", last_name="Lovelace")
TALK = Webinar("w-1", "Scaling", "https://example.com/join", "https://example.com/i.png", NOON + timedelta(days=1))
JUDGE = Judge(
    catalogue=Catalogue(), campaigns={"custom": CampaignId(7)}, allowed=frozenset({CampaignId(7), CampaignId(8)})
)


def draft(found: Registered, *, judge: Judge = JUDGE, received_at: datetime = NOON) -> Draft:
    return judge.draft(found, source="custom", received_at=received_at, now=NOON)


def test_a_registration_without_a_flaw_waits_for_its_person() -> None:
    """All that Marketo needs is taken over, and the person's key knows no case."""
    made = draft(Registered(ADA, TALK, subject="order-1", tokens={"Speaker": "Grace"}))
    assert (made.state, made.cause, made.detail) == (RegistrationState.NEW, None, None)
    assert (made.email, made.person_key, made.first_name) == ("Ada@Example.com", "ada@example.com", "Ada")
    assert (made.campaign_id, made.subject, made.webinar_id) == (7, "order-1", "w-1")
    assert made.due_at == NOON
    assert made.tokens == {
        "Speaker": "Grace",
        "WebinarTitle": "Scaling",
        "JoinLink": "https://example.com/join",
        "WebinarImage": "https://example.com/i.png",
    }


def test_a_known_lead_needs_no_look_up() -> None:
    """Who brings the lead id saves a call."""
    made = draft(Registered(Person(lead_id=LeadId(42)), TALK))
    assert (made.state, made.lead_id, made.person_key) == (RegistrationState.KNOWN, 42, "lead:42")


def test_beside_an_address_the_lead_id_saves_the_look_up_and_names_nobody() -> None:
    """So that who sends it in one call and not in the next is one person."""
    made = draft(Registered(replace(ADA, lead_id=LeadId(42)), TALK))
    assert (made.state, made.lead_id, made.person_key) == (RegistrationState.KNOWN, 42, "ada@example.com")


def test_a_webinar_is_the_same_under_its_name_and_under_its_aliases() -> None:
    """Else one person would get two reminders of one webinar."""
    judge = replace(JUDGE, catalogue=Catalogue([ConfiguredWebinar("w-9", aliases=("w-1",))]))
    by_alias, by_name = (draft(Registered(ADA, replace(TALK, id=name)), judge=judge) for name in ("w-1", "w-9"))
    assert by_alias.webinar_id == by_name.webinar_id == "w-9"
    assert by_alias.identity == by_name.identity
    assert draft(Registered(ADA, replace(TALK, id="w-2")), judge=judge).webinar_id == "w-2"


def test_a_date_of_a_series_is_configured_by_the_title_also_when_it_is_judged_again() -> None:
    """A replay may have nothing but the registration itself, which has the id that was made for it."""
    configured = ConfiguredWebinar("Scaling", "Scaling II", "https://example.com/s", campaign_id=CampaignId(8))
    judge = replace(JUDGE, catalogue=Catalogue([configured]))
    dated = Webinar("Scaling, 2036-12-01 16:00 UTC", "Scaling", starts_at=datetime(2036, 12, 1, 16, tzinfo=UTC))
    made = draft(Registered(ADA, dated), judge=judge)
    assert (made.webinar_id, made.campaign_id, made.tokens["WebinarTitle"]) == (dated.id, 8, "Scaling II")
    assert draft(Registered(ADA, replace(dated, id=made.webinar_id)), judge=judge).identity == made.identity


PAST = NOON - timedelta(hours=24, seconds=1)
FLAWS = [
    (Registered(ADA, replace(TALK, starts_at=PAST)), Cause.WEBINAR_OVER),
    (Registered(ADA, TALK, campaign_id=CampaignId(9)), Cause.CAMPAIGN_NOT_ALLOWED),
    (Registered(ADA, TALK, campaign_id=CampaignId(10**30)), Cause.CAMPAIGN_NOT_ALLOWED),
    (Registered(ADA, TALK, campaign_id=CampaignId(-(10**30))), Cause.CAMPAIGN_NOT_ALLOWED),
    (Registered(Person(), TALK), Cause.EMAIL_MISSING),
    (Registered(Person(""), TALK), Cause.EMAIL_MISSING),
    (Registered(Person("ada"), TALK), Cause.EMAIL_INVALID),
    (Registered(Person("ädä@example.com"), TALK), Cause.EMAIL_INVALID),
    (Registered(Person("a\x00@example.com"), TALK), Cause.EMAIL_INVALID),
    (Registered(Person(lead_id=LeadId(0)), TALK), Cause.BAD_PAYLOAD),
    (Registered(Person(lead_id=LeadId(-1)), TALK), Cause.BAD_PAYLOAD),
    (Registered(Person("ada@example.com", LeadId(10**30)), TALK), Cause.BAD_PAYLOAD),
    (Registered(ADA, replace(TALK, title=None)), Cause.TITLE_MISSING),
    (Registered(ADA, replace(TALK, title="")), Cause.TITLE_MISSING),
    (Registered(ADA, replace(TALK, join_link=None)), Cause.JOIN_LINK_MISSING),
    (Registered(ADA, replace(TALK, join_link="javascript:alert(1)")), Cause.JOIN_LINK_INVALID),
    (Registered(ADA, replace(TALK, image="ftp://example.com/i.png")), Cause.IMAGE_INVALID),
    (Registered(ADA, TALK, tokens={f"T{n}": "x" for n in range(98)}), Cause.BAD_PAYLOAD),
    (Registered(ADA, TALK, tokens={"Speaker": "G\x00"}), Cause.BAD_PAYLOAD),
    (Registered(ADA, replace(TALK, title="a\x00b")), Cause.BAD_PAYLOAD),
]


@pytest.mark.parametrize(("found", "cause"), FLAWS)
def test_every_flaw_ends_with_its_cause_and_a_sentence(found: Registered, cause: Cause) -> None:
    """A person who asks why no e-mail came finds the field at fault."""
    made = draft(found)
    over = cause is Cause.WEBINAR_OVER
    assert made.state is (RegistrationState.IGNORED if over else RegistrationState.DEAD)
    assert made.cause is cause
    assert made.detail


@pytest.mark.parametrize("found", [found for found, _ in FLAWS])
def test_a_flawed_registration_can_be_stored_all_the_same(found: Registered) -> None:
    """It is evidence; numbers and texts that a database refuses would take its neighbours with it."""
    made = draft(found)
    assert 0 <= made.campaign_id < 2**63
    assert made.lead_id is None or 0 < made.lead_id < 2**31
    texts = (made.webinar_id, made.person_key, made.subject, made.email, made.first_name, made.last_name)
    assert not any("\x00" in text for text in texts if text)


def test_an_image_may_be_missing() -> None:
    """The program's own value of the token is shown then."""
    made = draft(Registered(ADA, replace(TALK, image=None)))
    assert made.state is RegistrationState.NEW
    assert "WebinarImage" not in made.tokens


def test_a_webinar_that_began_lately_is_not_over() -> None:
    """Recordings and long events: a day after its start a reminder still helps; the setting says how long."""
    late = Registered(ADA, replace(TALK, starts_at=NOON - timedelta(hours=24)))
    assert draft(late).state is RegistrationState.NEW
    assert draft(late, judge=replace(JUDGE, over_after=timedelta(hours=1))).state is RegistrationState.IGNORED


def test_what_came_in_time_is_not_over_when_it_is_judged_late() -> None:
    """After a night's outage the reminder may be late; that it is dropped must not depend on us."""
    found = Registered(ADA, replace(TALK, starts_at=NOON))
    made = JUDGE.draft(found, source="custom", received_at=NOON, now=NOON + timedelta(days=5))
    assert made.state is RegistrationState.NEW


def test_defaults_fill_what_the_source_lacks() -> None:
    """Title, link and image each have one."""
    catalogue = Catalogue(
        default_title="Our webinar",
        default_join_link="https://example.com/d",
        default_image="https://example.com/d.png",
    )
    made = draft(Registered(ADA, Webinar("w-2")), judge=replace(JUDGE, catalogue=catalogue))
    assert made.state is RegistrationState.NEW
    assert set(made.tokens.values()) == {"Our webinar", "https://example.com/d", "https://example.com/d.png"}


def test_what_is_configured_wins_over_what_the_source_sends() -> None:
    """Also the campaign, and also when the source names the webinar by an alias."""
    configured = ConfiguredWebinar(
        "w-9", "Mine", "https://example.com/m", "https://example.com/m.png", NOON, CampaignId(8), aliases=("w-1",)
    )
    judge = replace(JUDGE, catalogue=Catalogue([configured]))
    made = draft(Registered(ADA, TALK, campaign_id=CampaignId(7)), judge=judge)
    assert made.campaign_id == 8
    assert (made.tokens["WebinarTitle"], made.starts_at) == ("Mine", NOON)
    assert made.webinar_id == "w-9", "the id is part of the identity, and an alias is none of its own"


def test_a_payload_may_name_a_campaign_that_is_allowed() -> None:
    """Nobody else's campaign can be requested with a webhook."""
    assert draft(Registered(ADA, TALK, campaign_id=CampaignId(8))).campaign_id == 8


def test_tokens_have_the_names_of_the_settings() -> None:
    """A program may have called them otherwise."""
    made = draft(Registered(ADA, TALK), judge=replace(JUDGE, names=TokenNames("T", "L", "I")))
    assert set(made.tokens) == {"T", "L", "I"}


def test_a_payload_cannot_overwrite_title_link_and_image() -> None:
    """What was judged is what is sent."""
    made = draft(Registered(ADA, TALK, tokens={"JoinLink": "javascript:alert(1)"}))
    assert made.tokens["JoinLink"] == TALK.join_link


def test_look_up_mode_is_noted_with_the_registration() -> None:
    """People are never created then."""
    assert draft(Registered(ADA, TALK), judge=replace(JUDGE, look_up_only=True)).lookup


@given(
    st.text(min_size=1).filter(lambda text: "\x00" not in text), st.text(st.characters(min_codepoint=33), min_size=1)
)
def test_titles_and_token_values_pass_byte_for_byte(title: str, value: str) -> None:
    """Umlauts, emoji, white space and quotes are the marketer's, not ours to mend."""
    made = draft(Registered(ADA, replace(TALK, title=title), tokens={"Speaker": value}))
    assert (made.tokens["WebinarTitle"], made.tokens["Speaker"]) == (title, value)


tokens = st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=3)
campaigns = st.integers(1, 3).map(CampaignId)


@given(campaigns, tokens, campaigns, tokens)
def test_batch_keys_are_equal_exactly_where_campaign_and_tokens_are(
    one: CampaignId, these: dict[str, str], other: CampaignId, those: dict[str, str]
) -> None:
    """Whoever shares a call gets the same link: a false match is somebody else's webinar."""
    assert (batch_key(one, these) == batch_key(other, those)) == ((one, these) == (other, those))


@given(campaigns, tokens)
def test_a_batch_key_knows_no_order(campaign: CampaignId, these: dict[str, str]) -> None:
    """Adapters build their tokens in different orders; that costs no call."""
    assert batch_key(campaign, these) == batch_key(campaign, dict(reversed(these.items())))


@given(st.text(st.characters(), max_size=700))
def test_every_key_can_be_stored(key: str) -> None:
    """PostgreSQL takes neither NUL nor half a surrogate pair, and its column is 320 characters long."""
    stored = person_key(key)
    assert len(stored) <= 320
    assert "\x00" not in stored
    stored.encode()
    storable(key).encode()


def test_odd_texts_are_stored_as_well_as_can_be() -> None:
    """They end as dead with a cause, instead of an exception that takes their neighbours along."""
    odd = "a\x00b\ud800"
    made = draft(Registered(Person(odd, None, odd, odd), replace(TALK, id=odd), subject=odd))
    assert made.cause is Cause.EMAIL_INVALID
    assert (made.webinar_id, made.subject, made.first_name) == ("a\ufffdb?",) * 3


def test_different_long_keys_stay_different() -> None:
    """Cutting would make two people one."""
    assert person_key("a" * 400) != person_key("a" * 401)
    assert person_key("a" * 320) == "a" * 320


@pytest.mark.parametrize(
    ("starts_in", "lasts"),
    [
        (None, timedelta(days=8)),
        (timedelta(days=30), timedelta(days=8)),
        (timedelta(days=2), timedelta(days=2)),
        (timedelta(minutes=5), timedelta(hours=1)),
        (timedelta(days=-1), timedelta(hours=1)),
    ],
)
def test_it_is_tried_until_the_webinar_starts(starts_in: timedelta | None, lasts: timedelta) -> None:
    """A reminder after the start helps nobody, but who registers during it still gets an hour of tries."""
    starts_at = None if starts_in is None else NOON + starts_in
    assert expiry(starts_at, NOON) == NOON + lasts


def test_a_start_at_the_end_of_the_calendar_is_no_start() -> None:
    """Senders write it for 'no date'; with an offset it is no time in UTC, and the registration must not be lost."""
    for sentinel in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-01:00"):
        judge = Judge(catalogue=Catalogue(), campaigns={"custom": CampaignId(1)}, allowed=frozenset({CampaignId(1)}))
        webinar = Webinar("w-1", "Title", "https://meet.example.com/1", starts_at=datetime.fromisoformat(sentinel))
        found = Registered(Person("ada@example.com"), webinar)
        now = datetime(2026, 11, 23, tzinfo=UTC)
        drafted = judge.draft(found, source="custom", received_at=now, now=now)
        assert (drafted.state, drafted.starts_at) == (RegistrationState.NEW, None)
