"""What admins paste: every form that names an instance or a campaign, and a sentence for every other one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.marketo.address import base_urls, campaign_id

REST = "https://123-abc-456.mktorest.com/rest"
IDENTITY = "https://123-abc-456.mktorest.com/identity"


@pytest.mark.parametrize(
    "pasted",
    [
        "https://123-ABC-456.mktorest.com",
        "https://123-ABC-456.mktorest.com/",
        "https://123-ABC-456.mktorest.com/rest",
        "https://123-ABC-456.mktorest.com/rest/",
        "https://123-ABC-456.mktorest.com/identity",
        "https://123-ABC-456.mktorest.com/identity//",
        "https://123-ABC-456.mktorest.com:443/rest",
        "HTTPS://123-abc-456.MKTOREST.com",
        "123-ABC-456.mktorest.com",
        "123-ABC-456.mktorest.com/rest",
        "123-ABC-456.mktorest.com:443",
        "  https://123-ABC-456.mktorest.com/identity\n",
    ],
)
def test_every_form_that_admins_paste_is_understood(pasted: str) -> None:
    """Admin > Web Services shows two endpoints; people copy either, or the host alone."""
    address = base_urls(pasted)
    assert (address.rest, address.identity) == (REST, IDENTITY)
    assert address.token_url == IDENTITY + "/oauth/token"
    assert address.origin == "https://123-abc-456.mktorest.com"
    assert address.is_marketo
    assert not address.is_loopback


@pytest.mark.parametrize(
    ("pasted", "rest"),
    [
        ("http://127.0.0.1:8099", "http://127.0.0.1:8099/rest"),
        ("http://localhost:8099/rest/", "http://localhost:8099/rest"),
        ("http://[::1]:8099", "http://[::1]:8099/rest"),
        ("http://127.0.0.1:80", "http://127.0.0.1/rest"),
        ("https://localhost", "https://localhost/rest"),
    ],
)
def test_this_machine_may_be_called_without_tls(pasted: str, rest: str) -> None:
    """The sandbox listens there."""
    address = base_urls(pasted)
    assert address.rest == rest
    assert address.is_loopback
    assert not address.is_marketo


def test_a_gateway_is_taken_but_known_as_one() -> None:
    """Companies put a gateway of their own in between; the start check can say so."""
    address = base_urls("https://marketo.gateway.example.com:8443/rest")
    assert address.rest == "https://marketo.gateway.example.com:8443/rest"
    assert not address.is_marketo
    assert not base_urls("https://evilmktorest.com").is_marketo


def test_plain_http_to_another_host_needs_to_be_allowed_by_name() -> None:
    """A container network's sandbox has a name of its own."""
    with pytest.raises(ValueError, match="clear text"):
        base_urls("http://sandbox:8099")
    assert base_urls("http://sandbox:8099", plain_http_hosts=["sandbox"]).origin == "http://sandbox:8099"


