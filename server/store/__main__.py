"""Back up, restore, verify or erase: ``python -m server.store {backup,restore} FILE``, ``verify [FILE]``, ``erase``."""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError
from tqdm import tqdm

from common.access.audit import Action, record_command
from common.errors import NAMED_ERRORS, StoreUnavailableError
from common.messages import PatientReference
from common.settings_errors import settings_sentence
from common.sqlite import Progress
from config.secrets import ConfigurationError
from config.settings import ServerSettings
from server.store.backup import back_up, closing_engine, restore
from server.store.database import cause_of, database_url, file_of, open_existing
from server.store.erasure import Erasable
from server.store.record import PredictionStore
from server.store.verification import count_rows, problems_of, read_only

_ASK: Final = object()
_AUDITED: Final[Mapping[str, Action]] = {
    "backup": Action.RECORD_BACKED_UP,
    "restore": Action.RECORD_RESTORED,
    "erase": Action.PREDICTIONS_ERASED,
}
_ERASED_AT_ONCE: Final = 50
_SHOWN_PROBLEMS: Final = 20


def main(words: Sequence[str] | None = None) -> int:
    """Do as told and say what was done; return 0, 1 when it could not be done or is not in order, 2 for misuse."""
    arguments = _parser().parse_args(words)
    try:
        settings = ServerSettings()
        code = int(arguments.call(database_url(settings), arguments))
        if arguments.command in _AUDITED and not getattr(arguments, "dry_run", False):
            record_command(settings, _AUDITED[arguments.command], getattr(arguments, "client", None) or "")
    except ValidationError as error:
        return _fail(settings_sentence(error), 2)
    except NAMED_ERRORS as error:
        return _fail(error.message, 1)
    except SQLAlchemyError as error:
        return _fail(f"The database cannot be used: {cause_of(error)}.", 1)
    except KeyboardInterrupt:
        return _fail("Stopped. What was erased up to here stays erased; a copy that was not finished is gone.", 130)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m server.store",
        description="Keep the record of predictions: the one that DATABASE_URL or DATA_DIR name, as for the server.",
        epilog="Exit codes: 0; 1 when it could not be done, or something is not in order; 2 when it makes no sense.",
    )
    commands = parser.add_subparsers(required=True, dest="command", metavar="{backup,restore,verify,erase}")
    _add_files(commands)
    _add_erase(commands)
    return parser


