"""What the settings ask of Marketo. Values only; whoever reads the settings makes one."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.domain import CampaignId


@dataclass(frozen=True, slots=True)
class WantedToken:
    """A My Token that the relay passes: `setting` names it, `field` is the person field that its value travels in."""

    name: str
    setting: str
    example: str
    field: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What Marketo must have.

    `campaigns` and `fields` name the setting that each comes from; the first campaign is the usual one. `longest_link`
    counts the characters of the longest join link that the configuration holds. `further` tokens are those that some
    source brings and that are mapped to person fields.
    """

    host: str
    is_marketo: bool
    proxy: str | None
    campaigns: Mapping[CampaignId, str]
    title: WantedToken
    join_link: WantedToken
    image: WantedToken
    calls_per_day: int
    lookup_field: str = "email"
    link_fields: Mapping[str, str] = field(default_factory=dict)
    partition: str | None = None
    look_up_only: bool = False
    checks_signatures: bool = False
    longest_link: int = 0
    further: tuple[WantedToken, ...] = ()

    @property
    def tokens(self) -> tuple[WantedToken, ...]:
        return (self.title, self.join_link, self.image, *self.further)
