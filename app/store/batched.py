"""Split what is too much for one statement: databases bound the values that one may hold."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

_One = TypeVar("_One")


def batched(items: Iterable[_One], size: int) -> Iterator[list[_One]]:
    """Return the items in their order, in lists of at most `size`."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
