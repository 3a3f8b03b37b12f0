"""What the entry point of both apps does: read the settings, start, print the way in, serve, stop."""

import gc
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from flask import Flask
from pydantic import ValidationError

from common.access.built_in import built_in_tokens
from common.access.roles import sign_in_link
from common.access.sessions import Sessions
from common.errors import NAMED_ERRORS
from common.settings_errors import settings_sentence
from common.web.logs import configure_logging
from common.web.realtime import RealTime
from common.web.serving import DRAIN_SECONDS, listen, serve
from config.settings import ClientSettings, ServerSettings

SettingsT = TypeVar("SettingsT", ServerSettings, ClientSettings)

USAGE_ERROR = 2


@dataclass(frozen=True)
class RunningApp:
    """A started app and what has to be done when it ends."""

    app: Flask
    real_time: RealTime
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
        sessions: Sessions = running.app.config["SIGN_IN_SESSIONS"]
        sessions.start()
    except NAMED_ERRORS as error:
        print(error.message, file=sys.stderr)
        sys.exit(1)

    def stop() -> None:
        running.real_time.is_stopping = True
        running.stop()
        running.real_time.close(DRAIN_SECONDS)
        sessions.stop()

    serve(
        running.app,
        listener,
        settings.socketio_async_mode,
        on_start=lambda: _go_live(settings),
        on_stop=stop,
    )


def _go_live(settings: ServerSettings | ClientSettings) -> None:
    """Print the way in, and spare the garbage collector what stays until the end.

    A collection that goes through all that was imported and built stops everything for 100 to 200 ms.
    """
    gc.collect()
    gc.freeze()
    _print_way_in(settings)


def _print_way_in(settings: ServerSettings | ClientSettings) -> None:
    """Print the one-click links, but those whose token was given in the environment: who gave it knows the link."""
    made = [built_in for built_in in built_in_tokens(settings) if not os.environ.get(built_in.setting)]
    if not made:
        print(f"Open {settings.url}", flush=True)
    for built_in in made:
        print(f"Open as {built_in.role} {sign_in_link(settings.url, built_in.token)}", flush=True)
