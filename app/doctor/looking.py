"""Look at an instance of Marketo, one call after the other, and keep what was seen for the checks to judge."""

from collections.abc import Awaitable, Sequence
from datetime import datetime
from typing import TypeVar

from app.doctor.picture import (
    CampaignPicture,
    Letter,
    MarketoPicture,
    ProgramPicture,
    Seen,
    Shelf,
    Unseen,
    all_else,
    unseen,
)
from app.doctor.wanted import Wanted
from app.domain import CampaignId, Clock
from app.errors import NotNow
from app.marketo.assets import EmailAsset, FolderKind, Place, SmartCampaign
from app.marketo.failures import CallFailed
from app.marketo.setup import MarketoSetup

MOST_CAMPAIGNS = 20
MOST_EMAILS = 10  # of one program
MOST_FOLDERS = 12  # from a program up to the top

_NO_CHOICE = Unseen("not asked", "the program could not be read")
_Value = TypeVar("_Value")


async def look(marketo: MarketoSetup, wanted: Wanted, *, clock: Clock) -> MarketoPicture:
    """Return what could be seen. Never raises for what Marketo answers."""
    first = await _first(marketo, clock)
    numbers = list(wanted.campaigns)[:MOST_CAMPAIGNS]
    if isinstance(first, Unseen):
        return _nothing(first, wanted, numbers)
    campaigns = tuple([await _campaign(marketo, number, wanted.campaigns[number]) for number in numbers])
    return MarketoPicture(
        first=first,
        campaigns=campaigns,
        programs=tuple([await _program(marketo, number) for number in _programs(campaigns)]),
        may_request=await _seen(marketo.may_request(numbers[0])),
        may_save=await _seen(marketo.may_save_people()),
        may_read_activities=await _seen(marketo.may_read_activities()),
        fields=await _seen(marketo.person_fields()),
        partitions=await _seen(marketo.partitions()) if wanted.partition else None,
        campaigns_left_out=len(wanted.campaigns) - len(numbers),
    )


async def _first(marketo: MarketoSetup, clock: Clock) -> Seen | Unseen:
    asked = clock()
    usage = await _seen(marketo.usage())
    if isinstance(usage, Unseen):
        return usage
    return Seen(usage.calls, usage.clock - _middle(asked, clock()) if usage.clock else None)


def _middle(asked: datetime, answered: datetime) -> datetime:
    return asked + (answered - asked) / 2


def _nothing(first: Unseen, wanted: Wanted, numbers: Sequence[CampaignId]) -> MarketoPicture:
    why = all_else(first)
    return MarketoPicture(
        first=first,
        campaigns=tuple(CampaignPicture(number, wanted.campaigns[number], why) for number in numbers),
        may_request=why,
        may_save=why,
        may_read_activities=why,
        fields=why,
        partitions=why if wanted.partition else None,
    )


async def _seen(call: Awaitable[_Value]) -> _Value | Unseen:
    try:
        return await call
    except (CallFailed, NotNow) as failed:
        return unseen(failed)


async def _campaign(marketo: MarketoSetup, number: CampaignId, setting: str) -> CampaignPicture:
    smart = await _seen(marketo.smart_campaign(number))
    if isinstance(smart, Unseen):
        return CampaignPicture(number, setting, smart, basic=await _seen(marketo.campaign(number)))
    rules = await _seen(marketo.smart_list(number)) if smart else None
    return CampaignPicture(number, setting, smart, rules=rules)


def _programs(campaigns: Sequence[CampaignPicture]) -> list[int]:
    """Return the programs of the campaigns, each once."""
    found = [one.smart.program_id for one in campaigns if isinstance(one.smart, SmartCampaign)]
    return list(dict.fromkeys(number for number in found if number is not None))


async def _program(marketo: MarketoSetup, number: int) -> ProgramPicture:
    place: Place | None = Place(FolderKind.PROGRAM, number)
    shelves: list[Shelf] = []
    while place is not None and len(shelves) < MOST_FOLDERS:
        folder = await _seen(marketo.folder(place))
        if folder is None or isinstance(folder, Unseen):
            letters = await _letters(marketo, number) if shelves else _NO_CHOICE
            return ProgramPicture(number, tuple(shelves), folder or _NO_CHOICE, letters)
        shelves.append(Shelf(folder, await _seen(marketo.tokens(place))))
        place = folder.parent
    return ProgramPicture(number, tuple(shelves), letters=await _letters(marketo, number))


async def _letters(marketo: MarketoSetup, program: int) -> tuple[Letter, ...] | Unseen:
    found = await _seen(marketo.emails(Place(FolderKind.PROGRAM, program)))
    if isinstance(found, Unseen):
        return found
    return tuple([await _letter(marketo, asset) for asset in found[:MOST_EMAILS]])


async def _letter(marketo: MarketoSetup, asset: EmailAsset) -> Letter:
    return Letter(asset, await _seen(marketo.email_content(asset.id)))
