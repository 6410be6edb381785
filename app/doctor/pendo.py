"""Look whether Pendo takes the integration key, by asking for a visitor that nobody is."""

from dataclasses import dataclass

from app.doctor.report import Check, Outcome, fail, ok, unknown
from app.domain import Cause
from app.errors import ResolveFailed
from app.sources.pendo import PendoApi

NOBODY = "relay-doctor-nobody"


@dataclass(frozen=True, slots=True)
class PendoPicture:
    """`refused` is why the visitor could not be read; None where Pendo has no such visitor, or no key is set."""

    has_key: bool
    refused: str | None = None
    is_key_wrong: bool = False


async def look_at_pendo(api: PendoApi | None) -> PendoPicture:
    """Return what could be seen; without a key nothing is asked."""
    if api is None:
        return PendoPicture(has_key=False)
    try:
        await api.visitor(NOBODY)
    except ResolveFailed as failed:
        if failed.cause != Cause.SOURCE_NOT_FOUND:
            return PendoPicture(True, failed.detail, failed.cause == Cause.SOURCE_REFUSED)
    return PendoPicture(has_key=True)


def _key(seen: PendoPicture) -> Outcome:
    if not seen.has_key:
        return ok("not set: the ids of visitors, or the track event, must hold their e-mail addresses")
    if seen.refused is None:
        return ok("Pendo takes the integration key")
    if seen.is_key_wrong:
        return fail(
            f"Pendo refused the integration key ({seen.refused}): visitors' addresses cannot be found",
            "In Pendo: Settings > Integrations > Integration Keys; set PENDO_INTEGRATION_KEY to one, and "
            "PENDO_API_URL to your region's address.",
        )
    return unknown(seen.refused, "Look again later; status.pendo.io tells whether it is down.")


CHECKS = (Check("pendo_key", "Integration key", _key),)
