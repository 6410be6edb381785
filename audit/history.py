"""Look for secrets in every line that the history ever added: this project's own, and other services'.

Values that open nothing but a simulation or a test are known by a hash, with what they are, in `known.txt`.
"""

import hashlib
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

OthersIn = Callable[[str], Iterable[tuple[str, str]]]
SETTINGS = (
    "ADMIN_READ_TOKEN",
    "ADMIN_TOKEN",
    "ALERT_WEBHOOK_URL",
    "CUSTOM_API_KEYS",
    "CUSTOM_WEBHOOK_SECRETS",
    "EVENTBRITE_API_TOKEN",
    "EVENTBRITE_WEBHOOK_TOKEN",
    "MARKETO_CLIENT_SECRET",
    "PENDO_INTEGRATION_KEY",
    "PENDO_WEBHOOK_SECRET",
)
_OWN = (
    re.compile(r"(whsec_[A-Za-z0-9+/]{32,}={0,2})"),
    re.compile(rf"(?:{'|'.join(SETTINGS)})[\"']?\s*[=:]\s*[\"']?([^\s\"'#,;<>{{}}()\[\]$|`*]{{16,}})"),
)
_CODE = re.compile(r"[A-Za-z_]+(\.[A-Za-z_]+)*")  # a name that stands where the value would
KNOWN_FILE = Path(__file__).with_name("known.txt")


@dataclass(frozen=True)
class Suspect:
    """A line that looks as if it held a secret. `mark` stands for what was found, which is told nowhere."""

    commit: str
    file: str
    kind: str
    mark: str


def check(root: Path, others_in: OthersIn) -> tuple[int, str]:
    """Return 0 when nothing is there but demonstration values, 1 and where, when something is."""
    added = list(lines_of(_log(root)))
    found = list(suspects(added, known(KNOWN_FILE.read_text(encoding="utf-8")), others_in))
    told = "".join(f"\n  {one.commit[:12]} {one.file}: {one.kind}, mark {one.mark}" for one in found)
    advice = (
        "\n  A secret: change it now, wherever it was used. None: write its mark into audit/known.txt." if found else ""
    )
    return int(bool(found)), f"{len(added)} lines looked at, {len(found)} suspicious{told}{advice}"


def _log(root: Path) -> str:
    command = ["git", "-C", str(root), "log", "--all", "--patch", "--unified=0", "--no-color", "--no-ext-diff"]
    command += ["--no-renames", "--format=commit %H", "--", ".", ":(exclude)requirements*.lock"]
    return subprocess.run(  # noqa: S603  # our own words
        command, capture_output=True, check=True, text=True, errors="replace"
    ).stdout


def lines_of(log: str) -> Iterator[tuple[str, str, str]]:
    """Yield commit, file and text of each line that a log's patches add, each text once."""
    commit = file = ""
    seen: set[str] = set()
    for line in log.splitlines():
        if line.startswith("commit "):
            commit = line.removeprefix("commit ")
        elif line.startswith("+++ "):
            file = line.removeprefix("+++ ").removeprefix("b/")
        elif line.startswith("+") and (text := line[1:].strip()) not in seen:
            seen.add(text)
            yield commit, file, text


def suspects(
    lines: Iterable[tuple[str, str, str]], known_marks: frozenset[str], others_in: OthersIn
) -> Iterator[Suspect]:
    """Yield what looks like a secret and is not known to be none."""
    for commit, file, text in lines:
        for kind, value in (*_own_in(text), *others_in(text)):
            if (mark := mark_of(value)) not in known_marks:
                yield Suspect(commit, file, kind, mark)


def _own_in(text: str) -> Iterator[tuple[str, str]]:
    for pattern in _OWN:
        yield from (("this project's own", value) for value in pattern.findall(text) if not _CODE.fullmatch(value))


def mark_of(value: str) -> str:
    """Return what stands for a value: enough to know it again, too little to guess it."""
    return hashlib.sha256(value.encode()).hexdigest()[:16]


def known(text: str) -> frozenset[str]:
    """Read the marks of values that are no secrets: one a line, and behind it what it is."""
    return frozenset(line.split()[0] for line in text.splitlines() if line.strip() and not line.startswith("#"))
