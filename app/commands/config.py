"""`relay config check`: say whether the settings are right, and what they amount to."""

from collections.abc import Mapping
from typing import Annotated

import typer
from pydantic import SecretStr

from app.commands.printing import console, facts, print_json
from app.commands.running import ConfigOption, fail
from app.commands.usage import Command, Group
from app.errors import SettingsInvalid
from app.settings import Settings, doubts_of, load_settings, render_problems

config_commands = typer.Typer(help="Look at the settings.", no_args_is_help=True, cls=Group)
_SWITCHES = {
    "eventbrite": ("eventbrite_webhook_token",),
    "pendo": ("pendo_webhook_secret",),
    "custom": ("custom_webhook_secrets", "custom_api_keys"),
}


@config_commands.command(cls=Command)
def check(
    config: ConfigOption = None, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """Check the settings as `relay serve` does, without starting anything; exit code 2 when some are wrong."""
    from app.making import CHECKS  # noqa: PLC0415  # --help should not wait for every part's import

    try:
        settings = load_settings({"relay_config": config}, checks=CHECKS)
    except SettingsInvalid as invalid:
        if as_json:
            print_json({"ok": False, "problems": [{"field": p.field, "problem": p.problem} for p in invalid.problems]})
            raise typer.Exit(2) from None
        fail(render_problems(invalid.problems, in_vain="The relay would not start"), code=2)
    sources = [name for name, switches in _SWITCHES.items() if any(getattr(settings, one) for one in switches)]
    differing, doubts = changed(settings), list(doubts_of(settings))
    if as_json:
        doubtful = [{"field": one.field, "problem": one.problem} for one in doubts]
        told = {"ok": True, "sources": sources, "webinars": sorted(settings.webinars), "doubts": doubtful}
        print_json(told | {"settings": differing})
        return
    page = console()
    page.print("The settings are right. `relay doctor` checks whether Marketo agrees.", markup=False)
    page.print(facts({"sources": ", ".join(sources), "webinars": ", ".join(sorted(settings.webinars))}))
    for doubt in doubts:
        page.print(f"! {doubt.field} {doubt.problem}", markup=False)
    page.print("What is set, secrets hidden:")
    page.print(facts(differing))


def changed(settings: Settings) -> Mapping[str, str]:
    """Return what is not as it is by default, by its variable, without any secret."""
    defaults = {name: field.default for name, field in Settings.model_fields.items() if name != "webinars"}
    given = {name: getattr(settings, name) for name in defaults}
    return {name.upper(): _said(value) for name, value in given.items() if value != defaults[name]}


def _said(value: object) -> str:
    if isinstance(value, SecretStr):
        return "***"
    if isinstance(value, tuple):
        return ", ".join("=".join(one) if isinstance(one, tuple) else _said(one) for one in value)
    return str(value)
