"""What people may be at an app. Standard library only: the launcher prints links before anything is installed."""

from dataclasses import dataclass, field
from enum import StrEnum

from config.secrets import SERVER


class Role(StrEnum):
    """What an account may do; a display sees what an operator sees, changes nothing, and may stay on a wall."""

    CLINICIAN = "clinician"
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"
    DISPLAY = "display"


@dataclass(frozen=True)
class BuiltInToken:
    """A one-click token that the settings give: the account it stands for, and where it comes from."""

    role: Role
    setting: str
    token: str = field(repr=False)


def roles_of(app: str) -> tuple[Role, ...]:
    """Return the roles there are at an app, the usual one first; every app but the server is a client app."""
    return (Role.OPERATOR, Role.ADMINISTRATOR, Role.DISPLAY) if app == SERVER else (Role.CLINICIAN,)


def sign_in_link(url: str, token: str) -> str:
    """Return the link that signs in with one click; browsers do not send what follows the ``#``."""
    return f"{url}/sign-in#token={token}"
