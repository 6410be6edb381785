"""The model, .env.example and the README name the same settings: documentation that cannot go stale."""

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

from app.settings import Settings, settings_table
from app.settings.__main__ import main
from app.settings.table import as_env_example
from app.sources.pendo.paths import PendoPaths

ROOT = Path(__file__).parents[2]


def test_the_table_has_a_row_for_every_setting_and_explains_it() -> None:
    rows = settings_table()

    assert {row.name.lower() for row in rows} == Settings.model_fields.keys() - {"webinars"}
    assert all(row.meaning for row in rows)


def test_each_of_pendos_paths_is_a_setting() -> None:
    """Pendo documents the envelope only, so none of the paths may be out of reach."""
    settings = {name for name in Settings.model_fields if name.startswith("pendo_path_")}

    assert settings == {f"pendo_path_{path.name}" for path in fields(PendoPaths)}


def test_secrets_are_marked() -> None:
    secret = {row.name for row in settings_table() if row.secret}

    assert secret == {
        "MARKETO_CLIENT_SECRET",
        "EVENTBRITE_WEBHOOK_TOKEN",
        "EVENTBRITE_API_TOKEN",
        "PENDO_WEBHOOK_SECRET",
        "PENDO_INTEGRATION_KEY",
        "CUSTOM_WEBHOOK_SECRETS",
        "CUSTOM_API_KEYS",
        "DATABASE_URL",
        "ADMIN_TOKEN",
        "ADMIN_READ_TOKEN",
        "ALERT_WEBHOOK_URL",
    }


def test_the_example_file_is_made_from_the_model() -> None:
    """Mend it with: python -m app.settings --env > .env.example."""
    example = (ROOT / ".env.example").read_text(encoding="utf-8")

    assert re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE) == [row.name for row in settings_table()]
    assert example == as_env_example()


def test_a_default_in_the_example_file_is_the_default() -> None:
    """Whoever takes the # away must change nothing by it."""
    lines = re.findall(r"^#?([A-Z_]+)=(.+)$", as_env_example(), re.MULTILINE)
    values = {name.lower(): value for name, value in lines}

    assert Settings(**values) == Settings()


def test_the_command_prints_both_forms() -> None:
    for option, beginning in (("--markdown", "| setting |"), ("--env", "# Settings of the relay")):
        done = subprocess.run(
            [sys.executable, "-m", "app.settings", option], cwd=ROOT, check=True, capture_output=True, text=True
        )
        assert done.stdout.startswith(beginning)
    assert main(["--what"]) == 2
