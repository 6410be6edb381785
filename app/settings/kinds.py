"""The kinds of values that settings have. Each makes a value of text, or says in words what is wrong with it.

The messages finish a sentence that begins with the setting's name, and never repeat a secret.
"""

import re
from collections.abc import Callable
from difflib import get_close_matches
from ipaddress import ip_address, ip_network
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr

from app.domain import is_web_link
from app.settings.strength import (
    RECIPE,
    SIGNING_RECIPE,
    placeholder,
    signing_weakness,
    vendor_weakness,
    weakness,
)

_PATH_SEGMENT = re.compile(r"[A-Za-z0-9._~-]+")
_FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_DATABASES = ("sqlite", "sqlite+aiosqlite", "postgresql", "postgresql+psycopg", "postgres")
_ACTIONS = (  # Eventbrite's documented webhook actions about orders and attendees, and the captured barcode.checked_in
    "order.placed",
    "order.updated",
    "order.refunded",
    "attendee.updated",
    "attendee.checked_in",
    "attendee.checked_out",
    "barcode.checked_in",
)

COPY_AGAIN = "Copy it again from where it is shown"
Judge = Callable[[str], str | None]


def split_commas(value: object) -> object:
    """Return the parts of `a, b` without spaces around them; a TOML array is taken as it is."""
    if isinstance(value, str):
        return tuple(part for part in map(str.strip, value.split(",")) if part)
    if isinstance(value, int) and not isinstance(value, bool):
        return (str(value),)
    return value


def _secrets(judge: Judge, advice: str) -> Callable[[object], object]:
    """Return a validator for one or several secrets; while rotating, the old and the new one are given."""

    def validate(value: object) -> object:
        given = split_commas(value)
        if not isinstance(given, tuple | list) or not all(isinstance(one, str | SecretStr) for one in given):
            raise ValueError("must be text")
        found = tuple(one.get_secret_value() if isinstance(one, SecretStr) else one for one in given)
        empty = ("",) if isinstance(value, str) else ()
        weak = [(n, problem) for n, one in enumerate(found or empty, start=1) if (problem := judge(one))]
        if weak:
            which = (f"{problem} (number {n} of {len(found)})" if len(found) > 1 else problem for n, problem in weak)
            raise ValueError(f"{'; '.join(which)}. {advice}")
        return found

    return validate


def _secret(judge: Judge, advice: str) -> Callable[[object], object]:
    def validate(value: object) -> object:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        problem = judge(text) if isinstance(text, str) else "must be text"
        if problem:
            raise ValueError(f"{problem}. {advice}")
        return text

    return validate


def _weak_in_a_path(secret: str) -> str | None:
    if secret and not _PATH_SEGMENT.fullmatch(secret):
        return "may hold only letters, digits and - . _ ~ since it is part of an address"
    return weakness(secret)


def _web_link(text: str) -> str:
    if not is_web_link(text):
        raise ValueError("must begin with https:// or http:// and hold no spaces")
    return text


def _relay_address(text: str) -> str:
    if not (is_web_link(text) and _can_be_asked(text)):
        raise ValueError("must be like https://relay.example.com or http://127.0.0.1:8080, without user and query")
    return text


def _listen_address(text: str) -> str:
    if set(text) <= set("0123456789."):
        try:
            ip_address(text)
        except ValueError:
            raise ValueError(f"is {text!r}, which is no IP address; 0.0.0.0 listens on all, 127.0.0.1 here") from None
    return text


def _can_be_asked(text: str) -> bool:
    try:
        parts = urlsplit(text)
        (parts.hostname or "").encode("idna")
        has_port = parts.port != 0
    except ValueError:  # of the port, or of a name that nothing can have
        return False
    return has_port and not (parts.query or parts.fragment or parts.username)


def _vendor_id(text: str) -> str:
    if problem := placeholder(text):
        raise ValueError(f"{problem}. {COPY_AGAIN}")
    return text


def _field_name(text: str) -> str:
    if not _FIELD_NAME.fullmatch(text):
        raise ValueError("must be a field's REST API name: letters, digits and _ only (Admin > Field Management)")
    return text


def _token_name(text: str) -> str:
    name = text.removeprefix("{{").removesuffix("}}").removeprefix("my.").strip()
    if not 1 <= len(name) <= 50 or set(name) & set("{}"):
        raise ValueError("must be the name of a My Token as in {{my.Name}}, at most 50 characters")
    return name


