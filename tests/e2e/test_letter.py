"""The reminder's own e-mail: read from the simulated Marketo, and done without where that is not possible."""

import httpx
from pydantic import SecretStr

from app.doctor.pacing import Paced
from app.domain import CampaignId
from app.mailing import read_letter
from app.sandbox import seed
from app.settings import Settings
from app.web.console.parts import Letter, NoLetter
from tests.e2e.harness import Sandbox


def settings_for(sandbox: Sandbox, secret: str = seed.CLIENT_SECRET) -> Settings:
    return Settings(
        marketo_base_url=sandbox.url,
        marketo_client_id=seed.CLIENT_ID,
        marketo_client_secret=SecretStr(secret),
        marketo_campaign_id=str(seed.CAMPAIGN_ID),
    )


async def test_the_campaigns_email_is_read_with_its_defaults(sandbox: Sandbox) -> None:
    letter = await read_letter(settings_for(sandbox), CampaignId(seed.CAMPAIGN_ID), gate=Paced(50))
    assert isinstance(letter, Letter)
    assert "{{my.WebinarTitle}}" in letter.html
    assert "{{lead.First Name:default=Customer}}" in letter.html
    assert letter.defaults[seed.TITLE_TOKEN] == seed.DEFAULT_TITLE


async def test_without_campaign_permission_or_marketo_there_is_none(sandbox: Sandbox) -> None:
    """The console then shows the tutorial's; nobody's page breaks."""
    strange = await read_letter(settings_for(sandbox), CampaignId(999_999), gate=Paced(50))
    assert strange == NoLetter("Marketo has no smart campaign 999999. Set-up says what to do.")
    wrong = settings_for(sandbox, "another-secret-0123456789abcdef")
    assert isinstance(await read_letter(wrong, CampaignId(seed.CAMPAIGN_ID), gate=Paced(50)), NoLetter)
    async with httpx.AsyncClient(base_url=sandbox.url) as http:
        await http.put("/sandbox/marketo/permissions", json={"permissions": [seed.READ_LEAD]})
    unseen = await read_letter(settings_for(sandbox), CampaignId(seed.CAMPAIGN_ID), gate=Paced(50))
    assert isinstance(unseen, NoLetter)
    assert ("Read-Only Asset" in unseen.why, unseen.passes) == (True, False)
    sandbox.process.stop()
    gone = await read_letter(settings_for(sandbox), CampaignId(seed.CAMPAIGN_ID), gate=Paced(50))
    assert isinstance(gone, NoLetter)
    assert gone.passes
