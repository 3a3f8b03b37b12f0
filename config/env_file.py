"""What ``.env`` and the environment give: the one reader of all apps, commands and the launcher."""

import logging
import os

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from config.secrets import ENV_FILE

logging.getLogger("dotenv").setLevel(logging.ERROR)  # what it warns of is an error here, said in our words


def in_file() -> dict[str, str | None]:
    """Return the lines of ``.env`` by name."""
    return {name.upper(): value for name, value in dotenv_values(ENV_FILE).items()}


def unreadable_lines() -> list[int]:
    """Return the numbers of the lines of ``.env`` that give nothing a value, and would be passed over."""
    if not ENV_FILE.is_file():
        return []
    with ENV_FILE.open(encoding="utf-8") as file:
        return [line.original.line for line in parse_stream(file) if line.error]


def given() -> dict[str, str]:
    """Return every name that has a value in ``.env`` or, which counts more, in the environment."""
    return {name: value for source in (in_file(), os.environ) for name, value in source.items() if value}
