"""Commands on a server's folders: a backup, an erasure, a restoration, a migration and the activation of a model."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from common.messages import Prediction
from config.secrets import PROJECT_ROOT
from server.registry.artifact import load_detector
from server.registry.versions import active_manifest, load_active_or_stored
from server.store import NewPrediction, PredictionStore
from server.store.backup import back_up
from server.store.database import open_database
from server.store.verification import problems_of
from tests.power_loss.exploring import Case
from tests.power_loss.judging import Claim, Judge, Reading
from tests.power_loss.of_server import DATABASE, about, record_of
from tests.power_loss.processes import Traced
from tests.power_loss.recording import Promise
from tests.power_loss.sent import PRINTED, Said
from tests.power_loss.workload import DATA
from tests.support.made_requests import prediction, request
from tests.support.model_versions import folder_with_versions
from tests.unit.server.test_database import of_the_first_version

BACKUP: Final = "backup.sqlite"
MODELS: Final = "models"
ERASED_REFERENCE: Final = "marker-of-the-erased"
PREDICTIONS: Final = 6
IN_BACKUP: Final = 4

_STARTED: Final = Said("started", None)
_TO_ERASE: Final = 1
_STAYS: Final = "it is there"
_ERASED: Final = Claim.of("the erased patient", "nowhere")


@dataclass(frozen=True)
class Command:
    """A command: what is prepared on its disk, its words, the beginning of what it says when done, and the judge."""

    name: str
    prepare: Callable[[Path], object]
    words: Callable[[Path], list[str]]
    done: str
    judge: Judge

    def record(self, folder: Path) -> Case:
        """Run it and record what it does; raises ``RecordingError`` when not all of that is known."""
        disk = folder / "disk"
        disk.mkdir(parents=True)
        self.prepare(disk)
        with ExitStack() as ending:
            traced = Traced(folder, self.words(disk), _settings(disk))
            ending.callback(traced.kill)
            traced.line(self.done)
            recording = traced.ended()
        recording.promises.insert(0, Promise(0, _STARTED))
        return Case(self.name, recording, self.judge)


def _settings(disk: Path) -> dict[str, object]:
    return {"PYTHONPATH": PROJECT_ROOT, "DATA_DIR": disk / DATA, "DATABASE_URL": "", "MODEL_DIR": disk / MODELS}


def _answer(number: int) -> Prediction:
    reference = ERASED_REFERENCE if number == _TO_ERASE else None
    return prediction(request(number)).model_copy(update={"patient_reference": reference})


def _fill(disk: Path, numbers: Iterable[int] = range(1, PREDICTIONS + 1)) -> None:
    with closing(PredictionStore(open_database(f"sqlite:///{disk / DATABASE}"))) as store:
        for number in numbers:
            store.append([NewPrediction(_answer(number), "0" * 64)])


def _fill_after_a_backup(disk: Path) -> None:
    """Make a record whose backup lacks the newest predictions, and holds one that was erased since."""
    _fill(disk, range(1, IN_BACKUP + 1))
    back_up(disk / DATABASE, disk / BACKUP, lambda _done, _all: None)
    _fill(disk, range(IN_BACKUP + 1, PREDICTIONS + 1))
    with closing(PredictionStore(open_database(f"sqlite:///{disk / DATABASE}"))) as store:
        store.erase([_answer(_TO_ERASE).prediction_id], datetime.now(UTC))


def _read_record(disk: Path) -> Reading:
    """Open and verify the record as the server and its commands do."""
    traces = any(
        ERASED_REFERENCE.encode() in path.read_bytes() for path in (disk / DATABASE).parent.glob("predictions.sqlite*")
    )
    engine = open_database(f"sqlite:///{disk / DATABASE}")
    with closing(PredictionStore(engine)) as store:
        store.check()
        facts = record_of(store) | {"the erased patient": "in the files" if traces else "nowhere"}
        return Reading(facts, tuple(problems_of(engine)))


def _read_with_copies(pattern: str, disk: Path) -> Reading:
    """Open the record, and then the copies of it that are whole."""
    reading = _read_record(disk)
    copies = {what: body for path in disk.glob(pattern) for what, body in _held_by(path).items()}
    return Reading({**reading.facts, **copies}, reading.faults)


def _held_by(copy: Path) -> dict[str, str]:
    """Return what a copy holds, of whatever version; nothing if it is not whole."""
    try:
        with closing(sqlite3.connect(copy)) as connection:
            if connection.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
                return {}
            rows = connection.execute("SELECT body FROM predictions").fetchall()
    except sqlite3.DatabaseError:
        return {}
    return {_in_copy(Prediction.model_validate_json(body)): body for (body,) in rows}


def _in_copy(answer: Prediction) -> str:
    return f"the copy of {about(answer)}"


def _in_record(numbers: Iterable[int]) -> list[Claim]:
    return [Claim.of(about(_answer(number)), _answer(number).model_dump_json()) for number in numbers]


def _in_copies(answers: Iterable[Prediction]) -> list[Claim]:
    return [Claim.of(_in_copy(answer), answer.model_dump_json()) for answer in answers]


def _promised(always: Sequence[Claim], done: str, then: Sequence[Claim], said: Said) -> Sequence[Claim]:
    """Return what holds from the start on, and what holds once the command has said that it is done."""
    if said == _STARTED:
        return always
    return then if said.what == PRINTED and said.data.startswith(done) else []


def _read_models(disk: Path) -> Reading:
    """Load the model as the server does at its start."""
    detector, _ = load_active_or_stored(disk / MODELS, load_detector)
    return Reading({"a usable model": _STAYS, "the active version": detector.model_version})


def _store_command(
    name: str, prepare: Callable[[Path], object], words: Sequence[str], done: str, judge: Judge
) -> Command:
    return Command(
        name, prepare, lambda disk: ["-m", "server.store", *(w.format(disk=disk) for w in words)], done, judge
    )


def _backup() -> Command:
    done = "The record was copied"
    everything = range(1, PREDICTIONS + 1)
    claims = partial(_promised, _in_record(everything), done, _in_copies(map(_answer, everything)))
    judge = Judge(partial(_read_with_copies, BACKUP), claims)
    return _store_command("backup", _fill, ["backup", f"{{disk}}/{BACKUP}"], done, judge)


def _erasure() -> Command:
    done = "1 prediction was erased"
    claims = partial(_promised, _in_record(range(2, PREDICTIONS + 1)), done, [_ERASED])
    words = ["erase", "--patient-reference", ERASED_REFERENCE]
    return _store_command("erasure", _fill, words, done, Judge(_read_record, claims))


def _restoration() -> Command:
    always = [*_in_record(range(2, IN_BACKUP + 1)), _ERASED]
    claims = partial(_promised, always, "", [])
    words = ["restore", f"{{disk}}/{BACKUP}"]
    return _store_command("restoration", _fill_after_a_backup, words, "Start the server", Judge(_read_record, claims))


def _migration() -> Command:
    answers = [prediction(request(number)) for number in (1, 2)]
    kept = [Claim.of(about(answer), answer.model_dump_json()) for answer in answers]
    claims = partial(_promised, [*kept, *_in_copies(answers)], "", [])
    judge = Judge(partial(_read_with_copies, f"{DATA}/server/predictions-before-migration-*.sqlite"), claims)
    return Command("migration", _prepare_first_version, _migrating, "migrated", judge)


def _prepare_first_version(disk: Path) -> None:
    (disk / DATA).mkdir()
    of_the_first_version(disk / DATABASE)


def _migrating(disk: Path) -> list[str]:
    opening = f"from server.store.database import open_database; open_database('sqlite:///{disk / DATABASE}').dispose()"
    return ["-c", f"{opening}; print('migrated')"]


def _activation(model_dir: Path, other_model_dir: Path) -> Command:
    new = active_manifest(other_model_dir)
    assert new is not None
    done = f"Model {new.model_version} is active"
    usable = Claim.of("a usable model", _STAYS)
    claims = partial(_promised, [usable], done, [Claim.of("the active version", new.model_version)])
    return Command(
        "activation",
        lambda disk: folder_with_versions([model_dir, other_model_dir], disk / MODELS),
        lambda _: [str(PROJECT_ROOT / "train_model.py"), "--activate", new.model_version],
        done,
        Judge(_read_models, claims),
    )


def of_commands(folder: Path, model_dir: Path, other_model_dir: Path) -> list[Case]:
    """Record every command, each on a disk of its own."""
    commands = [_backup(), _erasure(), _restoration(), _migration(), _activation(model_dir, other_model_dir)]
    return [command.record(folder / command.name) for command in commands]
