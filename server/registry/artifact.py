"""The files of one version of the model: written, and verified before anything in them is believed."""

import hashlib
import io
import json
import platform
import re
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import joblib
import numpy as np
from pydantic import SecretStr, ValidationError
from pydantic_core import to_json
from sklearn.exceptions import InconsistentVersionWarning

from common.errors import ArtifactError, NoModelError, OutdatedModelError
from common.rendered_card import VERSION_NAME
from server.anomaly.calibration import CalibrationByPattern, every_pattern
from server.anomaly.detector import AnomalyModel, Assessment, Detector
from server.anomaly.manifest import FORMAT, KnownAnswer, Manifest
from server.anomaly.sufficiency import Sufficiency
from server.registry.model_card import model_card

# Known answers decide whether a model made with another scikit-learn can be used. The filter is set once, at import:
# `catch_warnings` would swap the filters of every other thread.
warnings.filterwarnings("ignore", category=InconsistentVersionWarning)

FOREST_FILE = "isolation_forest.pkl"
PREPROCESSOR_FILE = "preprocessor.pkl"
CALIBRATION_FILE = "calibration.npz"
CARD_FILE = "model_card.json"
MANIFEST_FILE = "manifest.json"
MODEL_FILES = (FOREST_FILE, PREPROCESSOR_FILE, CALIBRATION_FILE)
VERSIONS_FOLDER = "versions"
ACTIVE_FILE = "active"
"""Names the active version. Renaming another one into its place is the whole switch."""

TOLERANCE = 1e-9
"""How far a known answer may be off."""

_RECORDED_PACKAGES = ("scikit-learn", "numpy", "shap")
_WHAT_TO_RUN = (
    "To see which versions can be used: python train_model.py --list. To go back to one: --activate VERSION. "
    "To train again: --data FILE"
)


def make_files(model: AnomalyModel, manifest: Manifest, key: SecretStr | None) -> dict[str, bytes]:
    """Return the files of a new version by name: the model's, its card, and the manifest that vouches for the model's.

    ``manifest`` says what is to be recorded; packages, hashes, name and signature are filled in here.
    """
    # No pickle: numpy's own format holds numbers alone, and reading it runs nothing.
    calibration = io.BytesIO()
    aurocs = model.sufficiency.aurocs
    np.savez_compressed(calibration, *model.calibration.scores, aurocs=np.empty((0, 2)) if aurocs is None else aurocs)
    contents = {
        FOREST_FILE: _pickled(model.forest),
        PREPROCESSOR_FILE: _pickled(model.preprocessor),
        CALIBRATION_FILE: calibration.getvalue(),
    }
    versions = {"python": platform.python_version()} | {name: version(name) for name in _RECORDED_PACKAGES}
    # What is hashed is what is written: reading the files back would vouch for whatever is there by then.
    hashes = {name: _sha256(content) for name, content in contents.items()}
    sealed = manifest.model_copy(update={"versions": versions, "files": hashes}).sealed(key)
    # The card has no hash: it follows from the manifest, and its wording may be corrected later.
    card = to_json(model_card(sealed), indent=1)
    return {**contents, CARD_FILE: card, MANIFEST_FILE: sealed.model_dump_json(indent=1).encode()}


def active_folder(directory: Path) -> Path:
    """Return the folder that holds the active version of a folder of models.

    It is that folder itself where no version is named: earlier versions of this program kept the files there.

    Raises
    ------
    ArtifactError
        When no stored version is named.
    """
    pointer = directory / ACTIVE_FILE
    try:
        name = pointer.read_bytes().decode(errors="replace").strip()
    except FileNotFoundError:
        return directory
    except OSError as error:
        _refuse(f"{pointer} cannot be read ({error.strerror})")
    # Only a name that is in the folder becomes part of a path, never "../elsewhere".
    if name not in version_names(directory):
        _refuse(f"{pointer} names no version that is stored here")
    return directory / VERSIONS_FOLDER / name


def version_names(directory: Path) -> list[str]:
    """Return the names of the versions in a folder, oldest first, whether they can be used or not.

    Raises
    ------
    ArtifactError
        When the folder cannot be read.
    """
    folder = directory / VERSIONS_FOLDER
    try:
        return sorted(path.name for path in folder.iterdir() if re.fullmatch(VERSION_NAME, path.name))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        _refuse(f"The versions in {folder} cannot be read ({error.strerror})")


def load_detector(directory: Path, *, key: SecretStr | None = None) -> Detector:
    """Load the active version after checking its manifest, its files' hashes and, once loaded, its known answers.

    With a key, the manifest must be signed with it. It logs nothing, because it may run on a thread of the operating
    system beside green ones, whose locks it must not take; what keeps a model from explaining is kept with the model.

    Raises
    ------
    NoModelError
        When nothing was ever trained here: no version is active, and none is stored.
    OutdatedModelError
        When an earlier version of this program wrote it.
    ArtifactError
        With a sentence that says what is wrong, and what to run.
    """
    try:
        return detector_of(*read_files(active_folder(directory), key=key))
    except NoModelError as error:
        # Versions of which none is active are not nothing: `--if-needed` must not train over somebody's choice.
        if version_names(directory):
            raise ArtifactError(f"No version in {directory} is active. {_WHAT_TO_RUN}") from None
        raise NoModelError(f"{error.message} Run: python train_model.py") from None
    except ArtifactError as error:
        raise type(error)(f"{error.message} {_WHAT_TO_RUN}") from None


