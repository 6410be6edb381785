"""What keeps the relay from Marketo is told with what to look at, by whatever it is that failed."""

import socket

import pytest

from app.checkup import check_up, wanted_of
from app.doctor.access import WAY_CHECKS, Access
from app.doctor.looking import look
from app.doctor.report import Outcome, Verdict
from app.domain import utc_now
from app.marketo.codes import Endpoint
from app.marketo.envelope import Reply
from app.marketo.failures import CallFailed, failure
from app.marketo.requests import Outgoing
from app.marketo.setup import MarketoSetup
from app.settings import Settings


def settings(url: str) -> Settings:
    return Settings(
        marketo_base_url=url,
        marketo_client_id="an-id",
        marketo_client_secret="q7Zr-1mVt_9KxLwP2cYb",
        marketo_campaign_id="1234",
        custom_api_keys="q7Zr-1mVt_9KxLwP2cYz",
    )


async def network(url: str) -> tuple[Verdict, str]:
    examined = await check_up(settings(url))
    [found] = [one for one in examined.report.findings if one.check == "marketo_network"]
    return found.verdict, f"{found.found} {found.advice}"


async def test_a_closed_port_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refused
        verdict, said = await network(f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert verdict is Verdict.FAIL
    assert "port 443" in said


async def test_a_name_that_nobody_knows_is_told() -> None:
    verdict, said = await network("https://482-xkb-119.invalid")
    assert verdict is Verdict.FAIL
    assert "DNS" in said


async def refused_with(failed: CallFailed) -> Outcome:
    async def send(call: Outgoing) -> Reply:
        raise failed

    wanted = wanted_of(settings("https://482-xkb-119.mktorest.com"))
    seen = await look(MarketoSetup(send), wanted, clock=utc_now)
    [check] = [one for one in WAY_CHECKS if one.name == "marketo_network"]
    outcome = check.judge(Access(wanted, seen))
    assert outcome
    return outcome


@pytest.mark.parametrize(
    ("code", "message", "says"),
    [
        ("unreachable", "ConnectError at the identity call: [SSL: CERTIFICATE_VERIFY_FAILED] self-signed", "SSL_CERT"),
        ("unreachable", "ConnectError at the identity call: [Errno -2] Name or service not known", "DNS"),
        ("unreachable", "ConnectError at the identity call: All connection attempts failed", "HTTPS_PROXY"),
        ("timed_out", "ReadTimeout at the usage call", "status.adobe.com"),
        ("404", "the identity service answered HTTP 404", "Compare MARKETO_BASE_URL"),
    ],
)
async def test_each_obstacle_has_its_own_advice(code: str, message: str, says: str) -> None:
    outcome = await refused_with(failure(Endpoint.IDENTITY, code, message))
    assert outcome.verdict is Verdict.FAIL
    assert says in outcome.advice


async def test_a_busy_marketo_can_be_reached() -> None:
    """Its window is full: that is no fault of the network."""
    assert (await refused_with(failure(Endpoint.USAGE, "606", "rate"))).verdict is Verdict.OK


async def test_a_proxy_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://user:pa55word@proxy.example.com:3128")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert wanted_of(settings("https://482-xkb-119.mktorest.com")).proxy == "http://proxy.example.com:3128"
