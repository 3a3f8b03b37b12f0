"""Train, recalibrate and activate the detector: ``python train_model.py --help``."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

# The first thing that a newcomer runs, at times before the packages are there: that ends in a sentence.
try:
    from common.access.audit import Action, record_command
    from common.errors import NoModelError, OutdatedModelError
    from common.messages import Thresholds
    from config.settings import ServerSettings, TrainingSettings
    from server.anomaly.dataset import SHIPPED_DATA, Dataset
    from server.anomaly.detector import Detector
    from server.anomaly.manifest import Manifest
    from server.anomaly.recognition import load_dataset
    from server.evaluation.console import run, settings_of
    from server.evaluation.data_file import add_file_options, read_with_questions
    from server.evaluation.new_version import recalibrated_version, trained_version
    from server.evaluation.report_text import summary_text
    from server.registry.artifact import MANIFEST_FILE, active_folder, load_detector, manifest_as_written
    from server.registry.changes import changes_between, recalibration_effect
    from server.registry.model_card import SHIPPED_DATA_SHA256
    from server.registry.versions import activate, active_manifest, store_version, stored_versions
    from server.store.access import access_store
except ModuleNotFoundError as error:
    sys.exit(
        f"The package {error.name} is not installed. Run: pip install -r requirements.txt && pip install -e . --no-deps"
    )


@dataclass(frozen=True)
class Place:
    """Where models are, and how they are made."""

    models: Path
    settings: TrainingSettings
    server: ServerSettings


def main(words: Sequence[str] | None = None) -> int:
    """Do what was asked for; return the exit code: 0 when it was done, 1 or 2 when it was not, 130 when stopped."""
    parser = argparse.ArgumentParser(description="Train the detector on a file of patients and make it the active one.")
    parser.add_argument("--data", type=Path, help="labeled CSV or Excel file to train on (default: shipped)")
    parser.add_argument("--out", type=Path, help="folder of the models (default: MODEL_DIR, else saved_models)")
    parser.add_argument("--repeats", type=int, help="repeats of the evaluation (default: those kept, at least 1)")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--if-needed", action="store_true", help="train only if there is no model yet")
    instead.add_argument(
        "--recalibrate", type=Path, metavar="FILE", help="keep the forest, calibrate on another site's labeled file"
    )
    instead.add_argument("--list", action="store_true", help="list the stored versions")
    instead.add_argument("--activate", metavar="VERSION", help="make a stored version the active one")
    add_file_options(parser)
    arguments = parser.parse_args(words)
    if arguments.repeats is not None and arguments.repeats < 1:
        parser.error("--repeats must be 1 or more")
    trains = not arguments.list and arguments.activate is None and arguments.recalibrate is None
    if not trains and (arguments.data or arguments.repeats):
        parser.error("--data and --repeats are for training; --list, --activate and --recalibrate do not train")
    settings, server = settings_of(parser)
    place = Place(arguments.out or server.model_dir, settings, server)
    return run(partial(_act, arguments, place), stopped="Stopped. The active model is unchanged.")


def _act(arguments: argparse.Namespace, place: Place) -> None:
    if arguments.list:
        list_versions(place)
    elif arguments.activate is not None:
        detector = _activate(place, arguments.activate)
        print(f"Model {detector.model_version} is active. A running server takes it within seconds.")
    elif arguments.recalibrate is not None:
        recalibrate_active(place, _read(arguments, arguments.recalibrate))
    elif not (arguments.if_needed and is_ready(place)):
        train_and_activate(place, _read(arguments, arguments.data or SHIPPED_DATA), arguments.repeats)


def _read(arguments: argparse.Namespace, path: Path) -> Dataset:
    """Read a file of labeled patients, and say how it was read unless it is the shipped one."""
    dataset = read_with_questions(partial(load_dataset, path), arguments)
    if path.resolve() != SHIPPED_DATA:
        print(*dataset.recognized, sep="\n", end="\n\n", flush=True)
    return dataset


def train_and_activate(place: Place, dataset: Dataset, repeats: int | None) -> None:
    """Train and evaluate on held-out patients, make the model the active one, and say what changed."""
    folder = place.server.data_dir / "evaluation"
    files = trained_version(dataset, place.settings, folder, made_at=datetime.now(UTC), repeats=repeats)
    made = Manifest.model_validate_json(files[MANIFEST_FILE])
    print(summary_text(made.evaluation, made.thresholds), flush=True)  # first: to store it may fail
    earlier = active_manifest(place.models)  # read before the new model takes its place
    detector = _activate(place, store_version(place.models, files))
    _say_active(place, detector)
    print(detector.manifest.abstention.in_words(dataset.name))
    if earlier:
        _report_changes(place, earlier.model_version, changes_between(earlier, detector.manifest))


def recalibrate_active(place: Place, dataset: Dataset) -> None:
    """Calibrate the active model on another site's disease-free patients, and make the result the active one."""
    active = load_detector(place.models, key=place.settings.signing_key)
    files = recalibrated_version(active, dataset, place.settings, made_at=datetime.now(UTC))
    detector = _activate(place, store_version(place.models, files))
    _say_active(place, detector)
    _report_changes(place, active.model_version, recalibration_effect(active.model, detector.model, dataset))
    _say_if_thresholds_differ(place, active.thresholds)


