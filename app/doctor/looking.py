"""Look at an instance of Marketo, one call after the other, and keep what was seen for the checks to judge."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from app.doctor.marketo import Part, Step
from app.doctor.picture import (
    NOT_ASKED,
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
Done = Callable[[Part, MarketoPicture], None]


def _nobody(_part: Part, _picture: MarketoPicture) -> None:
    return


async def look(marketo: MarketoSetup, wanted: Wanted, *, clock: Clock, done: Done = _nobody) -> MarketoPicture:
    """Return what could be seen. Never raises for what Marketo answers. `done` is told of each part as it is seen."""
    first = await _first(marketo, clock)
    numbers = list(wanted.campaigns)[:MOST_CAMPAIGNS]
    picture = _nothing(first, wanted, numbers)
    done(Step.WAY, picture)
    if isinstance(first, Unseen):
        rest: tuple[Part, ...] = (Step.PERMISSIONS, *picture.campaigns, Step.PEOPLE)
        for part in rest:
            done(part, picture)
        return picture
    picture = await _permissions(marketo, wanted, picture, numbers)
    done(Step.PERMISSIONS, picture)
    done(picture.campaigns[0], picture)
    for number in numbers[1:]:
        campaign = await _campaign(marketo, number, wanted.campaigns[number])
        picture = replace(picture, campaigns=(*picture.campaigns, campaign))
        done(campaign, picture)
    for of_campaigns in _programs(picture.campaigns):
        program = await _program(marketo, of_campaigns)
        picture = replace(picture, programs=(*picture.programs, program))
        done(program, picture)
    done(Step.PEOPLE, picture)
    return picture


async def _permissions(
    marketo: MarketoSetup, wanted: Wanted, picture: MarketoPicture, numbers: Sequence[CampaignId]
) -> MarketoPicture:
    """See what the API user may do; that needs one campaign."""
    first, *_ = numbers
    return replace(
        picture,
        may_request=await _seen(marketo.may_request(first)),
        may_save=await _seen(marketo.may_save_people()),
        may_read_activities=await _seen(marketo.may_read_activities()),
        fields=await _seen(marketo.person_fields()),
        partitions=await _seen(marketo.partitions()) if wanted.partition else None,
        campaigns=(await _campaign(marketo, first, wanted.campaigns[first]),),
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


def _nothing(first: Seen | Unseen, wanted: Wanted, numbers: Sequence[CampaignId]) -> MarketoPicture:
    """Return a picture in which all but the first call is still to be seen, or cannot be for its sake."""
    why = all_else(first) if isinstance(first, Unseen) else NOT_ASKED
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
