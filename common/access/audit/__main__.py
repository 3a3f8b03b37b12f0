"""The command of audit trails: ``python -m common.access.audit APP verify [--head HEAD]``, ``head``, ``show``."""

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from pydantic import ValidationError

from common.access.audit.command import trail_of
from common.access.audit.trail import AuditTrail, Head, verify
from common.errors import NAMED_ERRORS
from common.settings_errors import settings_sentence
from config.secrets import ConfigurationError

SHOWN = 50


def main(words: Sequence[str] | None = None) -> int:
    """Do as told; return 0, 1 when a trail is not as it was written or cannot be read, 2 for misuse."""
    arguments = _parser().parse_args(words)
    try:
        return _COMMANDS[arguments.command](arguments)
    except ValidationError as error:
        print(settings_sentence(error), file=sys.stderr)
        return 2
    except NAMED_ERRORS as error:
        print(error.message, file=sys.stderr)
        return 1
    except FileNotFoundError:
        print(f"There is no audit trail of {arguments.app} yet.", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"The audit trail cannot be read: {error.strerror}.", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m common.access.audit", description="Check and show who did what at an app; it may run meanwhile."
    )
    parser.add_argument("app", metavar="APP", help="server, or a client app such as client-1")
    commands = parser.add_subparsers(dest="command", required=True, metavar="{verify,head,show}")
    check = commands.add_parser("verify", help="check that no entry was changed, moved, added or removed")
    check.add_argument(
        "--head",
        type=_head,
        help="a head that was kept elsewhere: without it, nobody can tell whether the newest entries were removed",
    )
    commands.add_parser("head", help="print the head: number and seal of the last entry, to be kept elsewhere")
    commands.add_parser("show", help=f"print the newest {SHOWN} entries")
    return parser


def _head(text: str) -> Head:
    found = re.fullmatch(r"(\d{1,15}):([0-9a-f]{64})", text)
    if not found:
        raise argparse.ArgumentTypeError("must be as the command head prints it")
    return Head(int(found[1]), found[2])


def _verify(arguments: argparse.Namespace) -> int:
    path, key = trail_of(arguments.app)
    verdict = verify(path, key, expected=arguments.head)
    for problem in verdict.problems:
        print(problem)
    if verdict.problems:
        return 1
    print(f"In order: {verdict.head.number} entries. Head: {verdict.head}")
    return 0


def _print_head(arguments: argparse.Namespace) -> int:
    path, key = trail_of(arguments.app)
    verdict = verify(path, key)
    if verdict.problems:
        raise ConfigurationError(verdict.problems[0])
    print(verdict.head)
    return 0


def _show(arguments: argparse.Namespace) -> int:
    path, key = trail_of(arguments.app)
    entries = AuditTrail(path, key, clock=lambda: datetime.now(UTC)).newest(SHOWN)
    for entry in reversed(entries):
        who = f"{entry.name} ({entry.role})" if entry.account else "-"
        print(f"{entry.number:>6}  {entry.at}  {who}  {entry.action}  {entry.target}  {entry.address}".rstrip())
    return 0


_COMMANDS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "verify": _verify,
    "head": _print_head,
    "show": _show,
}

if __name__ == "__main__":
    sys.exit(main())
