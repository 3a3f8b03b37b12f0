"""What is measured in one fold; only what figures are made of is kept, so that new figures need no new forests."""

from dataclasses import dataclass
from itertools import combinations
from math import ceil

import numpy as np
from sklearn.ensemble import IsolationForest

from common.patient import FIELDS
from config.settings import TrainingSettings
from server.anomaly.attribution import Attribution
from server.anomaly.calibration import CalibrationByPattern
from server.anomaly.dataset import COLUMNS, Dataset, FloatArray, IndexArray, frame_of, rows_of
from server.anomaly.fitting import fit_and_score, fit_parts, raw_scores
from server.anomaly.preprocessing import OneSidedRiskFactors
from server.evaluation.references import supervised_scores, usual_forest_scores
from server.evaluation.splits import SEEDS, Fit, Fold, calibration_folds, reseeded
from server.evaluation.training import calibrated, pattern_scores

RANDOM_PATIENTS = 10_000
"""Made-up patients, over all folds of the first repeat, whose contributions are added up."""

_BLANKED = [COLUMNS.index(name) for name in ("st_slope", "major_vessels", "thallium_scan")]
_STEPS_WORSE = {"resting_bp": 20, "cholesterol": 40, "max_heart_rate": -15, "st_depression": 1}
_NO_FINDINGS = {"age", "sex"}
_TOP = 3
_TRIPLES = np.array(list(combinations(range(len(COLUMNS)), _TOP)))
_GAP_SHARE = 0.25
_SAME = 1e-12


@dataclass(frozen=True)
class Scores:
    """Raw scores of the held-out patients: as they are, with three tests blanked, and how worse findings moved them."""

    raw: FloatArray
    blanked: FloatArray
    steps_worse: int
    steps_lowering: int


@dataclass(frozen=True)
class SecondSeed:
    """What forests of another seed say of the same held-out patients."""

    raw: FloatArray
    anomaly: FloatArray
    usual_raw: FloatArray


@dataclass(frozen=True)
class Explained:
    """By held-out patient, how far the raw score falls when three fields become typical: the top three by contribution,
    three at random and the best three; and the largest gap between contributions and log2 score of random patients."""

    top_fall: FloatArray
    random_fall: FloatArray
    best_fall: FloatArray
    random_patients: int
    largest_gap: float


@dataclass(frozen=True)
class FoldResult:
    """One fold: the rows held out, what is said of them, and in the first repeat what costs more to find out.

    ``anomaly`` and ``blanked_anomaly`` are the calibrated scores; ``supervised`` needs patients of both labels.
    """

    held_out: IndexArray
    ours: Scores
    anomaly: FloatArray
    blanked_anomaly: FloatArray
    usual: Scores
    supervised: FloatArray | None
    second_seed: SecondSeed | None
    explained: Explained | None


def evaluate_fold(fold: Fold) -> FoldResult:
    """Fit everything on the other folds' patients and measure it on those held out.

    The first repeat looks deeper: a second seed, and the explanation, which is put to made-up patients as well.
    """
    dataset, fit, settings = fold.dataset, fold.fit, fold.settings
    held_out, disease_free = dataset.values[fit.scored], dataset.values[fit.fitted_on]
    blanked = held_out.copy()
    blanked[:, _BLANKED] = np.nan
    owners, worse = worsened(held_out)
    variants = np.concatenate([held_out, blanked, worse])
    ours = _read(fit_and_score(frame_of(disease_free), frame_of(variants), settings), owners, len(held_out))
    usual = usual_forest_scores(disease_free, variants, seed=settings.random_state)
    calibrated_values = np.concatenate([held_out, blanked])
    calibration = _calibration(dataset, fit, calibrated_values, settings)
    anomaly_scores = calibration.score(calibrated_values, np.concatenate([ours.raw, ours.blanked]))
    return FoldResult(
        held_out=fit.scored,
        ours=ours,
        anomaly=anomaly_scores[: len(held_out)],
        blanked_anomaly=anomaly_scores[len(held_out) :],
        usual=_read(usual, owners, len(held_out)),
        supervised=_supervised(dataset, fit),
        second_seed=_second_seed(dataset, fit, settings) if fold.repeat == 0 else None,
        explained=_explained(disease_free, held_out, settings) if fold.repeat == 0 else None,
    )


def worsened(values: FloatArray) -> tuple[IndexArray, FloatArray]:
    """Return each patient, of shape (n, 13), with one measured finding worse: whose row it is, and the changed rows.

    A finding is any field but age and sex. Codes go to the next higher, which is the riskier; blood pressure rises by
    20 mm Hg, cholesterol by 40 mg/dL and ST depression by 1 mm, and the highest heart rate falls by 15 beats/min.
    """
    owners, changed = [], []
    for column, name in enumerate(COLUMNS):
        if name in _NO_FINDINGS:
            continue
        worse = np.array([_worse(name, value) for value in values[:, column]])
        rows = np.flatnonzero(~np.isnan(worse))
        copies = values[rows]
        copies[:, column] = worse[rows]
        owners.append(rows)
        changed.append(copies)
    return np.concatenate(owners), np.concatenate(changed)


