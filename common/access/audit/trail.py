"""The audit trail of one app: entries that are only ever added, each sealed together with all before it.

An entry is a line of JSON that ends with its ``mac``: HMAC-SHA256 (RFC 2104) over the MAC of the entry before and the
bytes of this one. Without the key nobody can change, remove, add or reorder entries unseen, but for the last ones: a
trail that was cut short is whole in itself. Whoever keeps its head (number and MAC of the last entry) elsewhere sees
that as well.
"""

import hashlib
import hmac
import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Final

from common.errors import AuditUnavailableError
from common.file_lock import locked
from config.secrets import make_folder, sync_folder

log = logging.getLogger(__name__)

KEY_NAME: Final = "AUDIT_KEY"
_BEGINNING: Final = "0" * 64
_SEALED = re.compile(rb'(\{"number":(\d{1,15}),.*),"mac":"([0-9a-f]{64})"\}')
_LONGEST_ENTRY: Final = 4096
_BLOCK: Final = 65_536


class Action(StrEnum):
    """What an entry can be about; ``target`` names a prediction, session, account, version or file."""

    SIGNED_IN = "signed_in"
    SIGN_IN_FAILED = "sign_in_failed"
    SIGNED_OUT = "signed_out"
    SESSION_ENDED = "session_ended"
    OPENED_DASHBOARD = "opened_dashboard"
    WATCHED_LIVE = "watched_live"
    READ_PREDICTIONS = "read_predictions"
    READ_PREDICTION = "read_prediction"
    READ_CHANGE_LOG = "read_change_log"
    READ_HISTORY = "read_history"
    READ_AUDIT_TRAIL = "read_audit_trail"
    SUBMITTED_PATIENT = "submitted_patient"
    ACCOUNT_ADDED = "account_added"
    ACCOUNT_RENEWED = "account_renewed"
    ACCOUNT_REVOKED = "account_revoked"
    PASSWORD_SET = "password_set"  # noqa: S105 - the name of an action
    PREDICTIONS_ERASED = "predictions_erased"
    RECORD_BACKED_UP = "record_backed_up"
    RECORD_RESTORED = "record_restored"
    MODEL_ACTIVATED = "model_activated"
    TRAIL_DAMAGED = "trail_damaged"


@dataclass(frozen=True)
class Actor:
    """Who acts: an account by its id and name, its role, and the address the request came from."""

    account: str
    name: str
    role: str
    address: str = ""


NOBODY: Final = Actor("", "", "")
"""Somebody whose sign-in failed, or the program itself."""


@dataclass(frozen=True)
class Entry:
    """One entry; ``at`` is in ISO 8601 with its offset. There is no patient's value or reference in it."""

    number: int
    at: str
    account: str
    name: str
    role: str
    address: str
    action: str
    target: str


@dataclass(frozen=True)
class Head:
    """Number and MAC of the last entry of a trail."""

    number: int
    mac: str

    def __str__(self) -> str:
        return f"{self.number}:{self.mac}"


class AuditTrail:
    """The trail of one app; several processes may add to it. Every entry is on disk when ``record`` returns."""

    def __init__(self, path: Path, key: str, *, clock: Callable[[], datetime]) -> None:
        self._path = path
        self._key = key.encode()
        self._clock = clock
        self._left_at: tuple[int, Head] | None = None
        self._one_at_a_time = Lock()

    def record(self, actor: Actor, action: Action, target: str = "") -> Head:
        """Add an entry and return the new head.

        Raises
        ------
        AuditUnavailableError
            If it cannot be written.
        """
        with self._one_at_a_time:
            try:
                make_folder(self._path.parent)
                with locked(lock_file(self._path)):
                    return self._append(actor, action, target)
            except OSError as error:
                log.error("the audit trail %s cannot be written: %s", self._path, error.strerror)  # noqa: TRY400
                raise AuditUnavailableError from error

    def require_writable(self) -> None:
        """Raise AuditUnavailableError if nothing can be added now, as far as that can be known without adding."""
        try:
            make_folder(self._path.parent)
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            if shutil.disk_usage(self._path.parent).free < _LONGEST_ENTRY:
                raise AuditUnavailableError
        except OSError as error:
            raise AuditUnavailableError from error

    def newest(self, limit: int, *, before: int | None = None) -> list[Entry]:
        """Return entries with numbers below ``before``, newest first; raises ``AuditUnavailableError``."""
        try:
            entries = (entry for line in _lines_backwards(self._path) if (entry := _entry_of(line)))
            wanted = (entry for entry in entries if before is None or entry.number < before)
            return list(islice(wanted, limit))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise AuditUnavailableError from error

    def _append(self, actor: Actor, action: Action, target: str) -> Head:
        is_new = not self._path.exists()
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            end = file.seek(0, os.SEEK_END)
            if is_new:
                sync_folder(self._path.parent)
            tail = _tail_of(self._path, end, self._key)
            added = b""
            head = tail.head
            if damage := self._damage(tail):
                head, line = self._sealed(head, NOBODY, Action.TRAIL_DAMAGED, damage)
                added += line
            head, line = self._sealed(head, actor, action, target)
            added += line
            file.seek(tail.ends_at)
            file.write(added)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
        self._left_at = tail.ends_at + len(added), head
        return head

    def _damage(self, tail: "_Tail") -> str:
        """Say what happened to the end of the trail since this process left it, or ``""``."""
        if tail.torn:
            log.warning("the audit trail %s ended within an entry of %d bytes, which is gone", self._path, tail.torn)
            return f"an entry that was cut off after {tail.torn} bytes was removed"
        if self._left_at is None:
            return ""
        at, head = self._left_at
        if tail.ends_at >= at and _head_at(self._path, at) == head:
            return ""
        log.error("the audit trail %s was changed by somebody else: entry %d is missing", self._path, head.number)
        return f"entry {head} is missing"

    def _sealed(self, before: Head, actor: Actor, action: Action, target: str) -> tuple[Head, bytes]:
        entry = Entry(before.number + 1, self._clock().isoformat(), **asdict(actor), action=action, target=target)
        body = json.dumps(asdict(entry), separators=(",", ":")).encode()
        mac = seal(self._key, before.mac, body[:-1])
        return Head(entry.number, mac), body[:-1] + f',"mac":"{mac}"}}\n'.encode()


