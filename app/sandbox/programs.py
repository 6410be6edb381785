"""Programs with their My Tokens and campaigns with their rules, seeded with one of each kind that one can meet."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from app.sandbox import seed
from app.sandbox.emails import Mail
from app.sandbox.people import Person


class Qualification(StrEnum):
    """How often one person may run through a campaign."""

    ONCE = "once"
    ANY = "any"
    INTERVAL = "interval"


@dataclass(slots=True)
class Program:
    """A program in a folder. `tokens` are its own My Tokens with their default values; `folder_tokens` the folder's.

    `token_types` names the tokens that are not of type text; `mail` is None where the program has no e-mail.
    """

    id: int
    name: str
    email_id: int
    tokens: dict[str, str]
    folder_tokens: dict[str, str]
    token_types: dict[str, str] = field(default_factory=dict)
    mail: Mail | None = field(default_factory=Mail)

    def known_tokens(self) -> dict[str, str]:
        """Return every My Token that the program's campaigns have, those of the folder above included."""
        return {**self.folder_tokens, **self.tokens}


@dataclass(frozen=True, slots=True)
class Campaign:
    """A smart campaign. `requestable`: it has 'Campaign is Requested', source 'Web Service API'.

    `filters` are those of its smart list, by name; `outside`: it stands in the folder, not in the program.
    """

    id: int
    name: str
    program: Program
    created: datetime
    trigger: bool = True
    active: bool = True
    requestable: bool = True
    qualification: Qualification = Qualification.ANY
    interval: timedelta | None = None
    communication_limit: bool = False
    filters: tuple[str, ...] = ()
    outside: bool = False

    @property
    def is_triggerable(self) -> bool:
        return self.trigger and self.active and self.requestable

    def skips(self, person: Person, now: datetime) -> str | None:
        """Return why this person is passed over in silence, None when it runs."""
        if not self.active:
            return "campaign is inactive"
        if not self.requestable:
            return "campaign has no 'Campaign is Requested' trigger of the Web Service API"
        ran = person.runs.get(self.id)
        if ran and self.qualification is Qualification.ONCE:
            return "person has run through once"
        if ran and self.qualification is Qualification.INTERVAL and self.interval and now - ran[1] < self.interval:
            return "person has run through within the interval"
        return None if person.fields.get("email") else "person has no e-mail address"


@dataclass(slots=True)
class Assets:
    """All programs, campaigns and folder tokens, by id."""

    programs: dict[int, Program] = field(default_factory=dict)
    campaigns: dict[int, Campaign] = field(default_factory=dict)
    folder_tokens: dict[str, str] = field(default_factory=dict)

    def program_of_email(self, email_id: int) -> Program | None:
        return next((one for one in self.programs.values() if one.email_id == email_id and one.mail), None)

    def change(self, campaign_id: int, changes: Mapping[str, object]) -> Campaign:
        """Change a campaign's switches, by the names that `Campaign` gives them.

        Raises:
            KeyError: there is no such campaign.
        """
        self.campaigns[campaign_id] = replace(self.campaigns[campaign_id], **changes)  # type: ignore[arg-type]
        return self.campaigns[campaign_id]


def seeded_assets(now: datetime) -> Assets:
    """Return the demonstration instance: one campaign of each kind that an integration can meet."""
    assets = Assets(folder_tokens={"CompanyName": "Example Events"})
    defaults = {
        seed.TITLE_TOKEN: seed.DEFAULT_TITLE,
        seed.JOIN_LINK_TOKEN: seed.DEFAULT_JOIN_LINK,
        seed.IMAGE_TOKEN: seed.BANNER_PATH,
    }
    reminders = Program(seed.PROGRAM_ID, "Webinar Reminders", seed.EMAIL_ID, dict(defaults), assets.folder_tokens)
    from_field = "{{lead.Webinar Join Link:default=" + seed.DEFAULT_JOIN_LINK + "}}"
    own_links = Program(
        seed.LINK_FIELD_PROGRAM_ID,
        "Webinar Reminders with personal links",
        seed.LINK_FIELD_EMAIL_ID,
        {**defaults, seed.JOIN_LINK_TOKEN: from_field},
        assets.folder_tokens,
    )
    assets.programs = {program.id: program for program in (reminders, own_links)}
    campaigns = (
        Campaign(seed.CAMPAIGN_ID, "Send Webinar Reminder", reminders, now),
        Campaign(
            seed.BATCH_CAMPAIGN_ID, "Monthly Newsletter (batch)", reminders, now, trigger=False, requestable=False
        ),
        Campaign(seed.INACTIVE_CAMPAIGN_ID, "Send Webinar Reminder (inactive)", reminders, now, active=False),
        Campaign(
            seed.NOT_REQUESTABLE_CAMPAIGN_ID, "Fills Out Form (not requestable)", reminders, now, requestable=False
        ),
        Campaign(
            seed.ONCE_CAMPAIGN_ID, "Send Webinar Reminder (once)", reminders, now, qualification=Qualification.ONCE
        ),
        Campaign(
            seed.DAILY_CAMPAIGN_ID,
            "Send Webinar Reminder (once a day)",
            reminders,
            now,
            qualification=Qualification.INTERVAL,
            interval=timedelta(days=1),
        ),
        Campaign(seed.LINK_FIELD_CAMPAIGN_ID, "Send Webinar Reminder (link in the person)", own_links, now),
    )
    assets.campaigns = {campaign.id: campaign for campaign in campaigns}
    return assets
