"""What a run of `make chaos` has done so far: kept after each round, so that it can be interrupted and goes on."""

import json
from collections.abc import Sequence
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
    seconds: float = 0.0  # under load
    broken: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Return how many were accepted a second, also while nobody was there to accept them."""
        return self.accepted / self.seconds if self.seconds else 0.0


@dataclass
class Progress:
    """All faults of a run, by name and store."""

    seed: int
    rounds: dict[str, Done] = field(default_factory=dict)

    def of(self, fault: str, store: str) -> Done:
        return self.rounds.setdefault(f"{fault} on {store}", Done(fault, store))

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


def table(rounds: Sequence[Done]) -> str:
    """Return the run as a Markdown table."""
    lines = [
        "| fault | store | times | accepted | a second | answered 503 | unanswered, sent again | promises broken |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for done in rounds:
        broken = "; ".join(done.broken) or "none"
        counts = (f"{n:,.0f}" for n in (done.times, done.accepted, done.rate, done.refused, done.unanswered))
        lines.append(
            "| " + " | ".join(cell.replace("|", "\\|") for cell in (done.fault, done.store, *counts, broken)) + " |"
        )
    return "\n".join(lines)
