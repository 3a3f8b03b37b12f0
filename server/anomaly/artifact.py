"""The files a model is kept in: written whole or not at all, and verified before anything of them is believed."""

import hashlib
import io
import json
import math
import os
import pickle
import platform
import warnings
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import joblib
import numpy as np
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import InconsistentVersionWarning

from config.errors import ArtifactError
from config.messages import Thresholds
from config.patient import FIELDS, PatientRecord
from config.settings import TrainingSettings
from server.anomaly.calibration import Calibration
from server.anomaly.dataset import COLUMNS, Dataset
from server.anomaly.detector import AnomalyModel, Assessment, Detector
from server.anomaly.model_card import model_card
from server.anomaly.preprocessing import FACTORS, OneSidedRiskFactors
from server.anomaly.training import TrainedModel

FOREST_FILE = "isolation_forest.pkl"
PREPROCESSOR_FILE = "preprocessor.pkl"
MANIFEST_FILE = "manifest.json"
CARD_FILE = "MODEL_CARD.md"

TOLERANCE = 1e-9
"""How far a known answer may be off."""

_Part = TypeVar("_Part")

_KNOWN_PATIENTS = 12
_FIRST_WITH_GAPS = 8
_GAP_SHARE = 0.4
_WHAT_TO_RUN = "Run: python train_model.py"
_RECORDED_PACKAGES = ("scikit-learn", "numpy", "shap")
_UNPICKLING_FAILURES = (
    pickle.UnpicklingError,
    AttributeError,
    EOFError,
    ImportError,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
)


