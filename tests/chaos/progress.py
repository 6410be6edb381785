"""What a run of `make chaos` has done so far: kept after each round, so that it can be interrupted and goes on."""

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path


class OtherSeed(Exception):  # a fact
    """The run that is kept has another seed than the one asked for."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """How often a fault is tried on a store, and how many are accepted meanwhile, at least."""

    times: int
    accepted: int = 0


@dataclass
class Done:
    """What one fault on one store has seen in all of its rounds."""

    fault: str
    store: str
    times: int = 0
    accepted: int = 0
    refused: int = 0
    unanswered: int = 0
    seconds: float = 0.0  # of load
    commits: list[str] = field(default_factory=list)  # of the relay that was tried
    hits: dict[str, int] = field(default_factory=dict)  # how many of the `looked` times hit what
    looked: int = 0
    broken: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Return how many were accepted a second, also while nobody was there to accept them."""
        return self.accepted / self.seconds if self.seconds else 0.0

    @property
    def told(self) -> str:
        """Return the name that tells it from others."""
        return f"{self.fault} on {self.store}"

    def missed(self, wanted: Wanted) -> str:
        """Return what it did not reach, if anything."""
        reached = {"times": (self.times, wanted.times), "accepted": (self.accepted, wanted.accepted)}
        return ", ".join(f"{is_:,} of {to_be:,} {what}" for what, (is_, to_be) in reached.items() if is_ < to_be)


@dataclass
class Progress:
    """All faults of a run, by name and store."""

    seed: int
    rounds: dict[str, Done] = field(default_factory=dict)

    def of(self, fault: str, store: str) -> Done:
        done = Done(fault, store)
        return self.rounds.setdefault(done.told, done)

    @property
    def done(self) -> list[Done]:
        return [done for done in self.rounds.values() if done.times]

    def keep(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")


def kept(path: Path) -> Progress | None:
    """Return the run that was interrupted, if there is one."""
    if not path.exists():
        return None
    read = json.loads(path.read_text())
    return Progress(read["seed"], {name: Done(**done) for name, done in read["rounds"].items()})


def resumed(path: Path, seed: int | None, *, anew: bool) -> Progress:
    """Return the run that was interrupted, or a new one.

    Raises:
        OtherSeed: the interrupted one has another seed.
    """
    before = None if anew else kept(path)
    if before is None:
        return Progress(random.getrandbits(31) if seed is None else seed)
    if seed not in (None, before.seed):
        raise OtherSeed(
            f"{path.name} keeps a run of seed {before.seed}: leave --seed out to go on with it, or forget it by --anew"
        )
    return before


def missed(progress: Progress, wanted: Mapping[tuple[str, str], Wanted]) -> Iterator[str]:
    """Give what a run did not reach, of the fault and store that `wanted` names."""
    for (fault, store), much in wanted.items():
        done = progress.of(fault, store)
        if words := done.missed(much):
            yield f"{done.told}: {words}"


def report(progress: Progress, wanted: Mapping[tuple[str, str], Wanted]) -> str:
    """Return a run as Markdown; `wanted` says what a whole one reaches, for each fault and store."""
    commits = ", ".join(sorted({commit for done in progress.done for commit in done.commits}))
    hits = "\n".join(_what_was_hit(done) for done in progress.done if done.hits)
    short = "; ".join(missed(progress, wanted))
    parts = (
        f"Seed {progress.seed}, commit {commits}.",
        _table(progress, wanted),
        f"Not reached: {short}." if short else "",
        hits,
    )
    return "\n\n".join(part for part in parts if part)


def _table(progress: Progress, wanted: Mapping[tuple[str, str], Wanted]) -> str:
    lines = [
        "| fault | store | times | of | accepted | a second | answered 503 | promises broken |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for done in progress.done:
        broken = "; ".join(done.broken) or "none"
        figures = (done.times, wanted[done.fault, done.store].times, done.accepted, round(done.rate), done.refused)
        cells = (done.fault, done.store, *(f"{figure:,}" for figure in figures), broken.replace("|", "\\|"))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _what_was_hit(done: Done) -> str:
    hits = ", ".join(f"{times:,} {what}" for what, times in sorted(done.hits.items()))
    return f"- {done.fault}, {done.store}: of {done.looked:,} times, {hits}."
