"""The command that manages who may use an app: ``python -m common.access APP list|add|renew|revoke|...``."""

import argparse
import getpass
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from pydantic import ValidationError

from common.access.accounts import Account
from common.access.audit.command import audited_command
from common.access.audit.trail import Action
from common.access.passwords import password_hash
from common.access.people import AccessStore, access_file
from common.access.roles import Role, roles_of, sign_in_link
from common.errors import NAMED_ERRORS, InvalidAccountError
from common.settings_errors import settings_sentence
from config.secrets import SERVER, new_secret
from config.settings import ClientSettings, ServerSettings


def main(arguments: Sequence[str]) -> int:
    """Run one command; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        settings = _settings_of(options.app)
        file = access_file(settings.data_dir, settings.app_name)
        if not file.exists():
            print(f"Note: {settings.app_name} has not been started with {settings.data_dir} yet.", file=sys.stderr)
        with audited_command(settings, _AUDITED.get(options.command)) as command:
            store = AccessStore(file)
            url = store.url() or settings.public_url.rstrip("/") or f"http://ADDRESS-OF-{settings.app_name}"
            command.target = _COMMANDS[options.command](store, settings.app_name, url, options)
    except ValidationError as error:
        print(settings_sentence(error), file=sys.stderr)
        return 2
    except NAMED_ERRORS as error:
        print(error.message, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m common.access", description="Manage who may sign in at an app; a running app follows at once."
    )
    parser.add_argument("app", metavar="APP", help="server, or a client app such as client-1")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("list", help="show the accounts")
    add = commands.add_parser("add", help="add somebody, and print the link that signs them in")
    add.add_argument("name", metavar="NAME")
    add.add_argument("--role", choices=[role.value for role in Role], help="the app's usual one if it is left out")
    for command, what in {
        "renew": "print a new link; the old one and its sessions end",
        "revoke": "end the link, the password and the sessions",
        "set-password": "ask for a password, or read it from the standard input; the sessions end",
    }.items():
        commands.add_parser(command, help=what).add_argument("account", metavar="NAME_OR_ID")
    commands.add_parser("sessions", help="show who is signed in")
    commands.add_parser("end", help="end one session").add_argument("session", metavar="SESSION")
    return parser


def _settings_of(app: str) -> ServerSettings | ClientSettings:
    return ServerSettings() if app.lower() == SERVER else ClientSettings.model_validate({"client_id": app})


def _list(store: AccessStore, _app: str, _url: str, _options: argparse.Namespace) -> str:
    signed_in = [session.account.id for session in store.sessions() if session.ends_at > time.time()]
    rows = [
        (one.id, one.name, one.role, _proofs(one), _day(one.created_at), str(signed_in.count(one.id)))
        for one in store.accounts()
    ]
    _print_table(("id", "name", "role", "signs in with", "since", "sessions"), rows)
    return ""


def _add(store: AccessStore, app: str, url: str, options: argparse.Namespace) -> str:
    role = Role(options.role) if options.role else roles_of(app)[0]
    if role not in roles_of(app):
        raise InvalidAccountError(f"At {app} there is no such role. There are: {', '.join(roles_of(app))}.")
    token = new_secret()
    account = store.add(options.name, role, token, time.time())
    _print_link(account, url, token)
    return account.id


def _renew(store: AccessStore, _app: str, url: str, options: argparse.Namespace) -> str:
    account, token = store.find(options.account), new_secret()
    store.renew(account, token)
    _print_link(account, url, token)
    return account.id


def _revoke(store: AccessStore, _app: str, _url: str, options: argparse.Namespace) -> str:
    account = store.find(options.account)
    store.revoke(account, time.time())
    back = f" It comes back with another value of {account.built_in}." if account.built_in else ""
    print(f"{account.name} ({account.id}) can no longer sign in, and is signed out everywhere.{back}")
    return account.id


def _set_password(store: AccessStore, _app: str, _url: str, options: argparse.Namespace) -> str:
    account = store.find(options.account)
    store.set_password(account, password_hash(_new_password(), account.name))
    print(f"{account.name} ({account.id}) signs in with the name and this password from now on; the link works too.")
    return account.id


def _sessions(store: AccessStore, _app: str, _url: str, _options: argparse.Namespace) -> str:
    rows = [
        (
            one.public_id,
            one.account.name,
            one.account.role,
            _moment(one.began_at),
            _moment(one.last_active_at),
            one.address,
        )
        for one in store.sessions()
        if one.ends_at > time.time()
    ]
    _print_table(("session", "name", "role", "signed in", "last active", "from"), rows)
    return ""


def _end(store: AccessStore, _app: str, _url: str, options: argparse.Namespace) -> str:
    found = [one for one in store.sessions() if one.public_id == options.session]
    if not found:
        raise InvalidAccountError("There is no such session. The command sessions shows them.")
    store.end(one.id for one in found)
    print(f"The session of {found[0].account.name} is over.")
    return found[0].public_id


_COMMANDS: Mapping[str, Callable[[AccessStore, str, str, argparse.Namespace], str]] = {
    "list": _list,
    "add": _add,
    "renew": _renew,
    "revoke": _revoke,
    "set-password": _set_password,
    "sessions": _sessions,
    "end": _end,
}
"""Each returns what it was about: the id of an account or a session."""

_AUDITED: Final[Mapping[str, Action]] = {
    "add": Action.ACCOUNT_ADDED,
    "renew": Action.ACCOUNT_RENEWED,
    "revoke": Action.ACCOUNT_REVOKED,
    "set-password": Action.PASSWORD_SET,
    "end": Action.SESSION_ENDED,
}


def _new_password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("New password: ")
    if getpass.getpass("Again: ") != password:
        raise InvalidAccountError("The two differ. Nothing was changed.")
    return password


def _print_link(account: Account, url: str, token: str) -> None:
    print(f"{account.name} ({account.id}), {account.role}. This link signs in; it is shown this once:")
    print(sign_in_link(url, token))


def _proofs(account: Account) -> str:
    if account.revoked_at is not None:
        return f"nothing: revoked {_day(account.revoked_at)}"
    link = f"link ({account.built_in})" if account.built_in else "link"
    return f"{link}, password" if account.password_hash else link


def _day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def _print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
