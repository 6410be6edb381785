"""`relay replay`, `relay forget`, `relay backup`: look after what is stored."""

import json
import secrets
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.kinds import SourceName
from app.commands.running import UNFINISHED, ConfigOption, RelayOption, asking_settings, fail, run, settings_for
from app.domain import DEADLY, is_id, is_person
from app.errors import StoreUnavailable
from app.settings import Settings

if TYPE_CHECKING:
    from app.care.at_hand import AtHand

_NOT_REPLAYED = "Nothing is replayed"


def replay(
    ids: Annotated[list[str] | None, typer.Argument(help="Registrations (reg_…) or webhooks (evt_…).")] = None,
    *,
    cause: Annotated[
        str | None,
        typer.Option(help="All that are dead for this cause, e.g. title_missing.", autocompletion=lambda: list(DEADLY)),
    ] = None,
    source: Annotated[SourceName | None, typer.Option(help="All dead ones of this source.")] = None,
    webinar: Annotated[str | None, typer.Option(help="All dead ones of this webinar, by the source's id.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All that are dead.")] = False,
    sent: Annotated[bool, typer.Option("--sent", help="With --webinar: those that were sent, not the dead.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, it only shows what it would come to.")] = False,
    resend: Annotated[bool, typer.Option("--resend", help="Mail those too who got an e-mail, or may have.")] = False,
    why: Annotated[str, typer.Option(help="It stands in each timeline.")] = "",
    by: Annotated[str, typer.Option(envvar="USER", help="Who asks; it stands there too.")] = "relay replay",
    key: Annotated[str | None, typer.Option(help="Repeat, as it was told you, what got no answer.")] = None,
    follow: Annotated[str | None, typer.Option(metavar="ID", help="Follow a replay that runs.")] = None,
    stop: Annotated[str | None, typer.Option(metavar="ID", help="Go on with a replay no further.")] = None,
    relay: RelayOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    config: ConfigOption = None,
) -> None:
    """Take up again what died, after what was missing was mended. Shows first what it would come to.

    Restart the relay where a setting or relay.toml changed. Exit code 3 when somebody died again.
    """
    from app.care import replay as caring  # noqa: PLC0415  # as above
    from app.care.at_hand import wrong_with  # noqa: PLC0415  # as above

    wanted = {"ids": ids or None, "cause": cause, "source": source, "webinar": webinar, "all": every, "sent": sent}
    body = {name: value for name, value in wanted.items() if value} | {"resend": resend, "why": why, "by": by}
    body["key"] = key or secrets.token_urlsafe()
    if (one := stop or follow) and not is_id(one, "rpl"):
        fail(f"{one!r} is no replay's id: those begin with rpl_, and `relay replay … --yes` tells them.", code=2)
    if strange := next((one for one in ids or () if not is_id(one, "reg", "evt")), None):
        fail(f"{strange!r} is no id: those begin with reg_ or evt_, and `relay show EMAIL` tells a person's.", code=2)
    if not (stop or follow) and (wrong := wrong_with(body)):
        fail(f"{wrong[0].upper()}{wrong[1:]}. `relay replay --help` names the options.", code=2)
    at_hand, settings = _at_hand(relay, config)
    say, note = typer.echo, partial(typer.echo, err=True)
    if stop:
        ended = run(at_hand.stop(stop), settings)
        say(json.dumps(ended, indent=2) if as_json else caring.replay_in_words(ended))
    elif follow:
        begun = run(at_hand.progress(follow), settings)
        _end(is_well=run(caring.follow(at_hand, begun, as_json=as_json, say=say, note=note), settings))
    else:
        _end(is_well=run(caring.replay(at_hand, body, yes=yes, as_json=as_json, say=say, note=note), settings))
        if not (yes or as_json or settings.relay_url):
            say("Foreseen with the settings here; a relay that runs does it with those with which it started.")


def _end(*, is_well: bool) -> None:
    if not is_well:
        raise typer.Exit(UNFINISHED)


def _at_hand(relay: str | None, config: Path | None) -> "tuple[AtHand, Settings]":
    """Return what replays are asked of: the running relay that is named, or else the store of the settings."""
    from app.care.at_hand import OwnStore  # noqa: PLC0415  # as above
    from app.commands.replaying import RunningRelay  # noqa: PLC0415  # as above
    from app.making import CHECKS  # noqa: PLC0415  # as above

    settings = asking_settings(relay, config, in_vain=_NOT_REPLAYED)
    if not settings.relay_url:
        settings = settings_for({"relay_config": config}, checks=CHECKS, in_vain=_NOT_REPLAYED)
        return OwnStore(settings), settings
    if not settings.admin_token:
        fail("Set ADMIN_TOKEN to the relay's, to ask it at RELAY_URL.", code=2)
    return RunningRelay(settings.relay_url, settings.admin_token[0].get_secret_value()), settings


def forget(
    person: Annotated[str, typer.Argument(help="An e-mail address, or lead:1002200 for Marketo's id.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; without, it only shows what there is.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Remove all that the store holds of a person, and print a certificate. Shows first what that is.

    Exit code 3 when something is under way and therefore left: run it again until it is 0.

    It works on the store that DATABASE_URL names, never through RELAY_URL: no token removes people over the network.
    """
    from app.care import forget as caring  # noqa: PLC0415  # as above

    if not is_person(person := person.strip()):
        fail(f"{person!r} is nobody: give an e-mail address, or lead:1002200 for the number that Marketo has.", code=2)
    settings = _own_store("forget", "no token removes people over the network", in_vain="Nobody is forgotten")
    url = settings.database_url.get_secret_value()
    if yes:
        certificate = run(caring.forget(url, person), settings)
        typer.echo(caring.certified(certificate, as_json=as_json))
        _end(is_well=not certificate.left_under_way)
    else:
        typer.echo(caring.shown(run(caring.traces_of(url, person), settings), as_json=as_json))


def backup(
    file: Annotated[Path, typer.Argument(help="Where the copy goes; nothing is overwritten.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Copy the SQLite store while the relay runs, and check the copy.

    It works on the file that DATABASE_URL names, never through RELAY_URL.
    """
    from app.store.backup import back_up  # noqa: PLC0415  # as above

    settings = _own_store("backup", "it copies a file", in_vain="No copy is made")
    try:
        made = back_up(settings.database_url.get_secret_value(), file)
    except StoreUnavailable as problem:
        fail(str(problem), code=1)
    if as_json:
        typer.echo(json.dumps({**asdict(made), "file": str(made.file)}, indent=2))
        return
    typer.echo(
        f"{made.file}: {made.size} bytes, webhooks: {made.events}, registrations: {made.registrations}. It is whole."
    )


def _own_store(command: str, why: str, *, in_vain: str) -> Settings:
    """Return the settings of a command that never asks a running relay; where one is named, say so."""
    from app.store.opening import shown_address  # noqa: PLC0415  # as above

    settings = settings_for({}, only=["database_url", "relay_url"], in_vain=in_vain)
    if settings.relay_url:
        store = shown_address(settings.database_url.get_secret_value())
        note = (
            f"RELAY_URL is not asked: `relay {command}` works on the store itself ({store}), since {why}.\n"
            "Run it where that relay's store is, with the same DATABASE_URL."
        )
        typer.echo(note, err=True)
    return settings
