"""Check what is sent and answered against Marketo's shapes: our own schemas always, Adobe's Swagger where it is."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonschema import Draft4Validator, Draft202012Validator

_OURS = Path(__file__).parent / "schemas"
_REFERENCE = Path(__file__).parents[3] / "shared" / "reference"
# A trigger call's result is an id alone, says Adobe's text; its Swagger file asks for more, so it is not here.
_ADOBES_NAME = {
    "sync_request": ("swagger-mapi.json", "SyncLeadRequest"),
    "trigger_request": ("swagger-mapi.json", "TriggerCampaignRequest"),
    "sync_answer": ("swagger-mapi.json", "ResponseOfLead"),
    "find_answer": ("swagger-mapi.json", "ResponseOfLead"),
    "usage_answer": ("swagger-mapi.json", "ResponseOfUsageData"),
    "campaign_answer": ("swagger-mapi.json", "ResponseOfCampaign"),
    "describe_answer": ("swagger-mapi.json", "ResponseOfLeadAttribute"),
    "partitions_answer": ("swagger-mapi.json", "ResponseOfLeadPartition"),
    "smart_campaign_answer": ("swagger-asset.json", "ResponseOfSmartCampaignResponse"),
    "smart_list_answer": ("swagger-asset.json", "ResponseOfSmartListResponseWithRules"),
    "program_answer": ("swagger-asset.json", "ResponseOfProgramResponse"),
    "folder_answer": ("swagger-asset.json", "ResponseOfFolderResponse"),
    "tokens_answer": ("swagger-asset.json", "ResponseOfTokenResponse"),
    "create_token_request": ("swagger-asset.json", "CreateTokenRequest"),
    "emails_answer": ("swagger-asset.json", "ResponseOfEmailResponse"),
    "email_content_answer": ("swagger-asset.json", "ResponseOfGetEmailFullContentResponse"),
    "token_answer": ("swagger-identity.json", "ResponseOfIdentity"),
}


def assert_shape(name: str, document: object) -> None:
    """Fail where the document breaks a schema; `*_answer` documents are checked against the envelope as well."""
    for validator in _validators(name):
        problems = [f"{name} {list(p.absolute_path)}: {p.message}" for p in validator.iter_errors(document)]
        assert problems == []


def _validators(name: str) -> Iterator[Any]:
    yield Draft202012Validator(_read(_OURS / f"{name}.json"))
    if name.endswith("_answer") and name != "token_answer":
        yield Draft202012Validator(_read(_OURS / "envelope.json"))
    file, definition = _ADOBES_NAME.get(name, ("", ""))
    if (_REFERENCE / file).is_file():
        definitions = _read(_REFERENCE / file)["definitions"]
        yield Draft4Validator({"$ref": f"#/definitions/{definition}", "definitions": definitions})


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
