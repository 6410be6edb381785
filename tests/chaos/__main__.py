"""`make chaos`: break the relay in rounds until each fault was tried often enough, or the time is up; then say so."""

import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from tests.chaos import faults, rolling, store_faults
from tests.chaos.faults import Fault
from tests.chaos.postgres import PostgresStage
from tests.chaos.progress import OtherSeed, Wanted, missed, report, resumed
from tests.chaos.rounds import Trial, one_round
from tests.chaos.senders import Senders
from tests.chaos.stage import Stage
from tests.e2e.harness import ROOT

_KEPT = Path(__file__).with_name("progress.json")
_EVIDENCE = Path(__file__).with_name("broken")
_PAGE = ROOT / "docs" / "promises.md"
_REPORT = re.compile(r"(<!-- chaos -->\n).*?(<!-- /chaos -->)", re.DOTALL)


def main(
    minutes: Annotated[float, typer.Option(min=1, help="Begin no further round after so long.")] = 60,
    seed: Annotated[int | None, typer.Option(help="Of all that is random; by default another each time.")] = None,
    share: Annotated[float, typer.Option(min=0.001, max=1, help="Do this share of each fault's times.")] = 1.0,
    only: Annotated[list[str] | None, typer.Option(help="Only faults with this in their name.")] = None,
    anew: Annotated[bool, typer.Option("--anew", help="Forget what an interrupted run has done.")] = False,
) -> None:
    """Break the relay on purpose. An interrupted run goes on where it was; nothing leaves this machine.

    Ends with 1 when a promise was broken, and with 3 when none was, but less was tried or accepted than was to be.
    """
    try:
        progress = resumed(_KEPT, seed, anew=anew)
    except OtherSeed as other:
        raise typer.BadParameter(str(other)) from other
    typer.echo(f"seed {progress.seed}, {_KEPT.name} keeps what is done")
    end = time.monotonic() + minutes * 60
    trials = _trials()
    whole, chosen = _wanted(trials, 1.0, []), _wanted(trials, share, only or [])
    for (name, store), wanted in chosen.items():
        while (done := progress.of(name, store)).times < wanted.times and time.monotonic() < end:
            broken = one_round(trials[name], done, seed=progress.seed, evidence=_EVIDENCE)
            progress.keep(_KEPT)
            _write(report(progress, whole))
            typer.echo(f"{name} on {store}: {done.times} of {wanted.times}, {'; '.join(broken) or 'all kept'}")
    typer.echo(report(progress, whole))
    short = list(missed(progress, chosen))
    for words in short:
        typer.echo(f"not reached: {words}")
    raise typer.Exit(1 if any(done.broken for done in progress.done) else 3 if short else 0)


def _wanted(trials: Mapping[str, Trial], share: float, only: Sequence[str]) -> dict[tuple[str, str], Wanted]:
    """Return what this share of a whole run reaches, for each fault with one of these in its name, and each store."""
    return {
        (name, store): Wanted(max(trial.a_round, round(trial.times * share)), round(trial.accepted * share))
        for name, trial in trials.items()
        for store in trial.stores
        if not only or any(part.lower() in name.lower() for part in only)
    }


def _trials() -> Mapping[str, Trial]:
    trials = {
        "SIGKILL at random moments": Trial(faults.killed, 25, 1000, per_second=250, latency_ms=150, accepted=100_000),
        "SIGTERM of each of two replicas": Trial(faults.stopped, 5, 50, is_graceful=True),
        "SIGKILL of the leading replica": Trial(faults.leader_killed, 5, 50),
        "The leader frozen, then woken": Trial(_frozen, 1, 5),
        "Two replicas started at one instant": Trial(faults.started_at_one_instant, 5, 50),
        "A full disk (ENOSPC), then room again": Trial(_disk_full, 4, 20, room={"SQLite": "12m", "PostgreSQL": "128m"}),
        "SIGKILL of PostgreSQL": Trial(_on_postgres(store_faults.postgres_killed), 5, 50, ("PostgreSQL",)),
        "PostgreSQL's connections cut in mid-COMMIT": Trial(
            _on_postgres(store_faults.commits_cut), 50, 500, ("PostgreSQL",)
        ),
        "PostgreSQL unreachable, then slow": Trial(_on_postgres(store_faults.unreachable), 5, 20, ("PostgreSQL",)),
    }
    if rolling.is_possible():
        trials["Rolling restart of three replicas behind HAProxy, 200/s"] = Trial(
            rolling.rolled, 3, 3, per_second=200, is_strict=True
        )
    else:
        typer.echo("haproxy is not installed: no rolling restart")
    return trials


def _frozen(stage: Stage, rng: random.Random, times: int) -> Senders:
    return faults.leader_frozen(stage, rng, times, for_seconds=60)


def _disk_full(stage: Stage, rng: random.Random, times: int) -> Senders:
    if isinstance(stage, PostgresStage):
        return store_faults.postgres_disk_full(stage, rng, times)
    return store_faults.disk_full(stage, rng, times)


def _on_postgres(do: Callable[[PostgresStage, random.Random, int], Senders]) -> Fault:
    def done(stage: Stage, rng: random.Random, times: int) -> Senders:
        assert isinstance(stage, PostgresStage)
        return do(stage, rng, times)

    return done


def _write(told: str) -> None:
    """Put the report into the page of promises."""
    _PAGE.write_text(_REPORT.sub(lambda found: f"{found[1]}{told}\n{found[2]}", _PAGE.read_text()))


if __name__ == "__main__":
    typer.run(main)
