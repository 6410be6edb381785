"""Requesting a campaign: what is refused, what is skipped in silence, and the e-mail that comes of the rest."""

from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest

from app.sandbox import seed
from app.sandbox.emails import banner, fill
from tests.sandbox.account import Account, code

TOKENS = {
    "WebinarTitle": 'R&D <live>: "ask" us',
    "JoinLink": "https://zoom.example.com/j/1?a=1&b=2",
    "WebinarImage": "https://cdn.example.com/i.png?x=1&y=2",
}


class Links(HTMLParser):
    """What a mail program would fetch and open."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.hrefs: set[str | None] = set()
        self.images: set[str | None] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.hrefs.add(dict(attrs).get("href"))
        if tag == "img":
            self.images.add(dict(attrs).get("src"))


async def emails(account: Account) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = await account.seen("emails")
    return sent


async def test_each_lead_gets_the_tutorials_email(account: Account) -> None:
    ada, nameless = await account.lead("ada@example.com", firstName="Ada"), await account.lead("b@example.com")
    answer = await account.trigger([ada, nameless], TOKENS)
    assert answer["result"][0]["id"] == seed.CAMPAIGN_ID
    first, second = await emails(account)
    assert (first["to"], first["leadId"], first["campaignId"]) == ("ada@example.com", ada, seed.CAMPAIGN_ID)
    assert first["subject"] == 'Reminder: R&D <live>: "ask" us'
    assert "Hi Ada," in first["html"]
    assert "Hi Customer," in second["html"], "the template's default"
    assert "R&amp;D &lt;live&gt;: &quot;ask&quot; us" in first["html"]


async def test_values_arrive_byte_for_byte_for_whoever_clicks(account: Account) -> None:
    """All values are escaped, so that a browser reads back exactly what was sent."""
    await account.trigger([await account.lead()], TOKENS)
    [email] = await emails(account)
    links = Links(email["html"])
    assert links.hrefs == {TOKENS["JoinLink"]}
    assert links.images == {TOKENS["WebinarImage"]}
    assert email["tokens"].items() >= TOKENS.items()


async def test_nothing_in_a_value_becomes_markup_or_a_token(account: Account) -> None:
    evil = {"WebinarTitle": "<script>alert(1)</script>{{my.JoinLink}}", "JoinLink": '"><b>'}
    await account.trigger([await account.lead()], evil)
    [email] = await emails(account)
    assert "<script>" not in email["html"]
    assert "<b>" not in email["html"]
    assert "{{my.JoinLink}}" in email["subject"]


async def test_tokens_that_are_not_sent_have_the_programs_default(account: Account) -> None:
    await account.trigger([await account.lead()])
    [email] = await emails(account)
    assert seed.DEFAULT_TITLE in email["html"]
    assert Links(email["html"]).hrefs == {seed.DEFAULT_JOIN_LINK}


async def test_a_token_that_the_program_lacks_changes_nothing_and_is_a_violation(account: Account) -> None:
    """In Marketo it would be noticed only by who reads the e-mail."""
    answer = await account.trigger([await account.lead()], {"webinartitle": "Lost", "CompanyName": "From the folder"})
    assert answer["success"]
    [email] = await emails(account)
    assert seed.DEFAULT_TITLE in email["html"]
    assert "From the folder" in email["html"], "a token of the folder above is known"
    assert await account.violations() == ["unknown_token"]


@pytest.mark.parametrize("name", ["WebinarTitle", "{{WebinarTitle}}", "{{my.WebinarTitle}} ", "{{ my.X }}", None, 7])
async def test_token_names_are_written_exactly(account: Account, name: object) -> None:
    body = {"input": {"leads": [{"id": await account.lead()}], "tokens": [{"name": name, "value": "x"}]}}
    answer = await account.marketo("POST", f"/v1/campaigns/{seed.CAMPAIGN_ID}/trigger.json", json=body)
    assert code(answer) == "1003"
    assert await emails(account) == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"leads": [{"id": 1}], "tokens": [{"name": "{{my.A}}", "value": 1}]}, "1001"),
        ({"leads": [{"id": 1}], "tokens": [{"name": "{{my.A}}", "value": "1"}] * 2}, "1003"),
        ({"leads": [{"id": 1}], "tokens": [{"name": f"{{{{my.T{n}}}}}", "value": ""} for n in range(101)]}, "1003"),
        ({"leads": [{"id": 1}], "tokens": {"WebinarTitle": "x"}}, "1001"),
        ({"leads": [{"id": 1}], "tokens": ["x"]}, "1001"),
        ({"leads": [{"id": n} for n in range(1, 102)]}, "1003"),
        ({"leads": []}, "1002"),
        ({}, "1002"),
        (None, "1002"),
        ({"leads": [{"id": "1002200"}]}, "1001"),
        ({"leads": [{"id": True}]}, "1001"),
        ({"leads": [{"id": -1}]}, "1001"),
        ({"leads": [{"id": 10**30}]}, "1001"),
        ({"leads": [1002200]}, "1001"),
    ],
)
async def test_a_malformed_request_is_refused_whole(account: Account, given: object, expected: str) -> None:
    answer = await account.marketo("POST", f"/v1/campaigns/{seed.CAMPAIGN_ID}/trigger.json", json={"input": given})
    assert code(answer) == expected


async def test_one_unknown_lead_refuses_the_whole_call(account: Account) -> None:
    lead = await account.lead()
    answer = await account.trigger([lead, 77])
    assert code(answer) == "1004"
    assert "77" in answer["errors"][0]["message"]
    assert await emails(account) == []


async def test_a_hundred_leads_go_in_one_call(account: Account) -> None:
    answer = await account.sync(*({"email": f"p{n}@example.com"} for n in range(100)))
    assert (await account.trigger([outcome["id"] for outcome in answer["result"]]))["success"]
    assert len(await emails(account)) == 100


async def test_one_lead_twice_in_a_call_is_mailed_twice_and_a_violation(account: Account) -> None:
    lead = await account.lead()
    await account.trigger([lead, lead])
    assert len(await emails(account)) == 2
    assert await account.violations() == ["duplicate_lead_in_call"]


async def test_there_is_no_idempotency(account: Account) -> None:
    """The same call twice runs the campaign twice."""
    lead = await account.lead()
    for _ in range(2):
        await account.trigger([lead], TOKENS)
    assert len(await emails(account)) == 2
    assert (await account.seen("stats"))["mostEmailsPerPerson"] == 2


async def test_an_unknown_campaign_is_1013_and_a_batch_campaign_1003(account: Account) -> None:
    lead = await account.lead()
    assert code(await account.trigger([lead], campaign=99)) == "1013"
    assert code(await account.trigger([lead], campaign=seed.BATCH_CAMPAIGN_ID)) == "1003"
    assert code(await account.marketo("GET", "/v1/campaigns/abc.json")) == "1001"


@pytest.mark.parametrize("campaign", [seed.INACTIVE_CAMPAIGN_ID, seed.NOT_REQUESTABLE_CAMPAIGN_ID])
async def test_a_campaign_that_cannot_run_skips_everyone_in_silence(account: Account, campaign: int) -> None:
    """success:true, and nobody gets anything: only a set-up check can tell."""
    answer = await account.trigger([await account.lead()], campaign=campaign)
    assert answer["success"]
    assert await emails(account) == []
    [call] = await account.seen("calls?kind=trigger")
    assert (call["sent"], call["skipped"]) == (0, 1)
    assert call["skip_reason"].startswith("campaign")


async def test_once_means_that_the_second_webinar_is_skipped_in_silence(account: Account) -> None:
    lead = await account.lead()
    for _ in range(2):
        assert (await account.trigger([lead], campaign=seed.ONCE_CAMPAIGN_ID))["success"]
    assert len(await emails(account)) == 1
    assert sum((await account.seen("stats"))["skipped"].values()) == 1


async def test_an_interval_must_have_passed(account: Account) -> None:
    lead = await account.lead()
    for hours in (0, 23, 2, 11):
        account.clock.move(timedelta(hours=hours))
        await account.log_in()
        await account.trigger([lead], campaign=seed.DAILY_CAMPAIGN_ID)
    assert len(await emails(account)) == 2


async def test_a_person_without_an_address_is_skipped(account: Account) -> None:
    answer = await account.sync({"externalId": "x-1"}, lookupField="externalId")
    await account.trigger([answer["result"][0]["id"]])
    assert await emails(account) == []


async def test_a_link_can_travel_in_the_persons_record(account: Account) -> None:
    """Personal links, and still one call for all: the e-mail reads the link from the person."""
    one = await account.lead("a@example.com", webinarJoinLink="https://zoom.example.com/j/1?tk=a&x=1")
    two = await account.lead("b@example.com", webinarJoinLink="https://zoom.example.com/j/1?tk=b&x=1")
    await account.trigger([one, two], campaign=seed.LINK_FIELD_CAMPAIGN_ID)
    hrefs = [Links(email["html"]).hrefs for email in await emails(account)]
    assert hrefs == [{"https://zoom.example.com/j/1?tk=a&x=1"}, {"https://zoom.example.com/j/1?tk=b&x=1"}]


async def test_a_passed_token_wins_over_the_persons_field(account: Account) -> None:
    """Who has two webinars at once gets the second link by token; what a token's value holds is never read as one."""
    lead = await account.lead("a@example.com", webinarJoinLink="https://zoom.example.com/j/1")
    for link in ("https://zoom.example.com/j/2", "{{lead.Webinar Join Link}}"):
        await account.trigger([lead], campaign=seed.LINK_FIELD_CAMPAIGN_ID, tokens={"JoinLink": link})
    assert [email["tokens"]["JoinLink"] for email in await emails(account)] == [
        "https://zoom.example.com/j/2",
        "{{lead.Webinar Join Link}}",
    ]


