"""The endpoint that does nothing. Imports nothing of the relay's, since it is also a yardstick for memory."""

PATH = "/noop"


async def nothing() -> dict[str, str]:
    return {"status": "ok"}
