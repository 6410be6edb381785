"""Two more yardsticks: FastAPI with nothing of ours around it, and the least HTTP server that can be written.

`python -m bench.bare fastapi PORT` has uvicorn's settings of the relay, no middleware, no log line a request.
`python -m bench.bare ceiling PORT` answers without reading: how fast the generator and the kernel are.
"""

import asyncio
import sys
from typing import cast

import uvicorn
import uvloop
from fastapi import FastAPI

from bench.noop import PATH, nothing

_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n" + b'{"status":"ok"}'


class Ceiling(asyncio.Protocol):
    """Answers whatever arrives, taking each read as one request."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by behaviour, not by class

    def data_received(self, data: bytes) -> None:
        self._transport.write(_ANSWER)


async def serve_ceiling(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Ceiling, "127.0.0.1", port)
    await server.serve_forever()


def serve_fastapi(port: int) -> None:
    app = FastAPI()
    app.add_api_route(PATH, nothing, methods=["POST"])
    app.add_api_route("/readyz", nothing, methods=["GET"])
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        server_header=False,
    )


def main() -> None:
    which, port = sys.argv[1], int(sys.argv[2])
    if which == "ceiling":
        uvloop.run(serve_ceiling(port))
    else:
        serve_fastapi(port)


if __name__ == "__main__":
    main()
