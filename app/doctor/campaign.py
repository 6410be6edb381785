"""Judge a smart campaign: whether a request makes it run, for everybody, every time."""

from collections.abc import Callable

from app.doctor.access import not_looked
from app.doctor.picture import CampaignPicture, Unseen
from app.doctor.report import Check, Outcome, fail, ok, unknown, warn
from app.marketo.answers import CampaignInfo
from app.marketo.assets import SmartCampaign, SmartList

REQUESTED = "campaign is requested"

_OPEN = "Marketing Activities: open the campaign"
_SETTINGS = f"{_OPEN} > Schedule > Smart Campaign Settings > Edit"
_SMART_LIST = f"{_OPEN} > Smart List"
_NONE = unknown("there is no campaign to look at")
_NO_TRIGGER_CAMPAIGN = unknown("only a trigger campaign has it")


def _exists(seen: CampaignPicture) -> Outcome:
    known = _known(seen)
    if isinstance(known, Unseen):
        return _missing(seen) if known.code in ("702", "1013") else not_looked(known)
    return _missing(seen) if known is None else ok(f"{known.name}{_path(known)}")


def _missing(seen: CampaignPicture) -> Outcome:
    return fail(
        f"Marketo has no campaign {seen.id}, or not for this API user",
        f"{_OPEN}, copy the browser's address and set {seen.setting} to it. If it is the same, give the API user a "
        "role in the campaign's workspace (Admin > Security > Users & Roles).",
    )


def _path(known: SmartCampaign | CampaignInfo) -> str:
    return f", in the program {known.program_name}" if isinstance(known, CampaignInfo) and known.program_name else ""


def _type(seen: CampaignPicture) -> Outcome:
    return _of_known(seen, lambda known: ok("a trigger campaign") if known.type == "trigger" else _no_trigger(known))


def _no_trigger(known: SmartCampaign | CampaignInfo) -> Outcome:
    found = "a batch campaign" if known.type == "batch" else "a campaign with an empty smart list"
    return fail(
        f"{found}, which cannot be requested (Marketo refuses it with 1003)",
        f"{_SMART_LIST}: add the trigger Campaign is Requested, Source is Web Service API.",
    )


def _active(seen: CampaignPicture) -> Outcome:
    def judge(known: SmartCampaign | CampaignInfo) -> Outcome:
        if known.type != "trigger":
            return _NO_TRIGGER_CAMPAIGN
        if known.is_active if isinstance(known, SmartCampaign) else known.active:
            return ok("active")
        return fail(
            "inactive: Marketo answers that all is well, and sends nothing",
            f"{_OPEN} > Schedule > Activate.",
        )

    return _of_known(seen, judge)


def _requestable(seen: CampaignPicture) -> Outcome:
    return _of_smart(seen, lambda smart: _trigger(smart, seen.rules))


def _trigger(smart: SmartCampaign, rules: SmartList | Unseen | None) -> Outcome:
    """Judge the trigger. Marketo calls no inactive campaign requestable, so the smart list's triggers are read then."""
    has_trigger = isinstance(rules, SmartList) and any(REQUESTED in name.lower() for name in rules.triggers)
    if smart.is_requestable:
        return ok("has the trigger Campaign is Requested, Source is Web Service API")
    if has_trigger and not smart.is_active:
        return ok("has the trigger Campaign is Requested")
    if smart.type != "trigger":
        return _NO_TRIGGER_CAMPAIGN
    if isinstance(rules, Unseen) and not smart.is_active:
        return unknown("shows only when the campaign is active", "Activate it and look again.")
    return fail(
        "lacks the trigger Campaign is Requested with Source Web Service API: requests are passed over in silence",
        f"{_SMART_LIST}: add the trigger Campaign is Requested, Source is Web Service API.",
    )


def _rule(seen: CampaignPicture) -> Outcome:
    def judge(smart: SmartCampaign) -> Outcome:
        advice = f"{_SETTINGS}: each person can run through the flow every time."
        if smart.rule == "any":
            return ok("each person can run through it every time")
        if smart.rule == "once":
            return fail("each person runs through it only once: the second webinar's reminder is never sent", advice)
        if smart.rule == "interval":
            found = f"each person runs through it once every {smart.interval or 'interval'}"
            return warn(f"{found}: further webinars' reminders are not sent", advice)
        return unknown(f"Marketo names a rule that the relay does not know: {smart.rule}", advice)

    return _of_smart(seen, judge)


def _limits(seen: CampaignPicture) -> Outcome:
    def judge(smart: SmartCampaign) -> Outcome:
        if not smart.has_communication_limit:
            return ok("communication limits do not hold it back")
        return warn(
            "communication limits apply: who has had many e-mails gets no reminder",
            f"{_SETTINGS}: Communication Limits, untick Block non-operational emails.",
        )

    return _of_smart(seen, judge)


def _filters(seen: CampaignPicture) -> Outcome | None:
    if seen.rules is None:
        return None
    if isinstance(seen.rules, Unseen):
        return not_looked(seen.rules)
    if not seen.rules.filters:
        return ok("its smart list lets everybody pass who is requested")
    return warn(
        f"its smart list filters people ({', '.join(seen.rules.filters)}): who does not pass is skipped in silence",
        f"{_SMART_LIST}: remove the filters, unless they are meant.",
    )


def _program(seen: CampaignPicture) -> Outcome:
    def judge(smart: SmartCampaign) -> Outcome:
        if smart.program_id is not None:
            return ok(f"stands in program {smart.program_id}")
        return fail(
            "stands in no program: the relay's tokens are My Tokens of a program",
            "Marketing Activities: move the campaign into the program that has the My Tokens and the e-mail.",
        )

    return _of_smart(seen, judge)


def _known(seen: CampaignPicture) -> SmartCampaign | CampaignInfo | Unseen | None:
    return seen.basic if isinstance(seen.smart, Unseen) and seen.basic is not None else seen.smart


def _of_known(seen: CampaignPicture, judge: Callable[[SmartCampaign | CampaignInfo], Outcome]) -> Outcome:
    known = _known(seen)
    if isinstance(known, Unseen):
        return _NONE if known.code in ("702", "1013") else not_looked(known)
    return _NONE if known is None else judge(known)


def _of_smart(seen: CampaignPicture, judge: Callable[[SmartCampaign], Outcome]) -> Outcome:
    if isinstance(seen.smart, Unseen):
        return not_looked(seen.smart)
    return _NONE if seen.smart is None else judge(seen.smart)


CHECKS = (
    Check("campaign_exists", "Exists", _exists),
    Check("campaign_type", "Type", _type),
    Check("campaign_active", "Active", _active),
    Check("campaign_trigger", "Trigger", _requestable),
    Check("campaign_rule", "Qualification rule", _rule),
    Check("campaign_limits", "Communication limits", _limits),
    Check("campaign_filters", "Smart list", _filters),
    Check("campaign_program", "Program", _program),
)
