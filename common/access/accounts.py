"""The people of one app: what is kept of an account (what proves one, and no token or password), and its changes."""

import hashlib
import secrets
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, delete, insert, or_, select, update

from common.access.file import AccessStore, accounts, app, sessions
from common.access.roles import BuiltInToken, Role
from common.errors import InvalidAccountError
from config.secrets import client_secret_names, server_secret_names
from config.settings import ClientSettings, ServerSettings

MAX_NAME_CHARACTERS: Final = 64


@dataclass(frozen=True)
class Account:
    """One person (or built-in link); ``token_hash`` is SHA-256 in hex, times are seconds since 1970.

    The setting that ``built_in`` names gives the token of an account that was not added by a person.
    """

    id: str
    name: str
    role: Role
    created_at: float
    built_in: str | None = None
    revoked_at: float | None = None
    token_hash: str | None = field(default=None, repr=False)
    password_hash: str | None = field(default=None, repr=False)


ACCOUNT_COLUMNS: Final = [accounts.c[one.name] for one in fields(Account)]

_IN_USE: Final = accounts.c.revoked_at.is_(None)


def account_of(row: Sequence[Any]) -> Account:
    """Return the account of a row of ``ACCOUNT_COLUMNS``."""
    id_, name, role, *others = row
    return Account(id_, name, Role(role), *others)


def hash_of(secret: str) -> str:
    """Return the SHA-256 of a secret in hex: 256 random bits cannot be guessed, so nothing slower is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def name_key(name: str) -> str:
    """Return what two names have in common if people would take them for the same."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


class People:
    """The accounts of one app; every method is one short transaction."""

    def __init__(self, file: AccessStore) -> None:
        self._file = file

    def all(self) -> list[Account]:
        """Return every account in the order they were made, revoked ones too."""
        return self._select()

    def of_token(self, token: str) -> Account | None:
        """Return the account in use whose link has this token; only hashes meet, so the time it takes tells nothing."""
        return next(iter(self._select(_IN_USE, accounts.c.token_hash == hash_of(token))), None)

    def named(self, name: str) -> Account | None:
        """Return the account in use of this name."""
        return next(iter(self._select(_IN_USE, accounts.c.name_key == name_key(name))), None)

    def have_passwords(self) -> bool:
        return bool(self._select(_IN_USE, accounts.c.password_hash.is_not(None)))

    def find(self, name_or_id: str) -> Account:
        """Return the account of a name or id, one that is in use before one that was revoked.

        Raises
        ------
        InvalidAccountError
            If there is none.
        """
        key = name_key(name_or_id)
        found = self._select(or_(accounts.c.id == key, accounts.c.name_key == key))
        if not found:
            raise InvalidAccountError("There is no account with this name or id. The command list shows all accounts.")
        return min(found, key=lambda account: account.revoked_at is not None)

    def add(self, name: str, role: Role, token: str, now: float) -> Account:
        """Add an account that signs in with a token.

        Raises
        ------
        InvalidAccountError
            If the name cannot be used or is in use.
        """
        account = Account(secrets.token_hex(4), _checked_name(name), role, now, token_hash=hash_of(token))
        with self._file.writing() as connection:
            _require_free_name(connection, account.name)
            _insert(connection, account)
        return account

    def give_link(self, account: Account, token: str) -> None:
        """Give an account another token, in place of a revocation too; its sessions are over.

        Raises
        ------
        InvalidAccountError
            If its token comes from the settings, or its name was given to another account meanwhile.
        """
        if account.built_in:
            raise InvalidAccountError(
                f"This link comes from {account.built_in}: remove that line from .env (or the file of that name from "
                "the secrets), then start the system again."
            )
        with self._file.writing() as connection:
            if account.revoked_at is not None:
                _require_free_name(connection, account.name)
            _change(connection, account.id, token_hash=hash_of(token), revoked_at=None)

    def set_password(self, account: Account, password_hash: str) -> None:
        """Give an account a password; its sessions are over.

        Raises
        ------
        InvalidAccountError
            If it is a built-in account.
        """
        with self._file.writing() as connection:  # asked now: it may have been revoked while the password was typed
            in_use = select(accounts.c.id).where(accounts.c.id == account.id, accounts.c.revoked_at.is_(None))
            if account.built_in or connection.execute(in_use).first() is None:
                raise InvalidAccountError("Only a person's account that is in use can have a password. Add one first.")
            _change(connection, account.id, password_hash=password_hash)

    def revoke(self, account: Account, now: float) -> None:
        """End an account and its sessions; a built-in one comes back when the settings give it another token."""
        token_hash = account.token_hash if account.built_in else None
        with self._file.writing() as connection:
            _change(connection, account.id, token_hash=token_hash, password_hash=None, revoked_at=now)

    def take_built_in(self, tokens: Iterable[BuiltInToken], url: str, now: float) -> None:
        """Note the tokens that the settings give, and the app's address; what another token opened before is over."""
        with self._file.writing() as connection:
            known = {row.id: row.token_hash for row in connection.execute(select(accounts.c.id, accounts.c.token_hash))}
            for given in tokens:
                account = Account(
                    given.role, given.role.capitalize(), given.role, now, given.setting, None, hash_of(given.token)
                )
                if account.id not in known:
                    _insert(connection, account)
                # The same token stays as it is, revoked or not: only a new one brings a revoked account back.
                elif known[account.id] != account.token_hash:
                    _change(connection, account.id, token_hash=account.token_hash, password_hash=None, revoked_at=None)
            # For the commands, which run without the app's port and address.
            connection.execute(delete(app))
            connection.execute(insert(app).values(url=url))

    def url(self) -> str | None:
        """Return the address that people reach the app at, as it said when it last started."""
        with self._file.reading() as connection:
            return connection.scalar(select(app.c.url))

    def _select(self, *conditions: ColumnElement[bool]) -> list[Account]:
        chosen = select(*ACCOUNT_COLUMNS).where(*conditions).order_by(accounts.c.created_at, accounts.c.id)
        with self._file.reading() as connection:
            return [account_of(row) for row in connection.execute(chosen)]