def _say_if_thresholds_differ(place: Place, kept: Thresholds) -> None:
    settings = place.settings
    if (kept.medium, kept.high) != (settings.medium_threshold, settings.high_threshold):
        print(
            f"The thresholds stay those of the training, Medium from {kept.medium} and High from {kept.high}: "
            "MODEL_MEDIUM_THRESHOLD and MODEL_HIGH_THRESHOLD count only when a model is trained again."
        )


def is_ready(place: Place) -> bool:
    """Return whether there is a model that can be used, and say so; a model of other patients is never replaced.

    There is none where nothing was ever trained, and where an earlier version of this program made it of the shipped
    data: it is then trained again on them.
    """
    try:
        detector = load_detector(place.models, key=place.settings.signing_key)
    except OutdatedModelError:
        # Manifests of every format name their data so. A clinic's own patients may be in no file here any more.
        written = manifest_as_written(active_folder(place.models))
        described = [written[name]["sha256"] for name in ("data", "calibration_data") if name in written]
        # Either one: a recalibrated model has another site's patients in its calibration alone.
        if set(described) != {SHIPPED_DATA_SHA256}:
            raise
        print("The model was made of the shipped data by an earlier version of this program: it is trained again.")
    except NoModelError:
        pass
    else:
        print(f"Model {detector.model_version} is ready.")
        _say_if_thresholds_differ(place, detector.thresholds)
        return True
    print("Training the model; this takes about a minute.", flush=True)
    return False


def list_versions(place: Place) -> None:
    """List the versions, oldest first."""
    stored = stored_versions(place.models, key=place.settings.signing_key)
    if not stored:
        raise NoModelError(f"There is no trained model in {place.models}. Run: python train_model.py")
    for version in stored:
        described = f"cannot be used: {version.refused}"
        if manifest := version.manifest:
            calibrated_on, figures = manifest.calibration_data, manifest.evaluation.figures
            origin = f"trained on {manifest.data.name}"
            if manifest.recalibrated_from:
                origin = f"{manifest.recalibrated_from} recalibrated on {calibrated_on.name}"
            auroc = f", AUROC {figures['auroc'].ours:.3f}" if "auroc" in figures else ""
            described = f"{origin}, {calibrated_on.disease_free} disease-free patients{auroc}"
        print(f"{'*' if version.is_active else ' '} {version.name}  {described}")
    print(f"* active. To go back to another: python train_model.py --activate VERSION{_elsewhere(place)}")


def _activate(place: Place, version: str) -> Detector:
    detector = activate(place.models, version, key=place.settings.signing_key)
    # After the switch: the audit trail tells what happened, not what was tried.
    record_command(partial(access_store, place.server), Action.MODEL_ACTIVATED, version)
    if detector.model.trouble is not None:
        print(f"It scores, but no contributions are shown: {detector.model.trouble}.", file=sys.stderr)
    return detector


def _say_active(place: Place, detector: Detector) -> None:
    print(f"\nModel {detector.model_version} is active in {place.models} and reproduces its known answers.")


def _report_changes(place: Place, earlier: str, changes: Iterable[str]) -> None:
    print(f"What changed since {earlier}:", *(list(changes) or ["nothing but the time"]), sep="\n  ")
    print(f"To go back: python train_model.py --activate {earlier}{_elsewhere(place)}")


def _elsewhere(place: Place) -> str:
    return f" --out {place.models}" if place.models != place.server.model_dir else ""


if __name__ == "__main__":
    sys.exit(main())
