"""The recipe chosen inside each training fold: ``python -m benchmarks.nested [--folds N] [--repeats N]``."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from config.settings import TrainingSettings
from server.anomaly.dataset import SHIPPED_DATA, Dataset
from server.anomaly.fitting import grow, raw_scores
from server.anomaly.intervals import over_folds
from server.anomaly.preprocessing import FACTORS, OneSidedRiskFactors
from server.anomaly.recognition import load_dataset
from server.evaluation.__main__ import STOPPED, with_folds
from server.evaluation.console import run
from server.evaluation.cross_validation import cross_validate
from server.evaluation.splits import Fit, Fold, evaluation_folds

# What is chosen among: the samples of a tree, with all factors or without one of them.
VARIANTS = list(product((8, 16, 32, 64), (None, *range(len(FACTORS)))))

_TREES_TO_CHOOSE = 200  # of 1,000: the order of the variants hardly needs the others, and the hour they take


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code: 0, 1 when there are no figures, 2 for misuse."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nested", description=__doc__)
    arguments, settings, server = with_folds(parser, words)
    return run(partial(_measure, settings, server.data_dir / "evaluation", arguments.repeats), stopped=STOPPED)


def _measure(settings: TrainingSettings, directory: Path, repeats: int) -> None:
    dataset = load_dataset(SHIPPED_DATA)
    results = cross_validate(nested_fold, dataset, settings, directory, repeats=repeats, title="Choosing")
    chosen, ours = (over_folds(list(by_fold), settings.evaluation_folds) for by_fold in zip(*results, strict=True))
    print(f"AUROC of raw scores, {repeats} x {settings.evaluation_folds}-fold, 95 % intervals in brackets")
    print(f"  the recipe as it is                         {ours:.4f}")
    print(f"  chosen in each fold, of {len(VARIANTS)} variants         {chosen:.4f}")


def nested_fold(fold: Fold) -> tuple[float, float]:
    """Return the AUROC of the held-out patients by the variant that does best within the others, and by the recipe."""
    dataset, settings = fold.dataset, fold.settings
    # The choice sees labels, and those of the others alone: an inner cross-validation that the held-out are no part of.
    others = np.setdiff1d(np.arange(len(dataset.values)), fold.fit.scored)
    training = replace(dataset, values=dataset.values[others], has_disease=dataset.has_disease[others])
    inner, cheap = evaluation_folds(training, settings), settings.model_copy(update={"n_estimators": _TREES_TO_CHOOSE})
    means = [np.mean([auroc(training, fit, cheap, *variant) for fit in inner]) for variant in VARIANTS]
    chosen = VARIANTS[int(np.argmax(means))]
    return auroc(dataset, fold.fit, settings, *chosen), auroc(dataset, fold.fit, settings, settings.max_samples, None)


def auroc(dataset: Dataset, fit: Fit, settings: TrainingSettings, samples: int, left_out: int | None) -> float:
    """Return the AUROC of a variant on the held-out patients of a fit."""
    kept = [factor for factor in range(len(FACTORS)) if factor != left_out]
    preprocessor = OneSidedRiskFactors()
    fitted_on = preprocessor.fit_transform(dataset.values[fit.fitted_on])[:, kept]
    trees = grow(fitted_on, trees=settings.n_estimators, samples=samples, seed=settings.random_state)
    scores = raw_scores(trees, preprocessor.transform(dataset.values[fit.scored])[:, kept])
    return float(roc_auc_score(dataset.has_disease[fit.scored], scores))


if __name__ == "__main__":
    sys.exit(main())