async def test_an_email_reads_the_field_some_time_after_the_request(account: Account) -> None:
    """Another webinar's link that is written too early would stand in both e-mails."""
    lead = await account.lead("a@example.com", webinarJoinLink="https://zoom.example.com/j/1")
    for seconds, link in ((4.9, "early"), (5, "late")):
        await account.trigger([lead], campaign=seed.LINK_FIELD_CAMPAIGN_ID)
        account.clock.move(timedelta(seconds=seconds))
        await account.sync({"email": "a@example.com", "webinarJoinLink": link})
    assert [email["tokens"]["JoinLink"] for email in await emails(account)] == ["early", "early"]


async def test_switches_of_a_campaign_can_be_turned(account: Account) -> None:
    lead, path = await account.lead(), f"/sandbox/marketo/campaigns/{seed.CAMPAIGN_ID}"
    turned = await account.http.patch(path, json={"active": False})
    assert turned.json() == {"id": seed.CAMPAIGN_ID, "active": False, "triggerable": False}
    await account.trigger([lead])
    assert await emails(account) == []
    assert (await account.http.patch("/sandbox/marketo/campaigns/9", json={"active": True})).status_code == 404
    assert (await account.http.delete(path)).json() == {"deleted": True}
    assert code(await account.trigger([lead])) == "1013"


def test_the_banner_holds_its_title_escaped_and_in_lines() -> None:
    picture = banner("Scaling <Customer> Engagement & other stories that are rather long " * 3)
    assert picture.startswith("<svg")
    assert "&lt;Customer&gt;" in picture
    assert picture.count("font-weight") == 3
    assert seed.DEFAULT_TITLE in banner("")


def test_tokens_are_filled_in_one_pass() -> None:
    text = "{{lead.First Name:default=You}} {{lead.Shoe}} {{my.A}} {{my.B}}"
    assert fill(text, {}, {"A": "{{my.B}}", "B": "<"}, escape=True) == "You  {{my.B}} &lt;"
