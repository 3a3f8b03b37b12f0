"""Keep the record: ``python -m server.store backup FILE``, ``restore FILE``, ``verify [FILE]``, ``erase`` and more."""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError

from common.access.audit import Action, record_command
from common.errors import NAMED_ERRORS, StoreUnavailableError
from common.messages import PatientReference
from common.settings_errors import SETTINGS_ERRORS, settings_sentence
from common.sqlite import engine_of
from config.secrets import ConfigurationError
from config.settings import ServerSettings
from server.store.access import AccessDatabase, access_store, copy_people, without_people
from server.store.backup import back_up, closing_engine, copy_record, in_number, restore, take_place, told_by
from server.store.cluster_tables import make_cluster_tables
from server.store.database import cause_of, database_url, file_of, in_use, open_database, open_existing, parsed
from server.store.record import PredictionStore
from server.store.verification import count_entries, problems_of

Call = Callable[[URL, argparse.Namespace], None]

_ASK: Final = object()
_SHOWN_PROBLEMS: Final = 20


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; return 0, 1 when it could not be done or the record is not in order, 2 for misuse."""
    arguments = _parser().parse_args(words)
    try:
        arguments.settings = ServerSettings()
    except SETTINGS_ERRORS as error:
        print(settings_sentence(error), file=sys.stderr)
        return 2
    try:
        arguments.call(database_url(arguments.settings), arguments)
    except NAMED_ERRORS as error:
        said, code = error.message, 1
    except SQLAlchemyError as error:
        said, code = f"The database cannot be used: {cause_of(error)}.", 1
    except OSError as error:
        said, code = f"{error.filename or arguments.file} cannot be used: {cause_of(error)}.", 1
    except KeyboardInterrupt:
        said, code = "Stopped. What was erased so far stays erased; a copy that was not finished is gone.", 130
    else:
        return 0
    print(said, file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m server.store",
        description="Keep the record of predictions: the one that DATABASE_URL or DATA_DIR name, as for the server.",
        epilog="Exit codes: 0; 1 when it could not be done, or something is not in order; 2 when it makes no sense.",
    )
    parser.set_defaults(file=None)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, call: Call, said: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=said)
        made.set_defaults(call=call)
        return made

    backup = command("backup", _back_up, "copy the record to a new file, also while the server runs")
    backup.add_argument("file", type=Path, help="a file that is not there yet")
    put_back = command("restore", _restore, "put a backup in place of the record, while no server runs")
    put_back.add_argument("file", type=Path, help="a file that backup has made")
    verify = command("verify", _verify, "check the record, or a backup, from its pages to its contents")
    verify.add_argument("file", type=Path, nargs="?", help="a backup; without it, the record itself")
    said = "erase predictions for good, here and at dashboards and client apps, also while the server runs"
    erase = command("erase", _erase, said)
    erase.description = "Erase predictions with their explanations. Backups that were made before keep what they hold."
    which = erase.add_mutually_exclusive_group(required=True)
    of_patient = "those of one patient; leave REF out and you are asked for it: so it stays out of the shell's history"
    which.add_argument("--patient-reference", nargs="?", const=_ASK, metavar="REF", help=of_patient)
    which.add_argument("--older-than", type=_days, metavar="DAYS", help="those made so many days ago or earlier")
    erase.add_argument("--client", metavar="ID", help="only those of this client app")
    erase.add_argument("--dry-run", action="store_true", help="say how many there are, and erase nothing")
    command("migrate", _migrate, "make the database, or bring it to this program's schema, and end")
    copy_to = command("copy-to", _copy_to, "copy a SQLite record to PostgreSQL, while no server runs")
    copy_to.add_argument("url", type=_postgres, metavar="URL", help="of an empty database: postgresql://USER@HOST/NAME")
    said = "once pg_restore or a recovery to a point in time has put an earlier record in place"
    after = command("after-restore", _after_restore, said)
    after.add_argument("--replaced", type=_postgres, metavar="URL", help="of the record it replaces, if that is kept")
    return parser


def _postgres(text: str) -> URL:
    with suppress(ConfigurationError):
        if (url := parsed(text)).get_backend_name() == "postgresql":
            return url
    raise argparse.ArgumentTypeError("must be the address of a PostgreSQL database")


def _days(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 36_500:  # noqa: PLR2004 - as RETENTION_DAYS
        raise argparse.ArgumentTypeError("must be a whole number of days, 1 to 36500")
    return int(text)


def _back_up(url: URL, arguments: argparse.Namespace) -> None:
    database = _require_file(url)
    open_existing(url).dispose()
    back_up(database, arguments.file.absolute())
    print(f"The record was copied to {arguments.file} and the copy is in order.")
    _note(arguments, Action.RECORD_BACKED_UP)


def _restore(url: URL, arguments: argparse.Namespace) -> None:
    said = restore(arguments.file.absolute(), _require_file(url))
    print(f"{arguments.file} is now the record, and in order.", *said, sep="\n")
    print("Start the server; pages and client apps then read the record from its beginning.")
    _note(arguments, Action.RECORD_RESTORED)


def _verify(url: URL, arguments: argparse.Namespace) -> None:
    if arguments.file and not arguments.file.is_file():
        raise ConfigurationError(f"There is no file {arguments.file}.")
    with closing_engine(engine_of(arguments.file, mode="ro") if arguments.file else open_existing(url)) as engine:
        problems = list(islice(problems_of(engine), _SHOWN_PROBLEMS))
        if problems:
            print(*problems, sep="\n")
            raise StoreUnavailableError("Not in order. Restore a backup: python -m server.store restore FILE")
        print(f"In order: {count_entries(engine)} entries of the log, and every prediction as it was stored.")


def _migrate(url: URL, _: argparse.Namespace) -> None:
    with closing_engine(open_database(url)) as engine:
        if file_of(url) is None:
            AccessDatabase(engine)
            make_cluster_tables(engine)
    print("The database has this program's schema.")


def _copy_to(url: URL, arguments: argparse.Namespace) -> None:
    path = file_of(url)
    if path is None:
        raise ConfigurationError("copy-to copies a SQLite record; that of DATABASE_URL is none.")
    open_existing(url).dispose()
    with (
        in_use(path, alone=True),
        closing_engine(engine_of(path, mode="ro")) as source,
        closing_engine(open_database(arguments.url)) as target,
    ):
        database = without_people(target)
        copy_record(source, target, told=lambda said: print(said, file=sys.stderr))
        people = copy_people(arguments.settings, database)
        print(f"The record was copied, and the copy is in order: {count_entries(target)} entries of the log.")
        print(f"With it went the audit trail and {people} accounts: their links and passwords stay as they are.")
    print("Set DATABASE_URL to the new address and start the server. Keep the old file until you have seen it work.")
    _note(arguments, Action.RECORD_BACKED_UP)


def _after_restore(url: URL, arguments: argparse.Namespace) -> None:
    if file_of(url) is not None:
        raise ConfigurationError("after-restore is for PostgreSQL; a SQLite record is put back by restore.")
    replaced = None
    if arguments.replaced:
        with closing_engine(open_existing(arguments.replaced)) as engine:
            replaced = told_by(engine)
    with closing_engine(open_database(url)) as engine:
        said = take_place(engine, replaced)
    print("Pages and client apps now read the record from its beginning.", *said, sep="\n")
    _note(arguments, Action.RECORD_RESTORED)


def _erase(url: URL, arguments: argparse.Namespace) -> None:
    now = datetime.now(UTC)
    with closing(PredictionStore(open_existing(url))) as store:
        if arguments.older_than is not None:
            found = store.older_than(now - timedelta(days=arguments.older_than), client_id=arguments.client)
        else:
            found = store.of_patient(_reference(arguments.patient_reference), client_id=arguments.client)
        numbers = Counter(client_id for client_id, _ in found)
        whose = "".join(f" {client_id}: {number}." for client_id, number in sorted(numbers.items()))
        if arguments.dry_run:
            print(f"{in_number(len(found))} would be erased.{whose} Nothing was erased.")
            return
        store.erase_all(found, now)
        print(f"{in_number(len(found))} {'was' if len(found) == 1 else 'were'} erased.{whose}")
        if found:
            print(
                "A running server tells dashboards and client apps within seconds; those that are away are told when "
                "they come back. Patients still queued or refused at a client app were never in the record.\n"
                "Copies that were made before still hold them: backups, snapshots, exports, and what a migration or a "
                "restore has kept beside the record. Delete those as well."
            )
        _note(arguments, Action.PREDICTIONS_ERASED, arguments.client or "")
        try:  # last: they are erased and in the trail by now, whatever becomes of this
            store.vacuum()
        except StoreUnavailableError as error:
            said = "PostgreSQL has not yet overwritten what was erased, and will by itself."
            print(f"{said} {error.message}", file=sys.stderr)


def _note(arguments: argparse.Namespace, action: Action, target: str = "") -> None:
    record_command(partial(access_store, arguments.settings), action, target)


def _reference(given: object) -> str:
    """Return the reference as predictions have it; without one, ask a person or read a line."""
    if given is _ASK:
        if sys.stdin.isatty():
            print("Patient reference: ", end="", file=sys.stderr, flush=True)
        try:
            given = sys.stdin.readline()
        except UnicodeDecodeError:
            raise ConfigurationError("The patient reference is not text in this terminal's encoding.") from None
    else:
        print("The reference may now stand in your shell's history; leave it out, and you are asked.", file=sys.stderr)
    try:
        checked: str = TypeAdapter(PatientReference).validate_python(given)
    except ValidationError:
        raise ConfigurationError("A patient reference has 1 to 64 printable characters.") from None
    return checked


def _require_file(url: URL) -> Path:
    path = file_of(url)
    if path is None:
        raise ConfigurationError(
            "This database is no SQLite file. Back it up with pg_dump, restore it with pg_restore; "
            "verify and erase work here as well."
        )
    return path


if __name__ == "__main__":
    sys.exit(main())
