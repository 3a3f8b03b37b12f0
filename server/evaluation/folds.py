"""What is measured in one fold, and what is kept of it; small results, so that figures can be made of them anew."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from pydantic import BaseModel, ConfigDict
from sklearn.ensemble import IsolationForest

from common.patient import FIELDS, FieldDescription
from config.settings import TrainingSettings
from server.anomaly.attribution import Attribution
from server.anomaly.calibration import CalibrationByPattern
from server.anomaly.dataset import COLUMNS, Dataset, FloatArray, IndexArray, frame_of, rows_of
from server.anomaly.fitting import fit_and_score, fit_parts, raw_scores
from server.anomaly.preprocessing import OneSidedRiskFactors
from server.evaluation.references import supervised_scores, usual_forest_scores
from server.evaluation.splits import Fit, calibration_folds
from server.evaluation.training import calibrated, pattern_scores

RANDOM_PATIENTS = 10_000

_BLANKED = [COLUMNS.index(name) for name in ("st_slope", "major_vessels", "thallium_scan")]
_STEPS_WORSE = {"resting_bp": 20, "cholesterol": 40, "max_heart_rate": -15, "st_depression": 1}
_NO_FINDINGS = {"age", "sex"}
_TOP = 3
_TRIPLES = np.array(list(combinations(range(len(COLUMNS)), _TOP)))
_GAP_SHARE = 0.25
_SAME = 1e-12
_SEEDS = 2**32


class _Kept(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class Scores(_Kept):
    """Raw scores of the held-out patients: as they are, with three tests blanked, and how worse findings moved them."""

    raw: list[float]
    blanked: list[float]
    steps_worse: int
    steps_lowering: int


class SecondSeed(_Kept):
    """What forests of another seed say of the same held-out patients."""

    raw: list[float]
    anomaly: list[float]
    usual_raw: list[float]


class Explained(_Kept):
    """By held-out patient, how far the raw score falls when three fields become typical: the top three by contribution,
    three at random and the best three; and the largest gap between contributions and log2 score of random patients."""

    top_fall: list[float]
    random_fall: list[float]
    best_fall: list[float]
    random_patients: int
    largest_gap: float


class FoldResult(_Kept):
    """One fold: the rows held out, what is said of them, and in the first repeat what costs more to find out.

    ``anomaly`` and ``blanked_anomaly`` are the calibrated scores; ``supervised`` needs patients of both labels.
    """

    held_out: list[int]
    ours: Scores
    anomaly: list[float]
    blanked_anomaly: list[float]
    usual: Scores
    supervised: list[float] | None
    second_seed: SecondSeed | None
    explained: Explained | None


def evaluate_fold(
    dataset: Dataset, fit: Fit, settings: TrainingSettings, *, in_depth: bool, random_patients: int
) -> FoldResult:
    """Fit everything on the other folds' patients and measure it on those held out.

    ``in_depth`` adds a second seed and the explanation, which is put to ``random_patients`` made-up ones as well.
    """
    held_out, disease_free = dataset.values[fit.scored], dataset.values[fit.fitted_on]
    variants = _Variants(held_out)
    raw = fit_and_score(frame_of(disease_free), frame_of(variants.values), settings)
    usual = usual_forest_scores(disease_free, variants.values, seed=settings.random_state)
    calibrated_values = variants.values[: 2 * len(held_out)]
    calibration = _calibration(dataset, fit, calibrated_values, settings)
    anomaly, blanked = np.split(calibration.score(calibrated_values, raw[: len(calibrated_values)]), 2)
    return FoldResult(
        held_out=fit.scored.tolist(),
        ours=variants.read(raw),
        anomaly=anomaly.tolist(),
        blanked_anomaly=blanked.tolist(),
        usual=variants.read(usual),
        supervised=_supervised(dataset, fit),
        second_seed=_second_seed(dataset, fit, settings) if in_depth else None,
        explained=_explained(disease_free, held_out, settings, random_patients) if in_depth else None,
    )


def reseeded(settings: TrainingSettings, by: int) -> TrainingSettings:
    """Return the settings with another seed."""
    return settings.model_copy(update={"random_state": (settings.random_state + by) % _SEEDS})


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
        copies = values[rows].copy()
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


class _Variants:
    """Held-out patients as they are, with three tests blanked and with one finding worse, scored in one go."""

    def __init__(self, held_out: FloatArray) -> None:
        blanked = held_out.copy()
        blanked[:, _BLANKED] = np.nan
        self._owners, worse = worsened(held_out)
        self._patients = len(held_out)
        self.values: FloatArray = np.concatenate([held_out, blanked, worse])

    def read(self, raw_scores: FloatArray) -> Scores:
        raw, blanked, worse = np.split(raw_scores, [self._patients, 2 * self._patients])
        lowering = worse < raw[self._owners] - _SAME
        return Scores(
            raw=raw.tolist(),
            blanked=blanked.tolist(),
            steps_worse=int(worse.size),
            steps_lowering=int(lowering.sum()),
        )


def _supervised(dataset: Dataset, fit: Fit) -> list[float] | None:
    others = np.setdiff1d(np.arange(len(dataset.values)), fit.scored)
    has_disease = dataset.has_disease[others]
    if has_disease.all() or not has_disease.any():
        return None
    scores: list[float] = supervised_scores(dataset.values[others], has_disease, dataset.values[fit.scored]).tolist()
    return scores


def _calibration(dataset: Dataset, fit: Fit, values: FloatArray, settings: TrainingSettings) -> CalibrationByPattern:
    """Calibrate on a fold's training patients, for the missingness patterns of some patients of shape (n, 13)."""
    patterns = np.unique(np.isnan(values), axis=0)
    fits = calibration_folds(fit.fitted_on, settings)
    scores = [pattern_scores(dataset, one, patterns, settings) for one in fits]
    return calibrated(dataset, fits, scores, patterns, settings)


