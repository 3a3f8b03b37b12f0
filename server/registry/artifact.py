"""The files of one model: written, and verified before anything of them is believed."""

import hashlib
import io
import json
import pickle
import platform
import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from zipfile import BadZipFile

import joblib
import numpy as np
from numpy.typing import NDArray
from pydantic import AwareDatetime, SecretStr, ValidationError
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import InconsistentVersionWarning

from common.errors import ArtifactError, NoModelError, OutdatedModelError
from config.settings import TrainingSettings
from server.anomaly.calibration import CalibrationByPattern, every_pattern
from server.anomaly.dataset import COLUMNS, Dataset
from server.anomaly.detector import AnomalyModel, Assessment, Detector
from server.anomaly.evaluation_figures import Evaluation
from server.anomaly.manifest import FORMAT, KnownAnswer, Manifest, Parameters, description_of
from server.anomaly.preprocessing import FACTORS, OneSidedRiskFactors
from server.anomaly.reference import Reference
from server.registry.card_making import model_card

# Known answers judge whether a model of another scikit-learn can be used. Said once, at import: `catch_warnings` swaps
# filters under every other thread.
warnings.filterwarnings("ignore", category=InconsistentVersionWarning)

FOREST_FILE = "isolation_forest.pkl"
PREPROCESSOR_FILE = "preprocessor.pkl"
CALIBRATION_FILE = "calibration.npz"
CARD_FILE = "model_card.json"
MANIFEST_FILE = "manifest.json"

TOLERANCE = 1e-9
"""How far a known answer may be off."""

_Part = TypeVar("_Part")

MODEL_FILES = frozenset({FOREST_FILE, PREPROCESSOR_FILE, CALIBRATION_FILE})
_OTHER_PACKAGES = "Run: pip install -r requirements.txt, or make it anew: python train_model.py --data FILE"
_RECORDED_PACKAGES = ("scikit-learn", "numpy", "shap")
_DAMAGED = (pickle.UnpicklingError, BadZipFile, EOFError)
_UNREADABLE = (*_DAMAGED, AttributeError, ImportError, LookupError, TypeError, ValueError)


def make_files(
    model: AnomalyModel,
    evaluation: Evaluation,
    reference: Reference,
    settings: TrainingSettings,
    known_answers: Sequence[KnownAnswer],
    *,
    data: Dataset,
    made_at: AwareDatetime,
) -> dict[str, bytes]:
    """Return the files of a newly trained model by name, the manifest that vouches for the others last."""
    contents = _model_files(model)
    described = description_of(data)
    manifest = Manifest(
        made_at=made_at,
        recalibrated_from=None,
        versions=_versions(),
        columns=COLUMNS,
        factors=list(FACTORS),
        data=described,
        calibration_data=described,
        parameters=Parameters.model_validate(settings.model_dump(include=set(Parameters.model_fields))),
        thresholds=model.thresholds,
        evaluation=evaluation,
        reference=reference,
        files=_hashes(contents),
        known_answers=list(known_answers),
    )
    return complete_files(contents, manifest.sealed(settings.signing_key))


def make_recalibrated_files(
    model: AnomalyModel,
    reference: Reference,
    settings: TrainingSettings,
    known_answers: Sequence[KnownAnswer],
    *,
    original: Manifest,
    data: Dataset,
    made_at: AwareDatetime,
) -> dict[str, bytes]:
    """Return the files of a model that keeps an earlier one's forest and is calibrated on another site's patients."""
    contents = _model_files(model)
    changed = {
        "made_at": made_at,
        "recalibrated_from": original.model_version,
        "versions": _versions(),
        "calibration_data": description_of(data),
        "parameters": original.parameters.model_copy(update={"calibration_by_age": settings.calibration_by_age}),
        "thresholds": model.thresholds,
        "reference": reference,
        "files": _hashes(contents),
        "known_answers": list(known_answers),
        "signature": None,
    }
    return complete_files(contents, original.model_copy(update=changed).sealed(settings.signing_key))


def complete_files(contents: Mapping[str, bytes], manifest: Manifest) -> dict[str, bytes]:
    """Return the files that a manifest vouches for, the card that follows from it, and last the manifest itself."""
    return {**contents, CARD_FILE: card_file(manifest), MANIFEST_FILE: manifest.model_dump_json(indent=1).encode()}


def card_file(manifest: Manifest) -> bytes:
    """Return the content of the model card's file."""
    return model_card(manifest).model_dump_json(indent=1).encode()


def load_detector(directory: Path, *, key: SecretStr | None = None) -> Detector:
    """Load a model after checking its manifest, its files' hashes and, once loaded, its known answers.

    With a key, the manifest must be signed with it. It logs nothing, because it may run on a thread of the operating
    system beside green ones, whose locks it must not take: what keeps a model from explaining is kept with it.

    Raises
    ------
    NoModelError
        When there is none.
    OutdatedModelError
        When an earlier version of this program wrote it.
    ArtifactError
        With a sentence that says what is wrong. Nothing is unpickled before the hashes were right.
    """
    return detector_of(*read_files(directory, key=key))


def detector_of(manifest: Manifest, contents: Mapping[str, bytes]) -> Detector:
    """Make the detector of files that were verified, and check its known answers; raises as ``load_detector`` does."""
    model = AnomalyModel(
        preprocessor=_unpickled(contents, PREPROCESSOR_FILE, OneSidedRiskFactors),
        forest=_unpickled(contents, FOREST_FILE, IsolationForest),
        calibration=_calibration(contents[CALIBRATION_FILE], manifest),
        thresholds=manifest.thresholds,
    )
    _check_known_answers(model, manifest.known_answers)
    return Detector(model, manifest)


