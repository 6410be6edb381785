"""Read the reminder's own e-mail from Marketo, so that the console can show it as it would look."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

import structlog

from app.doctor.pacing import Gate, Gated
from app.domain import CampaignId, Clock, utc_now
from app.errors import RelayError
from app.making import make_auth
from app.marketo.address import base_urls
from app.marketo.assets import FolderKind, Place
from app.marketo.client import MarketoClient
from app.marketo.setup import MarketoSetup
from app.marketo.transport import open_http
from app.settings import Settings

_PATIENCE = timedelta(seconds=8)
_MOST_READ = 5  # e-mails of one program
_log = structlog.get_logger(__name__)

Letter = tuple[str, Mapping[str, str]]  # the e-mail's HTML, and the program's My Tokens with their defaults


async def read_letter(settings: Settings, campaign: CampaignId, *, gate: Gate, clock: Clock = utc_now) -> Letter | None:
    """Return the e-mail of the campaign's program; None when it may not be read, or there is none."""
    address = base_urls(settings.marketo_base_url)
    auth = make_auth(settings, clock)
    try:
        async with asyncio.timeout(_PATIENCE.total_seconds()), open_http(address, most_connections=1) as http:
            client = MarketoClient(http=http, address=address, auth=auth, clock=clock)
            return await letter_of(MarketoSetup(Gated(client.send, gate)), campaign, title=settings.marketo_token_title)
    except (RelayError, TimeoutError) as problem:
        _log.info("the reminder's e-mail could not be read", campaign_id=campaign, reason=type(problem).__name__)
        return None


async def letter_of(marketo: MarketoSetup, campaign: CampaignId, *, title: str) -> Letter | None:
    """Return the approved e-mail of the campaign's program that shows the title, else its first approved one."""
    found = await marketo.smart_campaign(campaign)
    if found is None or found.program_id is None:
        return None
    program = Place(FolderKind.PROGRAM, found.program_id)
    approved = [email for email in await marketo.emails(program) if email.is_approved][:_MOST_READ]
    contents = [content for email in approved if (content := await marketo.email_content(email.id))]
    if not contents:
        return None
    html = next((one for one in contents if f"{{{{my.{title}}}}}" in one), contents[0])
    return html, {token.name: token.value for token in await marketo.tokens(program)}
