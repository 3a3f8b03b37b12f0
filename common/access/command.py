"""The command that manages who may use an app and shows who did what: ``server.access`` and ``client.access``."""

import argparse
import getpass
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from pydantic import ValidationError

from common.access.accounts import Account, People
from common.access.audit import Action, AuditTrail, user_of_system
from common.access.file import AccessFile, access_file
from common.access.passwords import password_hash
from common.access.roles import Role, roles_of, sign_in_link
from common.access.sessions import sessions_of
from common.errors import NAMED_ERRORS, InvalidAccountError
from common.settings_errors import settings_sentence
from config.secrets import new_secret
from config.settings import ClientSettings, ServerSettings

SHOWN_ENTRIES: Final = 50


def main(arguments: Sequence[str], settings_class: type[ServerSettings] | type[ClientSettings]) -> int:
    """Run one command; return 0, 1 when it could not be done, 2 when a setting cannot be used."""
    options = _parser(settings_class).parse_args(arguments)
    try:
        given = {"client_id": options.client} if settings_class is ClientSettings else {}
        office = _Office(settings_class.model_validate(given))
        _, run, action, _ = _COMMANDS[options.command]
        target = run(office, options)
        if action is not None:
            office.trail.record(user_of_system(), action, target)
    except ValidationError as error:
        print(settings_sentence(error), file=sys.stderr)
        return 2
    except NAMED_ERRORS as error:
        print(error.message, file=sys.stderr)
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
    for name, (help_, _, _, argument) in _COMMANDS.items():
        command = commands.add_parser(name, help=help_)
        if argument:
            command.add_argument(argument.lower(), metavar=argument)
        if name == "add":
            command.add_argument("--role", choices=list(Role), help="the app's usual one if it is left out")
    return parser


class _Office:
    """The file of one app, opened for a command."""

    def __init__(self, settings: ServerSettings | ClientSettings) -> None:
        path = access_file(settings.data_dir, settings.app_name)
        self.app_name = settings.app_name
        if not path.exists():
            print(f"Note: {self.app_name} has not been started with {settings.data_dir} yet.", file=sys.stderr)
        file = AccessFile(path)
        self.people = People(file)
        self.sessions = sessions_of(file, settings, time.time)
        self.trail = AuditTrail(file, time.time)
        self._url = settings.public_url.rstrip("/")

    def print_link(self, account: Account, token: str) -> None:
        url = self.people.url() or self._url or f"http://ADDRESS-OF-{self.app_name}"
        print(f"{account.name} ({account.id}), {account.role}. This link signs in; it is shown this once:")
        print(sign_in_link(url, token))


def _list(office: _Office, _options: argparse.Namespace) -> str:
    signed_in = [session.account.id for session in office.sessions.all()]
    rows = [
        (one.id, one.name, one.role, _proofs(one), _day(one.created_at), str(signed_in.count(one.id)))
        for one in office.people.all()
    ]
    _print_table(("id", "name", "role", "signs in with", "since", "sessions"), rows)
    return ""


def _add(office: _Office, options: argparse.Namespace) -> str:
    roles = roles_of(office.app_name)
    role = Role(options.role) if options.role else roles[0]
    if role not in roles:
        raise InvalidAccountError(f"At {office.app_name} there is no such role. There are: {', '.join(roles)}.")
    token = new_secret()
    account = office.people.add(options.name, role, token, time.time())
    office.print_link(account, token)
    return account.id


def _link(office: _Office, options: argparse.Namespace) -> str:
    account, token = office.people.find(options.name_or_id), new_secret()
    office.people.give_link(account, token)
    office.print_link(account, token)
    return account.id


def _password(office: _Office, options: argparse.Namespace) -> str:
    account = office.people.find(options.name_or_id)
    office.people.set_password(account, password_hash(_new_password(), account.name))
    print(f"{account.name} ({account.id}) signs in with the name and this password from now on; the link works too.")
    return account.id


def _revoke(office: _Office, options: argparse.Namespace) -> str:
    account = office.people.find(options.name_or_id)
    office.people.revoke(account, time.time())
    back = f" It comes back with another value of {account.built_in}." if account.built_in else ""
    print(f"{account.name} ({account.id}) can no longer sign in, and is signed out everywhere.{back}")
    return account.id


def _sessions(office: _Office, _options: argparse.Namespace) -> str:
    rows = [
        (
            one.public_id,
            one.account.name,
            one.account.role,
            *map(_minute, (one.began_at, one.last_active_at)),
            one.address,
        )
        for one in office.sessions.all()
    ]
    _print_table(("session", "name", "role", "signed in", "last active", "from"), rows)
    return ""


def _end(office: _Office, options: argparse.Namespace) -> str:
    session = office.sessions.of(options.session)
    office.sessions.end(session)
    print(f"The session of {session.account.name} is over.")
    return session.public_id


def _show_audit(office: _Office, _options: argparse.Namespace) -> str:
    for entry in reversed(office.trail.newest(SHOWN_ENTRIES)):
        who = f"{entry.name} ({entry.role})" if entry.account else "-"
        print(f"{entry.number:>6}  {entry.at}  {who}  {entry.action}  {entry.target}  {entry.address}".rstrip())
    return ""


_COMMANDS: Final[Mapping[str, tuple[str, Callable[[_Office, argparse.Namespace], str], Action | None, str]]] = {
    "list": ("show the accounts", _list, None, ""),
    "add": ("add a person, and print the link that signs in", _add, Action.ACCOUNT_ADDED, "NAME"),
    "link": ("print a new link; the old one and its sessions end", _link, Action.ACCOUNT_RENEWED, "NAME_OR_ID"),
    "password": (
        "read a new password; the sessions end",
        _password,
        Action.PASSWORD_SET,
        "NAME_OR_ID",
    ),
    "revoke": ("end the link, the password and the sessions", _revoke, Action.ACCOUNT_REVOKED, "NAME_OR_ID"),
    "sessions": ("show who is signed in", _sessions, None, ""),
    "end": ("end one session", _end, Action.SESSION_ENDED, "SESSION"),
    "audit": (f"show the newest {SHOWN_ENTRIES} entries of the audit trail", _show_audit, None, "show"),
}
"""What each command does, how, what goes into the audit trail about whatever id it returns, and its argument."""


def _new_password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("New password: ")
    if getpass.getpass("Again: ") != password:
        raise InvalidAccountError("The two differ. Nothing was changed.")
    return password


def _proofs(account: Account) -> str:
    if account.revoked_at is not None:
        return f"nothing: revoked {_day(account.revoked_at)}"
    link = f"link ({account.built_in})" if account.built_in else "link"
    return f"{link}, password" if account.password_hash else link


def _day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"


def _minute(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def _print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
