"""A new version of the model: trained and evaluated on a clinic's patients, or recalibrated on another site's."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from common.errors import InvalidDataError
from config.settings import TrainingSettings
from server.anomaly.dataset import COLUMNS, Dataset, FloatArray
from server.anomaly.detector import AnomalyModel, Detector
from server.anomaly.evaluation_figures import Evaluation
from server.anomaly.manifest import Manifest, Parameters, description_of
from server.anomaly.preprocessing import FACTORS
from server.anomaly.reference import Reference, reference_of
from server.evaluation.console import Watch, unwatched
from server.evaluation.cross_validation import cross_validate, kept_repeats
from server.evaluation.figures import evaluation_of, held_out_scores
from server.evaluation.folds import evaluate_fold
from server.evaluation.training import recalibrate, train
from server.registry.artifact import make_files
from server.registry.known_answers import known_answers


@dataclass(frozen=True)
class NewVersion:
    """A model that is not stored yet, and its files by name."""

    model: AnomalyModel
    evaluation: Evaluation
    files: Mapping[str, bytes]


def trained_version(
    dataset: Dataset,
    settings: TrainingSettings,
    evaluations: Path,
    *,
    made_at: datetime,
    repeats: int | None = None,
    watch_calibration: Watch = unwatched,
    watch_evaluation: Watch = unwatched,
) -> NewVersion:
    """Train on a clinic's patients and evaluate on those held out.

    The evaluation has as many repeats as ``evaluations`` keeps of the same data, settings and code, at least one.

    Raises
    ------
    InvalidDataError
        When there are too few patients.
    """
    model = train(dataset, settings, progress=watch_calibration)
    # Whoever evaluated ten times before gets these figures recorded; a training alone takes time for one.
    repeats = repeats or max(1, kept_repeats(evaluate_fold, dataset, settings, evaluations))
    results = cross_validate(evaluate_fold, dataset, settings, evaluations, repeats=repeats, progress=watch_evaluation)
    evaluation = evaluation_of(dataset, results, model.thresholds, settings.evaluation_folds)
    reference = _reference(dataset, model, held_out_scores(dataset, results))
    described = description_of(dataset)
    manifest = Manifest(
        made_at=made_at,
        recalibrated_from=None,
        versions={},
        columns=COLUMNS,
        factors=list(FACTORS),
        data=described,
        calibration_data=described,
        parameters=Parameters.model_validate(settings.model_dump(include=set(Parameters.model_fields))),
        thresholds=model.thresholds,
        evaluation=evaluation,
        reference=reference,
        files={},
        known_answers=known_answers(model, settings.random_state),
    )
    return NewVersion(model, evaluation, make_files(model, manifest, settings.signing_key))


def recalibrated_version(
    earlier: Detector, dataset: Dataset, settings: TrainingSettings, *, made_at: datetime
) -> NewVersion:
    """Keep a model's forest and calibrate it on the disease-free patients of another site.

    Raises
    ------
    InvalidDataError
        When there are too few disease-free patients, or they are those that the forest was fitted on.
    """
    if dataset.sha256 == earlier.manifest.data.sha256:
        raise InvalidDataError(
            f"{dataset.name} is the file that the forest was fitted on. Recalibrate on patients it has not seen."
        )
    model = recalibrate(earlier.model, dataset, settings)
    original = earlier.manifest
    changed = {
        "made_at": made_at,
        "recalibrated_from": original.model_version,
        "calibration_data": description_of(dataset),
        "parameters": original.parameters.model_copy(update={"calibration_by_age": settings.calibration_by_age}),
        "thresholds": model.thresholds,
        "reference": _reference(dataset, model, model.anomaly_scores(dataset.values)),
        "known_answers": known_answers(model, original.parameters.random_state),
        "signature": None,
    }
    files = make_files(model, original.model_copy(update=changed), settings.signing_key)
    return NewVersion(model, original.evaluation, files)


def _reference(dataset: Dataset, model: AnomalyModel, scores: FloatArray) -> Reference:
    return reference_of(dataset.values, dataset.has_disease, model.thresholds, anomaly_scores=scores)
