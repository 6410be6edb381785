"""Understand the addresses that admins paste: an instance's base URL and a smart campaign. No I/O.

What is said to a person who pasted something else stands here too; every ValueError is a sentence to show.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from app.domain import CampaignId

LARGEST_CAMPAIGN_ID = 2**31 - 1  # Adobe's Swagger gives campaign ids the format int32

_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
_MUNCHKIN_ID = re.compile(r"[0-9]{3}-[a-z]{3}-[0-9]{3}")
_CAMPAIGN_PAGE = re.compile(r"(?:^|[/#])SC([0-9]{1,10})(?:[A-Z]+[0-9]+)*(?=$|[/?&])")
_WHAT_TO_PASTE = "paste the endpoint from Admin > Web Services, like https://123-ABC-456.mktorest.com"
_WHICH_CAMPAIGN = (
    "paste the campaign's number or its browser address, like https://app-ab12.marketo.com/#/classic/SC1234A1ZN38"
)


@dataclass(frozen=True, slots=True)
class MarketoAddress:
    """Where one instance is: `rest` and `identity` are base URLs without a trailing slash."""

    rest: str
    identity: str

    @property
    def token_url(self) -> str:
        """Return where tokens are issued."""
        return f"{self.identity}/oauth/token"

    @property
    def origin(self) -> str:
        """Return scheme, host and port: the only place that the relay calls for Marketo."""
        return self.rest.removesuffix("/rest")

    @property
    def host(self) -> str:
        """Return the host without its port."""
        return urlsplit(self.rest).hostname or ""

    @property
    def is_marketo(self) -> bool:
        """Tell whether the host is Adobe's own; another one may be a gateway or a simulation, worth a warning."""
        return self.host.endswith(".mktorest.com")

    @property
    def is_loopback(self) -> bool:
        """Tell whether the host is this machine."""
        return is_loopback(self.host)


def base_urls(text: str, *, plain_http_hosts: Collection[str] = ()) -> MarketoAddress:
    """Return the base URLs from a pasted one: a bare host, with or without https, `/rest`, `/identity`, white space.

    Any https host is taken, since gateways exist. Plain http is for this machine, and for `plain_http_hosts`.

    Raises:
        ValueError: a sentence that says what is wrong and what to paste.
    """
    parts = _split(text.strip())
    host = parts.hostname or ""
    _check_host(host, is_bare="://" not in text)
    if parts.scheme == "http" and not (is_loopback(host) or host in plain_http_hosts):
        raise ValueError(f"http:// would send the secret in clear text: {_WHAT_TO_PASTE}")
    origin = f"{parts.scheme}://{_bracketed(host)}{_port(parts)}"
    return MarketoAddress(rest=f"{origin}/rest", identity=f"{origin}/identity")


def campaign_id(text: str) -> CampaignId:
    """Return the campaign's id from a number or from the address that the browser shows.

    Raises:
        ValueError: a sentence that says what to paste.
    """
    pasted = text.strip()
    digits = pasted if re.fullmatch(r"[0-9]{1,10}", pasted) else _from_page(pasted)
    number = int(digits)
    if not 1 <= number <= LARGEST_CAMPAIGN_ID:
        raise ValueError(f"{number} is no campaign id: {_WHICH_CAMPAIGN}")
    return CampaignId(number)


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine: `localhost`, 127.0.0.0/8 or ::1."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _split(text: str) -> SplitResult:
    if not text or not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        raise ValueError(f"this is no address: {_WHAT_TO_PASTE}")
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        _ = parts.port  # raises where it is no number
    except ValueError:
        raise ValueError(f"this is no address: {_WHAT_TO_PASTE}") from None
    if parts.scheme not in ("https", "http"):
        raise ValueError(f"it must start with https://: {_WHAT_TO_PASTE}")
    if "[" in parts.netloc and not is_loopback(parts.hostname or ""):
        raise ValueError(f"this is no host name: {_WHAT_TO_PASTE}")
    if "@" in parts.netloc:
        raise ValueError(f"it must not hold a user name or password: {_WHAT_TO_PASTE}")
    if "?" in text or "#" in text:
        raise ValueError(f"it must not hold a query or a fragment: {_WHAT_TO_PASTE}")
    if parts.path.strip("/") not in ("", "rest", "identity"):
        raise ValueError(f"nothing but /rest or /identity may follow the host: {_WHAT_TO_PASTE}")
    return parts


def _check_host(host: str, *, is_bare: bool) -> None:
    if host == "marketo.com" or host.endswith(".marketo.com"):
        raise ValueError(f"that is the address of Marketo's pages, not of its API: {_WHAT_TO_PASTE}")
    if is_loopback(host):
        return
    if not _HOST.fullmatch(host):
        raise ValueError(f"this is no host name: {_WHAT_TO_PASTE}")
    if _MUNCHKIN_ID.fullmatch(host):
        raise ValueError(f"that is the Munchkin id alone: write https://{host.upper()}.mktorest.com")
    if is_bare and "." not in host:
        raise ValueError(f"this is no address: {_WHAT_TO_PASTE}")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _port(parts: SplitResult) -> str:
    usual = {"https": 443, "http": 80}[parts.scheme]
    return "" if parts.port in (None, usual) else f":{parts.port}"


def _from_page(pasted: str) -> str:
    """Find the id in `…/#/classic/SC1234A1ZN38` or `…/#SC1234A1`; letters other than SC are other things."""
    fragment = pasted.partition("#")[2] or pasted
    found = _CAMPAIGN_PAGE.search(fragment)
    if not found:
        raise ValueError(f"no campaign is named there: {_WHICH_CAMPAIGN}")
    return found[1]
