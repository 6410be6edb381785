"""What would become of a payload, told without secrets, store or Marketo."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from app.cli import app

ROOT = Path(__file__).parents[2]
GOOD = {
    "email": "ada@example.com",
    "webinar": {"id": "w-1", "title": "Engines", "joinLink": "https://meet.example.com/1"},
}


def relay(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env=environ)


def tried(tmp_path: Path, body: object, *more: str, code: int = 0) -> Any:
    """Try one payload and return what is told as JSON."""
    file = tmp_path / "payload.json"
    file.write_text(body if isinstance(body, str) else json.dumps(body))
    ended = relay("try", str(file), "--json", *more)
    assert ended.exit_code == code, ended.output
    (told,) = json.loads(ended.stdout)
    return told


def test_a_good_payload_registers_with_its_tokens(tmp_path: Path) -> None:
    told = tried(tmp_path, GOOD, "--source", "custom")
    assert told["outcome"] == "registers"
    (one,) = told["registrations"]
    assert (one["email"], one["becomes"], one["campaignId"]) == ("ada@example.com", "sent", None)
    assert one["tokens"] == {"WebinarTitle": "Engines", "JoinLink": "https://meet.example.com/1"}
    assert [path.name for path in tmp_path.iterdir()] == ["payload.json"]


def test_settings_decide_as_they_do_in_earnest(tmp_path: Path) -> None:
    """A webinar of relay.toml wins over what the sender says."""
    (tmp_path / "relay.toml").write_text('[webinars.w-1]\ntitle = "Ours"\n')
    told = tried(tmp_path, GOOD, "--source", "custom")
    assert told["registrations"][0]["tokens"]["WebinarTitle"] == "Ours"


@pytest.mark.parametrize(
    ("body", "said"),
    [({**GOOD, "emial": "x"}, "emial"), ("{", "not JSON"), ({**GOOD, "email": "no address"}, "email")],
)
def test_what_would_be_refused_fails_with_the_reason(tmp_path: Path, body: object, said: str) -> None:
    """So that CI of the app that sends finds out, not the registrants."""
    told = tried(tmp_path, body, "--source", "custom", code=1)
    assert told["outcome"] == "refused"
    assert said in told["detail"]


def test_who_would_end_as_dead_fails_with_what_to_do(tmp_path: Path) -> None:
    """It would be accepted, and still nobody would be reminded."""
    said = {"trackEventName": "webinar_registered", "trackEventProperties": {"webinar_id": "w-9"}}
    body = {"event": "trackEventReceived", "visitorId": "ada@example.com", "properties": said}
    (one,) = tried(tmp_path, body, "--source", "pendo", code=1)["registrations"]
    assert (one["becomes"], one["cause"]) == ("dead", "title_missing")
    assert "relay.toml" in one["advice"]


def test_what_only_the_source_knows_must_be_asked_for(tmp_path: Path) -> None:
    """Without --fetch nothing goes out."""
    body = {"config": {"action": "order.placed"}, "api_url": "https://www.eventbriteapi.com/v3/orders/1/"}
    told = tried(tmp_path, body, "--source", "eventbrite")
    assert (told["outcome"], "--fetch" in told["detail"]) == ("must ask", True)


def test_whose_payload_it_is_must_be_said(tmp_path: Path) -> None:
    """It is the command line that is wrong then, not the payload: CI must be able to tell the two."""
    file = tmp_path / "payload.json"
    file.write_text(json.dumps(GOOD))
    ended = relay("try", str(file))
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert f"Say whose payload {file} is: --source eventbrite, pendo or custom." in ended.stderr


def test_what_is_no_json_is_told_in_one_sentence(tmp_path: Path) -> None:
    assert tried(tmp_path, "{", "--source", "custom", code=1)["detail"].endswith("line 1 column 1.")


def test_ignored_payloads_fail_only_when_strict(tmp_path: Path) -> None:
    body = {"config": {"action": "test"}, "api_url": "{api-endpoint-to-fetch-object-details}/"}
    assert tried(tmp_path, body, "--source", "eventbrite")["outcome"] == "ignored"
    tried(tmp_path, body, "--source", "eventbrite", "--strict", code=1)


def test_a_capture_names_its_source(tmp_path: Path) -> None:
    """What `relay show evt_… --json` prints can be tried as it is."""
    capture = {"id": "evt_1", "source": "custom", "headers": {"webhook-id": "msg_1"}, "body": json.dumps(GOOD)}
    told = tried(tmp_path, capture)
    assert (told["source"], told["outcome"]) == ("custom", "registers")


def test_a_folder_is_tried_file_by_file() -> None:
    """The samples of Pendo, as they were captured or documented."""
    ended = relay("try", str(ROOT / "app/sources/pendo/samples"), "--source", "pendo", "--json")
    told = json.loads(ended.stdout)
    assert len(told) > 3
    assert {one["outcome"] for one in told} >= {"registers", "ignored"}


def test_people_read_a_line_and_the_tokens(tmp_path: Path) -> None:
    """Hostile titles cannot steer the terminal."""
    hostile = {**GOOD, "webinar": {**GOOD["webinar"], "title": "\u202e[red]x[/red]"}}  # type: ignore[dict-item]
    (tmp_path / "p.json").write_text(json.dumps(hostile))
    ended = relay("try", "p.json", "--source", "custom")
    assert ended.exit_code == 0
    assert "p.json: registers: 1 registration\n" in ended.stdout
    assert "[red]x[/red]" in ended.stdout
    assert "\u202e" not in ended.stdout


@pytest.mark.usefixtures("at_hand")
def test_a_campaign_is_named_where_a_relay_left_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKETO_CAMPAIGN_ID", "1234")
    for campaign, name in (("99", None), ("1234", "Send Webinar Reminder")):
        monkeypatch.setenv("CUSTOM_CAMPAIGN_ID", campaign)
        (one,) = tried(tmp_path, GOOD, "--source", "custom")["registrations"]
        assert (one["campaignId"], one["campaignName"]) == (int(campaign), name)
    page = relay("try", "payload.json", "--source", "custom").stdout
    assert " ".join(page.split()).count("campaign Send Webinar Reminder (1234)") == 1


def test_wrong_settings_are_told_before_anything_is_tried(tmp_path: Path) -> None:
    """What a webinar misspells would else be left out, and the trial tell of another registration than comes."""
    (tmp_path / "payload.json").write_text(json.dumps(GOOD))
    (tmp_path / "relay.toml").write_text('[webinars.w-1]\ntitel = "Ours"\n')
    ended = relay("try", "payload.json", "--source", "custom", MARKETO_CAMPAIGN_ID="the reminder")
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert ended.stderr.startswith("Nothing is tried out: 2 settings need attention.")
    assert "webinars.w-1.titel" in ended.stderr
    assert "MARKETO_CAMPAIGN_ID" in ended.stderr


def test_an_empty_folder_is_a_mistake(tmp_path: Path) -> None:
    """A CI that tries nothing must not be green."""
    assert relay("try", str(tmp_path), "--source", "custom").exit_code == 2


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_tried(tmp_path: Path) -> None:
    """A link that leads nowhere; folders and pipes are no payloads, whatever they are called."""
    (tmp_path / "good.json").write_text(json.dumps(GOOD))
    (tmp_path / "gone.json").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.json").mkdir()
    os.mkfifo(tmp_path / "pipe.json")
    done = relay("try", str(tmp_path), "--source", "custom")
    assert done.exit_code == 1
    assert "gone.json cannot be read: No such file or directory." in done.output
    assert "good.json: registers" in done.output
    assert "pipe.json" not in done.output
