"""What a run of `make chaos` has done so far: kept after each round, so that it can be interrupted and goes on."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path


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


def report(progress: Progress, wanted: Mapping[str, int]) -> str:
    """Return a run as Markdown; `wanted` says how often each fault is tried in a whole one."""
    commits = ", ".join(sorted({commit for done in progress.done for commit in done.commits}))
    hits = "\n".join(_what_was_hit(done) for done in progress.done if done.hits)
    return "\n\n".join(
        part for part in (f"Seed {progress.seed}, commit {commits}.", _table(progress, wanted), hits) if part
    )


def _table(progress: Progress, wanted: Mapping[str, int]) -> str:
    lines = [
        "| fault | store | times | of | accepted | a second | answered 503 | promises broken |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for done in progress.done:
        broken = "; ".join(done.broken) or "none"
        figures = (done.times, wanted[done.fault], done.accepted, round(done.rate), done.refused)
        cells = (done.fault, done.store, *(f"{figure:,}" for figure in figures), broken.replace("|", "\\|"))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _what_was_hit(done: Done) -> str:
    hits = ", ".join(f"{times:,} {what}" for what, times in sorted(done.hits.items()))
    return f"- {done.fault}, {done.store}: of {done.looked:,} times, {hits}."
