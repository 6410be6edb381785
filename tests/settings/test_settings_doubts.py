"""What is allowed and puts a promise at risk is told, with what can happen; what is sound is passed over."""

from pathlib import Path
from typing import Any

import pytest

from app.settings import doubts_of, load_settings

BASE = {
    "MARKETO_BASE_URL": "https://482-XKB-119.mktorest.com",
    "MARKETO_CLIENT_ID": "an-id",
    "MARKETO_CLIENT_SECRET": "s",
    "MARKETO_CAMPAIGN_ID": "1234",
    "CUSTOM_API_KEYS": "q7Zr-1mVt_9KxLwP2cYb",
}
FIELD = {"MARKETO_JOIN_LINK_FIELD": "webinarLink"}
TOKENS = {"MARKETO_TOKEN_FIELDS": "Speaker=webinarSpeaker"}
HOLD, DELAY = "MARKETO_LINK_FIELD_HOLD_SECONDS", "MARKETO_ACTIVITY_DELAY_SECONDS"


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        (FIELD, {}),
        (FIELD | {HOLD: "60", DELAY: "20"}, {}),
        (FIELD | {HOLD: "0"}, {HOLD: "another webinar's link"}),
        (TOKENS | {HOLD: "59"}, {HOLD: "another webinar's link"}),
        ({HOLD: "0"}, {}),  # no field is written
        ({DELAY: "0.1"}, {DELAY: "after 1.5 s, and the person is mailed a second time"}),
        ({DELAY: "0.1", "MARKETO_ON_AMBIGUOUS": "hold"}, {}),  # nobody asks the log
        (FIELD | {HOLD: "1", DELAY: "1"}, {HOLD: "600 is the default", DELAY: "60 is the default"}),
    ],
)
def test_what_can_happen_is_told_where_it_can(tmp_path: Path, variables: Any, told: dict[str, str]) -> None:
    doubts = {one.field: one.problem for one in doubts_of(load_settings(environ=BASE | variables, folder=tmp_path))}
    assert doubts.keys() == told.keys()
    assert all(said in doubts[name] for name, said in told.items())
