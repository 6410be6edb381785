"""Find what the vendors' APIs let one mend: My Tokens that are missing, and Eventbrite's webhook. No I/O."""

from collections.abc import Iterator
from dataclasses import dataclass

from app.doctor.eventbrite import EventbritePicture, Refusal, needed_actions
from app.doctor.picture import MarketoPicture, ProgramPicture, Unseen
from app.doctor.tokens import written
from app.doctor.wanted import Wanted, WantedToken
from app.marketo.assets import FolderKind, MyToken, Place


@dataclass(frozen=True, slots=True)
class TokenFix:
    """A My Token to be created in a program."""

    program: ProgramPicture
    token: MyToken

    @property
    def place(self) -> Place:
        return Place(FolderKind.PROGRAM, self.program.id)

    @property
    def what(self) -> str:
        """Say what would be done, before it is."""
        kind = f"type {self.token.type.capitalize()}, default “{self.token.value}”"
        return f"Marketo: create the My Token {written(self.token.name)} in the program {self.program.name}, {kind}"

    @property
    def needs(self) -> str:
        return "the permission Read-Write Asset (Admin > Security > Users & Roles > Roles > Access API)"


@dataclass(frozen=True, slots=True)
class WebhookFix:
    """A webhook to be created at Eventbrite. `secret` is the last segment of its path."""

    organization_id: str
    organization: str
    address: str
    secret: str
    actions: tuple[str, ...]

    @property
    def what(self) -> str:
        """Say what would be done, without the secret."""
        of = f"of the organization {self.organization}, for all events, actions {', '.join(self.actions)}"
        return f"Eventbrite: create a webhook to {self.address}… {of}"

    @property
    def needs(self) -> str:
        return "a private token whose owner may manage the organization"


Fix = TokenFix | WebhookFix


def token_fixes(wanted: Wanted, seen: MarketoPicture) -> Iterator[TokenFix]:
    """Yield the tokens that are missing for certain, each with its default."""
    for program in seen.programs:
        if program.unseen is None:
            known = {token.name for _, token in program.tokens()}
            missing = (token for token in wanted.tokens if token.name not in known)
            yield from (TokenFix(program, MyToken(one.name, "text", _default(one, seen))) for one in missing)


def _default(wanted: WantedToken, seen: MarketoPicture) -> str:
    """Return the default: where the value travels in a person field, that field by its name in Marketo's pages."""
    if wanted.field and not isinstance(seen.fields, Unseen) and (field := seen.fields.get(wanted.field)):
        return "{{lead." + field.display_name + "}}"
    return wanted.example


def webhook_fixes(seen: EventbritePicture) -> Iterator[WebhookFix]:
    """Yield the webhook that is missing, where it is clear to which organization and address it belongs."""
    wanted, organizations = seen.wanted, seen.organizations
    if isinstance(organizations, Refusal) or len(organizations) != 1 or seen.ours() or wanted.public_url is None:
        return
    [organization] = organizations
    actions = tuple(needed_actions(wanted))
    yield WebhookFix(organization.id, organization.name, wanted.address, wanted.secrets[0], actions)
