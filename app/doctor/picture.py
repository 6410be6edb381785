"""What was seen of Marketo, or why it could not be seen. Values only, no I/O."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from app.domain import CampaignId
from app.errors import NotNow
from app.marketo.answers import CampaignInfo
from app.marketo.assets import EmailAsset, Folder, MyToken, SmartCampaign, SmartList
from app.marketo.failures import CallFailed
from app.marketo.schema import PersonField


@dataclass(frozen=True, slots=True)
class Unseen:
    """Why something could not be looked at: Marketo's code (or what stood in its place), its words, what to do."""

    code: str
    message: str
    advice: str = ""

    @property
    def lacks_permission(self) -> bool:
        return self.code == "603"


NOT_NOW = "not now"  # the code of what was left for later
NOT_ASKED = Unseen("not asked", "Marketo was not reached, or did not let the relay in")


def all_else(first: Unseen) -> Unseen:
    """Return why nothing else was looked at, after a first call that was in vain."""
    return first if first.code == NOT_NOW else NOT_ASKED


@dataclass(frozen=True, slots=True)
class Seen:
    """What the first call came to: it needs a token, and no permission."""

    calls_today: int
    ahead: timedelta | None  # how far Marketo's clock is before ours; None where it shows none


@dataclass(frozen=True, slots=True)
class Shelf:
    """A program or folder with the My Tokens that it holds itself."""

    place: Folder
    tokens: tuple[MyToken, ...] | Unseen


@dataclass(frozen=True, slots=True)
class Letter:
    """An e-mail with its HTML; None where Marketo has none to show."""

    asset: EmailAsset
    html: str | Unseen | None


@dataclass(frozen=True, slots=True)
class ProgramPicture:
    """A program: `shelves` are its own and those of the folders above it, the nearest first.

    `gap` says why the way up could not be followed to its end, so that a token may be further up.
    """

    id: int
    shelves: tuple[Shelf, ...] = ()
    gap: Unseen | None = None
    letters: tuple[Letter, ...] | Unseen = ()

    @property
    def name(self) -> str:
        return self.shelves[0].place.name if self.shelves else str(self.id)

    def tokens(self) -> Iterator[tuple[Shelf, MyToken]]:
        """Yield every token that the program's campaigns have, the nearest first."""
        for shelf in self.shelves:
            if not isinstance(shelf.tokens, Unseen):
                yield from ((shelf, token) for token in shelf.tokens)

    @property
    def unseen(self) -> Unseen | None:
        """Return why some of the tokens may not have been seen."""
        return self.gap or next((s.tokens for s in self.shelves if isinstance(s.tokens, Unseen)), None)


@dataclass(frozen=True, slots=True)
class CampaignPicture:
    """A smart campaign. `smart` is None where there is none; `basic` is asked for where `smart` may not be seen."""

    id: CampaignId
    setting: str
    smart: SmartCampaign | Unseen | None
    basic: CampaignInfo | Unseen | None = None
    rules: SmartList | Unseen | None = None

    @property
    def called(self) -> str | None:
        """Return its name in Marketo, where it could be seen."""
        known = self.smart if isinstance(self.smart, SmartCampaign) else self.basic
        return known.name if isinstance(known, SmartCampaign | CampaignInfo) else None

    @property
    def name(self) -> str:
        return f"{self.id} ({self.called})" if self.called else str(self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketoPicture:
    """All that the checks judge."""

    first: Seen | Unseen
    campaigns: tuple[CampaignPicture, ...]
    programs: tuple[ProgramPicture, ...] = ()
    may_request: bool | Unseen
    may_save: bool | Unseen
    may_read_activities: bool | Unseen
    fields: Mapping[str, PersonField] | Unseen
    partitions: tuple[str, ...] | Unseen | None = None
    campaigns_left_out: int = field(default=0)


def unseen(failed: CallFailed | NotNow) -> Unseen:
    if isinstance(failed, NotNow):
        return Unseen(NOT_NOW, str(failed), "Check again later.")
    return Unseen(failed.code, failed.message, failed.advice)
