"""`make chaos`: break the relay in rounds until each fault was tried often enough, or the time is up; then say so."""

import random
import re
import shutil
import subprocess
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated

import typer

from tests.chaos import faults, rolling, store_faults
from tests.chaos.disk import small_disk
from tests.chaos.faults import Fault
from tests.chaos.postgres import PostgresStage
from tests.chaos.progress import Done, Progress, kept, report
from tests.chaos.senders import Senders
from tests.chaos.stage import Stage
from tests.chaos.truth import calls_hit, check
from tests.e2e.harness import ROOT

_KEPT = Path(__file__).with_name("progress.json")
_EVIDENCE = Path(__file__).with_name("broken")
_PAGE = ROOT / "docs" / "promises.md"
_REPORT = re.compile(r"(<!-- chaos -->\n).*?(<!-- /chaos -->)", re.DOTALL)
_ON_BOTH = ("SQLite", "PostgreSQL")


@dataclass(frozen=True, slots=True)
class Trial:
    """A fault, where it is tried, how often in one round, and how often in all."""

    do: Fault
    a_round: int
    times: int
    stores: tuple[str, ...] = _ON_BOTH
    room: Mapping[str, str] = field(default_factory=dict)  # on the disk of each store; as much as there is
    per_second: float = 60.0  # of people who register
    latency_ms: int = 20  # of Marketo's answers
    is_strict: bool = False  # not one request may fail
    is_graceful: bool = False  # not one that was taken


def main(
    minutes: Annotated[float, typer.Option(min=1, help="Begin no further round after so long.")] = 60,
    seed: Annotated[int | None, typer.Option(help="Of all that is random; by default another each time.")] = None,
    share: Annotated[float, typer.Option(min=0.001, max=1, help="Do this share of each fault's times.")] = 1.0,
    only: Annotated[list[str] | None, typer.Option(help="Only faults with this in their name.")] = None,
    anew: Annotated[bool, typer.Option("--anew", help="Forget what an interrupted run has done.")] = False,
) -> None:
    """Break the relay on purpose. An interrupted run goes on where it was; nothing leaves this machine."""
    progress = (None if anew else kept(_KEPT)) or Progress(seed if seed is not None else random.getrandbits(31))
    typer.echo(f"seed {progress.seed}, {_KEPT.name} keeps what is done")
    end = time.monotonic() + minutes * 60
    trials = _trials()
    whole, told = {name: trial.times for name, trial in trials.items()}, ""
    for name, trial in trials.items():
        if only and not any(part.lower() in name.lower() for part in only):
            continue
        for store in trial.stores:
            wanted = max(trial.a_round, round(trial.times * share))
            while (done := progress.of(name, store)).times < wanted and time.monotonic() < end:
                broken = _round(trial, done, progress.seed)
                progress.keep(_KEPT)
                _write(told := report(progress, whole))
                typer.echo(f"{name} on {store}: {done.times} of {wanted}, {'; '.join(broken) or 'all kept'}")
    typer.echo(told)
    raise typer.Exit(int(any(done.broken for done in progress.done)))


def _trials() -> Mapping[str, Trial]:
    trials = {
        "SIGKILL at random moments": Trial(faults.killed, 25, 1000, per_second=250, latency_ms=150),
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


def _round(trial: Trial, done: Done, seed: int) -> list[str]:
    """Do one round, enter what it saw, and return what was broken in it, the end of the round itself included."""
    rng = random.Random(f"{seed} {done.fault} {done.store} {done.times}")
    with _stage(done.store, trial) as stage:
        try:
            broken = _tried(trial, done, stage, rng)
        except Exception as problem:  # noqa: BLE001  # outermost: a run that ends here would tell of nothing
            traceback.print_exc()
            broken = [f"it broke off: {type(problem).__name__}: {str(problem).partition(chr(10))[0]}"]
        if broken:
            _keep_evidence(stage, f"{done.told} {done.times}".replace("/", " of "))
    done.broken += [f"{words} (seed {seed}, from {done.times} on)" for words in broken]
    done.times += trial.a_round
    done.commits = sorted({*done.commits, _commit()})
    return broken


def _tried(trial: Trial, done: Done, stage: Stage, rng: random.Random) -> list[str]:
    senders = trial.do(stage, rng, trial.a_round)
    done.accepted += len(senders.acknowledged)
    done.refused += senders.answers[503]
    done.unanswered += senders.unanswered
    done.seconds += senders.seconds
    broken = check(stage, senders)
    if trial.is_strict and senders.failed:
        broken.append(f"{senders.failed} requests failed: {dict(senders.refusals)}")
    if trial.is_graceful and senders.disappointed:
        broken.append(f"{senders.disappointed} requests failed that were taken: {dict(senders.refusals)}")
    if stage.hits:
        stage.hits["during a call to Marketo"] = calls_hit(stage.store)
        done.hits = dict(Counter(done.hits) + stage.hits)
        done.looked += trial.a_round
    return broken


def _keep_evidence(stage: Stage, name: str) -> None:
    """Keep what a broken round leaves: the relays' logs, one after the other, and the store if it is a file."""
    folder = _EVIDENCE / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "relays.log").write_text("\n---\n".join(process.output for process in stage.processes))
    for file in stage.folder.rglob("relay.db*"):
        shutil.copy(file, folder)


@cache
def _commit() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=9"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


@contextmanager
def _stage(store: str, trial: Trial) -> Iterator[Stage]:
    settings, room = {"DRAIN_SECONDS": "3"} if trial.is_strict else {}, trial.room.get(store, "")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relay-chaos-")))
        if store == "PostgreSQL":
            stage: Stage = PostgresStage(
                folder, random.Random(folder.name), settings, room=room, latency_ms=trial.latency_ms
            )
        else:
            disk = stack.enter_context(small_disk(folder / "disk", room)) if room else folder
            stage = Stage(folder, f"sqlite:///{disk / 'relay.db'}", settings=settings, latency_ms=trial.latency_ms)
        stack.callback(stage.close)
        stage.per_second = trial.per_second
        yield stage


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
