"""What ``.env`` and the environment give: the one reader of all apps, commands and the launcher."""

import os

from dotenv import dotenv_values

from config.secrets import ENV_FILE


def in_file() -> dict[str, str | None]:
    """Return the lines of ``.env`` by name."""
    return {name.upper(): value for name, value in dotenv_values(ENV_FILE).items()}


def given() -> dict[str, str]:
    """Return every name that has a value in ``.env`` or, which counts more, in the environment."""
    return {name: value for source in (in_file(), os.environ) for name, value in source.items() if value}
