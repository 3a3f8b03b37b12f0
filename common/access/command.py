"""The command that manages who may use an app and shows who did what: ``server.access`` and ``client.access``."""

import argparse
import getpass
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from common.access.accounts import Account, People
from common.access.audit import Action, AuditTrail, user_of_system
from common.access.file import AccessStore, file_of
from common.access.passwords import password_hash
from common.access.roles import Role, roles_of, sign_in_link
from common.access.sessions import sessions_of
from common.errors import NAMED_ERRORS, InvalidAccountError
from common.settings_errors import SETTINGS_ERRORS, settings_sentence
from config.secrets import new_secret
from config.settings import ClientSettings, ServerSettings

SHOWN_ENTRIES: Final = 50


def main(
    arguments: Sequence[str],
    settings_class: type[ServerSettings] | type[ClientSettings],
    open_store: Callable[[Any], AccessStore] = file_of,
) -> int:
    """Run one command; return 0, 1 when it could not be done, 2 when a setting cannot be used."""
    options = _parser(settings_class).parse_args(arguments)
    run, _, action, _ = _COMMANDS[options.command]
    given: dict[str, Any] = {"client_id": options.client} if settings_class is ClientSettings else {}
    try:
        settings = settings_class(**given)
    except SETTINGS_ERRORS as error:
        print(settings_sentence(error), file=sys.stderr)
        return 2
    try:
        office = _Office(settings, open_store(settings))
        target = run(office, options)
        if action is not None:
            office.trail.record(user_of_system(), action, target or "")
    except NAMED_ERRORS as error:
        print(error.message, file=sys.stderr)
        return 1
    except UnicodeDecodeError:
        print("The password is not text in this terminal's encoding.", file=sys.stderr)
        return 1
    return 0


def _parser(settings_class: type[ServerSettings] | type[ClientSettings]) -> argparse.ArgumentParser:
    side = "client" if settings_class is ClientSettings else "server"
    parser = argparse.ArgumentParser(
        prog=f"python -m {side}.access",
        description="Manage who may sign in, and show who did what; a running app follows within a second.",
    )
    if settings_class is ClientSettings:
        parser.add_argument("client", metavar="CLIENT", help="which client app, such as client-1")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (_, argument, _, help_) in _COMMANDS.items():
        command = commands.add_parser(name, help=help_)
        if argument:
            command.add_argument("argument", metavar=argument)
        if name == "add":
            roles = [role.value for role in Role]  # as words: before Python 3.12 an error shows members as code
            command.add_argument("--role", choices=roles, help="default: clinician, or operator at the server")
    return parser


class _Office:
    """What one app knows of its people; a command that changes something returns the id for the audit trail."""

    def __init__(self, settings: ServerSettings | ClientSettings, file: AccessStore) -> None:
        self._app_name = settings.app_name
        self._people = People(file)
        self._sessions = sessions_of(file, settings, time.time)
        self.trail = AuditTrail(file, time.time)
        if (url := self._people.url()) is None:
            print(f"Note: {self._app_name} has not been started with these settings yet.", file=sys.stderr)
        self._url = url or settings.public_url.rstrip("/") or f"http://ADDRESS-OF-{self._app_name}"

    def list(self, _: argparse.Namespace) -> None:
        signed_in = [session.account.id for session in self._sessions.all()]
        rows = [
            (one.id, one.name, one.role, _proofs(one), f"{_utc(one.created_at):%Y-%m-%d}", str(signed_in.count(one.id)))
            for one in self._people.all()
        ]
        _print_table(("id", "name", "role", "signs in with", "since", "sessions"), rows)

    def add(self, options: argparse.Namespace) -> str:
        roles = roles_of(self._app_name)
        role = Role(options.role) if options.role else roles[0]
        if role not in roles:
            raise InvalidAccountError(f"{self._app_name} has no such role. It has: {', '.join(roles)}.")
        token = new_secret()
        return self._print_link(self._people.add(options.argument, role, token, time.time()), token)

    def link(self, options: argparse.Namespace) -> str:
        account, token = self._people.find(options.argument), new_secret()
        self._people.give_link(account, token)
        return self._print_link(account, token)

    def _print_link(self, account: Account, token: str) -> str:
        print(f"{account.name} ({account.id}), {account.role}. Sign-in link, shown only this once:")
        print(sign_in_link(self._url, token))
        return account.id

    def password(self, options: argparse.Namespace) -> str:
        # The account comes first: a wrong name shows before a password is typed.
        account = self._people.find(options.argument)
        self._people.set_password(account, password_hash(_new_password(), account.name))
        print(f"{account.name} ({account.id}) can now sign in with this password and the name; the link still works.")
        return account.id

    def revoke(self, options: argparse.Namespace) -> str:
        account = self._people.find(options.argument)
        self._people.revoke(account, time.time())
        back = f" Another value of {account.built_in} brings it back." if account.built_in else ""
        print(f"{account.name} ({account.id}) can no longer sign in, and is signed out everywhere.{back}")
        return account.id

    def sessions(self, _: argparse.Namespace) -> None:
        rows = []
        for one in self._sessions.all():
            times = [f"{_utc(seconds):%Y-%m-%d %H:%M} UTC" for seconds in (one.began_at, one.last_active_at)]
            rows.append((one.public_id, one.account.name, one.account.role, *times, one.address))
        _print_table(("session", "name", "role", "signed in", "last active", "from"), rows)

    def end(self, options: argparse.Namespace) -> str:
        session = self._sessions.of(options.argument)
        self._sessions.end(session)
        print(f"The session of {session.account.name} has ended.")
        return session.public_id

    def audit(self, _: argparse.Namespace) -> None:
        for entry in reversed(self.trail.newest(SHOWN_ENTRIES)):
            who = f"{entry.name} ({entry.role})" if entry.account else "-"
            print(f"{entry.number:>6}  {entry.at}  {who}  {entry.action}  {entry.target}  {entry.address}".rstrip())


_COMMANDS: Final[Mapping[str, tuple[Callable[[_Office, argparse.Namespace], str | None], str, Action | None, str]]] = {
    "list": (_Office.list, "", None, "show the accounts"),
    "add": (_Office.add, "NAME", Action.ACCOUNT_ADDED, "add a person, and print the link that signs in"),
    "link": (_Office.link, "NAME_OR_ID", Action.ACCOUNT_RENEWED, "print a new link; the old one and its sessions end"),
    "password": (_Office.password, "NAME_OR_ID", Action.PASSWORD_SET, "read a new password; the sessions end"),
    "revoke": (_Office.revoke, "NAME_OR_ID", Action.ACCOUNT_REVOKED, "end the link, the password and the sessions"),
    "sessions": (_Office.sessions, "", None, "show who is signed in"),
    "end": (_Office.end, "SESSION", Action.SESSION_ENDED, "end one session"),
    "audit": (_Office.audit, "show", None, f"show the newest {SHOWN_ENTRIES} entries of the audit trail"),
}
"""What each command runs, its argument, what goes into the audit trail, and its help."""


def _new_password() -> str:
    if not sys.stdin.isatty():  # as in a script: a password on the command line would stay in the shell's history
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("New password: ")
    if getpass.getpass("Again: ") != password:
        raise InvalidAccountError("The two passwords differ. Nothing was changed.")
    return password


def _proofs(account: Account) -> str:
    if account.revoked_at is not None:
        return f"nothing: revoked {_utc(account.revoked_at):%Y-%m-%d}"
    link = f"link ({account.built_in})" if account.built_in else "link"
    return f"{link}, password" if account.password_hash else link


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
