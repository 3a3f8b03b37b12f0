"""The file of one app that keeps its accounts and sessions; the running app and the command share it."""

import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from common.access.accounts import Account, Session, checked_name, hash_of, name_key
from common.access.roles import BuiltInToken, Role
from common.errors import InvalidAccountError, NotSignedInError, StoreUnavailableError
from config.secrets import ConfigurationError, make_folder

SCHEMA_VERSION: Final = 1
BUSY_SECONDS: Final = 0.5
"""How long another process's lock is waited for: on eventlet everybody waits as well."""

_SCHEMA = (
    """CREATE TABLE accounts (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, name_key TEXT NOT NULL, role TEXT NOT NULL, created_at REAL NOT NULL,
        built_in TEXT, revoked_at REAL, token_hash TEXT, password_hash TEXT)""",
    "CREATE UNIQUE INDEX name_in_use ON accounts (name_key) WHERE revoked_at IS NULL",
    """CREATE TABLE sessions (
        id TEXT PRIMARY KEY, account_id TEXT NOT NULL REFERENCES accounts (id), began_at REAL NOT NULL,
        ends_at REAL NOT NULL, last_active_at REAL NOT NULL, address TEXT NOT NULL)""",
    "CREATE TABLE app (url TEXT NOT NULL)",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)


def access_file(data_dir: Path, app: str) -> Path:
    """Return where an app keeps its accounts and sessions."""
    return data_dir / app / "access.sqlite"


