"""How long score and explanation take, beside the usual way: ``python -m benchmarks.predict``."""

import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from itertools import cycle
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from statistics import median
from time import process_time

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
REPETITIONS_BATCH = 7
MANY = 1_000_000
TARGET_RATIO_ONE, TARGET_RATIO_BATCH = 120, 80
_MEGABYTE = 1e6 if sys.platform == "darwin" else 1e6 / 1024  # in units of ru_maxrss


@dataclass(frozen=True)
class Comparison:
    """Median times in milliseconds of the same work done both ways, by turns."""

    what: str
    ours_ms: float
    usual_ms: float
    repetitions: int
    target: float

    @property
    def ratio(self) -> float:
        return self.usual_ms / self.ours_ms


def used_by(work: Callable[[], object]) -> tuple[float, float]:
    """Return how many seconds of processor time some work took, and by how many MB the most memory in use rose."""
    started, before = process_time(), getrusage(RUSAGE_SELF).ru_maxrss
    work()
    return process_time() - started, (getrusage(RUSAGE_SELF).ru_maxrss - before) / _MEGABYTE


def compare(
    what: str, ours: Callable[[], object], usual: Callable[[], object], repetitions: int, target: float
) -> Comparison:
    """Time both ways by turns, so that each finds the processor's caches as the other left them."""
    times = np.array([[used_by(way)[0] for way in (ours, usual)] for _ in range(repetitions + 1)])[1:] * 1000
    return Comparison(what, median(times[:, 0].tolist()), median(times[:, 1].tolist()), repetitions, target)


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
            TARGET_RATIO_ONE,
        ),
        compare(
            f"batch of {BATCH}",
            lambda: detector.assess(batch),
            lambda: usual.assess(batch_complete),
            REPETITIONS_BATCH,
            TARGET_RATIO_BATCH,
        ),
    ]


def score_many(detector: Detector, records: list[PatientRecord]) -> None:
    """Score and explain a million patients in slices."""
    batch = [records[i % len(records)] for i in range(BATCH)]
    for _ in range(MANY // BATCH):
        detector.assess(batch)


def describe_machine() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("scikit-learn", "shap", "numpy"))
    return f"Python {platform.python_version()}, {packages}; {os.cpu_count()} cores, {platform.machine()}"


def as_table(comparisons: list[Comparison], detector: Detector) -> str:
    trees = detector.manifest.parameters
    lines = [
        "Score and explanation, median processor times: they stay the same when others use the machine",
        f"  ours       {trees.n_estimators} trees of {trees.max_samples} samples, score and TreeSHAP by cell tables",
        f"  the usual  StandardScaler, {TREES} trees of {SAMPLES} samples, "
        "predict + score_samples + TreeExplainer.shap_values",
        "",
        f"  {'':<16}{'ours':>12}{'the usual':>14}{'ratio':>9}{'target':>9}{'repetitions':>13}",
    ]
    lines += [
        f"  {each.what:<16}{each.ours_ms:>9.2f} ms{each.usual_ms:>11.2f} ms{each.ratio:>8.1f}x{each.target:>8}x"
        f"{each.repetitions:>13}"
        for each in comparisons
    ]
    return "\n".join(lines)


def main() -> int:
    """Print the comparison; return 0, or 1 when there is no model to time."""
    loaded: list[Detector] = []
    try:
        loading = used_by(lambda: loaded.append(load_detector(Path(ServerSettings().model_dir))))
    except ArtifactError as error:
        print(error.message, file=sys.stderr)
        return 1
    records = [patient.record for patient in read_patients(DATA, needs_label=False)]
    seconds, more = used_by(lambda: score_many(loaded[0], records))
    print(describe_machine(), end="\n\n")
    print(as_table(score_and_explain(loaded[0], records), loaded[0]), end="\n\n")
    print(f"  {MANY} patients in slices of {BATCH}: {MANY / seconds:.0f} a second, {more:.1f} MB more memory")
    print("  loading the model: {:.2f} s, {:.0f} MB; target: under 3 s, 60 MB".format(*loading))
    return 0


if __name__ == "__main__":
    sys.exit(main())
