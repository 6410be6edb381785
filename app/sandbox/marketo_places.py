"""Marketo's Asset API: where things stand. Smart lists of campaigns, programs, and the folders above them."""

from typing import Any

from app.sandbox import seed
from app.sandbox.marketo_answers import Refusal, Result, asset_stamp
from app.sandbox.marketo_assets import place_of, smart_list_id
from app.sandbox.marketo_bodies import parameters, required, whole_number
from app.sandbox.marketo_campaigns import WORKSPACE
from app.sandbox.programs import Campaign, Program
from app.sandbox.world import Work

_NOTHING = Result(warnings=["No assets found for the given search criteria."])


def smart_list(work: Work) -> Result:
    """Return a campaign's smart list, its rules when `includeRules` asks for them."""
    campaign = work.world.assets.campaigns.get(whole_number(work.params["id"], "id"))
    if campaign is None:
        return _NOTHING
    record = {
        "id": smart_list_id(campaign),
        "name": campaign.name,
        "description": "",
        "createdAt": asset_stamp(campaign.created),
        "updatedAt": asset_stamp(campaign.created),
        "url": f"https://app-sandbox.invalid/#SL{smart_list_id(campaign)}A1",
        "folder": place_of(campaign),
        "workspace": WORKSPACE,
    }
    wants_rules = parameters(work).get("includeRules", "").lower() == "true"
    return Result([{**record, "rules": _rules(campaign)} if wants_rules else record])


def program(work: Work) -> Result:
    found = work.world.assets.programs.get(whole_number(work.params["id"], "id"))
    return Result([_program_record(work, found)]) if found else _NOTHING


def folder(work: Work) -> Result:
    """Return a folder; `type` is needed, and programs are another kind."""
    number = whole_number(work.params["id"], "id")
    if required(parameters(work), "type") != "Folder":
        raise Refusal("1001", "Invalid value for 'type'")
    if number not in seed.FOLDERS:
        return _NOTHING
    return Result([_folder_record(work, number)])


def _rules(one: Campaign) -> dict[str, Any]:
    triggers = ["Campaign is Requested"] if one.requestable else ["Fills Out Form"] if one.trigger else []
    return {
        "filterMatchType": "All",
        "triggers": triggers,
        "filters": [_filter(number, name) for number, name in enumerate(one.filters, 1)],
    }


def _filter(number: int, name: str) -> dict[str, Any]:
    return {"id": number, "name": name, "ruleTypeId": 1, "ruleType": "Attribute", "operator": "is", "conditions": []}


def _program_record(work: Work, one: Program) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "description": "",
        "createdAt": asset_stamp(work.world.began),
        "updatedAt": asset_stamp(work.world.began),
        "url": f"https://app-sandbox.invalid/#PG{one.id}A1",
        "type": "default",
        "channel": "Webinar",
        "folder": {"id": seed.FOLDER_ID, "type": "Folder"},
        "status": "unlocked",
        "workspace": WORKSPACE,
        "tags": [],
        "costs": [],
    }


def _folder_record(work: Work, number: int) -> dict[str, Any]:
    name, parent = seed.FOLDERS[number]
    return {
        "id": number,
        "name": name,
        "description": "",
        "createdAt": asset_stamp(work.world.began),
        "updatedAt": asset_stamp(work.world.began),
        "url": f"https://app-sandbox.invalid/#MF{number}A1",
        "folderId": {"id": number, "type": "Folder"},
        "folderType": "Marketing Folder",
        "parent": {"id": parent, "type": "Folder"} if parent else None,
        "path": f"/Marketing Activities/{name}",
        "isArchive": False,
        "isSystem": parent is None,
        "accessZoneId": 1,
        "workspace": WORKSPACE,
    }
