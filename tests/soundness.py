"""What must hold of a store at rest, of either kind: it is whole, and nothing in it is in anybody's hands."""

from sqlalchemy import Connection, text

_TABLES = ("events", "registrations", "timeline", "calls", "people", "leases")


def held(connection: Connection) -> int:
    """Return how many rows somebody has claimed."""
    query = """
        SELECT (SELECT count(*) FROM events WHERE claimed_by IS NOT NULL)
             + (SELECT count(*) FROM registrations WHERE claimed_by IS NOT NULL)
    """
    return int(connection.execute(text(query)).scalar_one())


def damage(connection: Connection) -> str:
    """Say what is damaged; nothing if the store is whole."""
    if connection.dialect.name == "sqlite":
        found = [str(row[0]) for row in connection.execute(text("PRAGMA integrity_check"))]
        return "" if found == ["ok"] else "; ".join(found)
    return "; ".join(name for name in _TABLES if _counted(connection, name, "on") != _counted(connection, name, "off"))


def _counted(connection: Connection, table: str, by_index: str) -> int:
    """Count a table's rows by reading all of it, or by an index alone."""
    for setting in ("enable_seqscan", "enable_indexonlyscan"):
        wanted = by_index if setting == "enable_indexonlyscan" else {"on": "off", "off": "on"}[by_index]
        connection.execute(text(f"SET LOCAL {setting} = {wanted}"))
    return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())  # our own names
