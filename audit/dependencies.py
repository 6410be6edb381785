"""Ask which locked packages have known weaknesses, and say plainly of which nothing could be learnt."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LOCKS = ("requirements.lock", "requirements-otel.lock", "requirements-dev.lock", "requirements-audit.lock")


@dataclass
class Answers:
    """What was said of the packages of one lock file. `silence` is why there is no answer at all."""

    lock: str
    asked: int = 0
    weak: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    silence: str | None = None


def check(root: Path) -> tuple[int, str]:
    """Return 0 when each package of each lock was asked about and none is weak, 1 for a weak one, 2 for no answer."""
    found = [read(lock, *_ask(root / lock)) for lock in LOCKS]
    code = 1 if any(one.weak for one in found) else 2 if any(one.silence or one.unknown for one in found) else 0
    return code, "\n  ".join(line for one in found for line in _lines(one))


def _ask(lock: Path) -> tuple[str, str]:
    command = ["-m", "pip_audit", "--requirement", str(lock), "--require-hashes", "--disable-pip", "--format", "json"]
    more = ["--progress-spinner", "off", "--timeout", "10"]
    ended = subprocess.run([sys.executable, *command, *more], capture_output=True, text=True, check=False)  # noqa: S603
    return ended.stdout, ended.stderr


def read(lock: str, answer: str, errors: str) -> Answers:
    """Read what pip-audit wrote. It ends with 1 for weaknesses as well as for a service that does not answer."""
    try:
        packages: list[dict[str, Any]] = json.loads(answer)["dependencies"]
    except (ValueError, KeyError, TypeError):
        lines = errors.strip().splitlines() or ["pip-audit said nothing"]
        return Answers(lock, silence=lines[-1][:200])
    skipped = [f"{one['name']}: {one['skip_reason']}" for one in packages if "skip_reason" in one]
    weak = [said for one in packages for said in _weaknesses(one)]
    return Answers(lock, len(packages) - len(skipped), weak, skipped)


def _weaknesses(package: dict[str, Any]) -> Iterator[str]:
    for one in package.get("vulns", ()):
        mended = ", ".join(one["fix_versions"]) or "no version yet"
        yield f"{package['name']} {package['version']}: {one['id']}, mended in {mended}"


def _lines(found: Answers) -> Iterator[str]:
    if found.silence:
        yield f"{found.lock}: NOT ASKED, nothing is known of its packages ({found.silence})"
        return
    yield f"{found.lock}: {found.asked} packages asked about, {len(found.weak)} weaknesses"
    yield from (f"  {one}" for one in found.weak)
    yield from (f"  not known: {one}" for one in found.unknown)