def seal(key: bytes, before: str, body: bytes) -> str:
    """Return the MAC of an entry's bytes up to its MAC, chained to the MAC of the entry before."""
    return hmac.new(key, before.encode() + body, hashlib.sha256).hexdigest()


def lock_file(path: Path) -> Path:
    """Return the empty file that those who add entries lock."""
    return path.with_name(f"{path.name}.lock")


def trail_file(data_dir: Path, app: str) -> Path:
    """Return where an app keeps its trail."""
    return data_dir / app / "audit.jsonl"


@dataclass(frozen=True)
class Verdict:
    """What a check of a trail found: its head, as far as it is whole, and what is wrong, in sentences."""

    head: Head
    problems: tuple[str, ...]


def verify(path: Path, key: str, *, expected: Head | None = None) -> Verdict:
    """Check every entry of a trail, and, if it was kept elsewhere, that an earlier head is still part of it.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    content = path.read_bytes()
    problems: list[str] = []
    head = Head(0, _BEGINNING)
    was_there = expected in (None, head)
    for line in _lines(content):
        sealed = _SEALED.fullmatch(line)
        number = head.number + 1
        if sealed is None or int(sealed[2]) != number or seal(key.encode(), head.mac, sealed[1]) != sealed[3].decode():
            problems.append(
                f"Entry {number} is not what was written: it, or something before it, was changed, moved or removed."
            )
            break
        head = Head(number, sealed[3].decode())
        was_there = was_there or head == expected
        if (entry := _entry_of(line)) and entry.action == Action.TRAIL_DAMAGED:
            problems.append(f"Entry {number} says: {entry.target}.")
    if torn := len(content) - (content.rfind(b"\n") + 1):
        problems.append(f"After the last whole entry there are {torn} bytes of one that was cut off.")
    if not was_there and expected is not None:
        problems.append(f"Entry {expected.number}, the head that was kept, is not there: later entries were removed.")
    return Verdict(head, tuple(problems))


def _lines(content: bytes) -> Iterator[bytes]:
    return iter(content[: content.rfind(b"\n") + 1].split(b"\n")[:-1])


@dataclass(frozen=True)
class _Tail:
    """The last whole entry, where it ends, and how many bytes of one that was cut off follow."""

    head: Head
    ends_at: int
    torn: int


def _tail_of(path: Path, size: int, key: bytes) -> _Tail:
    """Find the last entry that is sealed as it should be; up to one more may have been cut off by a loss of power.

    Where more than that is not in order it was no loss of power. Then nothing is removed, and ``verify`` finds it.
    """
    start = max(0, size - 3 * _LONGEST_ENTRY)
    with path.open("rb") as file:
        file.seek(start)
        content = file.read()
    before = Head(0, _BEGINNING)
    good, last = _Tail(before, start, len(content)), _Tail(before, start + len(content), 0)
    ends_at = start
    for line in _lines(content):
        ends_at += len(line) + 1
        if sealed := _SEALED.fullmatch(line):
            head = Head(int(sealed[2]), sealed[3].decode())
            last = _Tail(head, start + len(content), 0)
            if seal(key, before.mac, sealed[1]) == head.mac:
                good = _Tail(head, ends_at, start + len(content) - ends_at)
            before = head
    is_known = good.head.number > 0 or start == 0
    return good if is_known and good.torn <= _LONGEST_ENTRY else last


def _head_at(path: Path, ends_at: int) -> Head | None:
    with path.open("rb") as file:
        file.seek(max(0, ends_at - 2 * _LONGEST_ENTRY))
        content = file.read(min(ends_at, 2 * _LONGEST_ENTRY))
    sealed = _SEALED.fullmatch(content[:-1].rpartition(b"\n")[2])
    return Head(int(sealed[2]), sealed[3].decode()) if sealed else None


def _lines_backwards(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file, the last one first, reading no more of it than is asked for."""
    with path.open("rb") as file:
        start, rest = file.seek(0, os.SEEK_END), b""
        while start:
            size = min(start, _BLOCK)
            start = file.seek(start - size)
            rest, *lines = (file.read(size) + rest).split(b"\n")
            yield from reversed(lines)
        yield rest


def _entry_of(line: bytes) -> Entry | None:
    try:
        said = json.loads(line)
        return Entry(**{name: said[name] for name in Entry.__dataclass_fields__})
    except (ValueError, TypeError, KeyError):
        return None