def _add_files(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    backup = commands.add_parser("backup", help="copy the record to a new file, also while the server runs")
    backup.add_argument("file", type=Path, help="a file that is not there yet")
    backup.set_defaults(call=_back_up)
    put_back = commands.add_parser("restore", help="put a backup in place of the record, while no server runs")
    put_back.add_argument("file", type=Path, help="a file that backup has made")
    put_back.set_defaults(call=_restore)
    verify = commands.add_parser("verify", help="check the record, or a backup, from its pages to its contents")
    verify.add_argument("file", type=Path, nargs="?", help="a backup; without it, the record itself")
    verify.set_defaults(call=_verify)


def _add_erase(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    erase = commands.add_parser(
        "erase",
        help="erase predictions for good, here and at dashboards and client apps, also while the server runs",
        description="Erase predictions with their explanations. Backups that were made before keep what they hold.",
    )
    which = erase.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--patient-reference",
        nargs="?",
        const=_ASK,
        metavar="REF",
        help="those of one patient; leave REF out and you are asked for it: so it stays out of the shell's history",
    )
    which.add_argument("--older-than", type=_days, metavar="DAYS", help="those made so many days ago or earlier")
    erase.add_argument("--client", metavar="ID", help="only those of this client app")
    erase.add_argument("--dry-run", action="store_true", help="say how many there are, and erase nothing")
    erase.set_defaults(call=_erase)


def _days(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 36_500:  # noqa: PLR2004 - as RETENTION_DAYS
        raise argparse.ArgumentTypeError("must be a whole number of days, 1 to 36500")
    return int(text)


def _back_up(url: URL, arguments: argparse.Namespace) -> int:
    database = _require_file(url)
    open_existing(url).dispose()
    with _pages("Copying") as progress:
        back_up(database, arguments.file.absolute(), progress)
    print(f"The record was copied to {arguments.file} and the copy is in order.")
    return 0


def _restore(url: URL, arguments: argparse.Namespace) -> int:
    database = _require_file(url)
    with _pages("Copying") as progress:
        done = restore(arguments.file.absolute(), database, progress)
    print(f"{arguments.file} is now the record, and in order.")
    if done.kept_aside:
        print(f"The file it replaces is kept as {done.kept_aside}; delete it when you need it no more.")
    if done.erased_again:
        print(f"Erased again, as it had been since the backup: {_predictions(done.erased_again)}.")
    if not done.knows_replaced:
        print("The replaced file could not be read: erase again what was erased since the backup.")
    print("Start the server; pages and client apps then read the record from its beginning.")
    return 0


def _verify(url: URL, arguments: argparse.Namespace) -> int:
    if arguments.file and not arguments.file.is_file():
        raise ConfigurationError(f"There is no file {arguments.file}.")
    engine = read_only(arguments.file) if arguments.file else open_existing(url)
    with closing_engine(engine):
        try:
            with tqdm(total=None, desc="Verifying", unit=" entries", delay=1, disable=None) as bar:
                problems = list(problems_of(engine, bar.update))
            entries = 0 if problems else count_rows(engine)
        except SQLAlchemyError as error:
            raise StoreUnavailableError(f"It cannot be read to its end: {cause_of(error)}.") from error
    if not problems:
        print(f"In order: {entries} entries of the log, and every prediction as it was stored.")
        return 0
    for problem in problems[:_SHOWN_PROBLEMS]:
        print(problem)
    more = f" {len(problems) - _SHOWN_PROBLEMS} more are not shown." if len(problems) > _SHOWN_PROBLEMS else ""
    return _fail(f"Not in order.{more} Restore a backup: python -m server.store restore FILE", 1)


def _erase(url: URL, arguments: argparse.Namespace) -> int:
    engine = open_existing(url)
    with closing_engine(engine):
        store = PredictionStore(engine)
        found = _found(store, arguments)
        if not arguments.dry_run:
            _erase_all(store, found)
    by_client = Counter(one.client_id for one in found)
    whose = "".join(f" {client_id}: {number}." for client_id, number in sorted(by_client.items()))
    if arguments.dry_run:
        print(f"{_predictions(len(found))} would be erased.{whose} Nothing was erased.")
        return 0
    print(f"{_predictions(len(found))} {'was' if len(found) == 1 else 'were'} erased.{whose}")
    if found:
        print(
            "A running server tells dashboards and client apps within seconds; those that are away are told when they "
            "come back. Patients still queued or refused at a client app were never in the record."
        )
        _name_copies(url)
    return 0


def _predictions(number: int) -> str:
    return "1 prediction" if number == 1 else f"{number} predictions"


def _found(store: PredictionStore, arguments: argparse.Namespace) -> list[Erasable]:
    if arguments.older_than is not None:
        made_before = datetime.now(UTC) - timedelta(days=arguments.older_than)
        return store.older_than(made_before, client_id=arguments.client)
    reference = _reference(arguments.patient_reference)
    with tqdm(total=store.end().totals.predictions, desc="Looking", delay=1, disable=None) as bar:
        return store.of_patient(reference, client_id=arguments.client, on_progress=bar.update)


def _reference(given: object) -> str:
    """Return the reference as predictions have it; without one, ask a person or read a line."""
    if given is _ASK:
        if sys.stdin.isatty():
            print("Patient reference: ", end="", file=sys.stderr, flush=True)
        given = sys.stdin.readline()
    else:
        print("The reference may now stand in your shell's history; leave it out, and you are asked.", file=sys.stderr)
    try:
        checked: str = TypeAdapter(PatientReference).validate_python(given)
    except ValidationError:
        raise ConfigurationError("A patient reference has 1 to 64 printable characters.") from None
    return checked


def _erase_all(store: PredictionStore, found: Sequence[Erasable]) -> None:
    with tqdm(total=len(found), desc="Erasing", delay=1, disable=None) as bar:
        for start in range(0, len(found), _ERASED_AT_ONCE):
            batch = found[start : start + _ERASED_AT_ONCE]
            store.erase([one.prediction_id for one in batch], datetime.now(UTC))
            bar.update(len(batch))


def _name_copies(url: URL) -> None:
    """Say where erased predictions may still be."""
    path = file_of(url)
    beside = sorted(path.parent.glob(f"{path.stem}-*{path.suffix}")) if path else []
    copies = f", among them {', '.join(str(copy) for copy in beside)}" if beside else ""
    print(f"Copies that were made before still hold them{copies}: backups, snapshots, exports. Delete those as well.")


def _require_file(url: URL) -> Path:
    path = file_of(url)
    if path is None:
        raise ConfigurationError(
            "This database is no SQLite file. Back it up with pg_dump, restore it with pg_restore; "
            "verify and erase work here as well."
        )
    return path


@contextmanager
def _pages(title: str) -> Iterator[Progress]:
    with tqdm(desc=title, unit=" pages", delay=1, disable=None) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show


def _fail(sentence: str, code: int) -> int:
    print(sentence, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
