"""Go through the checks of Marketo in the order of the tutorial: the way there, campaign, tokens, e-mail."""

from collections.abc import Iterator
from enum import Enum

from app.doctor import access, campaign, letters, people, tokens
from app.doctor.picture import CampaignPicture, MarketoPicture, ProgramPicture
from app.doctor.report import Finding, judged
from app.doctor.wanted import Wanted


class Step(Enum):
    """What is looked at besides campaigns and programs."""

    WAY = "the way to Marketo"
    PERMISSIONS = "what the API user may do there"
    PEOPLE = "people, and whatever else"


Part = Step | CampaignPicture | ProgramPicture


def findings_of(part: Part, wanted: Wanted, seen: MarketoPicture) -> Iterator[Finding]:
    """Yield what the checks of one part come to, of which `seen` must hold all."""
    match part:
        case Step.WAY:
            yield from judged("Marketo", access.WAY_CHECKS, access.Access(wanted, seen))
        case Step.PERMISSIONS:
            yield from judged("Marketo", access.PERMISSION_CHECKS, access.Access(wanted, seen))
        case CampaignPicture():
            yield from judged(f"Smart campaign {part.name}", campaign.CHECKS, part, str(part.id))
        case ProgramPicture():
            subject = tokens.Subject(wanted, part, seen.fields)
            yield from judged(f"Program {part.name}", (*tokens.CHECKS, *letters.CHECKS), subject, str(part.id))
        case Step.PEOPLE:
            yield from judged("People in Marketo", people.CHECKS, people.Subject(wanted, seen))
