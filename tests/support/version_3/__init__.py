"""An installation of version 3 as it was left behind, and what it told of itself; README.md says how it was made."""

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent


def restore(folder: Path) -> None:
    """Rebuild ``.env`` and ``.local`` in a folder; sessions are as old as they were when they were kept."""
    _write(folder / ".env", (_HERE / "env").read_bytes())
    for kept in sorted(path for path in (_HERE / "local").rglob("*") if path.is_file()):
        target = folder / ".local" / kept.relative_to(_HERE / "local")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.parent.chmod(0o700)
        if kept.suffix == ".sql":
            _write(target.with_suffix(""), b"")
            _rebuild(target.with_suffix(""), kept.read_text(encoding="utf-8"))
        else:
            _write(target, kept.read_bytes())


def expected() -> Any:
    """Return what was true of it, with whole predictions in all places."""
    told = json.loads((_HERE / "expected.json").read_text(encoding="utf-8"))
    whole = {item["prediction"]["prediction_id"]: item["prediction"] for item in told["predictions"]}
    for entries in [*told["changes"].values(), *(desk["entries"] for desk in told["desks"].values())]:
        for entry in entries:
            if isinstance(entry["prediction"], str):
                entry["prediction"] = whole[entry["prediction"]]
    return told


def proofs() -> Any:
    """Return invented tokens, passwords, cookies and keys: ``people`` by app and name, ``sessions``, ``env``."""
    return json.loads((_HERE / "proofs.json").read_text(encoding="utf-8"))


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)


def _rebuild(path: Path, statements: str) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.executescript(statements)
        if path.name == "access.sqlite":
            # Nobody was active after the file was kept, so the newest activity is the age of all of it.
            newest = "SELECT max(last_active_at) FROM sessions"
            (at,) = database.execute(newest).fetchone()
            since = time.time() - (at or 0)
            database.execute(
                "UPDATE sessions SET began_at = began_at + ?1, ends_at = ends_at + ?1, "
                "last_active_at = last_active_at + ?1",
                (since,),
            )
            database.commit()
