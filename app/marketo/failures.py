"""Why a call to Marketo did not do what was asked, and what follows. Fit to be logged: nobody's data is in it."""

import re
from datetime import timedelta

from app.errors import RelayError
from app.marketo.codes import Consequence, Endpoint, Executed, Meaning, meaning_of_call
from app.wording import without_addresses

_LONGEST_MESSAGE = 300
_READ_OF_MESSAGE = 2000  # bounds the work that a hostile message can make
_LINK = re.compile(r"https?://\S+", re.IGNORECASE)


class CallFailed(RelayError):
    """Marketo did not do what was asked. Build it with `failure`.

    `code` is Marketo's, an HTTP status, or a `Trouble`; `executed` says whether it may have happened all the same;
    `retry_after` is the least time to wait, where Marketo or its documentation gives one.
    """

    def __init__(
        self,
        meaning: Meaning,
        code: str,
        message: str,
        *,
        retry_after: timedelta | None = None,
        request_id: str | None = None,
        http_status: int | None = None,
    ) -> None:
        super().__init__(f"marketo {code}: {message}")
        self.meaning = meaning
        self.code = code
        self.message = message
        self.retry_after = meaning.wait if retry_after is None else retry_after
        self.request_id = request_id
        self.http_status = http_status

    @property
    def consequence(self) -> Consequence:
        """What the caller does next."""
        return self.meaning.consequence

    @property
    def executed(self) -> Executed:
        """Whether Marketo may have done it."""
        return self.meaning.executed

    @property
    def counts_as_attempt(self) -> bool:
        """Whether the records of the call had their turn."""
        return self.meaning.counts_as_attempt

    @property
    def alert(self) -> bool:
        """Whether nothing goes on before a person acts."""
        return self.meaning.alert

    @property
    def advice(self) -> str:
        """The sentence that tells a person what to do."""
        return self.meaning.advice


def failure(
    endpoint: Endpoint,
    code: str,
    message: str,
    *,
    retry_after: timedelta | None = None,
    request_id: str | None = None,
    http_status: int | None = None,
) -> CallFailed:
    """Return the error for a code that a call to `endpoint` was answered with; the message is masked and cut."""
    return CallFailed(
        meaning_of_call(endpoint, code),
        presentable(code, longest=20),
        presentable(message),
        retry_after=retry_after,
        request_id=request_id,
        http_status=http_status,
    )


def presentable(text: str, *, longest: int = _LONGEST_MESSAGE) -> str:
    """Return a stranger's text without e-mail addresses, links and control characters, cut to `longest` characters."""
    if len(text) > _READ_OF_MESSAGE:
        text = text[:_READ_OF_MESSAGE].rpartition(" ")[0]  # half an address would not be known as one
    text = without_addresses(_LINK.sub("<link>", text))
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return text if len(text) <= longest else text[: longest - 1] + "…"
