"""The sources that are turned on, by name. It builds nothing: `app.bootstrap` does."""

from collections.abc import Iterable, Iterator

from app.sources.base import Source


class Registry:
    """Find a source by the name in a URL or in a stored event."""

    def __init__(self, sources: Iterable[Source]) -> None:
        """Keep these sources; ValueError when two share a name."""
        self._by_name: dict[str, Source] = {}
        for source in sources:
            if source.name in self._by_name:
                raise ValueError(f"two sources are called {source.name}")
            self._by_name[source.name] = source

    def find(self, name: str) -> Source | None:
        return self._by_name.get(name)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._by_name)

    def __iter__(self) -> Iterator[Source]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)
