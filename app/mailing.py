"""Read the reminder's own e-mail from Marketo, so that the console can show it as it would look."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import structlog

from app.doctor.pacing import Gate, Gated
from app.domain import CampaignId, Clock, utc_now
from app.errors import RelayError
from app.making import make_auth
from app.marketo.address import base_urls
from app.marketo.assets import FolderKind, Place
from app.marketo.client import MarketoClient
from app.marketo.codes import Consequence
from app.marketo.failures import CallFailed
from app.marketo.setup import MarketoSetup
from app.marketo.transport import open_http
from app.settings import Settings
from app.web.console.parts import Letter, NoLetter

_PATIENCE = timedelta(seconds=15)
_PASSING = frozenset({Consequence.RETRY, Consequence.RATE, Consequence.QUOTA, Consequence.CONCURRENCY})
_NO_PERMISSION = NoLetter(
    "Yours may not be read: the relay's API user lacks the permission Read-Only Asset. In Marketo: Admin > Security > "
    "Users & Roles > Roles: give it to the role of that user."
)
_BUSY = NoLetter(
    "Yours could not be read just now: Marketo was slow, or registrations needed its calls, which go first. Load the "
    "page again in a minute.",
    passes=True,
)
_MOST_READ = 5  # e-mails of one program
_log = structlog.get_logger(__name__)


async def read_letter(
    settings: Settings, campaign: CampaignId, *, gate: Gate, clock: Clock = utc_now
) -> Letter | NoLetter:
    """Return the e-mail of the campaign's program, or why there is none to show."""
    address = base_urls(settings.marketo_base_url)
    auth = make_auth(settings, clock)
    try:
        async with asyncio.timeout(_PATIENCE.total_seconds()), open_http(address, most_connections=1) as http:
            client = MarketoClient(http=http, address=address, auth=auth, clock=clock)
            return await letter_of(MarketoSetup(Gated(client.send, gate)), campaign, title=settings.marketo_token_title)
    except (RelayError, TimeoutError) as problem:
        _log.info("the reminder's e-mail could not be read", campaign_id=campaign, reason=type(problem).__name__)
        return _why(problem)


def _why(problem: Exception) -> NoLetter:
    if not isinstance(problem, CallFailed) or problem.consequence in _PASSING:
        return _BUSY
    return _NO_PERMISSION if problem.code == "603" else NoLetter(f"Yours could not be read. {problem.advice}")


async def letter_of(marketo: MarketoSetup, campaign: CampaignId, *, title: str) -> Letter | NoLetter:
    """Return the approved e-mail of the campaign's program that shows the title, else its first approved one."""
    found = await marketo.smart_campaign(campaign)
    if found is None:
        return NoLetter(f"Marketo has no smart campaign {campaign}. Set-up says what to do.")
    if found.program_id is None:
        return NoLetter(f"The smart campaign {found.name} stands in no program, where its e-mail would be looked for.")
    program = Place(FolderKind.PROGRAM, found.program_id)
    emails = await marketo.emails(program)
    approved = [email for email in emails if email.is_approved][:_MOST_READ]
    if not approved:
        return NoLetter(_unapproved([email.name for email in emails]))
    contents = [content for email in approved if (content := await marketo.email_content(email.id))]
    if not contents:
        return NoLetter("Marketo has no HTML of the program's e-mail: it may be a text e-mail.")
    html = next((one for one in contents if f"{{{{my.{title}}}}}" in one), contents[0])
    return Letter(html, {token.name: token.value for token in await marketo.tokens(program)})


def _unapproved(names: Sequence[str]) -> str:
    if not names:
        return "The smart campaign's program has no e-mail in Marketo. Set-up says what to do."
    which = f"{names[0]} is a draft" if len(names) == 1 else f"{', '.join(names[:3])} are drafts"
    return (
        f"{which}, and Marketo sends approved e-mails only. In Marketo: Marketing Activities: open the e-mail, then "
        "Email Actions > Approve and Close."
    )
