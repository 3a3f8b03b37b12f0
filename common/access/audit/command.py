"""The trail of an app as its settings say, and what commands on the app's own machine put into it."""

import getpass
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from common.access.audit.trail import KEY_NAME, Action, Actor, AuditTrail, trail_file
from config.secrets import SERVER, load_or_create
from config.settings import ClientSettings, ServerSettings

ROLE = "command"


def open_trail(settings: ServerSettings | ClientSettings, clock: Callable[[], datetime]) -> AuditTrail:
    """Return the trail of an app; its key is made at the first start.

    Raises
    ------
    ConfigurationError
        If the key cannot be read or made.
    """
    return AuditTrail(trail_file(settings.data_dir, settings.app_name), _key(settings), clock=clock)


@dataclass
class Command:
    """What a command is about, as far as it knows by its end."""

    target: str = ""


@contextmanager
def audited_command(settings: ServerSettings | ClientSettings, action: Action | None) -> Iterator[Command]:
    """Put a command that succeeds into an app's trail, with the name of the system's user; ``None`` is no change.

    Raises
    ------
    AuditUnavailableError
        If the trail cannot be written; nothing is done then.
    """
    command = Command()
    if action is None:
        yield command
        return
    trail = open_trail(settings, lambda: datetime.now(UTC))
    trail.require_writable()
    yield command
    user = _user()
    trail.record(Actor(f"user:{user}", user, ROLE), action, command.target)


def trail_of(app: str) -> tuple[Path, str]:
    """Return the file and the key of an app's trail, by the app's name."""
    settings = ServerSettings() if app.lower() == SERVER else ClientSettings.model_validate({"client_id": app})
    return trail_file(settings.data_dir, settings.app_name), _key(settings)


def _key(settings: ServerSettings | ClientSettings) -> str:
    return load_or_create(KEY_NAME, given={}, folder=settings.secrets_dir / settings.app_name)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return "unknown"