class _ManifestPart(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class DataDescription(_ManifestPart):
    """The CSV a model was trained on."""

    name: str
    sha256: str
    patients: int
    disease_free: int


class KnownAnswer(_ManifestPart):
    """A made-up patient, and what the model must say of it to 1e-9."""

    record: PatientRecord
    raw_score: float
    anomaly_score: float
    base_value: float
    contributions: dict[str, float]


class Manifest(_ManifestPart):
    """What is recorded of a model; ``model_version`` ends in a hash over everything else in it."""

    model_version: str
    trained_at: AwareDatetime
    versions: dict[str, str]
    columns: list[str]
    factors: list[str]
    data: DataDescription
    parameters: dict[str, int]
    thresholds: Thresholds
    metrics: dict[str, Any]
    files: dict[str, str]
    calibration_scores: list[float]
    known_answers: Annotated[list[KnownAnswer], Field(min_length=_KNOWN_PATIENTS)]

    def expected_version(self) -> str:
        """Return the time of training, in UTC and sortable, and the hash of the content."""
        content = json.dumps(self.model_dump(mode="json", exclude={"model_version"}), sort_keys=True)
        return f"{self.trained_at:%Y%m%dT%H%M%SZ}-{_sha256(content.encode())[:12]}"

    def shown(self) -> dict[str, Any]:
        """Return what is fit to be shown to people: all but the calibration scores and the known answers."""
        return self.model_dump(mode="json", exclude={"calibration_scores", "known_answers"})


def save(
    trained: TrainedModel, dataset: Dataset, settings: TrainingSettings, directory: Path, *, trained_at: datetime
) -> Manifest:
    """Write forest, preprocessor, model card and, last, the manifest that vouches for the model; return the manifest.

    Each file replaces the earlier one as a whole, and a manifest vouches for no other files than its own: a training
    that is interrupted leaves the earlier model, or one that is refused, never a mixture.

    Raises
    ------
    ArtifactError
        When the folder cannot be written.
    """
    model = trained.model
    contents = {FOREST_FILE: _pickled(model.forest), PREPROCESSOR_FILE: _pickled(model.preprocessor)}
    manifest = _manifest_of(trained, dataset, settings, contents, trained_at)
    contents[CARD_FILE] = model_card(manifest.shown()).encode()
    contents[MANIFEST_FILE] = manifest.model_dump_json(indent=1).encode()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _replace_all(directory, contents)
    except OSError as error:
        raise ArtifactError(f"The model cannot be written to {directory}: {error.strerror}.") from error
    return manifest


def load_detector(directory: Path) -> Detector:
    """Load a model after checking its manifest, its files' hashes and, once loaded, its known answers.

    Raises
    ------
    ArtifactError
        With a sentence that says what is wrong and what to run. Nothing is unpickled before the hashes were right.
    """
    manifest = _read_manifest(directory)
    contents = {name: _verified_content(directory / name, sha256) for name, sha256 in manifest.files.items()}
    model = AnomalyModel(
        preprocessor=_unpickled(contents, PREPROCESSOR_FILE, OneSidedRiskFactors),
        forest=_unpickled(contents, FOREST_FILE, IsolationForest),
        calibration=Calibration.fit(manifest.calibration_scores),
        thresholds=manifest.thresholds,
    )
    _check_known_answers(model, manifest.known_answers)
    return Detector(model, manifest.model_version, manifest.metrics, manifest.shown())


def _manifest_of(
    trained: TrainedModel,
    dataset: Dataset,
    settings: TrainingSettings,
    contents: Mapping[str, bytes],
    trained_at: datetime,
) -> Manifest:
    model = trained.model
    unsigned = Manifest(
        model_version="",
        trained_at=trained_at,
        versions={"python": platform.python_version()} | {name: version(name) for name in _RECORDED_PACKAGES},
        columns=COLUMNS,
        factors=list(FACTORS),
        data=DataDescription(
            name=dataset.name,
            sha256=dataset.sha256,
            patients=dataset.has_disease.size,
            disease_free=dataset.disease_free.size,
        ),
        parameters=settings.model_dump(
            include={"n_estimators", "max_samples", "random_state", "calibration_folds", "evaluation_folds"}
        ),
        thresholds=model.thresholds,
        metrics=trained.metrics,
        files={name: _sha256(content) for name, content in contents.items()},
        calibration_scores=list(model.calibration.sorted_scores),
        known_answers=_known_answers(model, settings.random_state),
    )
    return unsigned.model_copy(update={"model_version": unsigned.expected_version()})


def _known_answers(model: AnomalyModel, seed: int) -> list[KnownAnswer]:
    records = made_up_patients(model.typical, seed)
    return [
        KnownAnswer(
            record=record,
            raw_score=said.raw_score,
            anomaly_score=said.anomaly_score,
            base_value=said.base_value,
            contributions=dict(said.contributions),
        )
        for record, said in zip(records, model.assess(records), strict=True)
    ]


def made_up_patients(typical: Mapping[str, float], seed: int) -> list[PatientRecord]:
    """Make a dozen patients, ever farther from the typical one, the last of them with values not measured."""
    random = np.random.default_rng(seed)
    return [_made_up_patient(typical, number, random) for number in range(_KNOWN_PATIENTS)]


def _made_up_patient(typical: Mapping[str, float], number: int, random: np.random.Generator) -> PatientRecord:
    values: dict[str, float | None] = {}
    distance = number / (_KNOWN_PATIENTS - 1)
    for name, field in FIELDS.items():
        extreme = random.choice([*field.codes] if field.codes else [*(field.model_range or ())])
        share = float(random.random() < distance) if field.codes else distance
        value = round(float(typical[name] + share * (extreme - typical[name])), 1)
        values[name] = int(value) if field.codes or field.step == 1 else value
        if number >= _FIRST_WITH_GAPS and not field.required and random.random() < _GAP_SHARE:
            values[name] = None
    return PatientRecord.check(values)


def _read_manifest(directory: Path) -> Manifest:
    path = directory / MANIFEST_FILE
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        _refuse(f"There is no trained model in {directory}")
    except OSError as error:
        _refuse(f"{path} cannot be read ({error.strerror})")
    except ValidationError:
        _refuse(f"{path} is damaged or was written by another version of this program")
    if manifest.columns != COLUMNS or manifest.factors != list(FACTORS):
        _refuse(f"The model in {directory} was trained on other columns than this program uses")
    if manifest.model_version != manifest.expected_version():
        _refuse(f"{path} was changed after the model was trained")
    if set(manifest.files) != {FOREST_FILE, PREPROCESSOR_FILE}:
        _refuse(f"{path} does not name the files of the model")
    return manifest


def _verified_content(path: Path, sha256: str) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        _refuse(f"The model is incomplete: {path} is missing")
    except OSError as error:
        _refuse(f"{path} cannot be read ({error.strerror})")
    if _sha256(content) != sha256:
        _refuse(f"{path} is not the file that was written when the model was trained")
    return content


def _unpickled(contents: Mapping[str, bytes], name: str, kind: type[_Part]) -> _Part:
    """Unpickle a verified file; that another scikit-learn wrote it is for the known answers to judge."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InconsistentVersionWarning)
        try:
            part = joblib.load(io.BytesIO(contents[name]))
        except _UNPICKLING_FAILURES:
            part = None
    if not isinstance(part, kind):
        _refuse(f"{name} was written by versions of Python packages that cannot be read here")
    return part


def _check_known_answers(model: AnomalyModel, known_answers: Sequence[KnownAnswer]) -> None:
    answers = model.assess([known.record for known in known_answers])
    if not all(_agrees(known, said) for known, said in zip(known_answers, answers, strict=True)):
        _refuse("The model does not reproduce its known answers with the packages installed here")


def _agrees(known: KnownAnswer, said: Assessment) -> bool:
    pairs = [
        (known.raw_score, said.raw_score),
        (known.anomaly_score, said.anomaly_score),
        (known.base_value, said.base_value),
        *((known.contributions.get(name, math.nan), value) for name, value in said.contributions.items()),
    ]
    return all(abs(expected - actual) <= TOLERANCE for expected, actual in pairs)


def _refuse(what: str) -> NoReturn:
    raise ArtifactError(f"{what}. {_WHAT_TO_RUN}") from None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _pickled(part: object) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(part, buffer, compress=3)
    return buffer.getvalue()


def _replace_all(directory: Path, contents: Mapping[str, bytes]) -> None:
    """Put every file on disk beside its place first, then move them there in order."""
    temporary = {name: directory / f".{name}.{os.getpid()}" for name in contents}
    try:
        for name, content in contents.items():
            _write_through(temporary[name], content)
        for name in contents:
            temporary[name].replace(directory / name)
    finally:
        for path in temporary.values():
            path.unlink(missing_ok=True)


def _write_through(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
