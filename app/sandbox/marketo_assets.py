"""Marketo's Asset API: smart campaigns with their rules, My Tokens of folders and programs, e-mails of a program."""

import json
from datetime import timedelta
from typing import Any

from app.sandbox import seed
from app.sandbox.emails import FROM_EMAIL, FROM_NAME, Mail
from app.sandbox.marketo_answers import Refusal, Result, asset_stamp
from app.sandbox.marketo_bodies import parameters, required, whole_number
from app.sandbox.marketo_campaigns import WORKSPACE
from app.sandbox.programs import Campaign, Program, Qualification
from app.sandbox.world import Work

LONGEST_TOKEN_NAME = 50
_TOKEN_TYPES = ("date", "number", "rich text", "score", "sfdc campaign", "text")
_NOTHING = Result(warnings=["No assets found for the given search criteria."])


def smart_campaign(work: Work) -> Result:
    found = work.world.assets.campaigns.get(whole_number(work.params["id"], "id"))
    if found is None:
        return _NOTHING
    record = _smart_campaign_record(found)
    if record["parentProgramId"] is None:
        del record["parentProgramId"]
    if work.world.config.sparse:
        record = {name: value for name, value in record.items() if value is not None}
    else:
        record |= {name: value for name, value in _UNSET.items() if record.get(name) is None}
        record["recurrence"] = _recurrence(found)
    return Result([record])


def tokens(work: Work) -> Result:
    """Return the My Tokens of just this folder or program, not those that it inherits."""
    kind = parameters(work).get("folderType", "Folder")
    own, types = _own_tokens(work, kind)
    folder = json.dumps({"id": int(work.params["id"]), "type": kind})
    records = [
        {"name": name, "type": types.get(name, "text"), "value": value, "computedUrl": ""}
        for name, value in own.items()
    ]
    return Result([{"folder": folder, "tokens": records}])


def create_token(work: Work) -> Result:
    """Create or change a My Token."""
    given = work.request.form()
    name, value = required(given, "name"), given.get("value", "")
    own, types = _own_tokens(work, required(given, "folderType"))
    if len(name) > LONGEST_TOKEN_NAME or "{" in name:
        raise Refusal("709", f"Token name must have at most {LONGEST_TOKEN_NAME} characters and no braces")
    if required(given, "type") not in _TOKEN_TYPES:
        raise Refusal("1001", f"Invalid value '{given['type'][:40]}' for 'type'")
    if not value:
        raise Refusal("701", "value cannot be blank")
    own[name], types[name] = value, given["type"]
    record = {"name": name, "type": given["type"], "value": value, "computedUrl": ""}
    return Result(
        [{"folder": json.dumps({"id": int(work.params["id"]), "type": given["folderType"]}), "tokens": [record]}]
    )


def emails(work: Work) -> Result:
    """Return the e-mails, of one program when `folder` says so as JSON."""
    folder = parameters(work).get("folder")
    program_id = _program_in(folder) if folder else None
    programs = work.world.assets.programs.values()
    found = [
        _email_record(work, program, program.mail)
        for program in programs
        if program.mail and program_id in (None, program.id)
    ]
    return Result(found) if found else _NOTHING


def email_content(work: Work) -> Result:
    program = work.world.assets.program_of_email(whole_number(work.params["id"], "id"))
    if program is None or program.mail is None:
        return _NOTHING
    return Result([{"id": program.email_id, "status": _mail_status(program.mail), "content": program.mail.html}])


def _own_tokens(work: Work, kind: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the tokens of one place: values and types by name, to be read and changed."""
    number, assets = whole_number(work.params["id"], "id"), work.world.assets
    if kind == "Program" and number in assets.programs:
        return assets.programs[number].tokens, assets.programs[number].token_types
    if kind == "Folder" and number == seed.FOLDER_ID:
        return assets.folder_tokens, {}
    if kind == "Folder" and number in seed.FOLDERS:
        return {}, {}
    raise Refusal("702", f"{kind[:10]} {number} not found")


def _program_in(folder: str) -> int:
    try:
        document = json.loads(folder)
        if document["type"] in ("Program", "Folder"):
            return int(document["id"])
    except (ValueError, TypeError, KeyError):
        pass
    raise Refusal("1001", 'Invalid value for \'folder\': expected {"id":…,"type":"Program"}')


def _status(campaign: Campaign) -> str:
    if not campaign.trigger:
        return "Never Run"
    return "Active" if campaign.active else "Inactive"


def _smart_campaign_record(one: Campaign) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "description": "",
        "type": "trigger" if one.trigger else "batch",
        "isSystem": False,
        "isActive": one.trigger and one.active,
        "isRequestable": one.is_triggerable,
        "qualificationRuleType": one.qualification.value,
        "qualificationRuleInterval": _days(one.interval) if one.qualification is Qualification.INTERVAL else None,
        "qualificationRuleUnit": "day" if one.qualification is Qualification.INTERVAL else None,
        "maxMembers": 300_000,
        "isCommunicationLimitEnabled": one.communication_limit,
        "smartListId": smart_list_id(one),
        "flowId": one.id + 20_000,
        "parentProgramId": None if one.outside else one.program.id,
        "folder": place_of(one),
        "createdAt": asset_stamp(one.created),
        "updatedAt": asset_stamp(one.created),
        "workspace": WORKSPACE,
        "computedUrl": f"https://app-sandbox.invalid/#SC{one.id}A1",
        "status": _status(one),
    }


_UNSET = {"qualificationRuleInterval": 0, "qualificationRuleUnit": "day"}


def _days(interval: timedelta | None) -> int:
    return interval.days if interval else 0


def _recurrence(one: Campaign) -> dict[str, Any]:
    """Return the empty schedule of a trigger campaign with every field that Adobe's Swagger requires."""
    return {
        "startAt": asset_stamp(one.created),
        "endAt": asset_stamp(one.created),
        "intervalType": "Daily",
        "interval": 1,
        "weekdayOnly": False,
        "weekdayMask": [],
        "dayOfMonth": 1,
        "dayOfWeek": "Monday",
        "weekOfMonth": 1,
    }


def smart_list_id(one: Campaign) -> int:
    return one.id + 10_000


def place_of(one: Campaign) -> dict[str, Any]:
    return {"id": seed.FOLDER_ID, "type": "Folder"} if one.outside else {"id": one.program.id, "type": "Program"}


def _mail_status(mail: Mail) -> str:
    return "approved" if mail.approved else "draft"


def _email_record(work: Work, program: Program, mail: Mail) -> dict[str, Any]:
    created = asset_stamp(work.world.began)
    return {
        "id": program.email_id,
        "name": "Reminder",
        "description": "",
        "createdAt": created,
        "updatedAt": created,
        "url": f"https://app-sandbox.invalid/#EM{program.email_id}A1",
        "subject": _header(mail.subject),
        "fromName": _header(FROM_NAME),
        "fromEmail": _header(FROM_EMAIL),
        "replyEmail": _header(FROM_EMAIL),
        "folder": {"id": program.id, "type": "Program"},
        "operational": mail.operational,
        "textOnly": False,
        "publishToMSI": False,
        "webView": False,
        "status": _mail_status(mail),
        "template": 1,
        "workspace": WORKSPACE,
        "version": 2,
        "autoCopyToText": True,
        "preHeader": "",
    }


def _header(value: str) -> dict[str, str]:
    return {"type": "Text", "value": value}
