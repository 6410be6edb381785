"""Judge the way to Marketo: host, network, credentials, allow-list, clock, calls left, the API user's permissions."""

from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple

from app.doctor.picture import NOT_ASKED, NOT_NOW, MarketoPicture, Seen, Unseen, all_else
from app.doctor.report import Check, Outcome, fail, ok, unknown, warn
from app.doctor.wanted import Wanted
from app.marketo.codes import Trouble

CLOCK_DOUBTFUL = timedelta(seconds=60)
CLOCK_WRONG = timedelta(minutes=4)  # signed webhooks are refused from 5 minutes on
FEW_CALLS_LEFT = 0.8  # of the day's calls are used

_ROLE = "Admin > Security > Users & Roles > Roles: open the role of the API user"
_SERVICE = "Admin > Integration > LaunchPoint: View Details of the custom service"
_REFUSED = frozenset({"400", "401", "403", "601", "602"})
_BUSY = frozenset({"606", "615", "429"})
_LOST = frozenset({*Trouble, "408", "500", "502", "503", "504", "604", "608", "611"})


class Access(NamedTuple):
    """What these checks look at."""

    wanted: Wanted
    seen: MarketoPicture


def _host(access: Access) -> Outcome:
    wanted = access.wanted
    if wanted.is_marketo:
        return ok(wanted.host)
    return warn(
        f"{wanted.host} is not one of Marketo's own addresses (…mktorest.com): a simulation or a gateway",
        "Set MARKETO_BASE_URL to the address in Admin > Integration > Web Services > REST API > Endpoint.",
    )


def _network(access: Access) -> Outcome:
    first, wanted = access.seen.first, access.wanted
    way = f"through the proxy {wanted.proxy}" if wanted.proxy else "directly, without a proxy"
    if isinstance(first, Unseen) and first.code == NOT_NOW:
        return not_looked(first)
    if isinstance(first, Seen) or first.code in {*_REFUSED, *_BUSY, "603", "607"}:
        return ok(f"{wanted.host} answers, {way}")
    if first.code in _LOST:
        return fail(f"{wanted.host} was asked {way}: {first.message}", _network_advice(first))
    return fail(
        f"{wanted.host} was asked {way} and answered {first.code}: {first.message}",
        "Compare MARKETO_BASE_URL with Admin > Integration > Web Services > REST API > Endpoint.",
    )


def _network_advice(first: Unseen) -> str:
    text = first.message.lower()
    if "certificate" in text or "ssl" in text:
        return (
            "The connection's certificate is not trusted. If a proxy of your company opens connections, set "
            "SSL_CERT_FILE to its authority's certificate; else look at MARKETO_BASE_URL."
        )
    if "name or service" in text or "nodename" in text or "name resolution" in text:
        return (
            "The name is not known: compare MARKETO_BASE_URL with Admin > Integration > Web Services > REST API > "
            "Endpoint, and look at this machine's name service (DNS)."
        )
    return (
        "Let this machine open connections to Marketo on port 443, or name the proxy in HTTPS_PROXY; status.adobe.com "
        "tells whether Marketo itself is down."
    )


def _credentials(access: Access) -> Outcome:
    first = access.seen.first
    if isinstance(first, Unseen) and first.code in _REFUSED:
        return fail(
            f"Marketo refused the client id or secret ({first.message})",
            f"{_SERVICE}, and copy Client Id and Client Secret to MARKETO_CLIENT_ID and MARKETO_CLIENT_SECRET. "
            "If they are the same, look whether the API user is still there in Admin > Security > Users & Roles.",
        )
    if isinstance(first, Unseen) and first.code not in {*_BUSY, "603", "607"}:
        return not_looked(all_else(first))
    return ok("Marketo gave an access token for the client id and secret")


def _allow_list(access: Access) -> Outcome:
    first = access.seen.first
    if isinstance(first, Unseen) and first.code == "603":
        return fail(
            "Marketo refused a call that needs no permission (603): this machine's address is not allowed",
            "Admin > Integration > Web Services > IP Restrictions: add the address from which this machine reaches the "
            "internet. Look also whether the API user is allowed into its workspace.",
        )
    return _after_first(access, lambda _: ok("this machine's address may call the API"))


def _clock(access: Access) -> Outcome:
    return _after_first(access, lambda seen: _skew(seen, access.wanted.checks_signatures))


