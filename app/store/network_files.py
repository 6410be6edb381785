"""Tell whether a file lies on a network file system: SQLite's locks and shared memory cannot be relied on there."""

import re
from pathlib import Path

_MOUNTS = Path("/proc/self/mounts")
_KERNELS = (
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "afs",
    "ceph",
    "lustre",
    "gpfs",
    "beegfs",
    "glusterfs",
    "davfs",
)
_FUSES = (
    "glusterfs",
    "sshfs",
    "s3fs",
    "gcsfuse",
    "rclone",
    "blobfuse2",
    "ceph",
    "ceph-fuse",
    "juicefs",
    "davfs",
    "davfs2",
)
_NETWORK = frozenset(_KERNELS).union(f"fuse.{name}" for name in _FUSES)


def network_file_system(path: Path, mounts: Path = _MOUNTS) -> str | None:
    """Return the network file system that holds this path; None when it is a local one, or nobody can tell."""
    held = path.absolute().resolve()  # before the list is read: looking at it mounts what is mounted when needed
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return None
    found = [(point, kind) for point, kind in map(_mount, lines) if held.is_relative_to(point)]
    # Of several on one point, as autofs and what it mounts, the last one counts, of which `max` would take the first.
    kind = max(reversed(found), key=lambda one: len(one[0].parts), default=(Path(), ""))[1]
    return kind if kind in _NETWORK else None


def _mount(line: str) -> tuple[Path, str]:
    """Read one line of /proc/mounts: where, and of what kind. Spaces stand there in octal."""
    _, point, kind, *_ = line.split(" ")
    return Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), point)), kind
