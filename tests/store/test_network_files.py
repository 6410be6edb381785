"""SQLite on a network file system is refused, where the system tells."""

from pathlib import Path

import pytest

from app.errors import StoreUnavailable
from app.store import opening
from app.store.network_files import network_file_system
from app.store.opening import prepare_store

MOUNTS = r"""overlay / overlay rw 0 0
proc /proc proc rw 0 0
server:/export /srv/shared\040data nfs4 rw,vers=4.2 0 0
tmpfs /srv/shared\040data/scratch tmpfs rw 0 0
//server/share /mnt/share cifs rw 0 0
systemd-1 /mnt/nfs autofs rw,fd=59,pgrp=1,timeout=60,minproto=5,maxproto=5,direct 0 0
server:/export /mnt/nfs nfs4 rw,vers=4.2 0 0
server:/export /mnt/hidden nfs4 rw,vers=4.2 0 0
tmpfs /mnt/hidden tmpfs rw 0 0
"""


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    path = tmp_path / "mounts"
    path.write_text(MOUNTS)
    return path


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/shared data/relay/relay.db", "nfs4"),
        ("/mnt/share/relay.db", "cifs"),
        ("/srv/shared data/scratch/relay.db", None),
        ("/mnt/shared/relay.db", None),
        ("/mnt/nfs/relay.db", "nfs4"),
        ("/mnt/hidden/relay.db", None),
        ("/data/relay.db", None),
    ],
)
def test_the_innermost_mount_counts(mounts: Path, path: str, kind: str | None) -> None:
    """A local disk within a network's is local, and names that begin alike are no folders of one another.

    Of two mounts on one point, as systemd's automount has them, the one mounted last counts.
    """
    assert network_file_system(Path(path), mounts) == kind


@pytest.mark.parametrize(
    "kind", ["nfs", "smb3", "9p", "ceph", "davfs", "fuse.sshfs", "fuse.ceph", "fuse.ceph-fuse", "fuse.juicefs"]
)
def test_a_network_file_system_is_known_by_its_name(tmp_path: Path, kind: str) -> None:
    """Of the kernel's own, and of those that a program serves."""
    mounts = tmp_path / "mounts"
    mounts.write_text(f"overlay / overlay rw 0 0\nsomewhere /data {kind} rw 0 0\n")
    assert network_file_system(Path("/data/relay.db"), mounts) == kind


def test_where_nobody_tells_it_is_taken_for_local(tmp_path: Path) -> None:
    """Other systems than Linux have no list of mounts there."""
    assert network_file_system(tmp_path / "relay.db", tmp_path / "none") is None


def test_this_machines_own_disk_is_no_network(tmp_path: Path) -> None:
    """The real list is read."""
    assert network_file_system(tmp_path / "relay.db") is None


async def test_a_start_is_refused_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes there would damage the file; PostgreSQL is made for it."""
    monkeypatch.setattr(opening, "network_file_system", lambda _: "nfs4")
    with pytest.raises(StoreUnavailable, match=r"on a network file system \(nfs4\)(.|\n)*postgresql://"):
        await prepare_store(f"sqlite:///{tmp_path / 'relay.db'}")
    assert not (tmp_path / "relay.db").exists()
