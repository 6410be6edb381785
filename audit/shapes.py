"""The shapes of other services' secrets, which detect-secrets keeps up with."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from detect_secrets.core.scan import scan_line
from detect_secrets.settings import transient_settings

_KINDS = (
    "AWSKeyDetector",
    "AzureStorageKeyDetector",
    "DiscordBotTokenDetector",
    "GitHubTokenDetector",
    "GitLabTokenDetector",
    "JwtTokenDetector",
    "MailchimpDetector",
    "NpmDetector",
    "OpenAIDetector",
    "PrivateKeyDetector",
    "PypiTokenDetector",
    "SendGridDetector",
    "SlackDetector",
    "SquareOAuthDetector",
    "StripeDetector",
    "TelegramBotTokenDetector",
    "TwilioKeyDetector",
)  # not those that judge by entropy: hashes and samples are full of it


@contextmanager
def watched() -> Iterator[Callable[[str], Iterator[tuple[str, str]]]]:
    """Give what yields the kind and value of each that stands in a line."""
    with transient_settings({"plugins_used": [{"name": name} for name in _KINDS]}):
        yield _found_in


def _found_in(text: str) -> Iterator[tuple[str, str]]:
    yield from ((found.type, found.secret_value or text) for found in scan_line(text))
