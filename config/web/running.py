"""What the entry point of both apps does: read the settings, start, print the way in, serve, stop."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from flask import Flask
from pydantic import ValidationError

from config.errors import DetectionSystemError
from config.settings import ClientSettings, ServerSettings, settings_sentence
from config.web.logs import configure_logging
from config.web.serving import listen, serve

SettingsT = TypeVar("SettingsT", ServerSettings, ClientSettings)

USAGE_ERROR = 2


@dataclass(frozen=True)
class RunningApp:
    """A started app and what has to be done when it ends."""

    app: Flask
    stop: Callable[[], None]


def run_app(read_settings: Callable[[], SettingsT], start: Callable[[SettingsT], RunningApp]) -> None:
    """Run one app until SIGTERM or SIGINT; whatever keeps it from starting is one sentence and an exit code."""
    try:
        settings = read_settings()
    except ValidationError as error:
        print(settings_sentence(error), file=sys.stderr)
        sys.exit(USAGE_ERROR)
    configure_logging(settings.log_level)
    try:
        listener = listen(settings.host, settings.port)
        running = start(settings)
    except DetectionSystemError as error:
        print(error.message, file=sys.stderr)
        sys.exit(1)
    serve(
        running.app,
        listener,
        settings.socketio_async_mode,
        on_start=lambda: _print_way_in(settings),
        on_stop=running.stop,
    )


def _print_way_in(settings: ServerSettings | ClientSettings) -> None:
    """Print the one-click link, unless whoever gave the token in the environment knows it already."""
    given = os.environ.get(settings.sign_in_token_name)
    link = settings.url if given else f"{settings.url}/sign-in#token={settings.sign_in_token}"
    print(f"Open {link}", flush=True)
