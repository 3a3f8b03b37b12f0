"""Evaluate or compare the recipe, validate a model: ``python -m server.evaluation [--peers | --data CSV]``."""

import argparse
import sys
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError
from tqdm import tqdm

from common.errors import NAMED_ERRORS
from common.messages import Thresholds
from common.settings_errors import settings_sentence
from config.settings import ServerSettings, TrainingSettings
from server.anomaly.dataset import SHIPPED_DATA, load_dataset
from server.anomaly.intervals import RESAMPLES
from server.evaluation.cross_validation import cross_validate
from server.evaluation.external import validate
from server.evaluation.figures import Summary
from server.evaluation.peer_report import is_above_all, peers_text
from server.evaluation.peers import compare_with_peers, pyod_version
from server.evaluation.report_text import evaluation_text, missed_targets, validation_text
from server.registry.versions import load_active

_Result = TypeVar("_Result")
_REPEATS = 10
_SECONDS_BETWEEN_LINES = 10


def main(words: Sequence[str] | None = None) -> int:
    """Evaluate and print; return the exit code: 0, 1 when targets are missed or there are no figures, 2 for misuse."""
    parser = _parser()
    arguments = parser.parse_args(words)
    if arguments.model and not arguments.data:
        parser.error("--model needs --data, the CSV to validate it on")
    if arguments.repeats < 1:
        parser.error("--repeats must be 1 or more")
    try:
        settings = _training_settings(arguments.folds)
        server = ServerSettings()
    except ValidationError as error:
        parser.error(settings_sentence(error))
    try:
        if arguments.data:
            return _validate(arguments.data, arguments.model or server.model_dir, settings)
        call = _compare if arguments.peers else _evaluate
        return call(settings, server.data_dir / "evaluation", arguments.repeats)
    except NAMED_ERRORS as error:
        return _fail(error.message, 1)
    except KeyboardInterrupt:
        warnings.filterwarnings("ignore", module="joblib")  # it would tell that what was under way is cancelled
        return _fail("The evaluation was stopped; the folds that are done are kept, and the next call goes on.", 130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m server.evaluation",
        description="Cross-validate the detector on the shipped data, beside others with --peers, "
        "or validate a trained model on another CSV.",
        epilog="Exit codes: 0; 1 when a target is missed, a peer is not beaten, or there are no figures; 2 when the "
        "command makes no sense; 130 when it was stopped.",
    )
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--data", type=Path, help="CSV of another clinic: validate a trained model on it")
    instead.add_argument("--peers", action="store_true", help="compare with other detectors (needs the extra peers)")
    parser.add_argument("--model", type=Path, help="folder of that model (default: MODEL_DIR, else saved_models)")
    parser.add_argument("--folds", type=int, help="folds of the cross-validation (default: MODEL_EVALUATION_FOLDS)")
    parser.add_argument("--repeats", type=int, default=_REPEATS, help=f"repeats of it (default: {_REPEATS})")
    return parser


def _training_settings(folds: int | None) -> TrainingSettings:
    return TrainingSettings() if folds is None else TrainingSettings(evaluation_folds=folds)


def _evaluate(settings: TrainingSettings, directory: Path, repeats: int) -> int:
    dataset = load_dataset(SHIPPED_DATA)
    thresholds = Thresholds(medium=settings.medium_threshold, high=settings.high_threshold)
    results = cross_validate(dataset, settings, directory, repeats=repeats, progress=_progress)
    evaluation = Summary(dataset, results, thresholds, settings.evaluation_folds).evaluation()
    print(evaluation_text(evaluation, thresholds))
    return 1 if missed_targets(evaluation) else 0


def _compare(settings: TrainingSettings, directory: Path, repeats: int) -> int:
    results = compare_with_peers(load_dataset(SHIPPED_DATA), settings, directory, repeats=repeats, progress=_progress)
    print(peers_text(results, settings.evaluation_folds, pyod=pyod_version()))
    return 0 if is_above_all(results, settings.evaluation_folds) else 1


def _validate(data: Path, model: Path, settings: TrainingSettings) -> int:
    detector = load_active(model, key=settings.signing_key)
    validation = validate(data, detector, seed=settings.random_state, resamples=RESAMPLES)
    print(validation_text(validation, detector.thresholds, data=data.name))
    return 0


def _progress(results: Iterable[_Result], total: int) -> Iterable[_Result]:
    pause = 0.1 if sys.stderr.isatty() else _SECONDS_BETWEEN_LINES
    return tqdm(results, total=total, desc="Evaluating", unit="fold", mininterval=pause)


def _fail(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
