"""One round of a fault: a stage for it, the fault, the checks; what was seen is entered, whatever happens."""

import random
import shutil
import subprocess
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.chaos.disk import small_disk
from tests.chaos.faults import Fault
from tests.chaos.postgres import PostgresStage
from tests.chaos.progress import Done
from tests.chaos.stage import Stage
from tests.chaos.truth import calls_hit, check
from tests.e2e.harness import ROOT

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
    accepted: int = 0  # at least so many are to be accepted in all
    is_strict: bool = False  # not one request may fail
    is_graceful: bool = False  # not one that was taken


def one_round(trial: Trial, done: Done, *, seed: int, evidence: Path) -> list[str]:
    """Do one round, enter what it saw, and return what was broken in it; what a broken one leaves goes to a folder."""
    rng, proxys = dice(seed, done)
    broken: list[str] = []
    kept = evidence / f"{done.told} {done.times}".replace("/", " of ")
    try:
        with _stage(done.store, trial, proxys) as stage, _looked_after(stage, kept, broken):
            broken += _tried(trial, done, stage, rng)
    except Exception as problem:  # noqa: BLE001  # outermost: a run that ended here would tell of nothing
        traceback.print_exc()
        broken.append(f"it broke off: {type(problem).__name__}: {str(problem).partition(chr(10))[0]}")
    done.broken += [f"{words} (seed {seed}, from {done.times} on)" for words in broken]
    done.times += trial.a_round
    done.commits = sorted({*done.commits, _commit()})
    return broken


def dice(seed: int, done: Done) -> tuple[random.Random, random.Random]:
    """Return those of a round's fault, and those of the proxy, whose thread throws them meanwhile."""
    round_ = f"{seed} {done.fault} {done.store} {done.times}"
    return random.Random(round_), random.Random(f"{round_} proxy")


def _tried(trial: Trial, done: Done, stage: Stage, rng: random.Random) -> list[str]:
    senders = trial.do(stage, rng, trial.a_round)
    done.accepted += len(senders.acknowledged)
    done.refused += senders.answers[503]
    done.unanswered += senders.unanswered
    done.seconds += senders.seconds
    broken = check(stage, senders)
    if trial.is_strict and senders.failed:
        broken.append(f"{senders.failed} requests failed{senders.told}")
    if trial.is_graceful and senders.disappointed:
        broken.append(f"{senders.disappointed} requests failed that were taken{senders.told}")
    if stage.hits:
        stage.hits["during a call to Marketo"] = calls_hit(stage.store)
        done.hits = dict(Counter(done.hits) + stage.hits)
        done.looked += trial.a_round
    return broken


@contextmanager
def _looked_after(stage: Stage, folder: Path, broken: Sequence[str]) -> Iterator[None]:
    """Keep what a broken round leaves: the relays' logs, one after the other, and the store if it is a file."""
    is_whole = False
    try:
        yield
        is_whole = not broken
    finally:
        if not is_whole:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "relays.log").write_text("\n---\n".join(process.output for process in stage.processes))
            for file in stage.folder.rglob("relay.db*"):
                shutil.copy(file, folder)


@cache
def _commit() -> str:
    """Return the commit that is tried, and whether the relay differs from it."""
    git = ["git", "-C", str(ROOT)]
    found = subprocess.run([*git, "rev-parse", "--short=9", "HEAD"], capture_output=True, text=True, check=False)
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "app"], capture_output=True, check=False)
    return (found.stdout.strip() or "unknown") + (" with changes" if changed.returncode else "")


@contextmanager
def _stage(store: str, trial: Trial, proxys: random.Random) -> Iterator[Stage]:
    settings, room = {"DRAIN_SECONDS": "3"} if trial.is_strict else {}, trial.room.get(store, "")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relay-chaos-")))
        if store == "PostgreSQL":
            stage: Stage = PostgresStage(folder, proxys, settings, room=room, latency_ms=trial.latency_ms)
        else:
            disk = stack.enter_context(small_disk(folder / "disk", room)) if room else folder
            stage = Stage(folder, f"sqlite:///{disk / 'relay.db'}", settings=settings, latency_ms=trial.latency_ms)
        stack.callback(stage.close)
        stage.per_second = trial.per_second
        yield stage
