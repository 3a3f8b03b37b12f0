"""Evaluate the recipe, or validate a trained model on another file: ``python -m server.evaluation [--data FILE]``."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from common.messages import Thresholds
from config.settings import ServerSettings, TrainingSettings
from server.anomaly.dataset import SHIPPED_DATA
from server.anomaly.recognition import load_dataset, read_patients
from server.evaluation.console import run, settings_of
from server.evaluation.cross_validation import cross_validate
from server.evaluation.data_file import add_file_options, read_with_questions
from server.evaluation.external import validate
from server.evaluation.folds import evaluate_fold
from server.evaluation.measures import evaluation_of
from server.evaluation.report_text import evaluation_text, missed_targets, validation_text
from server.registry.artifact import load_detector

STOPPED = "The evaluation was stopped. Finished folds are kept; the next call continues from there."
_REPEATS = 10


def main(words: Sequence[str] | None = None) -> int:
    """Evaluate and print; return the exit code: 0, 1 when targets are missed or there are no figures, 2 for misuse."""
    parser = argparse.ArgumentParser(
        prog="python -m server.evaluation",
        description="Cross-validate the detector on the shipped data, or validate a trained model on another file.",
        epilog="Exit codes: 0; 1 when a target is missed or there are no figures; 2 when the command makes no sense; "
        "130 when it was stopped.",
    )
    parser.add_argument("--data", type=Path, help="file of another clinic: validate a trained model on it")
    parser.add_argument("--model", type=Path, help="folder of that model (default: MODEL_DIR, else saved_models)")
    add_file_options(parser)
    arguments, settings, server = with_folds(parser, words)
    if arguments.model and not arguments.data:
        parser.error("--model needs --data, the file to validate it on")
    if arguments.data:
        return run(partial(_validate, arguments, arguments.model or server.model_dir, settings), stopped=STOPPED)
    return run(partial(_evaluate, settings, server.data_dir / "evaluation", arguments.repeats), stopped=STOPPED)


def with_folds(
    parser: argparse.ArgumentParser, words: Sequence[str] | None
) -> tuple[argparse.Namespace, TrainingSettings, ServerSettings]:
    """Add the options of a cross-validation, and return what was asked for; exit with a sentence if it is unusable."""
    parser.add_argument("--folds", type=int, help="folds of the cross-validation (default: MODEL_EVALUATION_FOLDS)")
    parser.add_argument("--repeats", type=int, default=_REPEATS, help=f"repeats of it (default: {_REPEATS})")
    arguments = parser.parse_args(words)
    if arguments.repeats < 1:
        parser.error("--repeats must be 1 or more")
    folds = {} if arguments.folds is None else {"evaluation_folds": arguments.folds}
    return arguments, *settings_of(parser, **folds)


def _evaluate(settings: TrainingSettings, directory: Path, repeats: int) -> int:
    dataset = load_dataset(SHIPPED_DATA)
    thresholds = Thresholds(medium=settings.medium_threshold, high=settings.high_threshold)
    results = cross_validate(evaluate_fold, dataset, settings, directory, repeats=repeats)
    evaluation = evaluation_of(dataset, results, thresholds, settings.evaluation_folds)
    print(evaluation_text(evaluation, thresholds))
    # The exit code makes a recipe that got worse fail wherever the command runs unattended.
    return 1 if missed_targets(evaluation) else 0


def _validate(arguments: argparse.Namespace, model: Path, settings: TrainingSettings) -> None:
    detector = load_detector(model, key=settings.signing_key)
    patients = read_with_questions(partial(read_patients, arguments.data, needs_label=False), arguments)
    print(validation_text(validate(patients, detector, seed=settings.random_state), detector.thresholds))


if __name__ == "__main__":
    sys.exit(main())
