"""Read what stands around a reminder in Marketo: campaign, program, My Tokens, e-mails. No I/O.

Calls of the Asset API, each written and read here. An asset that does not exist is a success without a result.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlencode

from app.domain import CampaignId, Json
from app.marketo.codes import Consequence, Endpoint
from app.marketo.envelope import Reply, explaining, open_envelope
from app.marketo.failures import CallFailed
from app.marketo.requests import Outgoing
from app.marketo.shapes import WrongShape, as_object, items, number, optional_text, printable, text

MOST_EMAILS = 200  # a Get Emails call
LONGEST_TOKEN_NAME = 50

_FORM = "application/x-www-form-urlencoded"


class FolderKind(StrEnum):
    """What an asset can stand in."""

    FOLDER = "Folder"
    PROGRAM = "Program"


@dataclass(frozen=True, slots=True)
class Place:
    """A folder or program, which count separately."""

    kind: FolderKind
    id: int


@dataclass(frozen=True, slots=True)
class SmartCampaign:
    """A smart campaign with its rules. `is_requestable` is never true of one that is not active.

    `rule` is `once`, `any` or `interval`, `interval` its words ('1 day'). `program_id` is None outside of programs.
    """

    id: CampaignId
    name: str
    type: str
    status: str
    is_active: bool
    is_requestable: bool
    rule: str | None
    interval: str | None
    has_communication_limit: bool
    program_id: int | None
    place: Place | None


@dataclass(frozen=True, slots=True)
class SmartList:
    """Who passes a campaign: the names of its triggers and filters."""

    triggers: tuple[str, ...]
    filters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder or program by name, and where it stands; None at the top."""

    place: Place
    name: str
    parent: Place | None


@dataclass(frozen=True, slots=True)
class MyToken:
    """A My Token of one folder or program: `name` without `{{my.}}`, `value` its default."""

    name: str
    type: str
    value: str


@dataclass(frozen=True, slots=True)
class EmailAsset:
    """An e-mail. `is_operational`: it is sent to people who have unsubscribed, too."""

    id: int
    name: str
    subject: str
    is_approved: bool
    is_operational: bool


def smart_campaign(number_: CampaignId) -> Outgoing:
    """Write a Get Smart Campaign by Id call."""
    return _get(f"/asset/v1/smartCampaign/{number_:d}.json")


def smart_list(number_: CampaignId) -> Outgoing:
    """Write a Get Smart List by Smart Campaign Id call."""
    return _get(f"/asset/v1/smartCampaign/{number_:d}/smartList.json", includeRules="true")


def folder(place: Place) -> Outgoing:
    """Write a Get Folder by Id call, or Get Program by Id."""
    if place.kind is FolderKind.PROGRAM:
        return _get(f"/asset/v1/program/{place.id:d}.json")
    return _get(f"/asset/v1/folder/{place.id:d}.json", type=place.kind)


def tokens(place: Place) -> Outgoing:
    """Write a Get Tokens by Folder Id call."""
    return _get(f"/asset/v1/folder/{place.id:d}/tokens.json", folderType=place.kind)


def create_token(place: Place, token: MyToken) -> Outgoing:
    """Write a Create Token call, which changes the token where there is one of this name.

    Raises:
        ValueError: the name is too long or has braces, or the value is empty: Marketo refuses them.
    """
    if not 1 <= len(token.name) <= LONGEST_TOKEN_NAME or set(token.name) & set("{}"):
        raise ValueError(f"a token's name has 1 to {LONGEST_TOKEN_NAME} characters and no braces")
    if not token.value:
        raise ValueError("a token needs a value")
    form = {"name": token.name, "type": token.type, "value": token.value, "folderType": place.kind}
    path = f"/asset/v1/folder/{place.id:d}/tokens.json"
    return Outgoing(Endpoint.SETUP, "POST", path, urlencode(form).encode(), _FORM)


def emails(place: Place) -> Outgoing:
    """Write a Get Emails call for those that stand in a program or folder."""
    where = json.dumps({"id": place.id, "type": place.kind}, separators=(",", ":"))
    return _get("/asset/v1/emails.json", folder=where, maxReturn=str(MOST_EMAILS))


def email_content(email_id: int) -> Outgoing:
    """Write a Get Email Full Content call."""
    return _get(f"/asset/v1/email/{email_id:d}/fullContent.json")


def read_smart_campaign(reply: Reply) -> SmartCampaign | None:
    """Read a campaign, None where there is none.

    Raises:
        CallFailed: it was refused or cannot be read; so do the other readers here.
    """
    with explaining(Endpoint.SETUP, reply):
        record = _only(reply)
        return _smart_campaign(record) if record is not None else None


