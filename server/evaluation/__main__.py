"""Evaluate the recipe, or validate a trained model on another CSV: ``python -m server.evaluation [--data CSV]``."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from common.messages import Thresholds
from common.settings_errors import settings_sentence
from config.settings import ServerSettings, TrainingSettings
from server.anomaly.dataset import SHIPPED_DATA, load_dataset
from server.anomaly.intervals import RESAMPLES
from server.evaluation.console import progress, run
from server.evaluation.cross_validation import cross_validate
from server.evaluation.external import validate
from server.evaluation.figures import evaluation_of
from server.evaluation.folds import evaluate_fold
from server.evaluation.report_text import evaluation_text, missed_targets, validation_text
from server.registry.versions import load_active

STOPPED = "The evaluation was stopped; the folds that are done are kept, and the next call goes on."
_REPEATS = 10


def main(words: Sequence[str] | None = None) -> int:
    """Evaluate and print; return the exit code: 0, 1 when targets are missed or there are no figures, 2 for misuse."""
    parser = _parser()
    arguments = parser.parse_args(words)
    if arguments.model and not arguments.data:
        parser.error("--model needs --data, the CSV to validate it on")
    settings, server = settings_or_exit(parser, arguments)
    if arguments.data:
        return run(partial(_validate, arguments.data, arguments.model or server.model_dir, settings), stopped=STOPPED)
    return run(partial(_evaluate, settings, server.data_dir / "evaluation", arguments.repeats), stopped=STOPPED)


def add_folds(parser: argparse.ArgumentParser) -> None:
    """Add the options of a cross-validation."""
    parser.add_argument("--folds", type=int, help="folds of the cross-validation (default: MODEL_EVALUATION_FOLDS)")
    parser.add_argument("--repeats", type=int, default=_REPEATS, help=f"repeats of it (default: {_REPEATS})")


def settings_or_exit(
    parser: argparse.ArgumentParser, arguments: argparse.Namespace
) -> tuple[TrainingSettings, ServerSettings]:
    """Return the settings with the options of the cross-validation; end with a sentence where they make no sense."""
    if arguments.repeats < 1:
        parser.error("--repeats must be 1 or more")
    try:
        folds = {} if arguments.folds is None else {"evaluation_folds": arguments.folds}
        return TrainingSettings(**folds), ServerSettings()
    except ValidationError as error:
        parser.error(settings_sentence(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m server.evaluation",
        description="Cross-validate the detector on the shipped data, or validate a trained model on another CSV.",
        epilog="Exit codes: 0; 1 when a target is missed or there are no figures; 2 when the command makes no sense; "
        "130 when it was stopped.",
    )
    parser.add_argument("--data", type=Path, help="CSV of another clinic: validate a trained model on it")
    parser.add_argument("--model", type=Path, help="folder of that model (default: MODEL_DIR, else saved_models)")
    add_folds(parser)
    return parser


def _evaluate(settings: TrainingSettings, directory: Path, repeats: int) -> int:
    dataset, watch = load_dataset(SHIPPED_DATA), progress("Evaluating", "fold")
    thresholds = Thresholds(medium=settings.medium_threshold, high=settings.high_threshold)
    results = cross_validate(evaluate_fold, dataset, settings, directory, repeats=repeats, progress=watch)
    evaluation = evaluation_of(dataset, results, thresholds, settings.evaluation_folds)
    print(evaluation_text(evaluation, thresholds))
    # The exit code makes a recipe that got worse fail wherever the command runs unattended.
    return 1 if missed_targets(evaluation) else 0


def _validate(data: Path, model: Path, settings: TrainingSettings) -> int:
    detector = load_active(model, key=settings.signing_key)
    validation = validate(data, detector, seed=settings.random_state, resamples=RESAMPLES)
    print(validation_text(validation, detector.thresholds, data=data.name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