def read_files(directory: Path, *, key: SecretStr | None = None) -> tuple[Manifest, dict[str, bytes]]:
    """Read a manifest and the files it vouches for, and check both; raises as ``load_detector`` does."""
    manifest = read_manifest(directory, key=key)
    return manifest, {name: _verified_content(directory / name, sha256) for name, sha256 in manifest.files.items()}


def read_manifest(directory: Path, *, key: SecretStr | None = None) -> Manifest:
    """Read and check a manifest; raises as ``load_detector`` does, which checks the files it vouches for."""
    path = directory / MANIFEST_FILE
    manifest = _parsed(path)
    if key is not None and not manifest.is_signed_with(key):
        _refuse(f"{path} is not signed with MODEL_SIGNING_KEY")
    if manifest.columns != COLUMNS or manifest.factors != list(FACTORS):
        _refuse(f"The model in {directory} was trained on other columns than this program uses")
    if manifest.model_version != manifest.expected_version():
        _refuse(f"{path} was changed after the model was made")
    if set(manifest.files) != MODEL_FILES:
        _refuse(f"{path} does not name the files of the model")
    return manifest


def _parsed(path: Path) -> Manifest:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise NoModelError(f"There is no trained model in {path.parent}.") from None
    except OSError as error:
        _refuse(f"{path} cannot be read ({error.strerror})")
    _refuse_other_format(path, content)
    try:
        return Manifest.model_validate_json(content)
    except ValidationError:
        _refuse(f"{path} is damaged")


def _refuse_other_format(path: Path, content: bytes) -> None:
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError):
        _refuse(f"{path} is damaged")
    written = manifest.get("format", 1) if isinstance(manifest, dict) else None
    if isinstance(written, int) and written < FORMAT:
        raise OutdatedModelError(f"The model in {path.parent} was written by an earlier version of this program.")
    if written != FORMAT:
        _refuse(f"{path} was written by another version of this program")


def _model_files(model: AnomalyModel) -> dict[str, bytes]:
    calibration = io.BytesIO()
    np.savez_compressed(calibration, *model.calibration.scores)
    return {
        FOREST_FILE: _pickled(model.forest),
        PREPROCESSOR_FILE: _pickled(model.preprocessor),
        CALIBRATION_FILE: calibration.getvalue(),
    }


def _hashes(contents: Mapping[str, bytes]) -> dict[str, str]:
    return {name: _sha256(content) for name, content in contents.items()}


def _versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: version(name) for name in _RECORDED_PACKAGES}


def _verified_content(path: Path, sha256: str) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        _refuse(f"The model is incomplete: {path} is missing")
    except OSError as error:
        _refuse(f"{path} cannot be read ({error.strerror})")
    if _sha256(content) != sha256:
        _refuse(f"{path} is not the file that was written when the model was made")
    return content


def _unpickled(contents: Mapping[str, bytes], name: str, kind: type[_Part]) -> _Part:
    """Unpickle a verified file."""
    try:
        part = joblib.load(io.BytesIO(contents[name]))
    except _UNREADABLE:
        part = None
    if not isinstance(part, kind):
        _refuse(f"{name} was written by versions of Python packages that cannot be read here. {_OTHER_PACKAGES}")
    return part


def _calibration(content: bytes, manifest: Manifest) -> CalibrationByPattern:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            bands = [arrays[name] for name in arrays.files]
    except _UNREADABLE:
        bands = []
    expected = 2 if manifest.parameters.calibration_by_age else 1
    if len(bands) != expected or not all(_calibrates(band) for band in bands):
        _refuse(f"{CALIBRATION_FILE} cannot be read here")
    return CalibrationByPattern(every_pattern(), bands)


def _calibrates(scores: NDArray[Any]) -> bool:
    """Tell whether an array holds the raw scores of patients, shape (p, n), for every missingness pattern."""
    fits = scores.ndim == 2 and len(scores) == len(every_pattern()) and scores.dtype == np.float64  # noqa: PLR2004
    return fits and bool(scores.size and (np.isnan(scores) | (scores > 0)).all() and (scores > 0).any(axis=1).all())


def _check_known_answers(model: AnomalyModel, known_answers: Sequence[KnownAnswer]) -> None:
    """Refuse a model that scores otherwise than it did; one that only explains otherwise stops explaining."""
    answers = list(zip(known_answers, model.assess([known.record for known in known_answers]), strict=True))
    if not all(_scores_agree(known, said) for known, said in answers):
        _refuse(f"The model does not reproduce its known answers with the packages installed here. {_OTHER_PACKAGES}")
    if not all(_contributions_agree(known, said) for known, said in answers):
        model.stop_explaining("the model does not reproduce its known contributions")


def _scores_agree(known: KnownAnswer, said: Assessment) -> bool:
    scores = ("raw_score", "anomaly_score", "base_value")
    return all(abs(getattr(known, score) - getattr(said, score)) <= TOLERANCE for score in scores)


def _contributions_agree(known: KnownAnswer, said: Assessment) -> bool:
    return known.contributions.keys() == said.contributions.keys() and all(
        abs(known.contributions[name] - value) <= TOLERANCE for name, value in said.contributions.items()
    )


def _refuse(what: str) -> NoReturn:
    raise ArtifactError(f"{what}.") from None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _pickled(part: object) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(part, buffer, compress=3)
    return buffer.getvalue()
