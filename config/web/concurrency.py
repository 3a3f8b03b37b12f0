"""Which concurrency the process runs on, decided before anything else is imported."""

import os
import warnings

from dotenv import dotenv_values

from config.secret_store import ENV_FILE

EVENTLET = "eventlet"


def async_mode_of_environment() -> str:
    """Return ``SOCKETIO_ASYNC_MODE`` from the environment or ``.env``; the settings check its value later."""
    name = "SOCKETIO_ASYNC_MODE"
    return os.environ.get(name) or dotenv_values(ENV_FILE).get(name) or EVENTLET


def patch_standard_library(async_mode: str) -> None:
    """Make the standard library cooperative if eventlet is on; it has to come before every other import."""
    if async_mode == EVENTLET:
        warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
        import eventlet  # noqa: PLC0415 - only if it is the mode

        eventlet.monkey_patch()