class AccessStore:
    """Accounts and sessions in SQLite, mode 600; every method is one short transaction on a connection of its own.

    Every method raises ``StoreUnavailableError`` when the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, or make it.

        Raises
        ------
        ConfigurationError
            If a newer version of this program wrote it.
        """
        self._path = path
        try:
            make_folder(path.parent)
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
            path.chmod(0o600)  # one that was copied back may be open to all, and so may be what is beside it
            path.parent.chmod(0o700)
        except OSError as error:
            raise StoreUnavailableError(f"The accounts in {path} cannot be used: {error.strerror}.") from error
        with self._writing() as connection:
            self._make_schema(connection)

    def accounts(self) -> list[Account]:
        """Return every account in the order they were made, revoked ones too."""
        with self._reading() as connection:
            return _accounts(connection)

    def sessions(self) -> list[Session]:
        """Return the sessions that nobody ended, whether or not their time is over."""
        with self._reading() as connection:
            accounts = {account.id: account for account in _accounts(connection)}
            rows = connection.execute(
                "SELECT id, account_id, began_at, ends_at, last_active_at, address FROM sessions ORDER BY began_at"
            )
            return [Session(row[0], accounts[row[1]], *row[2:]) for row in rows]

    def find(self, name_or_id: str) -> Account:
        """Return the account of a name or id, one that is in use before one that was revoked.

        Raises
        ------
        InvalidAccountError
            If there is none.
        """
        key = name_key(name_or_id)
        found = [account for account in self.accounts() if key in {account.id, name_key(account.name)}]
        if not found:
            raise InvalidAccountError("There is no account of this name or id. The command list shows them.")
        return min(found, key=lambda account: account.revoked_at is not None)

    def add(self, name: str, role: Role, token: str, now: float) -> Account:
        """Add an account that signs in with a token.

        Raises
        ------
        InvalidAccountError
            If the name cannot be used or is in use.
        """
        account = Account(secrets.token_hex(4), checked_name(name), role, now, token_hash=hash_of(token))
        if name_key(name) in set(Role):
            raise InvalidAccountError("The names of roles are the built-in links'. Choose another name.")
        with self._writing() as connection:
            _require_free_name(connection, account.name)
            _insert(connection, account)
        return account

    def renew(self, account: Account, token: str) -> None:
        """Give an account another token, in place of a revocation too; its sessions are over.

        Raises
        ------
        InvalidAccountError
            If its token comes from the settings, or its name was given to another account meanwhile.
        """
        if account.built_in:
            raise InvalidAccountError(
                f"This link comes from {account.built_in}: remove that line from .env (or the file of that name from "
                "the secrets), and start the system again."
            )
        with self._writing() as connection:
            if account.revoked_at is not None:
                _require_free_name(connection, account.name)
            _change(connection, replace(account, token_hash=hash_of(token), revoked_at=None))

    def set_password(self, account: Account, password_hash: str) -> None:
        """Give an account a password; its sessions are over.

        Raises
        ------
        InvalidAccountError
            If it is nobody's own account.
        """
        if account.built_in or account.revoked_at is not None:
            raise InvalidAccountError("Only a person's account that is in use can have a password. Add one first.")
        with self._writing() as connection:
            _change(connection, replace(account, password_hash=password_hash))

    def revoke(self, account: Account, now: float) -> None:
        """End an account and its sessions; a built-in one comes back when the settings give it another token."""
        token_hash = account.token_hash if account.built_in else None
        with self._writing() as connection:
            _change(connection, replace(account, token_hash=token_hash, password_hash=None, revoked_at=now))

    def take_built_in(self, tokens: Iterable[BuiltInToken], url: str, now: float) -> None:
        """Note the tokens that the settings give, and the app's address; what another token opened before is over."""
        with self._writing() as connection:
            known = {account.id: account for account in _accounts(connection)}
            for given in tokens:
                account = _built_in_account(given, now)
                if account.id not in known:
                    _insert(connection, account)
                elif known[account.id].token_hash != account.token_hash:
                    _change(connection, account)
            connection.execute("DELETE FROM app")
            connection.execute("INSERT INTO app (url) VALUES (?)", (url,))

    def url(self) -> str | None:
        """Return the address that people reach the app at, as it said when it last started."""
        with self._reading() as connection:
            row = connection.execute("SELECT url FROM app").fetchone()
        return None if row is None else str(row[0])

    def begin(self, session: Session) -> None:
        """Keep a session, unless its account was changed since it was read.

        Raises
        ------
        NotSignedInError
            If it was.
        """
        account = session.account
        with self._writing() as connection:
            connection.execute("DELETE FROM sessions WHERE ends_at <= ?", (session.began_at,))
            kept = connection.execute(
                "INSERT INTO sessions SELECT ?, id, ?, ?, ?, ? FROM accounts"
                " WHERE id = ? AND revoked_at IS NULL AND token_hash IS ? AND password_hash IS ?",
                (
                    *(session.id, session.began_at, session.ends_at, session.last_active_at, session.address),
                    *(account.id, account.token_hash, account.password_hash),
                ),
            )
            if kept.rowcount != 1:
                raise NotSignedInError

    def end(self, session_ids: Iterable[str]) -> None:
        with self._writing() as connection:
            connection.executemany("DELETE FROM sessions WHERE id = ?", [(session_id,) for session_id in session_ids])

    def note_activity(self, last_active_at: Mapping[str, float]) -> None:
        """Keep when somebody was last active in each of these sessions, by their ids."""
        with self._writing() as connection:
            connection.executemany(
                "UPDATE sessions SET last_active_at = ? WHERE id = ?",
                [(at, session_id) for session_id, at in last_active_at.items()],
            )

    def _make_schema(self, connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            for statement in _SCHEMA:
                connection.execute(statement)
        elif version != SCHEMA_VERSION:
            raise ConfigurationError(
                f"The accounts in {self._path} were written by a newer version of this program. Update it."
            )

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._transaction("BEGIN") as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        address = f"{self._path.absolute().as_uri()}?mode=rw"  # a file that is gone is not made anew, open to all
        try:
            with closing(sqlite3.connect(address, BUSY_SECONDS, uri=True, isolation_level=None)) as connection:
                connection.execute("PRAGMA journal_mode = TRUNCATE")
                connection.execute("PRAGMA foreign_keys = ON")
                connection.execute(begin)
                yield connection
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreUnavailableError(f"The accounts in {self._path} cannot be used: {error}.") from error


def _accounts(connection: sqlite3.Connection) -> list[Account]:
    rows = connection.execute(
        "SELECT id, name, role, created_at, built_in, revoked_at, token_hash, password_hash FROM accounts"
        " ORDER BY created_at, id"
    )
    return [Account(id_, name, Role(role), *others) for id_, name, role, *others in rows]


def _built_in_account(given: BuiltInToken, now: float) -> Account:
    return Account(given.role, given.role.capitalize(), given.role, now, given.setting, None, hash_of(given.token))


def _insert(connection: sqlite3.Connection, account: Account) -> None:
    connection.execute(
        "INSERT INTO accounts (id, name, name_key, role, created_at, built_in, revoked_at, token_hash, password_hash)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(account.id, account.name, name_key(account.name), account.role, account.created_at),
            *(account.built_in, account.revoked_at, account.token_hash, account.password_hash),
        ),
    )


def _change(connection: sqlite3.Connection, account: Account) -> None:
    """Keep what an account is signed in with from now on, which ends its sessions."""
    connection.execute(
        "UPDATE accounts SET token_hash = ?, password_hash = ?, revoked_at = ? WHERE id = ?",
        (account.token_hash, account.password_hash, account.revoked_at, account.id),
    )
    connection.execute("DELETE FROM sessions WHERE account_id = ?", (account.id,))


def _require_free_name(connection: sqlite3.Connection, name: str) -> None:
    taken = connection.execute(
        "SELECT 1 FROM accounts WHERE name_key = ? AND revoked_at IS NULL", (name_key(name),)
    ).fetchone()
    if taken:
        raise InvalidAccountError("There is an account of this name already. Choose another, or revoke that one first.")
