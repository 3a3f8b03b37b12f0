"""What is measured in one fold of the cross-validation."""

from itertools import combinations
from math import ceil, nan

import numpy as np
from scipy.stats import spearmanr

from common.messages import Thresholds
from common.patient import FIELDS
from config.settings import TrainingSettings
from server.anomaly.calibration import CalibrationByPattern, exact_intervals
from server.anomaly.dataset import COLUMNS, BoolArray, Dataset, FloatArray, IndexArray, rows_of
from server.anomaly.detector import Attribution
from server.anomaly.fitting import fit_and_score, fit_parts, raw_scores
from server.evaluation.measures import RANDOM_PATIENTS, FoldResult, forest_figures, levels_of
from server.evaluation.references import supervised_scores, usual_forest_scores
from server.evaluation.splits import SEEDS, Fit, Fold, reseeded
from server.evaluation.training import calibrated

# The three tests that clinics most often lack: UCI's own sites other than Cleveland hardly have them.
_BLANKED = [COLUMNS.index(name) for name in ("st_slope", "major_vessels", "thallium_scan")]
_STEPS_WORSE = {"resting_bp": 20, "cholesterol": 40, "max_heart_rate": -15, "st_depression": 1}
_TOP = 3
_TRIPLES = np.array([np.isin(range(len(COLUMNS)), three) for three in combinations(range(len(COLUMNS)), _TOP)])
_GAP_SHARE = 0.25
_DRAWN_AGAIN = 200  # calibration sets for each held-out patient
_SAME = 1e-12  # rounding is no lower score

# Raw scores from which the usual isolation forest, which has no calibration, is taken to say Medium and High: 0.5 is
# scikit-learn's own limit, and 0.6 that of the paper for potential anomalies.
_USUAL = Thresholds(medium=0.5, high=0.6)


