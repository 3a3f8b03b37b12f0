"""Train the detector: ``python train_model.py [--data FILE] [--out DIR]``."""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

try:
    from pydantic import ValidationError
    from tqdm import tqdm

    from config.errors import DetectionSystemError
    from config.secret_store import PROJECT_ROOT
    from config.settings import ServerSettings, TrainingSettings, settings_sentence
    from server.anomaly.artifact import load_detector, save
    from server.anomaly.dataset import FloatArray, load_dataset
    from server.anomaly.evaluation import as_table
    from server.anomaly.training import train
except ModuleNotFoundError as error:
    sys.exit(
        f"The package {error.name} is not installed. Run: pip install -r requirements.txt && pip install -e . --no-deps"
    )

_PLAIN_STEP = 11


def main(words: Sequence[str] | None = None) -> int:
    """Train, save and report; return the exit code: 0 when there is a new model, 1 or 2 when there is not."""
    parser = argparse.ArgumentParser(description="Train the detector on a CSV of patients and save it.")
    parser.add_argument("--data", type=Path, default=PROJECT_ROOT / "data" / "heart_disease.csv", help="labelled CSV")
    parser.add_argument("--out", type=Path, help="folder for the model (default: MODEL_DIR, else saved_models)")
    arguments = parser.parse_args(words)
    try:
        settings = TrainingSettings()
        directory = arguments.out or ServerSettings().model_dir
    except ValidationError as error:
        parser.error(settings_sentence(error))
    try:
        train_and_save(arguments.data, directory, settings)
    except DetectionSystemError as error:
        return _fail(error.message, 1)
    except KeyboardInterrupt:
        return _fail("Training was stopped; an earlier model is still as it was.", 130)
    return 0


def train_and_save(data: Path, directory: Path, settings: TrainingSettings) -> None:
    """Train on a CSV, print the held-out evaluation, save the model and make sure that it loads."""
    dataset = load_dataset(data)
    trained = train(dataset, settings, progress=_progress)
    print(as_table(trained.metrics, trained.model.thresholds))
    save(trained, dataset, settings, directory, trained_at=datetime.now(UTC))
    detector = load_detector(directory)
    print(f"\nModel {detector.model_version} is in {directory} and reproduces its known answers.")


def _progress(results: Iterable[FloatArray], total: int) -> Iterable[FloatArray]:
    if sys.stderr.isatty():
        return tqdm(results, total=total, desc="Fitting forests", unit="forest")
    return _plain_progress(results, total)


def _plain_progress(results: Iterable[FloatArray], total: int) -> Iterator[FloatArray]:
    for done, result in enumerate(results, start=1):
        yield result
        if done % _PLAIN_STEP == 0 or done == total:
            print(f"{done} of {total} forests fitted", file=sys.stderr, flush=True)


def _fail(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
