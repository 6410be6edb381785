"""The endpoint that does nothing. Imports nothing of the relay's, since it is also a yardstick for memory."""

PATH = "/api/noop"  # what begins with no word of the relay's own routes is refused before the router


async def nothing() -> dict[str, str]:
    return {"status": "ok"}
