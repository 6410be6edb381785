"""`make audit`: known weaknesses of what is installed, a bill of materials for the image, secrets in the history."""

import sys
from collections.abc import Callable
from pathlib import Path

from audit import bill, dependencies, history
from audit.shapes import watched


def _history(root: Path) -> tuple[int, str]:
    with watched() as others_in:
        return history.check(root, others_in)


CHECKS: dict[str, Callable[[Path], tuple[int, str]]] = {
    "Known weaknesses": dependencies.check,
    "Bill of materials": bill.write,
    "Secrets in the history": _history,
}


def main(root: Path) -> int:
    """Make each check and print what it says; return 1 when something was found, 2 when something was not learnt."""
    codes = set()
    for title, check in CHECKS.items():
        code, said = check(root)
        sys.stdout.write(f"{title}: {said}\n")
        codes.add(code)
    return 1 if 1 in codes else max(codes)


if __name__ == "__main__":
    sys.exit(main(Path.cwd()))
