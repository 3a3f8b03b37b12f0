"""A new version of the model: trained and evaluated on a clinic's patients, or recalibrated on another site's."""

from datetime import datetime
from pathlib import Path

import numpy as np

from common.errors import InvalidDataError
from config.settings import TrainingSettings
from server.anomaly.dataset import COLUMNS, Dataset
from server.anomaly.detector import Detector
from server.anomaly.manifest import Manifest, Parameters, description_of
from server.anomaly.missing_tests import possible_values
from server.anomaly.preprocessing import FACTORS
from server.anomaly.reference import reference_of
from server.evaluation.cross_validation import cross_validate
from server.evaluation.folds import evaluate_fold
from server.evaluation.measures import abstention_of, evaluation_of
from server.evaluation.training import recalibrate, train
from server.registry.artifact import make_files
from server.registry.known_answers import known_answers


def trained_version(
    dataset: Dataset, settings: TrainingSettings, evaluations: Path, *, made_at: datetime, repeats: int | None = None
) -> dict[str, bytes]:
    """Train on a clinic's patients, evaluate on those held out, and return the files of the new version by name.

    The evaluation has as many repeats as asked for, or as ``evaluations`` keeps of the same data, settings and code.

    Raises
    ------
    InvalidDataError
        When there are too few patients.
    """
    model = train(dataset, settings)
    results = cross_validate(evaluate_fold, dataset, settings, evaluations, repeats=repeats)
    # Of each patient the score of the last fold in which it was held out.
    scores = np.empty(len(dataset.values))
    for result in results:
        scores[result.held_out] = result.anomaly
    has_level = model.sufficiency.are_enough(dataset.values)
    described, folds = description_of(dataset), settings.evaluation_folds
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
        evaluation=evaluation_of(dataset, results, model.thresholds, folds, has_level),
        abstention=abstention_of(model.sufficiency, has_level, dataset.has_disease, scores, model.thresholds.high),
        possible_values=possible_values(dataset.values),
        reference=reference_of(
            dataset.values,
            dataset.has_disease,
            model.thresholds,
            anomaly_scores=np.where(has_level, scores, np.nan),
        ),
        files={},
        known_answers=known_answers(model, settings.random_state),
    )
    return make_files(model, manifest, settings.signing_key)


def recalibrated_version(
    earlier: Detector, dataset: Dataset, settings: TrainingSettings, *, made_at: datetime
) -> dict[str, bytes]:
    """Keep a model's forest, calibrate it on the disease-free patients of another site, and return the files.

    Raises
    ------
    InvalidDataError
        When there are too few disease-free patients, or they are those that the forest was fitted on.
    """
    original = earlier.manifest
    if dataset.sha256 == original.data.sha256:
        raise InvalidDataError(
            f"{dataset.name} is the file that the forest was fitted on. Recalibrate on patients it has not seen."
        )
    model = recalibrate(earlier.model, dataset, settings)
    scores = model.counted_scores(dataset.values)
    changed = {
        "made_at": made_at,
        "recalibrated_from": original.model_version,
        "calibration_data": description_of(dataset),
        "parameters": original.parameters.model_copy(update={"calibration_by_age": settings.calibration_by_age}),
        "thresholds": model.thresholds,
        "reference": reference_of(dataset.values, dataset.has_disease, model.thresholds, anomaly_scores=scores),
        "known_answers": known_answers(model, original.parameters.random_state),
        "signature": None,
    }
    return make_files(model, original.model_copy(update=changed), settings.signing_key)
