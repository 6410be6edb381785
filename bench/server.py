"""Run `relay serve` with one endpoint more, which does nothing: the yardstick for accepting.

It is the first that the router tries: the last of sixty would be a yardstick too kind. Settings, parts, event loop,
middleware, log and uvicorn's configuration are the command's own.
"""

import sys
from typing import Any

from fastapi import FastAPI

from app import cli, serve
from app.main import create_app
from bench.noop import PATH, nothing


def create_app_with_noop(*arguments: Any, **named: Any) -> FastAPI:
    app = create_app(*arguments, **named)
    app.add_api_route(PATH, nothing, methods=["POST"])
    app.router.routes.insert(0, app.router.routes.pop())
    return app


def main() -> None:
    vars(serve)["create_app"] = create_app_with_noop  # so that nothing else of the command differs
    sys.argv[1:] = ["serve"]
    cli.main()


if __name__ == "__main__":
    main()
