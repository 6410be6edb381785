"""Say what to do about a database's trouble, where the driver's error itself tells what it is."""

import sqlite3

_DAMAGED = (
    "The file is damaged, or is no store of the relay's. Keep a copy of it, and put the latest backup in its place: "
    "docs/runbook.md, Restore."
)
_FULL = "Make room on the disk that the store is on: docs/runbook.md, The disk is full."
_OF_SQLITE = {
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_IOERR: "The disk does not do what it is told: look whether it is full, and into the system's log.",
    sqlite3.SQLITE_BUSY: "Another program holds the store locked: wait until it ends, or end it.",
    sqlite3.SQLITE_READONLY: "File and folder must be writable for the user who runs the relay.",
}
_OF_POSTGRESQL = {
    "53100": _FULL,
    "XX001": "PostgreSQL's files are damaged; put the latest backup in their place: docs/runbook.md, Restore.",
}


def remedy_for(cause: BaseException | None) -> str:
    """Return what to do, as sentences; nothing where the error alone does not tell."""
    if isinstance(cause, sqlite3.Error):
        return _OF_SQLITE.get(getattr(cause, "sqlite_errorcode", 0) & 0xFF, "")  # above it stand the finer kinds
    return _OF_POSTGRESQL.get(getattr(cause, "sqlstate", None) or "", "")
