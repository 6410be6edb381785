"""The relay's errors. Each says what happened and what to do next.

RelayError
├── SettingsInvalid        the start is refused: settings are missing, malformed or weak        (exit code 2)
├── AddressUnusable        the port is taken, or the address is none of this machine: the start is refused
├── RequestRefused         a webhook is answered with a problem and nothing is stored
│   ├── NotAuthentic       401
│   ├── Malformed          400: not JSON, not UTF-8, NaN, too deep …
│   └── Invalid            422: JSON, but fields are wrong; names them
├── StoreUnavailable       the event could not be committed: 503, the sender tries again
├── StoreTooNew            the database was migrated by a newer relay: the start is refused
├── ReplayRefused          a replay was not begun: the same is under way, or its key began another         (409)
├── LeadershipLost         another process leads now; what we hold is no longer ours to settle
├── WindowTaken            a place in Marketo's window went to another process; the call was not made
├── NotNow                 a call of a check was not made: Marketo is paused, or registrations need the places
├── ResolveFailed          a source could not fetch what an event needs
├── AskedInVain            the command line asked a relay or its store and got no answer          (exit code 1)
│   └── Unclear            what was asked for may have been done all the same
└── CallFailed             Marketo did not do what was asked (app.marketo.codes says what follows)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from app.domain import Json


class RelayError(Exception):
    """The root of everything that the relay raises on purpose; `remedy` says what to do where the message does not."""

    def __init__(self, said: str = "", *, remedy: str = "") -> None:
        super().__init__(said)
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One field at fault: its path as the sender wrote it, and a sentence that says what is expected."""

    field: str
    problem: str


class SettingsInvalid(RelayError):
    """Settings are missing, malformed or weak; `problems` names every one of them."""

    def __init__(self, problems: Sequence[FieldProblem]) -> None:
        super().__init__("; ".join(f"{p.field}: {p.problem}" for p in problems))
        self.problems = tuple(problems)


class AddressUnusable(RelayError):
    """Nothing can listen where HOST and PORT say; the message says what to set."""


class RequestRefused(RelayError):
    """A webhook that is answered with problem+json and not stored."""


class NotAuthentic(RequestRefused):
    """The signature, key or secret path segment is absent or wrong (401)."""


class Malformed(RequestRefused):
    """The body is no JSON document that the relay can read (400)."""


class Invalid(RequestRefused):
    """The body is JSON but fields are missing, unknown or wrong (422)."""

    def __init__(self, problems: Sequence[FieldProblem]) -> None:
        super().__init__("; ".join(f"{p.field}: {p.problem}" for p in problems))
        self.problems = tuple(problems)


class StoreUnavailable(RelayError):
    """The store did not commit: disk full, locked, unreachable, or too many requests are waiting for it."""


class StoreTooNew(RelayError):
    """The database schema is newer than this program knows; start the newer relay, or restore a backup."""


class ReplayRefused(RelayError):
    """A replay was not begun; the message names the one that stands in its way."""


class LeadershipLost(RelayError):
    """The lease has gone to another process, so nothing may be sent or settled any more."""


class WindowTaken(RelayError):
    """Another process has taken the last place in Marketo's window; nothing was claimed, and no call was made."""


class NotNow(RelayError):
    """A call that is for no registration was not made; the message says why, as the end of a sentence."""


class AskedInVain(RelayError):
    """A command of `relay` got no answer to its question; the message says what to do."""


class Unclear(AskedInVain):
    """What a command asked for may have been done: only the answer is missing."""


class ResolveFailed(RelayError):
    """A source could not fetch what an event names.

    `cause` is a value of `app.domain.Cause`. When `permanent` is false the event is tried again after `retry_after`
    (or the usual back-off), and is given up `give_up_after` its reception (None: the relay's own limit of 8 days).
    `fetched` is what could be had of several things (None: nothing): it is stored and mapped like what `resolve`
    returns, and is in `event.fetched` at the next attempt, which asks for the rest.
    """

    def __init__(
        self,
        cause: str,
        detail: str,
        *,
        permanent: bool = False,
        retry_after: timedelta | None = None,
        give_up_after: timedelta | None = None,
        fetched: Json = None,
    ) -> None:
        super().__init__(detail)
        self.cause = cause
        self.detail = detail
        self.permanent = permanent
        self.retry_after = retry_after
        self.give_up_after = give_up_after
        self.fetched = fetched
