"""What is wrong with the settings, in one sentence."""

from typing import Final

from pydantic import ValidationError

from common.patient import errors_by_field
from config.secrets import ENV_FILE
from config.settings import TrainingSettings

SETTINGS_ERRORS: Final = (ValidationError, UnicodeDecodeError)
"""What reading the settings may raise: a value that cannot be used, or a file that is no text."""


def settings_sentence(error: ValidationError | UnicodeDecodeError) -> str:
    """Say which settings cannot be used and why, by the names of their environment variables."""
    if isinstance(error, UnicodeDecodeError):
        return f"The settings cannot be used: {ENV_FILE} is not UTF-8 text. Save it in that encoding."
    prefix = TrainingSettings.model_config["env_prefix"] if error.title == TrainingSettings.__name__ else ""
    said = [
        f"{prefix}{name}".upper() + f" {', '.join(errors)}" if name else ", ".join(errors)
        for name, errors in errors_by_field(error, whole="").items()
    ]
    return f"The settings cannot be used: {'; '.join(said)}. See .env.example."