@pytest.mark.parametrize(
    ("pasted", "sentence"),
    [
        ("", "no address"),
        ("foo", "no address"),
        ("https://", "no host name"),
        ("http://123-abc-456.mktorest.com", "clear text"),
        ("http://127.0.0.1.example.com", "clear text"),
        ("http://localhost.example.com", "clear text"),
        ("ftp://123-abc-456.mktorest.com", "https://"),
        ("javascript://123-abc-456.mktorest.com", "https://"),
        ("https://user@123-abc-456.mktorest.com", "user name"),
        ("https://user:pw@123-abc-456.mktorest.com", "user name"),
        ("https://@123-abc-456.mktorest.com", "user name"),
        ("https://123-abc-456.mktorest.com?x=1", "query"),
        ("https://123-abc-456.mktorest.com/rest#top", "fragment"),
        ("https://123-abc-456.mktorest.com/rest?", "query"),
        ("https://123-abc-456.mktorest.com/rest/v1/leads.json", "nothing but"),
        ("https://123-abc-456.mktorest.com/rest/../identity", "nothing but"),
        ("https://123-abc-456.mktorest.com/REST%2f", "nothing but"),
        ("https://123-abc-456.mktorest.com:port", "no address"),
        ("https://123-abc-456.mktorest.com:99999", "no address"),
        ("https://123-abc-456.mktorest.com\\@evil.example", "no address"),
        ("https://123 abc.mktorest.com", "no address"),
        ("https://123-abc-456.mkto\trest.com", "no address"),
        ("https://mkto\u0440est.com", "no address"),
        ("https://[::1", "no address"),
        ("https://[v1.x]", "no (address|host)"),
        ("https://-x.example.com", "no host name"),
        ("https://a..example.com", "no host name"),
        ("https://%31.example.com", "no host name"),
        (f"https://{'a' * 64}.example.com", "no host name"),
        ("https://app-ab12.marketo.com", "pages"),
        ("https://marketo.com", "pages"),
        ("123-ABC-456", "Munchkin id alone: write https://123-ABC-456.mktorest.com"),
    ],
)
def test_anything_else_is_refused_with_a_sentence(pasted: str, sentence: str) -> None:
    """A wrong address is told at the start, not found out by the first registrant."""
    with pytest.raises(ValueError, match=sentence):
        base_urls(pasted)


@given(st.text() | st.from_regex(r"https?://[ -~]{0,30}", fullmatch=True))
def test_no_text_makes_anything_but_an_address_or_a_sentence(text: str) -> None:
    """And what is accepted once is accepted again, unchanged."""
    try:
        address = base_urls(text)
    except ValueError:
        return
    assert base_urls(address.rest) == base_urls(address.identity) == address


@pytest.mark.parametrize(
    ("pasted", "number"),
    [
        ("1234", 1234),
        (" 1234 ", 1234),
        ("2147483647", 2147483647),
        ("https://app-XXX.marketo.com/#/classic/SC1234A1ZN38", 1234),
        ("https://app-sj01.marketo.com/#SC1234A1", 1234),
        ("https://app-sj01.marketo.com/?munchkinId=123-ABC-456#/classic/SC1234B2LA1", 1234),
        ("https://experience.adobe.com/#/@acme/so:123-ABC-456/marketo-engage/classic/SC1234A1ZN38", 1234),
        ("SC1234A1", 1234),
    ],
)
def test_a_campaign_is_a_number_or_what_the_browser_shows(pasted: str, number: int) -> None:
    """Marketo shows the id nowhere but in the address."""
    assert campaign_id(pasted) == number


@pytest.mark.parametrize(
    "pasted",
    [
        "",
        "0",
        "-1",
        "1.5",
        "1e3",
        "\u0661\u0662",
        "2147483648",
        "99999999999999999999",
        "https://app-sj01.marketo.com/#/classic/ME1234A1",
        "https://app-sj01.marketo.com/#/classic/PG1234A1",
        "https://app-sj01.marketo.com/#/classic/SCA1",
        "https://app-sj01.marketo.com/#/classic/SC0A1",
        "https://app-sj01.marketo.com/#/classic/XSC1234A1",
        "https://app-sj01.marketo.com/",
        "Webinar reminder",
    ],
)
def test_what_names_no_campaign_is_refused_with_what_to_paste(pasted: str) -> None:
    """A program's address (ME, PG) looks much the same."""
    with pytest.raises(ValueError, match=r"browser address, like https://app-ab12.marketo.com"):
        campaign_id(pasted)


@given(st.text() | st.from_regex(r"#?/?SC[0-9]{1,14}[A-Z0-9/]{0,9}", fullmatch=True))
def test_no_text_makes_anything_but_a_campaign_or_a_sentence(text: str) -> None:
    """The number that comes out can stand in a path."""
    try:
        number = campaign_id(text)
    except ValueError:
        return
    assert 1 <= number < 2**31