def read_smart_list(reply: Reply) -> SmartList | None:
    """Read a smart list with its rules, None where there is none."""
    with explaining(Endpoint.SETUP, reply):
        record = _only(reply)
        if record is None:
            return None
        rules = as_object(record.get("rules") or {})
        triggers = tuple(_rule_name(one) for one in items(rules, "triggers"))
        return SmartList(triggers, tuple(_rule_name(one) for one in items(rules, "filters")))


def read_folder(reply: Reply, place: Place) -> Folder | None:
    """Read a folder, or a program whose parent is called `folder`; None where there is none."""
    with explaining(Endpoint.SETUP, reply):
        record = _only(reply)
        if record is None:
            return None
        parent = record.get("parent") or record.get("folder")
        return Folder(place, text(record, "name"), _place(parent))


def read_tokens(reply: Reply) -> tuple[MyToken, ...]:
    """Read the tokens of a folder or program, the inherited ones where Marketo adds them; 'no data found' is none."""
    try:
        with explaining(Endpoint.SETUP, reply):
            groups = [as_object(group) for group in open_envelope(Endpoint.SETUP, reply).result]
            return tuple(_token(as_object(token)) for group in groups for token in items(group, "tokens"))
    except CallFailed as refused:
        if refused.consequence is not Consequence.NO_DATA:
            raise
        return ()


def read_emails(reply: Reply) -> tuple[EmailAsset, ...]:
    """Read a list of e-mails."""
    with explaining(Endpoint.SETUP, reply):
        return tuple(_email(as_object(record)) for record in open_envelope(Endpoint.SETUP, reply).result)


def read_email_content(reply: Reply) -> str | None:
    """Read an e-mail's HTML, None where there is none."""
    with explaining(Endpoint.SETUP, reply):
        record = _only(reply)
        if record is None:
            return None
        content = record.get("content")
        if not isinstance(content, str):
            raise WrongShape("content is no text")
        return content


def _get(path: str, **query: str) -> Outgoing:
    return Outgoing(Endpoint.SETUP, "GET", path + (f"?{urlencode(query)}" if query else ""))


def _only(reply: Reply) -> Mapping[str, Json] | None:
    result = open_envelope(Endpoint.SETUP, reply).result
    return as_object(result[0]) if result else None


def _smart_campaign(record: Mapping[str, Json]) -> SmartCampaign:
    program = record.get("parentProgramId")
    return SmartCampaign(
        id=CampaignId(number(record, "id")),
        name=text(record, "name"),
        type=text(record, "type"),
        status=optional_text(record, "status") or "",
        is_active=record.get("isActive") is True,
        is_requestable=record.get("isRequestable") is True,
        rule=optional_text(record, "qualificationRuleType"),
        interval=_interval(record),
        has_communication_limit=record.get("isCommunicationLimitEnabled") is True,
        program_id=None if program is None else number(record, "parentProgramId"),
        place=_place(record.get("folder")),
    )


def _interval(record: Mapping[str, Json]) -> str | None:
    length, unit = record.get("qualificationRuleInterval"), record.get("qualificationRuleUnit")
    if record.get("qualificationRuleType") != "interval" or not isinstance(length, int) or not isinstance(unit, str):
        return None
    return f"{length} {printable(unit)}{'' if length == 1 else 's'}"


def _place(value: Json) -> Place | None:
    """Read `{id, type}`, which some of Adobe's examples call `value` and write in capitals; None for anything else."""
    if not isinstance(value, dict):
        return None
    kind, place_id = value.get("type"), value.get("id", value.get("value"))
    if not isinstance(kind, str) or isinstance(place_id, bool) or not isinstance(place_id, int):
        return None
    return Place(FolderKind.PROGRAM if kind.lower() == "program" else FolderKind.FOLDER, place_id)


def _rule_name(rule: Json) -> str:
    """Read the name of a trigger, which is a text in Adobe's Swagger, or of a filter, which is an object with one."""
    return printable(rule) if isinstance(rule, str) else text(as_object(rule), "name")


def _token(record: Mapping[str, Json]) -> MyToken:
    value = record.get("value")
    return MyToken(text(record, "name"), text(record, "type"), "" if value is None else str(value))


def _email(record: Mapping[str, Json]) -> EmailAsset:
    subject = record.get("subject")
    shown = subject.get("value") if isinstance(subject, dict) else None
    return EmailAsset(
        id=number(record, "id"),
        name=text(record, "name"),
        subject=shown if isinstance(shown, str) else "",
        is_approved=str(record.get("status")).lower().startswith("approved"),
        is_operational=record.get("operational") is True,
    )