def _skew(seen: Seen, checks_signatures: bool) -> Outcome:
    if seen.ahead is None:
        return unknown("Marketo's answer showed no time")
    seconds = round(abs(seen.ahead.total_seconds()))
    found = f"this machine's clock is {seconds:,} s {'behind' if seen.ahead > timedelta(0) else 'ahead of'} Marketo's"
    advice = "Let the machine keep its time by NTP (systemctl status systemd-timesyncd, chronyc tracking)."
    if abs(seen.ahead) >= CLOCK_WRONG and checks_signatures:
        return fail(f"{found}; signed webhooks are refused from 5 minutes on", advice)
    if abs(seen.ahead) >= CLOCK_DOUBTFUL:
        return warn(found, advice)
    return ok("this machine's clock agrees with Marketo's")


def _calls_left(access: Access) -> Outcome:
    first, most = access.seen.first, access.wanted.calls_per_day
    later = "They are counted anew at midnight US Central. Admin > Integration > Web Services shows who makes them."
    if isinstance(first, Unseen) and first.code == "607":
        return fail("the day's calls are used up, by all integrations together (607)", later)
    return _after_first(access, lambda seen: _calls(seen.calls_today, most, later))


def _calls(used: int, most: int, later: str) -> Outcome:
    found = f"{used:,} of {most:,} calls are used today, by all integrations together"
    if used >= most:
        return fail(found, f"{later} MARKETO_CALLS_PER_DAY must be what your subscription has.")
    return warn(found, later) if used >= FEW_CALLS_LEFT * most else ok(found)


def _may_request(access: Access) -> Outcome:
    return _permission(
        access.seen.may_request,
        "the API user may request campaigns",
        "Execute Campaign",
        f"{_ROLE} > Access API, and tick Execute Campaign. Without it no reminder is sent.",
    )


def _may_save(access: Access) -> Outcome | None:
    if access.wanted.look_up_only:
        return None
    return _permission(
        access.seen.may_save,
        "the API user may create and update people",
        "Read-Write Person (Read-Write Lead)",
        f"{_ROLE} > Access API, and tick Read-Write Person; or set MARKETO_LEAD_MODE=lookup.",
    )


def _may_read_people(access: Access) -> Outcome:
    fields = access.seen.fields
    return _permission(
        fields if isinstance(fields, Unseen) and not fields.lacks_permission else not isinstance(fields, Unseen),
        "the API user may read people",
        "Read-Only Person (Read-Only Lead)",
        f"{_ROLE} > Access API, and tick Read-Only Person or Read-Write Person.",
    )


def _may_read_assets(access: Access) -> Outcome:
    smart = access.seen.campaigns[0].smart
    if isinstance(smart, Unseen) and smart.lacks_permission:
        return warn(
            "the API user lacks Read-Only Asset: campaign rules, My Tokens and e-mails could not be looked at",
            f"{_ROLE} > Access API, and tick Read-Only Asset. Reminders are sent without it; only this check needs it.",
        )
    return not_looked(smart) if isinstance(smart, Unseen) else ok("the API user may read campaigns, tokens, e-mails")


def _may_read_activities(access: Access) -> Outcome:
    may = access.seen.may_read_activities
    if may is False:
        return warn(
            "the API user lacks Read-Only Activity: what became of a request whose answer was lost cannot be looked up",
            f"{_ROLE} > Access API, and tick Read-Only Activity.",
        )
    return not_looked(may) if isinstance(may, Unseen) else ok("the API user may read activities")


def _permission(may: bool | Unseen, yes: str, name: str, advice: str) -> Outcome:
    if isinstance(may, Unseen):
        return not_looked(may)
    return ok(yes) if may else fail(f"the API user lacks the permission {name}", advice)


def _after_first(access: Access, judge: Callable[[Seen], Outcome]) -> Outcome:
    first = access.seen.first
    return not_looked(all_else(first)) if isinstance(first, Unseen) else judge(first)


def not_looked(why: Unseen) -> Outcome:
    """Return the outcome of a check whose object could not be seen."""
    if why.lacks_permission:
        return unknown("could not be looked at: the API user lacks the permission", "")
    code = "" if why.code in {NOT_ASKED.code, NOT_NOW} else f" ({why.code})"
    return unknown(f"could not be looked at: {why.message}{code}", why.advice)


WAY_CHECKS = (
    Check("marketo_host", "Marketo's address", _host),
    Check("marketo_network", "Network", _network),
    Check("marketo_credentials", "Client id and secret", _credentials),
    Check("marketo_allow_list", "IP allow-list", _allow_list),
    Check("clock", "Clock", _clock),
    Check("daily_calls", "Calls left today", _calls_left),
)
PERMISSION_CHECKS = (
    Check("may_request_campaigns", "May request campaigns", _may_request),
    Check("may_save_people", "May save people", _may_save),
    Check("may_read_people", "May read people", _may_read_people),
    Check("may_read_assets", "May read campaigns and e-mails", _may_read_assets),
    Check("may_read_activities", "May read activities", _may_read_activities),
)