def detector_of(manifest: Manifest, contents: Mapping[str, bytes]) -> Detector:
    """Make the detector from files that were verified, and check its known answers.

    A model that scores differently than it did is refused; one that only explains differently stops explaining.
    """
    known = manifest.known_answers
    try:
        with np.load(io.BytesIO(contents[CALIBRATION_FILE]), allow_pickle=False) as arrays:
            by_name = dict(arrays)
        aurocs = by_name.pop("aurocs")
        model = AnomalyModel(
            preprocessor=joblib.load(io.BytesIO(contents[PREPROCESSOR_FILE])),
            forest=joblib.load(io.BytesIO(contents[FOREST_FILE])),
            calibration=CalibrationByPattern(every_pattern(), list(by_name.values())),
            thresholds=manifest.thresholds,
            sufficiency=Sufficiency(aurocs if aurocs.size else None),
        )
        answers = list(zip(known, model.assess([answer.record for answer in known]), strict=True))
    except Exception:  # noqa: BLE001 - whatever the packages that unpickle and score raise on foreign content
        answers = []
    if not answers or not all(_scores_agree(*pair) for pair in answers):
        _refuse(
            "The model does not reproduce its known answers with the Python packages installed here. "
            "Run: pip install -r requirements.txt, or train again: python train_model.py --data FILE"
        )
    if not all(_contributions_agree(*pair) for pair in answers):
        model.stop_explaining("the model does not reproduce its known contributions")
    return Detector(model, manifest)


def _scores_agree(known: KnownAnswer, said: Assessment) -> bool:
    scores = ("raw_score", "anomaly_score", "base_value")
    agree = all(abs(getattr(known, score) - getattr(said, score)) <= TOLERANCE for score in scores)
    return agree and known.risk_level is said.risk_level


def _contributions_agree(known: KnownAnswer, said: Assessment) -> bool:
    return known.contributions.keys() == said.contributions.keys() and all(
        abs(known.contributions[name] - value) <= TOLERANCE for name, value in said.contributions.items()
    )


def read_files(folder: Path, *, key: SecretStr | None = None) -> tuple[Manifest, dict[str, bytes]]:
    """Read a version's manifest and the files it vouches for, and check both.

    Nothing is unpickled before all hashes are right: to unpickle a file is to run what is in it.
    """
    manifest = read_manifest(folder, key=key)
    contents = {name: _content(folder / name) for name in MODEL_FILES}
    for name, content in contents.items():
        if manifest.files.get(name) != _sha256(content):
            _refuse(f"{folder / name} is not the file that was written when the model was made")
    return manifest, contents


def read_manifest(folder: Path, *, key: SecretStr | None = None) -> Manifest:
    """Read and check a version's manifest; ``read_files`` checks the files it vouches for."""
    path = folder / MANIFEST_FILE
    content = _content(path)
    written = manifest_as_written(folder)
    # Before the schema, which an older layout fails like a damaged file.
    if written and written.get("format", 1) in range(1, FORMAT):
        raise OutdatedModelError(f"The model in {folder} was written by an earlier version of this program.")
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError:
        _refuse(f"{path} is damaged, or was written by another version of this program")
    # The signature before the hash, which a forger without the key can make agree.
    if key is not None and not manifest.is_signed_with(key):
        _refuse(f"{path} is not signed with MODEL_SIGNING_KEY")
    if manifest.model_version != manifest.expected_version():
        _refuse(f"{path} was changed after the model was made")
    if folder.parent.name == VERSIONS_FOLDER and folder.name != manifest.model_version:
        _refuse(f"The folder of version {folder.name} holds version {manifest.model_version}, so it is not used")
    return manifest


def manifest_as_written(folder: Path) -> dict[str, Any]:
    """Return what a manifest says, of whatever format and unverified; nothing if it cannot be read."""
    try:
        written = json.loads((folder / MANIFEST_FILE).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return written if isinstance(written, dict) else {}


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        # A stored version that lost its manifest is damaged; anywhere else there never was a model.
        if path.name == MANIFEST_FILE and path.parent.parent.name != VERSIONS_FOLDER:
            raise NoModelError(f"There is no trained model in {path.parent}.") from None
        _refuse(f"{path} is missing")
    except OSError as error:
        _refuse(f"{path} cannot be read ({error.strerror})")


def _refuse(what: str) -> NoReturn:
    raise ArtifactError(f"{what}.") from None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _pickled(part: object) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(part, buffer, compress=3)
    return buffer.getvalue()
