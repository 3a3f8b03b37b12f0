"""What people sign in with at an app if nobody made accounts."""

from common.access.roles import BuiltInToken, Role
from config.secrets import client_secret_names, server_secret_names
from config.settings import ClientSettings, ServerSettings


def built_in_tokens(settings: ServerSettings | ClientSettings) -> list[BuiltInToken]:
    """Return the tokens of the built-in links: an operator's and an administrator's, or a clinician's."""
    if isinstance(settings, ClientSettings):
        clinician = client_secret_names(settings.client_id)[1]
        return [BuiltInToken(Role.CLINICIAN, clinician, settings.secrets.clinician_token)]
    _, operator, administrator = server_secret_names()
    return [
        BuiltInToken(Role.OPERATOR, operator, settings.secrets.operator_token),
        BuiltInToken(Role.ADMINISTRATOR, administrator, settings.secrets.administrator_token),
    ]