def evaluate_fold(fold: Fold) -> FoldResult:
    """Fit everything on the other folds' patients and measure it on those held out.

    The first repeat looks deeper: a second seed, and the explanation, which is put to made-up patients as well.
    """
    dataset, fit, settings = fold.dataset, fold.fit, fold.settings
    thresholds = Thresholds(medium=settings.medium_threshold, high=settings.high_threshold)
    held_out, disease_free = dataset.values[fit.scored], dataset.values[fit.fitted_on]
    has_disease = dataset.has_disease[fit.scored]
    blanked = held_out.copy()
    blanked[:, _BLANKED] = np.nan
    owners, worse = worsened(held_out)
    # One forest scores all variants in one pass, for growing it is most of the work.
    variants, ends = np.concatenate([held_out, blanked, worse]), [len(held_out), 2 * len(held_out)]
    raw, raw_blanked, raw_worse = np.split(fit_and_score(disease_free, variants, settings), ends)
    usual_scores = usual_forest_scores(disease_free, variants, seed=settings.random_state)
    usual_raw, usual_blanked, usual_worse = np.split(usual_scores, ends)
    patterns = np.unique(np.isnan(variants[: ends[1]]), axis=0)
    calibration = calibrated(dataset, fit.fitted_on, patterns, settings)
    anomaly = calibration.score(held_out, raw)
    supervised = _supervised(dataset, fit)
    ours = forest_figures(anomaly, calibration.score(blanked, raw_blanked), supervised, has_disease, thresholds)
    usual = forest_figures(usual_raw, usual_blanked, supervised, has_disease, _USUAL)
    ours["worse_finding_lowers"] = float((raw_worse < raw[owners] - _SAME).mean())
    usual["worse_finding_lowers"] = float((usual_worse < usual_raw[owners] - _SAME).mean())
    free = ~has_disease
    ours["interval_coverage"] = _interval_coverage(calibration, held_out[free], raw[free], settings.random_state)
    if fold.repeat == 0:
        other = reseeded(settings, SEEDS // 2)
        raw_again = fit_and_score(disease_free, held_out, other)
        usual_again = usual_forest_scores(disease_free, held_out, seed=other.random_state)
        ours["two_seeds_spearman"] = float(spearmanr(raw, raw_again).statistic)
        usual["two_seeds_spearman"] = float(spearmanr(usual_raw, usual_again).statistic)
        again = calibrated(dataset, fit.fitted_on, patterns, other).score(held_out, raw_again)
        changes = levels_of(anomaly, thresholds) != levels_of(again, thresholds)
        ours["two_seeds_level_changes"] = float(changes.mean())
        ours |= _explanation_figures(disease_free, held_out, anomaly >= thresholds.medium, settings)
    return FoldResult(fit.scored, anomaly, ours, usual)


def worsened(values: FloatArray) -> tuple[IndexArray, FloatArray]:
    """Return each patient, of shape (n, 13), with one measured finding worse: whose row it is, and the changed rows.

    A finding is any field but age and sex. Codes go to the next higher, which is the riskier; blood pressure rises by
    20 mm Hg, cholesterol by 40 mg/dL and ST depression by 1 mm, and the highest heart rate falls by 15 beats/min.
    """
    owners, changed = [], []
    for column, name in enumerate(COLUMNS):
        worse = np.array([_worse(name, value) for value in values[:, column]])
        rows = np.flatnonzero(~np.isnan(worse))
        copies = values[rows]
        copies[:, column] = worse[rows]
        owners.append(rows)
        changed.append(copies)
    return np.concatenate(owners), np.concatenate(changed)


def _worse(name: str, value: float) -> float:
    """Return the next worse value of a finding; NaN where there is none, or none was measured."""
    field = FIELDS[name]
    if field.codes and name != "sex":
        return min((code for code in field.codes if code > value), default=np.nan)
    worse = value + _STEPS_WORSE.get(name, np.nan)
    lowest, highest = field.possible_range or (-np.inf, np.inf)
    return float(worse) if lowest <= worse <= highest else np.nan


def _supervised(dataset: Dataset, fit: Fit) -> FloatArray | None:
    others = np.setdiff1d(np.arange(len(dataset.values)), fit.scored)
    has_disease = dataset.has_disease[others]
    has_both = has_disease.any() and not has_disease.all()
    return supervised_scores(dataset.values[others], has_disease, dataset.values[fit.scored]) if has_both else None


def _interval_coverage(calibration: CalibrationByPattern, values: FloatArray, raw: FloatArray, seed: int) -> float:
    """Return how often the interval of a score holds its rank in the whole, of calibration sets that are drawn again.

    As many scores are drawn from the calibration scores, with repetitions, for each patient of shape (n, 13).
    """
    random, covered = np.random.default_rng(seed), []
    for row, score in zip(rows_of(values), raw.tolist(), strict=True):
        # The calibration set stands for the whole: what is drawn from it is a set of the same size, of known truth.
        known = np.array(calibration.of(row).scores)
        ends = np.array(exact_intervals(known.size))
        drawn = random.choice(known, (_DRAWN_AGAIN, known.size))
        low, high = ends[(drawn <= score).sum(axis=1)].T
        rank = (known <= score).mean()
        covered.append(((low <= rank) & (rank <= high)).mean())
    return float(np.mean(covered)) if covered else nan


def _explanation_figures(
    disease_free: FloatArray, held_out: FloatArray, flagged: BoolArray, settings: TrainingSettings
) -> dict[str, float]:
    """Return how far contributions of random patients are from adding up, and what the top three of a patient explain.

    The latter by how far the raw score falls when three fields become typical: the top three by contribution, three at
    random and the best three, of the patients that it matters for: those at Medium or higher.
    """
    preprocessor, forest = fit_parts(disease_free, settings)
    attribution = Attribution(preprocessor, forest)
    strangers = random_values(ceil(RANDOM_PATIENTS / settings.evaluation_folds), settings.random_state)
    sums = [attribution.base_value + sum(by_field) for by_field, _ in attribution.of(rows_of(strangers))]
    log2_scores = np.log2(-forest.score_samples(preprocessor.transform(strangers)))
    figures = {"additivity_gap": float(np.abs(sums - log2_scores).max())}
    if not flagged.any():
        return figures
    contributions = np.array([by_field for by_field, _ in attribution.of(rows_of(held_out[flagged]))])
    # Of equal contributions, that of the field that comes first counts as higher.
    ranks = np.argsort(np.argsort(-contributions, axis=1, kind="stable"), axis=1)
    is_top = ((ranks < _TOP)[:, np.newaxis, :] == _TRIPLES).all(axis=2)
    # By how much the raw score falls when three fields become typical, for every patient and triple, shape (n, 286).
    complete = preprocessor.impute(held_out[flagged])
    changed = np.where(_TRIPLES, preprocessor.typical_, complete[:, np.newaxis, :]).reshape(-1, len(COLUMNS))
    trees = (estimator.tree_ for estimator in forest.estimators_)
    scores = raw_scores(trees, preprocessor.transform(np.concatenate([complete, changed])))
    before, after = np.split(scores, [len(complete)])
    falls = before[:, np.newaxis] - after.reshape(len(complete), -1)
    figures["top_three_against_random"] = float(falls[is_top].mean() / falls.mean())
    figures["top_three_against_best"] = float(falls[is_top].mean() / falls.max(axis=1).mean())
    return figures


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
