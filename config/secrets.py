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

CLIENT_IDS = ("Client-1", "Client-2", "Client-3")
"""The client apps that the scripts start, on the ports after the server's."""


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


def load(files: Iterable[Path], given: Mapping[str, str]) -> list[str]:
    """Return secrets: those that are given under a file's name, else what is in the file, made now if it is missing.

    Raises
    ------
    ConfigurationError
        When a file cannot be created or read, or is empty.
    """
    return [given.get(file.name, "").strip() or _load_file(file) for file in files]


def is_scaled(database_url: str) -> bool:
    """Tell whether several servers may share a database: it is PostgreSQL."""
    return database_url.startswith("postgresql")


def require(files: Iterable[Path], given: Mapping[str, str]) -> None:
    """Make nothing: see that secrets are given, or in these files of their names.

    Raises
    ------
    ConfigurationError
        Naming those that are missing, and how to make them.
    """
    if missing := [file.name for file in files if not given.get(file.name, "").strip() and not file.exists()]:
        raise ConfigurationError(
            "With PostgreSQL every server needs the same secrets, so none is generated. Missing: "
            f"{', '.join(missing)}. Put a line NAME=VALUE for each into .env, or into the environment of every server. "
            "To generate them, run python3 launcher.py secrets"
        )


def _load_file(path: Path) -> str:
    try:
        if not path.exists():
            _publish_once(path, new_secret())
        for opened in (path.parent, path):
            with suppress(OSError):  # what is mounted for us is its owner's to close
                opened.chmod(opened.stat().st_mode & 0o700)  # one that was copied back may be open to all
        made = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The secret in {path} cannot be created or read ({type(error).__name__}).") from error
    if not made:
        raise ConfigurationError(f"The secret in {path} is empty. Delete the file to have a new secret generated.")
    return made


def _publish_once(path: Path, value: str) -> None:
    """Make a file that appears whole or not at all: processes that share a folder and start together agree on one."""
    make_folder(path.parent)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        _write(descriptor, value + "\n")
        os.link(temporary, path)  # fails if the name is taken; a rename would replace what others may have read
        sync_folder(path.parent)
    except FileExistsError:
        return  # the other process was first, and its value counts
    finally:
        Path(temporary).unlink()


def _write(descriptor: int, text: str) -> None:
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def complete(given: Mapping[str, str]) -> list[str]:
    """Write the secrets of the apps that the scripts start into ``.env`` unless they are given; return their names.

    Raises
    ------
    ConfigurationError
        When the database is one of several servers: none is made then.
    """
    names = secret_names(CLIENT_IDS)
    if is_scaled(given.get("DATABASE_URL", "")):
        require([ENV_FILE / name for name in names], given)
    missing = [name for name in names if name not in given]
    append_secrets(ENV_FILE, missing)
    return missing


def append_secrets(path: Path, names: Iterable[str]) -> None:
    """Append new secrets to a ``.env``, changing no line that is there; it is its owner's alone afterwards."""
    added = "".join(f"{name}={new_secret()}\n" for name in names)
    if added:
        before = path.read_bytes() if path.exists() else b""
        separator = "\n" if before and not before.endswith(b"\n") else ""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        _write(descriptor, separator + added)
        sync_folder(path.parent)
    if path.exists():
        path.chmod(0o600)


def make_folder(folder: Path) -> None:
    """Make a folder for its owner alone, and those above it, unless they are there; their names are on disk then."""
    if not folder.parent.exists():
        make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    with suppress(PermissionError):  # nobody reads the folder above one that was given to us
        sync_folder(folder.parent)  # also if it is there: a start that was cut off may have made it


def sync_folder(folder: Path) -> None:
    """Put the names in a folder on disk; on Windows the system does so."""
    if os.name == "posix":
        sync(folder, os.O_RDONLY)


def sync(path: Path, flags: int) -> None:
    """Put what was written to a file, or the names in a folder, on disk."""
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
