"""The reminder's own e-mail: read from the simulated Marketo, and done without where that is not possible."""

from pydantic import SecretStr

from app.doctor.pacing import Paced
from app.domain import CampaignId
from app.mailing import read_letter
from app.sandbox import seed
from app.settings import Settings
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
    assert letter is not None
    html, defaults = letter
    assert "{{my.WebinarTitle}}" in html
    assert "{{lead.First Name:default=Customer}}" in html
    assert defaults[seed.TITLE_TOKEN] == seed.DEFAULT_TITLE


async def test_without_campaign_permission_or_marketo_there_is_none(sandbox: Sandbox) -> None:
    """The console then shows the tutorial's; nobody's page breaks."""
    assert await read_letter(settings_for(sandbox), CampaignId(999_999), gate=Paced(50)) is None
    wrong = settings_for(sandbox, "another-secret-0123456789abcdef")
    assert await read_letter(wrong, CampaignId(seed.CAMPAIGN_ID), gate=Paced(50)) is None
    sandbox.process.stop()
    assert await read_letter(settings_for(sandbox), CampaignId(seed.CAMPAIGN_ID), gate=Paced(50)) is None