def _worse(name: str, value: float) -> float:
    """Return the next worse value of a field; NaN where there is none, or none was measured."""
    field = FIELDS[name]
    if field.codes:
        return min((code for code in field.codes if code > value), default=np.nan)
    worse = value + _STEPS_WORSE[name]
    lowest, highest = field.possible_range or (-np.inf, np.inf)
    return float(worse) if lowest <= worse <= highest else np.nan


def _read(scores: FloatArray, owners: IndexArray, patients: int) -> Scores:
    """Take the scores of patients as they are, blanked, and with one finding worse apart."""
    raw, blanked, worse = np.split(scores, [patients, 2 * patients])
    return Scores(raw, blanked, worse.size, int((worse < raw[owners] - _SAME).sum()))


def _supervised(dataset: Dataset, fit: Fit) -> FloatArray | None:
    others = np.setdiff1d(np.arange(len(dataset.values)), fit.scored)
    has_disease = dataset.has_disease[others]
    if has_disease.all() or not has_disease.any():
        return None
    return supervised_scores(dataset.values[others], has_disease, dataset.values[fit.scored])


def _calibration(dataset: Dataset, fit: Fit, values: FloatArray, settings: TrainingSettings) -> CalibrationByPattern:
    """Calibrate on a fold's training patients, for the missingness patterns of some patients of shape (n, 13)."""
    patterns = np.unique(np.isnan(values), axis=0)
    fits = calibration_folds(fit.fitted_on, settings)
    scores = [pattern_scores(dataset, one, patterns, settings) for one in fits]
    return calibrated(dataset, fits, scores, patterns, settings)


def _second_seed(dataset: Dataset, fit: Fit, settings: TrainingSettings) -> SecondSeed:
    other, held_out = reseeded(settings, SEEDS // 2), dataset.values[fit.scored]
    raw = fit_and_score(dataset.frame(fit.fitted_on), dataset.frame(fit.scored), other)
    anomaly = _calibration(dataset, fit, held_out, other).score(held_out, raw)
    usual = usual_forest_scores(dataset.values[fit.fitted_on], held_out, seed=other.random_state)
    return SecondSeed(raw, anomaly, usual)


def _explained(disease_free: FloatArray, held_out: FloatArray, settings: TrainingSettings) -> Explained:
    preprocessor, forest = fit_parts(frame_of(disease_free), settings)
    attribution = Attribution(preprocessor, forest)
    contributions = np.array([attribution.of(row)[0] for row in rows_of(held_out)])
    falls = _falls(preprocessor, forest, preprocessor.impute(held_out))
    top_fields = np.sort(np.argsort(-contributions, axis=1, kind="stable")[:, :_TOP])
    is_top = (top_fields[:, np.newaxis, :] == _TRIPLES).all(axis=2)
    strangers = random_values(ceil(RANDOM_PATIENTS / settings.evaluation_folds), settings.random_state)
    sums = [attribution.base_value + sum(attribution.of(row)[0]) for row in rows_of(strangers)]
    scores = -forest.score_samples(preprocessor.factors(preprocessor.impute(strangers)))
    return Explained(
        top_fall=falls[is_top],
        random_fall=falls.mean(axis=1),
        best_fall=falls.max(axis=1),
        random_patients=len(strangers),
        largest_gap=float(np.abs(sums - np.log2(scores)).max()),
    )


def _falls(preprocessor: OneSidedRiskFactors, forest: IsolationForest, complete: FloatArray) -> FloatArray:
    """Return by how much the raw score falls when three fields become typical, for every triple, shape (n, 286)."""
    made_typical = np.zeros((len(_TRIPLES), len(COLUMNS)), dtype=bool)
    np.put_along_axis(made_typical, _TRIPLES, values=True, axis=1)
    changed = np.where(made_typical, preprocessor.typical_, complete[:, np.newaxis, :]).reshape(-1, len(COLUMNS))
    # Many of them are alike: what is typical already cannot change.
    factors = preprocessor.factors(np.concatenate([complete, changed]))
    different, places = np.unique(factors, axis=0, return_inverse=True)
    trees = (estimator.tree_ for estimator in forest.estimators_)
    before, after = np.split(raw_scores(trees, forest.max_samples_, different)[places], [len(complete)])
    falls: FloatArray = before[:, np.newaxis] - after.reshape(len(complete), -1)
    return falls


def random_values(patients: int, seed: int) -> FloatArray:
    """Make up patients with any possible values, shape (n, 13), a quarter of those that may be missing not measured."""
    random = np.random.default_rng(seed)
    columns = []
    for field in FIELDS.values():
        lowest, highest = field.possible_range or (0, 0)
        drawn = random.choice([*field.codes], patients) if field.codes else random.uniform(lowest, highest, patients)
        is_gap = (random.random(patients) < _GAP_SHARE) & (not field.required)
        columns.append(np.where(is_gap, np.nan, drawn))
    return np.stack(columns, axis=1)
