"""Read the settings that a command needs, run its work, and end with a sentence instead of a traceback."""

from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

import typer
import uvloop

from app.errors import RelayError, SettingsInvalid
from app.settings import FILES, Checks, Settings, load_settings, render_problems

UNFINISHED = 3  # the exit code of what was done in part: somebody must look, or run it again
Result = TypeVar("Result")
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="TOML file with settings and webinars.", show_default="relay.toml")
]
RelayOption = Annotated[
    str | None, typer.Option("--relay", metavar="URL", help="A running relay to ask.", show_default="RELAY_URL")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, as the admin API answers it.")]


def asking_settings(relay: str | None, config: Path | None = None, *, in_vain: str) -> Settings:
    """Return the settings that asking needs; `relay` is what the command line says of RELAY_URL."""
    needed = ("relay_url", "admin_token", "admin_read_token", "database_url")
    return settings_for(
        {"relay_url": relay, "relay_config": config}, only=needed, in_vain=in_vain, url_option="--relay"
    )


def settings_for(
    overrides: Mapping[str, object],
    *,
    in_vain: str,
    checks: Checks | None = None,
    only: Sequence[str] | None = None,
    may_lack: bool = False,
    url_option: str = "RELAY_URL",
) -> Settings:
    """Return the settings; where they are wrong, tell all that is and what is `in_vain` for it, and exit with 2.

    `url_option` is what the command line calls its override of RELAY_URL.
    """
    needed = None if only is None else (*only, FILES)
    try:
        return load_settings(overrides, checks=checks or Checks(), only=needed, may_lack=may_lack)
    except SettingsInvalid as invalid:
        given = {"RELAY_URL": url_option} if overrides.get("relay_url") is not None else {}
        problems = [replace(one, field=given.get(one.field, one.field)) for one in invalid.problems]
        fail(render_problems(problems, in_vain=in_vain), code=2)


def run(work: Coroutine[object, object, Result], settings: Settings) -> Result:
    """Run a command's work to its end; what it fails with is told without any secret, and the exit code is 1."""
    from app.log import Masker  # noqa: PLC0415  # --help should not wait for every part's import

    try:
        return uvloop.run(work)
    except RelayError as problem:
        told = "\n".join(filter(None, (str(problem), problem.remedy)))
        fail(Masker(settings.secrets()).mask(told), code=1)  # drivers repeat what they were given


def fail(text: str, *, code: int) -> NoReturn:
    """Say what is wrong, and end."""
    typer.echo(text, err=True)
    raise typer.Exit(code)
