"""A simulated Marketo, Eventbrite and Pendo on one port. Shares no code with the relay, so no mistakes either."""

from app.sandbox.config import Credential, SandboxConfig
from app.sandbox.simulation import create_sandbox

__all__ = ["Credential", "SandboxConfig", "create_sandbox"]
