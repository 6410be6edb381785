"""Tell a weak secret from a strong one. Pure; the answers are sentences for the person who sets it."""

import base64
import binascii
import re

SHORTEST = 16
RECIPE = """python3 -c "import secrets; print(secrets.token_urlsafe(32))\""""
SIGNING_RECIPE = (
    """python3 -c "import base64, secrets; print('whsec_' + base64.b64encode(secrets.token_bytes(32)).decode())\""""
)

_SIGNING_PREFIX = "whsec_"
_SIGNING_BYTES = range(24, 65)  # Standard Webhooks 1.0.0: a secret has 24 to 64 bytes
_FEWEST_CHARACTERS = 5  # sixteen random hexadecimal digits practically always have more different ones
_PLACEHOLDER = re.compile(
    r"(?:change|replace|insert|enter|put|paste|copy|your|this|the|from|with|here|goes|client|secret|password|passwd"
    r"|token|key|value|id|identifier|placeholder|example|sample|test|dummy|default|webhook|admin|api|marketo|launchpoint"
    r"|service|view|details|none|null|todo|tbd|me|my|it|x|[0-9]|[^a-z0-9])+"
)
_TO_BE_FILLED_IN = re.compile(r"<.*>|\[.*\]|\{.*\}|\$[A-Z_]+|\$\{.*\}|\$\(.*\)|%[A-Za-z_]+%|\*{3,}", re.DOTALL)


def weakness(secret: str) -> str | None:
    """Return what is wrong with a secret that somebody made up, None when it will do."""
    return malformation(secret) or _guessable(secret)


def malformation(secret: str) -> str | None:
    """Return why a secret cannot travel in a header, None when it can."""
    if not secret:
        return "is empty"
    if not (secret.isascii() and secret.isprintable()):
        return "holds characters other than printable ASCII, perhaps a line break"
    if secret != secret.strip():
        return "begins or ends with a space"
    return None


def placeholder(text: str) -> str | None:
    """Return what is wrong with a text that stands where a vendor's value belongs: `changeme`, `<client id>`, `$ID`."""
    is_one = _PLACEHOLDER.fullmatch(text.lower()) or _TO_BE_FILLED_IN.fullmatch(text)
    return "is a placeholder" if text and is_one else None


def vendor_weakness(secret: str) -> str | None:
    """Return what is wrong with a secret that a vendor made, None when it may be one."""
    return malformation(secret) or placeholder(secret)


def signing_weakness(secret: str) -> str | None:
    """Return what is wrong with a Standard Webhooks secret (`whsec_` and 24 to 64 bytes in base64)."""
    if broken := malformation(secret):
        return broken
    if not secret.startswith(_SIGNING_PREFIX):
        return f"does not begin with {_SIGNING_PREFIX}"
    text = secret.removeprefix(_SIGNING_PREFIX).rstrip("=")  # some tools leave the padding out
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        return f"is not base64 after {_SIGNING_PREFIX}"
    if len(key) not in _SIGNING_BYTES:
        return f"decodes to {len(key)} bytes, Standard Webhooks asks for 24 to 64"
    return "repeats one pattern" if len(set(key)) < _FEWEST_CHARACTERS else None


def _guessable(secret: str) -> str | None:
    if problem := placeholder(secret):
        return problem
    if len(secret) < SHORTEST:
        return f"has {len(secret)} characters, at least {SHORTEST} are needed"
    return "repeats a few characters" if len(set(secret)) < _FEWEST_CHARACTERS else None