def _second_seed(dataset: Dataset, fit: Fit, settings: TrainingSettings) -> SecondSeed:
    other = reseeded(settings, _SEEDS // 2)
    raw = fit_and_score(dataset.frame(fit.fitted_on), dataset.frame(fit.scored), other)
    usual = usual_forest_scores(dataset.values[fit.fitted_on], dataset.values[fit.scored], seed=other.random_state)
    held_out = dataset.values[fit.scored]
    return SecondSeed(
        raw=raw.tolist(),
        anomaly=_calibration(dataset, fit, held_out, other).score(held_out, raw).tolist(),
        usual_raw=usual.tolist(),
    )


def _explained(
    disease_free: FloatArray, held_out: FloatArray, settings: TrainingSettings, random_patients: int
) -> Explained:
    preprocessor, forest = fit_parts(frame_of(disease_free), settings)
    attribution = Attribution(preprocessor, forest)
    contributions = np.array([attribution.of(row)[0] for row in rows_of(held_out)])
    falls = _falls(preprocessor, forest, preprocessor.impute(held_out))
    top = [_triple_of(fields) for fields in np.argsort(-contributions, axis=1, kind="stable")[:, :_TOP]]
    strangers = random_values(random_patients, settings.random_state)
    return Explained(
        top_fall=falls[np.arange(len(top)), top].tolist(),
        random_fall=falls.mean(axis=1).tolist(),
        best_fall=falls.max(axis=1).tolist(),
        random_patients=random_patients,
        largest_gap=_largest_gap(attribution, preprocessor, forest, strangers),
    )


def _falls(preprocessor: OneSidedRiskFactors, forest: IsolationForest, complete: FloatArray) -> FloatArray:
    """Return by how much the raw score falls when three fields become typical, for every triple, shape (n, 286)."""
    made_typical = np.zeros((len(_TRIPLES), len(COLUMNS)), dtype=bool)
    np.put_along_axis(made_typical, _TRIPLES, values=True, axis=1)
    changed = np.where(made_typical, preprocessor.typical_, complete[:, np.newaxis, :]).reshape(-1, len(COLUMNS))
    # Many of them are alike: what is typical already cannot change.
    different, places = np.unique(
        preprocessor.factors(np.concatenate([complete, changed])), axis=0, return_inverse=True
    )
    trees = (estimator.tree_ for estimator in forest.estimators_)
    before, after = np.split(raw_scores(trees, forest.max_samples_, different)[places], [len(complete)])
    falls: FloatArray = before[:, np.newaxis] - after.reshape(len(complete), -1)
    return falls


def _triple_of(fields: Sequence[int]) -> int:
    return int(np.flatnonzero((np.sort(fields) == _TRIPLES).all(axis=1))[0])


def random_values(patients: int, seed: int) -> FloatArray:
    """Make up patients with any possible values, shape (n, 13), a quarter of those that may be missing not measured."""
    random = np.random.default_rng(seed)
    columns = [_any_values(field, patients, random) for field in FIELDS.values()]
    return np.stack(columns, axis=1)


def _any_values(field: FieldDescription, patients: int, random: np.random.Generator) -> FloatArray:
    lowest, highest = field.possible_range or (0, 0)
    drawn = random.choice([*field.codes], patients) if field.codes else random.uniform(lowest, highest, patients)
    is_gap = (random.random(patients) < _GAP_SHARE) & (not field.required)
    return np.where(is_gap, np.nan, drawn)


def _largest_gap(
    attribution: Attribution, preprocessor: OneSidedRiskFactors, forest: IsolationForest, values: FloatArray
) -> float:
    """Return the largest gap between log2 of scikit-learn's score and our base value with all contributions."""
    scores = -forest.score_samples(preprocessor.factors(preprocessor.impute(values)))
    ours = [attribution.base_value + sum(attribution.of(row)[0]) for row in rows_of(values)]
    return float(np.abs(ours - np.log2(scores)).max())
