"""Ship the console's style sheet, script and icon: from the package, under addresses that change with their content."""

import hashlib
from functools import cache
from importlib.resources import files

KINDS = {"console.css": "text/css", "console.js": "text/javascript", "icon.svg": "image/svg+xml"}


@cache
def content(name: str) -> bytes:
    return files("app.web.console").joinpath("assets", name).read_bytes()


def asset_address(name: str) -> str:
    """Return where a browser finds an asset; it may keep it for as long as the content is this."""
    return f"/console/assets/{hashlib.sha256(content(name)).hexdigest()[:12]}/{name}"
