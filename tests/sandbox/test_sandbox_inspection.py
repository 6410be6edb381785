"""What one sees of the simulation: lists, figures, the page; bounded in memory, exact in counts."""

from html import unescape

from app.sandbox import seed
from tests.sandbox.account import Account, opened


async def test_a_call_is_listed_with_all_that_matters(account: Account) -> None:
    lead = await account.lead()
    await account.trigger([lead], {"WebinarTitle": "T"})
    [call] = await account.seen("calls?kind=trigger")
    expected = {
        "n": 3,
        "service": "marketo",
        "kind": "trigger",
        "endpoint": f"rest/v1/campaigns/{seed.CAMPAIGN_ID}/trigger.json",
        "size": 1,
        "campaign": seed.CAMPAIGN_ID,
        "tokens": {"WebinarTitle": "T"},
        "sent": 1,
        "code": "ok",
        "status": 200,
        "window": 1,
        "in_flight": 1,
    }
    assert call.items() >= expected.items()
    assert call.keys() >= {"at", "requestId", "ms"}


async def test_refused_calls_are_listed_with_their_code(account: Account) -> None:
    await account.trigger([7])
    [call] = await account.seen("calls?kind=trigger")
    assert (call["code"], call["message"]) == ("1004", "Lead '7' not found")


async def test_no_secret_is_kept_in_what_is_listed(account: Account) -> None:
    """The lists are printed and pasted."""
    await account.http.get("/identity/oauth/token", params={"grant_type": "x", "client_secret": "hush-hush"})
    await account.marketo("GET", "/v1/stats/usage.json?access_token=hush-hush")
    shown = (await account.http.get("/sandbox/calls")).text + (await account.http.get("/sandbox/violations")).text
    assert "hush-hush" not in shown
    assert account.bearer["Authorization"].removeprefix("Bearer ") not in shown
    assert seed.CLIENT_SECRET not in shown


async def test_memory_is_bounded_and_counts_stay_exact() -> None:
    async with opened(keep_calls=5, keep_emails=3, keep_violations=2) as account:
        await account.log_in()
        leads = [o["id"] for o in (await account.sync(*({"email": f"p{n}@e.io"} for n in range(10))))["result"]]
        await account.trigger(leads, {"Unknown1": "", "Unknown2": "", "Unknown3": ""})
        for _ in range(7):
            await account.usage()
        assert [len(await account.seen(what)) for what in ("calls", "emails", "violations")] == [5, 3, 2]
        figures = await account.seen("stats")
        assert (figures["calls"], figures["emails"], figures["peopleMailed"]) == (10, 10, 10)
        assert figures["violations"] == {"unknown_token": 3}
        assert figures["outcomes"]["usage"] == {"ok": 7}
        assert (await account.http.get("/sandbox/emails/1.html")).status_code == 404


async def test_lists_are_read_on_by_number(account: Account) -> None:
    for _ in range(5):
        await account.usage()
    assert [call["n"] for call in await account.seen("calls?after=2&limit=3")] == [3, 4, 5]
    assert (await account.http.get("/sandbox/calls?limit=0")).status_code == 422


async def test_emails_are_found_by_address_and_with_or_without_html(account: Account) -> None:
    for name in ("a", "b"):
        await account.trigger([await account.lead(f"{name}@example.com")])
    [email] = await account.seen("emails?to=B@example.com&html=false")
    assert (email["n"], email["to"]) == (2, "b@example.com")
    assert "html" not in email


async def test_what_is_sought_is_found_behind_more_than_a_list_holds(account: Account) -> None:
    """The bound is on what is answered, not on where it is sought."""
    for name in ("a", "b", "c"):
        await account.trigger([await account.lead(f"{name}@example.com")])
    assert [email["to"] for email in await account.seen("emails?to=c@example.com&limit=1")] == ["c@example.com"]
    assert [call["n"] for call in await account.seen("calls?kind=trigger&limit=2")] == [3, 5]
    assert [call["n"] for call in await account.seen("calls?kind=trigger&limit=2&after=3")] == [5, 7]


async def test_an_email_is_shown_as_its_reader_sees_it_but_no_script_can_run(account: Account) -> None:
    await account.trigger([await account.lead()], {"WebinarTitle": "T"})
    shown = await account.http.get("/sandbox/emails/1.html")
    assert shown.text == (await account.seen("emails"))[0]["html"]
    assert "script-src 'none'" in shown.headers["content-security-policy"]


async def test_people_are_listed_and_found(account: Account) -> None:
    lead = await account.lead("ada@example.com", firstName="Ada")
    await account.trigger([lead])
    await account.lead("b@example.com")
    [person] = await account.seen("people?email=ADA@example.com")
    assert (person["id"], person["emails"], person["campaigns"]) == (lead, 1, [seed.CAMPAIGN_ID])
    assert len(await account.seen("people")) == 2


async def test_reset_forgets_everything(account: Account) -> None:
    await account.trigger([await account.lead()])
    await account.fault(kind="code:611")
    await account.http.post("/sandbox/reset")
    figures = await account.seen("stats")
    assert (figures["calls"], figures["emails"], figures["people"]) == (0, 0, 0)
    assert await account.seen("faults") == []
    await account.log_in()
    assert (await account.usage())["success"]


async def test_the_page_shows_emails_calls_and_violations_and_needs_no_network(account: Account) -> None:
    empty = (await account.http.get("/")).text
    assert "None yet" in empty
    assert "Nothing leaves this machine" in empty
    await account.trigger([await account.lead()], {"WebinarTitle": "<b>Title</b>", "Unknown": "x"})
    await account.trigger([7])
    page = (await account.http.get("/")).text
    assert "<b>Title</b>" not in page, "values are escaped"
    assert "Reminder: <b>Title</b>" in unescape(page)
    assert 'src="/sandbox/emails/1.html"' in page
    assert "unknown_token" in page
    assert "1004" in page
    assert "<script" not in page
    assert "https://" not in page.replace(seed.DEFAULT_JOIN_LINK, "")


async def test_the_controls_are_described_without_pages_from_afar(account: Account) -> None:
    assert "/sandbox/faults" in (await account.http.get("/sandbox/openapi.json")).json()["paths"]
    assert (await account.http.get("/docs")).status_code == 404