def _eventbrite_actions(actions: tuple[str, ...]) -> tuple[str, ...]:
    for action in actions:
        if action not in _ACTIONS:
            near = get_close_matches(action, _ACTIONS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"these do: {', '.join(_ACTIONS)}"
            raise ValueError(f"names {action!r}, which is no action about a person; {hint}")
    return actions


def _proxies(addresses: tuple[str, ...]) -> tuple[str, ...]:
    for address in addresses:
        if address == "*":
            continue
        try:
            ip_network(address)
        except ValueError:
            raise ValueError(
                "must list IP addresses or networks such as 10.0.0.0/8, or be * when nothing but the proxy can "
                f"reach the relay; {address!r} is neither"
            ) from None
    return addresses


def is_loopback(host: str | None) -> bool:
    """Tell whether a host name stands for this machine, without asking the name service."""
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False


def _vendor_url(is_vendor: Callable[[str], bool], hosts: str) -> AfterValidator:
    """Return a validator of an API's base URL: the vendor's host by https, or a simulation on this machine."""

    def validate(text: str) -> str:
        parts = _split_url(text)
        if is_loopback(parts.hostname) and parts.scheme in ("http", "https"):
            return text.rstrip("/")
        if parts.scheme != "https" or not is_vendor(parts.hostname or "") or parts.port not in (None, 443):
            raise ValueError(f"must be https:// and {hosts} (or a simulation on 127.0.0.1)")
        return text.rstrip("/")

    return AfterValidator(validate)


def _alert_url(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:  # whose words would repeat a part of it
        raise ValueError("cannot be read as an address") from None
    is_here = parts.hostname in ("127.0.0.1", "::1", "localhost")
    if not parts.hostname or parts.scheme not in (("https", "http") if is_here else ("https",)):
        raise ValueError("must be an https:// address, as a chat's incoming webhook has")
    return secret


def _split_url(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"is not an address: {error}") from None
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("must be a plain address, without user, '?' or '#'")
    return parts


def _is_pendo(host: str) -> bool:
    return host in {f"{name}.pendo.io" for name in ("app", "us1.app", "app.eu", "app.jpn", "app.au")}


def _database(value: object) -> object:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not isinstance(text, str) or not text:
        raise ValueError("is empty; leave it out for the default")
    scheme, _, rest = text.partition("://")
    if scheme not in _DATABASES or not rest:
        raise ValueError(
            "must be sqlite:///relative/path.db, sqlite:////absolute/path.db or postgresql://user:password@host/name"
        )
    _split_database(text)
    if scheme.startswith("sqlite") and (not rest.startswith("/") or rest.partition("?")[0] in ("/", "/:memory:")):
        raise ValueError("must name a file after sqlite:///, since what was accepted has to survive a restart")
    return text


def _split_database(text: str) -> None:
    try:
        _ = urlsplit(text).port
    except ValueError:  # whose words would repeat a part of the password
        raise ValueError("cannot be read; write special characters of the password percent-encoded") from None


def _token_fields(value: object) -> object:
    """Read `Name=field,Name2=field2`, or a TOML table, as pairs of token and field."""
    if isinstance(value, dict):
        return tuple((_token_name(str(name)), _field_name(str(field))) for name, field in value.items())
    parts = split_commas(value)
    if not isinstance(parts, tuple | list):
        return value
    pairs = [part.split("=") if isinstance(part, str) else part for part in parts]
    if not all(len(pair) == 2 for pair in pairs):
        raise ValueError("must be written Name=field,Name2=field2: a My Token, then the person field that carries it")
    return tuple((_token_name(name.strip()), _field_name(field.strip())) for name, field in pairs)


CommaSeparated = Annotated[tuple[str, ...], BeforeValidator(split_commas)]
AlertUrl = Annotated[SecretStr, AfterValidator(_alert_url)]
WebLink = Annotated[str, AfterValidator(_web_link)]
RelayAddress = Annotated[str, AfterValidator(_relay_address)]
ListenAddress = Annotated[str, AfterValidator(_listen_address)]
FieldName = Annotated[str, AfterValidator(_field_name)]
TokenName = Annotated[str, AfterValidator(_token_name)]
VendorId = Annotated[str, AfterValidator(_vendor_id)]
TokenFields = Annotated[tuple[tuple[str, str], ...], BeforeValidator(_token_fields)]
EventbriteActions = Annotated[CommaSeparated, AfterValidator(_eventbrite_actions)]
Proxies = Annotated[CommaSeparated, AfterValidator(_proxies)]
LowerCase = BeforeValidator(lambda value: value.strip().lower() if isinstance(value, str) else value)

EventbriteUrl = Annotated[
    str, _vendor_url(lambda host: host == "www.eventbriteapi.com", "www.eventbriteapi.com, as in the default")
]
PendoUrl = Annotated[str, _vendor_url(_is_pendo, "one of app, us1.app, app.eu, app.jpn or app.au .pendo.io")]
DatabaseUrl = Annotated[SecretStr, BeforeValidator(_database)]

OwnSecrets = Annotated[tuple[SecretStr, ...], BeforeValidator(_secrets(weakness, f"A good one is made by: {RECIPE}"))]
PathSecrets = Annotated[
    tuple[SecretStr, ...], BeforeValidator(_secrets(_weak_in_a_path, f"A good one is made by: {RECIPE}"))
]
SigningSecrets = Annotated[
    tuple[SecretStr, ...],
    BeforeValidator(_secrets(signing_weakness, f"A good one is made by: {SIGNING_RECIPE}")),
]
VendorKey = Annotated[SecretStr, BeforeValidator(_secret(weakness, COPY_AGAIN))]
VendorSecret = Annotated[SecretStr, BeforeValidator(_secret(vendor_weakness, COPY_AGAIN))]
