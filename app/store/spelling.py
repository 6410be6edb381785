"""Spell names and titles as they are searched: without case, with single spaces, of a bounded length. No I/O."""

import unicodedata

LONGEST = 80  # characters; PostgreSQL indexes no value over 2.7 kB
GONE = "gone:"  # before the keyed hash that stands where a person's key stood
AFTER_ALL = "\U0010ffff"  # sorts behind every other character


def spelt(text: str | None) -> str | None:
    """Return the text as the index holds it, None when nothing is left."""
    folded = " ".join(unicodedata.normalize("NFKC", text or "").casefold().split())
    return folded[:LONGEST] or None


def name_keys(first_name: str | None, last_name: str | None) -> dict[str, str | None]:
    """Return what a person's name is found by: the whole of it, and the surname when it is not all there is."""
    surname = spelt(last_name) if first_name else None
    return {"name_key": spelt(f"{first_name or ''} {last_name or ''}"), "surname_key": surname}
