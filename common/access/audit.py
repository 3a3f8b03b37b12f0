"""The audit trail of one app: who did what, in rows that are only ever added."""

import getpass
import logging
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import insert, select

from common.access.file import AccessStore, audit
from common.errors import StoreUnavailableError
from config.secrets import ConfigurationError

log = logging.getLogger(__name__)


class Action(StrEnum):
    """What an entry can be about; ``target`` names a prediction, session, account, version or file."""

    SIGNED_IN = "signed_in"
    SIGN_IN_FAILED = "sign_in_failed"
    SIGNED_OUT = "signed_out"
    SESSION_ENDED = "session_ended"
    WATCHED_LIVE = "watched_live"
    READ_PREDICTIONS = "read_predictions"
    READ_PREDICTION = "read_prediction"
    READ_CHANGE_LOG = "read_change_log"
    READ_HISTORY = "read_history"
    READ_AUDIT_TRAIL = "read_audit_trail"
    SUBMITTED_PATIENT = "submitted_patient"
    WITHDREW_PATIENT = "withdrew_patient"
    ACCOUNT_ADDED = "account_added"
    ACCOUNT_RENEWED = "account_renewed"
    ACCOUNT_REVOKED = "account_revoked"
    PASSWORD_SET = "password_set"  # noqa: S105 - the name of an action
    PREDICTIONS_ERASED = "predictions_erased"
    RECORD_BACKED_UP = "record_backed_up"
    RECORD_RESTORED = "record_restored"
    MODEL_ACTIVATED = "model_activated"


@dataclass(frozen=True)
class Actor:
    """Who acts: an account by its id and name, its role, and the address the request came from."""

    account: str
    name: str
    role: str
    address: str = ""


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


class AuditTrail:
    """The trail of one app; several processes may add to it. Every entry is on disk when ``record`` returns."""

    def __init__(self, file: AccessStore, clock: Callable[[], float]) -> None:
        """``clock`` gives seconds since 1970."""
        self._file = file
        self._clock = clock

    def record(self, actor: Actor, action: Action, target: str = "") -> None:
        """Add an entry; where that cannot be done the log says so, and what was done stays done."""
        at = datetime.fromtimestamp(self._clock(), UTC).isoformat()
        try:  # a full disk must not keep people from their patients: what is missing is in the log
            with self._file.writing() as connection:
                connection.execute(insert(audit).values(at=at, **asdict(actor), action=action, target=target))
        except StoreUnavailableError as error:
            log.error("%s was not recorded in the audit trail: %s", action, error.message)  # noqa: TRY400

    def newest(self, limit: int, *, before: int | None = None) -> list[Entry]:
        """Return entries with numbers below ``before``, newest first; raises ``StoreUnavailableError``."""
        chosen = select(audit).order_by(audit.c.number.desc()).limit(limit)
        if before is not None:
            chosen = chosen.where(audit.c.number < before)
        with self._file.reading() as connection:
            return [Entry(**row) for row in connection.execute(chosen).mappings()]


COMMAND: Final = "command"
"""The role of a person who runs a command on the app's own machine."""


def user_of_system() -> Actor:
    """Return who runs a command: the system's user, by name."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        user = "unknown"
    return Actor(f"user:{user}", user, COMMAND)


def record_command(open_store: Callable[[], AccessStore], action: Action, target: str = "") -> None:
    """Put what a command has done into an app's trail; if that fails, the command says so and undoes nothing."""
    try:
        trail = AuditTrail(open_store(), time.time)
    except (StoreUnavailableError, ConfigurationError) as error:
        print(f"This was not recorded in the audit trail. {error.message}", file=sys.stderr)
        return
    trail.record(user_of_system(), action, target)
