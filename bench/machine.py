"""Describe the machine that measured: numbers mean nothing without it. No names, paths or dates."""

import os
import platform
import sqlite3
import tempfile
import time
from pathlib import Path

from bench.arithmetic import median


def describe() -> dict[str, str]:
    """Return what the figures depend on, in words."""
    return {
        "processor": f"{os.cpu_count()} cores, {_processor()}",
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "disk": f"{fsync_seconds() * 1000:.1f} ms for one write with fsync (median of 50)",
    }


def fsync_seconds() -> float:
    """Return how long the disk under the temporary folder takes to make 4 KiB durable."""
    with tempfile.TemporaryFile() as file:
        return median([_one_fsync(file.fileno()) for _ in range(50)])


def _one_fsync(file: int) -> float:
    started = time.perf_counter()
    os.write(file, bytes(4096))
    os.fsync(file)
    return time.perf_counter() - started


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown"
