"""Keep what a connection has sent and nobody has read yet, and give it out a request at a time. No I/O."""

from app.web.body import SMALL, Room

_END = b"\r\n\r\n"  # of a request's headers; elsewhere it does no harm


class Backlog:
    """What waits is true; what is more than small of it takes from a room that all connections share."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._data = b""
        self._at = 0
        self._taken = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def add(self, data: bytes) -> None:
        self._data = self._data[self._at :] + data
        self._at = 0

    def next_piece(self) -> bytes:
        """Give out what ends the headers of one request at most."""
        start, end = self._at, self._data.find(_END, self._at)
        self._at = len(self._data) if end < 0 else end + len(_END)
        piece = self._data[start : self._at]
        if not self:
            self.drop()
        return piece

    def put_back(self, rest: bytes) -> None:
        """Take the end of the last piece again."""
        if rest:
            self._data = rest + self._data[self._at :]
            self._at = 0

    def hold(self) -> None:
        """Keep what is left for longer.

        Raises:
            Refused: 503, it is much, and there is no room for it.
        """
        more = len(self._data) - SMALL - self._taken
        if more > 0:
            self._room.take(more)
            self._taken += more

    def drop(self) -> None:
        self._room.give_back(self._taken)
        self._data, self._at, self._taken = b"", 0, 0