def built_in_tokens(settings: ServerSettings | ClientSettings) -> list[BuiltInToken]:
    """Return the tokens of the built-in links: an operator's and an administrator's, or a clinician's."""
    if isinstance(settings, ClientSettings):
        clinician = client_secret_names(settings.client_id)[1]
        return [BuiltInToken(Role.CLINICIAN, clinician, settings.secrets.clinician_token)]
    _, operator, administrator = server_secret_names()
    return [
        BuiltInToken(Role.OPERATOR, operator, settings.secrets.operator_token),
        BuiltInToken(Role.ADMINISTRATOR, administrator, settings.secrets.administrator_token),
    ]


def _checked_name(name: str) -> str:
    """Return a name with no more spaces than it needs."""
    name = unicodedata.normalize("NFC", name.strip())
    if not name or len(name) > MAX_NAME_CHARACTERS or not name.isprintable():
        raise InvalidAccountError(f"A name must have 1 to {MAX_NAME_CHARACTERS} characters, all of them visible.")
    if name_key(name) in set(Role):
        raise InvalidAccountError("Role names are reserved for the built-in links. Choose another name.")
    return " ".join(name.split())


def _require_free_name(connection: Connection, name: str) -> None:
    if connection.scalar(select(accounts.c.id).where(_IN_USE, accounts.c.name_key == name_key(name))):
        raise InvalidAccountError(
            "There is already an account with this name. Choose another, or revoke that one first."
        )


def _insert(connection: Connection, account: Account) -> None:
    values = {one.name: getattr(account, one.name) for one in fields(Account)}
    connection.execute(insert(accounts).values(name_key=name_key(account.name), **values))


def _change(connection: Connection, account_id: str, **proofs: str | float | None) -> None:
    """Replace what an account signs in with."""
    # In the same transaction: a session must not outlive the proof that it was begun with.
    connection.execute(update(accounts).where(accounts.c.id == account_id).values(**proofs))
    connection.execute(delete(sessions).where(sessions.c.account_id == account_id))
