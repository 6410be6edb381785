"""Page the admin API's lists. A cursor is good for its own question: another's answer would begin in its middle."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from app.web.problems import Problem, Refused

BAD_CURSOR = Problem(
    400,
    "bad_cursor",
    "The cursor is none that an earlier page of this very list gave, with the same parameters; start without one.",
)
# NUL and its like cannot stand in a text of PostgreSQL.
PRINTABLE = r"^[^\x00-\x1f]*$"
Word = Annotated[str, Field(max_length=512, pattern=PRINTABLE)]
_Page = TypeVar("_Page", bound=Any)  # a dataclass with `next_cursor`
_MOVES = {"limit", "cursor", "since", "until"}  # they may differ from page to page: 'of the last hour' does


class Paged(BaseModel):
    """What to list, a page at a time. Misspelt parameters are refused: they would silently list everything."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=200)
    cursor: Word | None = Field(None, description="`nextCursor` of the page before.")

    async def page(self, asking: Callable[[str | None], Awaitable[_Page]]) -> _Page:
        """Return the page that begins where the cursor says, with a cursor for the next.

        Raises:
            Refused: the cursor is none of this list, or of another question.
        """
        try:
            found = await asking(self._place())
        except ValueError:
            raise Refused(BAD_CURSOR) from None
        place = found.next_cursor
        return replace(found, next_cursor=place and f"{place}~{self._seal()}")

    def _place(self) -> str | None:
        if self.cursor is None:
            return None
        place, _, seal = self.cursor.rpartition("~")
        if seal != self._seal():
            raise ValueError(self.cursor)
        return place

    def _seal(self) -> str:
        asked = f"{type(self).__name__} {self.model_dump_json(exclude=_MOVES)}"
        return hashlib.blake2s(asked.encode(), digest_size=4).hexdigest()
