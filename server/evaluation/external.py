"""External validation: how a trained model does on patients of a clinic it has never seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from server.anomaly.dataset import BoolArray
from server.anomaly.detector import Detector
from server.anomaly.evaluation_figures import Abstention, Estimate, GroupRates, Rates, by_level
from server.anomaly.intervals import RESAMPLES, by_bootstrap, of_share
from server.anomaly.recognition import Patients
from server.evaluation.measures import SEPARATION, abstention_of, confusion, group_rates

# The bootstrap draws each of them 2,000 times: with more, it would take hours and give the same figures.
_MOST_PATIENTS = 10_000


@dataclass(frozen=True)
class ExternalValidation:
    """What was found on a file from elsewhere; what needs labels is empty where there are none.

    ``used_to`` says what the model did with this very file when it was made: the figures are then not external.
    ``alarms`` holds the shares of all patients at Medium or higher and at High, with Wilson intervals; patients without
    a level are no alarms. ``separation`` is by the anomaly scores and needs patients of both labels; its intervals are
    by bootstrap.
    """

    model_version: str
    used_to: Sequence[str]
    patients: Patients = field(repr=False)
    abstention: Abstention
    alarms: Mapping[str, Estimate]
    separation: Mapping[str, Estimate]
    groups: Sequence[GroupRates]
    confusion: Mapping[str, Mapping[str, int]]


def validate(patients: Patients, detector: Detector, *, seed: int, resamples: int = RESAMPLES) -> ExternalValidation:
    """Score the patients of a file, and compare with their labels where it has them; of very many, a random sample."""
    if len(patients.values) > _MOST_PATIENTS:
        rows = np.random.default_rng(seed).choice(len(patients.values), _MOST_PATIENTS, replace=False)
        said = f"A random sample is used: {_MOST_PATIENTS:,} of its {len(patients.values):,} patients."
        patients = patients.drawn(np.sort(rows), said)
    values, thresholds = patients.values, detector.thresholds
    # The calibrated scores and not the raw ones: they are what people see, and what gaps do to the order counts.
    scores, has_level = detector.model.anomaly_scores(values), detector.model.sufficiency.are_enough(values)
    counted = np.where(has_level, scores, np.nan)
    # Everybody is scored; rates and separation are of those whose label is known.
    is_labeled = patients.is_labeled
    diseased = patients.has_disease & is_labeled
    has_disease, known, known_level = patients.has_disease[is_labeled], scores[is_labeled], counted[is_labeled]

    # Wilson's intervals and not those over folds: here each patient is scored once, by one model.
    def rates_from(members: BoolArray, threshold: float) -> Rates:
        free, ill = (known_level[members & labeled] >= threshold for labeled in (~has_disease, has_disease))
        return Rates(false_alarm_rate=of_share(free), sensitivity=of_share(ill))

    separation = {}
    if has_disease.any() and not has_disease.all():
        for name, figure in SEPARATION.items():
            separation[name] = by_bootstrap(figure, has_disease, known, seed=seed, resamples=resamples)
    manifest = detector.manifest
    uses = {"trained": manifest.data.sha256, "calibrated": manifest.calibration_data.sha256}
    return ExternalValidation(
        model_version=detector.model_version,
        used_to=[use for use, sha256 in uses.items() if sha256 == patients.sha256],
        patients=patients,
        abstention=abstention_of(detector.model.sufficiency, has_level, diseased, scores, thresholds.high),
        alarms={level: of_share(counted >= threshold) for level, threshold in by_level(thresholds).items()},
        separation=separation,
        groups=group_rates(values[is_labeled], has_disease, thresholds, rates_from) if known.size else [],
        confusion=confusion(has_disease, known_level, thresholds) if known.size else {},
    )
