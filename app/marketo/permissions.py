"""Find out what the API user may do, by asking for it to be done to nobody. No I/O.

Marketo has no call that lists an API user's permissions. A campaign request without leads and an upsert without people
can change nothing; they are refused for the missing permission (603), or else for what they lack.
"""

from app.domain import CampaignId
from app.marketo.codes import Endpoint
from app.marketo.envelope import Reply, explaining, open_envelope
from app.marketo.failures import CallFailed
from app.marketo.requests import Outgoing

_JSON = "application/json"
_JUDGED_BY_CONTENT = ("1", "7", "609")  # codes about the data: whoever gets them was let in


def request_for_nobody(campaign: CampaignId) -> Outgoing:
    """Write a Request Campaign call without leads."""
    path = f"/v1/campaigns/{campaign:d}/trigger.json"
    return Outgoing(Endpoint.SETUP, "POST", path, b'{"input":{"leads":[]}}', _JSON)


def save_nobody() -> Outgoing:
    """Write a Sync Leads call without people."""
    return Outgoing(Endpoint.SETUP, "POST", "/v1/leads.json", b'{"input":[]}', _JSON)


def read_permission(reply: Reply) -> bool:
    """Tell whether the API user may do it.

    Raises:
        CallFailed: it cannot be told, since Marketo was busy, out of calls or out of order.
    """
    try:
        with explaining(Endpoint.SETUP, reply):
            open_envelope(Endpoint.SETUP, reply)
    except CallFailed as refused:
        if refused.code == "603":
            return False
        if not refused.code.startswith(_JUDGED_BY_CONTENT):
            raise
    return True
