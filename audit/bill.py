"""Write the bill of materials (CycloneDX) of what the image holds: the packages of the runtime lock, for its platform.

Debian's packages and Python itself are the base image's, which its publisher accounts for.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement

FILE = "bill-of-materials.cdx.json"
LOCK = "requirements.lock"
IMAGE = {  # what environment markers ask for
    "sys_platform": "linux",
    "platform_system": "Linux",
    "os_name": "posix",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
}


def write(root: Path) -> tuple[int, str]:
    """Write the bill beside the lock; return 0 and how much stands in it."""
    version = _python((root / "Dockerfile").read_text(encoding="utf-8"))
    wanted = in_image((root / LOCK).read_text(encoding="utf-8"), version)
    command = ["-m", "cyclonedx_py", "requirements", "--pyproject", str(root / "pyproject.toml")]
    more = ["--mc-type", "application", "--output-reproducible", "--output-file", str(root / FILE), "-"]
    ended = subprocess.run(  # noqa: S603  # our own words and paths
        [sys.executable, *command, *more], input=wanted, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        return 2, f"NOT WRITTEN, {ended.stderr.strip().splitlines()[-1][:200]}"
    count = len(json.loads((root / FILE).read_text(encoding="utf-8"))["components"])
    return 0, f"{count} packages of {LOCK} for Linux and Python {version}, in {FILE}"


def in_image(lock: str, python: str) -> str:
    """Return the blocks of a lock file, hashes and all, whose markers hold in the image."""
    blocks = re.findall(r"^[A-Za-z0-9].*(?:\n[ \t].*)*\n?", lock, re.MULTILINE)
    return "".join(block for block in blocks if _is_installed(block, python))


def _is_installed(block: str, python: str) -> bool:
    marker = Requirement(block.partition("\\")[0].partition(" --hash")[0]).marker
    return marker is None or marker.evaluate(IMAGE | {"python_version": python, "python_full_version": f"{python}.0"})


def _python(dockerfile: str) -> str:
    [version] = set(re.findall(r"^FROM python:(\d+\.\d+)", dockerfile, re.MULTILINE))
    return str(version)
