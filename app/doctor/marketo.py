"""Go through the checks of Marketo in the order of the tutorial: the way there, campaign, tokens, e-mail."""

from collections.abc import Iterator

from app.doctor import access, campaign, letters, people, tokens
from app.doctor.picture import MarketoPicture
from app.doctor.report import Finding, judged
from app.doctor.wanted import Wanted


def marketo_findings(wanted: Wanted, seen: MarketoPicture) -> Iterator[Finding]:
    """Yield what each check comes to."""
    yield from judged("Marketo", access.CHECKS, access.Access(wanted, seen))
    for one in seen.campaigns:
        yield from judged(f"Smart campaign {one.name}", campaign.CHECKS, one, str(one.id))
    for program in seen.programs:
        subject = tokens.Subject(wanted, program, seen.fields)
        yield from judged(f"Program {program.name}", (*tokens.CHECKS, *letters.CHECKS), subject, str(program.id))
    yield from judged("People in Marketo", people.CHECKS, people.Subject(wanted, seen))
