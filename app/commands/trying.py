"""`relay try`: what would become of payloads, without storing or sending anything."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from app.commands.kinds import SourceName
from app.commands.printing import console, facts, print_json, shown
from app.commands.running import ConfigOption, fail, run, settings_for
from app.domain import campaign_name
from app.settings import Settings, secret_fields

_MOST_BYTES = 16 * 1024 * 1024


def try_payloads(
    path: Annotated[Path, typer.Argument(exists=True, help="A captured payload, or a folder of them (*.json).")],
    *,
    source: Annotated[SourceName | None, typer.Option(help="Whose payloads they are.")] = None,
    fetch: Annotated[bool, typer.Option("--fetch", help="Ask the source's API where the payload only names.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Count payloads that are ignored as failed too.")] = False,
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell what would become of a payload. Exit code 0 when all can be used, 1 when some cannot: for CI.

    A file holds the body as it came, or what `relay show evt_… --json` prints. No secret is needed, nothing is stored.
    """
    from app.commands.asking import known_campaigns  # noqa: PLC0415  # as below
    from app.commands.trial import Trial, Unnamed, try_all  # noqa: PLC0415  # --help should not wait for every part's import
    from app.making import CHECKS  # noqa: PLC0415  # as above

    settings = settings_for(
        {"relay_config": config}, checks=CHECKS, only=_used(), may_lack=True, in_vain="Nothing is tried out"
    )
    files = list(_files(path))
    if not files:
        fail(f"There is no *.json in {path}.", code=2)
    payloads, unread = _payloads(files)
    for words in unread:
        typer.echo(words, err=True)
    try:
        trials: list[Trial] = run(try_all(payloads, source, settings, fetch=fetch), settings)
    except Unnamed as unnamed:
        fail(f"Say whose payload {unnamed} is: --source eventbrite, pendo or custom.", code=2)
    names = run(known_campaigns(settings), settings) if settings.marketo_campaign_id else {}
    told = [trial.as_json(names) for trial in trials]
    if as_json:
        print_json(told)
    else:
        for one in told:
            _print(one)
    bad = [trial for trial in trials if trial.is_bad or (strict and trial.outcome == "ignored")]
    raise typer.Exit(1 if bad or unread else 0)


def _used() -> list[str]:
    """Return the settings that decide; secrets do not, and those of the machine that runs CI may be absent or wrong."""
    return [name for name in Settings.model_fields if name not in secret_fields()]


def _files(path: Path) -> Iterator[Path]:
    """Yield what may hold a payload: no folders, and nothing that would be waited for."""
    found = sorted(path.rglob("*.json")) if path.is_dir() else [path]
    yield from (one for one in found if one.is_file() or not one.exists())


def _payloads(files: Sequence[Path]) -> tuple[list[tuple[str, bytes]], list[str]]:
    """Return the payloads by the names of their files, and of those that cannot be read, why."""
    payloads, unread = [], []
    for file in files:
        try:
            payloads.append((str(file), file.read_bytes()[:_MOST_BYTES]))
        except OSError as problem:
            unread.append(f"{file} cannot be read: {problem.strerror}.")
    return payloads, unread


def _print(trial: dict[str, object]) -> None:
    page = console()
    said = (shown(f"{trial['file']}:"), " ", shown(trial["outcome"]), ": ", shown(trial["detail"]))
    page.print(Text.assemble(*said, overflow="fold"))
    registrations = trial["registrations"]
    for one in registrations if isinstance(registrations, list) else ():
        page.print(facts({f"  {name}": value for name, value in _said(one).items()}))
        page.print(facts({f"  {{{{my.{name}}}}}": value for name, value in one["tokens"].items()}))


def _said(one: dict[str, Any]) -> dict[str, object]:
    """Return what is told of a registration above its tokens, with the campaign as people call it."""
    said = {name: value for name, value in one.items() if name not in ("tokens", "campaignId", "campaignName")}
    if one["campaignId"] is None:
        return said
    return said | {"campaign": campaign_name(one["campaignId"], {str(one["campaignId"]): one["campaignName"]})}
