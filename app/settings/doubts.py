"""Tell what settings that are allowed put at risk. Pure; the answers are sentences for the person who sets them."""

from collections.abc import Iterator

from app.errors import FieldProblem
from app.settings.model import Settings

SHORT_HOLD = 60.0  # seconds; a flow that sends at once still waits for its turn in Marketo
SHORT_DELAY = 20.0  # seconds; 15 times as long is how late Marketo's activity log is taken to be at most


def doubts_of(settings: Settings) -> Iterator[FieldProblem]:
    """Yield what is allowed, as a test may want it, and weakens a promise of the relay's."""
    if settings.fields_of_tokens and settings.marketo_link_field_hold_seconds < SHORT_HOLD:
        yield FieldProblem(
            "MARKETO_LINK_FIELD_HOLD_SECONDS",
            f"is {settings.marketo_link_field_hold_seconds:g}: an e-mail that Marketo makes later than that after its "
            "request may show another webinar's link, which was written to the person's field meanwhile. Less than "
            f"{SHORT_HOLD:g} is for tests; 600 is the default.",
        )
    if settings.marketo_on_ambiguous == "check" and settings.marketo_activity_delay_seconds < SHORT_DELAY:
        delay = settings.marketo_activity_delay_seconds
        yield FieldProblem(
            "MARKETO_ACTIVITY_DELAY_SECONDS",
            f"is {delay:g}: a campaign request whose answer was lost is taken not to have run when Marketo's activity "
            f"log does not show it after {15 * delay:g} s, and the person is mailed a second time if the log was later "
            f"than that. Less than {SHORT_DELAY:g} is for tests; 60 is the default.",
        )
