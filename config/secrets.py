"""Where secrets come from: the environment, the ``.env`` file, or a file made at first start. Standard library only."""

import os
import secrets
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parent.parent
ENV_FILE = PROJECT_ROOT / ".env"

SERVER = "server"
"""Name of the server among the apps, beside the ids of the client apps."""


class ConfigurationError(Exception):
    """A setting or a secret cannot be used; the message, for people, says which and what to do."""

    @property
    def message(self) -> str:
        return str(self)


def server_secret_names() -> list[str]:
    """Name the secrets that only the server has: its cookie key, and the tokens of its two built-in links."""
    return ["SERVER_SECRET_KEY", "OPERATOR_TOKEN", "ADMINISTRATOR_TOKEN"]


def client_secret_names(client_id: str) -> list[str]:
    """Name the secrets of one client app: its token at the server, its clinicians' token, its cookie key."""
    prefix = env_prefix(client_id)
    return [f"{prefix}_TOKEN", f"{prefix}_CLINICIAN_TOKEN", f"{prefix}_SECRET_KEY"]


def secret_names(client_ids: Iterable[str]) -> list[str]:
    """Name all secrets of the server and of these client apps."""
    return [*server_secret_names(), *(name for client_id in client_ids for name in client_secret_names(client_id))]


def env_prefix(client_id: str) -> str:
    """Turn ``Client-1`` into ``CLIENT_1``."""
    return client_id.upper().replace("-", "_")


def new_secret() -> str:
    """Return 256 random bits, safe in a URL."""
    return secrets.token_urlsafe(32)


def load_or_create(name: str, *, given: Mapping[str, str | None], folder: Path) -> str:
    """Return a secret: the given one if there is one, else the file of that name, made now if it is missing.

    The file appears with its whole content or not at all, so that two processes that share a folder and start together
    agree on one value.

    Raises
    ------
    ConfigurationError
        When the file cannot be made or read, or is empty.
    """
    if value := (given.get(name) or "").strip():
        return value
    path = folder / name
    try:
        if not path.exists():
            _publish_once(path, new_secret())
        _close_to_others(path)
        made = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The secret in {path} cannot be made or read ({type(error).__name__}).") from error
    if not made:
        raise ConfigurationError(f"The secret in {path} is empty. Remove the file, and a new one is made.")
    return made


def _close_to_others(path: Path) -> None:
    """Leave a secret and its folder to their owner: one that was copied back may be open to all."""
    for opened in (path.parent, path):
        mode = opened.stat().st_mode
        if mode & 0o077 and os.name == "posix":
            with suppress(OSError):  # what is mounted for us is its owner's to close
                opened.chmod(mode & 0o700)


def _publish_once(path: Path, value: str) -> None:
    make_folder(path.parent)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(value + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)
        sync_folder(path.parent)
    except FileExistsError:
        return  # the other process was first, and its value counts
    finally:
        Path(temporary).unlink()


def append_secrets(path: Path, names: Iterable[str]) -> None:
    """Append new secrets to a ``.env``, changing no line that is there; it is its owner's alone afterwards."""
    added = "".join(f"{name}={new_secret()}\n" for name in names)
    if added:
        before = path.read_bytes() if path.exists() else b""
        separator = "\n" if before and not before.endswith(b"\n") else ""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "a", encoding="ascii") as file:
            file.write(separator + added)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)
    if path.exists():
        path.chmod(0o600)


def make_folder(folder: Path) -> None:
    """Make a folder for its owner alone, and those above it, unless they are there; their names are on disk then."""
    missing = [above for above in folder.parents if not above.exists()]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for made in missing:
        sync_folder(made.parent)
    with suppress(PermissionError):  # nobody reads the folder above one that was given to us
        sync_folder(folder.parent)  # also if it is there: a start that was cut off may have made it


def sync_folder(folder: Path) -> None:
    """Put the names in a folder on disk; Windows does so by itself."""
    if os.name == "posix":
        sync(folder, os.O_RDONLY)


def sync(path: Path, flags: int) -> None:
    """Put what was written to a file, or the names in a folder, on disk."""
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
