"""How long score and explanation take, beside the usual way: ``python -m benchmarks.predict``."""

import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from itertools import cycle
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from benchmarks.usual_way import DATA, SAMPLES, TREES, UsualWay
from common.csv_rows import read_patients
from common.errors import ArtifactError
from common.patient import PatientRecord
from config.settings import ServerSettings
from server.anomaly.dataset import matrix_of
from server.anomaly.detector import Detector
from server.registry.artifact import load_detector

BATCH = 1000
REPETITIONS_ONE = 100
REPETITIONS_BATCH = 5
TARGET_RATIO = 40


@dataclass(frozen=True)
class Comparison:
    """Median times in milliseconds of the same work done both ways, by turns."""

    what: str
    ours_ms: float
    usual_ms: float
    repetitions: int

    @property
    def ratio(self) -> float:
        return self.usual_ms / self.ours_ms


def compare(what: str, ours: Callable[[], object], usual: Callable[[], object], repetitions: int) -> Comparison:
    """Time both ways by turns, so that whatever else the machine does meets both alike."""
    times = np.array([[_milliseconds(way) for way in (ours, usual)] for _ in range(repetitions + 1)])[1:]
    return Comparison(what, median(times[:, 0].tolist()), median(times[:, 1].tolist()), repetitions)


def _milliseconds(work: Callable[[], object]) -> float:
    started = perf_counter()
    work()
    return (perf_counter() - started) * 1000


def score_and_explain(detector: Detector, records: list[PatientRecord]) -> list[Comparison]:
    """Compare score and explanation of one patient, and of a batch; both ways start from validated records."""
    complete = detector.model.preprocessor.impute(matrix_of(records))
    usual = UsualWay(complete)
    batch = [records[i % len(records)] for i in range(BATCH)]
    batch_complete = np.resize(complete, (BATCH, complete.shape[1]))
    ours_next, usual_next = cycle([record] for record in records), cycle(complete[:, np.newaxis, :])
    return [
        compare(
            "one patient",
            lambda: detector.assess(next(ours_next)),
            lambda: usual.assess(next(usual_next)),
            REPETITIONS_ONE,
        ),
        compare(
            f"batch of {BATCH}",
            lambda: detector.assess(batch),
            lambda: usual.assess(batch_complete),
            REPETITIONS_BATCH,
        ),
    ]


def describe_machine() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("scikit-learn", "shap", "numpy"))
    return f"Python {platform.python_version()}, {packages}; {os.cpu_count()} cores, {platform.machine()}"


def as_table(comparisons: list[Comparison], detector: Detector) -> str:
    trees = detector.manifest.parameters
    lines = [
        "Score and explanation, median times",
        f"  ours       {trees.n_estimators} trees of {trees.max_samples} samples, TreeSHAP by leaf tables",
        f"  the usual  StandardScaler, {TREES} trees of {SAMPLES} samples, "
        "predict + score_samples + TreeExplainer.shap_values",
        "",
        f"  {'':<16}{'ours':>12}{'the usual':>14}{'ratio':>9}{'repetitions':>13}",
    ]
    lines += [
        f"  {each.what:<16}{each.ours_ms:>9.2f} ms{each.usual_ms:>11.2f} ms{each.ratio:>8.1f}x{each.repetitions:>13}"
        for each in comparisons
    ]
    return "\n".join(lines)


def main() -> int:
    """Print the comparison; return 0, or 1 when there is no model to time."""
    try:
        detector = load_detector(Path(ServerSettings().model_dir))
    except ArtifactError as error:
        print(error.message, file=sys.stderr)
        return 1
    records = [patient.record for patient in read_patients(DATA, needs_label=False)]
    comparisons = score_and_explain(detector, records)
    print(describe_machine(), end="\n\n")
    print(as_table(comparisons, detector))
    print(f"\n  target for one patient: at least {TARGET_RATIO}x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
