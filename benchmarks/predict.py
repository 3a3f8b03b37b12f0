"""How long score and explanation take, beside the usual way: ``python -m benchmarks.predict``."""

import sys
from collections import deque
from collections.abc import Callable
from itertools import cycle
from resource import RUSAGE_SELF, getrusage
from time import process_time

import numpy as np

from benchmarks.running import describe_machine
from benchmarks.usual_way import SAMPLES, TREES, UsualWay
from common.errors import ArtifactError
from config.settings import ServerSettings
from server.anomaly.dataset import matrix_of
from server.anomaly.detector import Detector
from server.registry.artifact import load_detector
from tests.support.patients import real_records

BATCH = 1000
MANY = 1_000_000
_MEGABYTE = 1e6 if sys.platform == "darwin" else 1e6 / 1024  # in units of ru_maxrss


def used_by(work: Callable[[], object]) -> tuple[float, float]:
    """Return how many seconds of processor time some work took, and by how many MB the most memory in use rose."""
    # Processor time stays the same when others use the machine.
    started, before = process_time(), getrusage(RUSAGE_SELF).ru_maxrss
    work()
    return process_time() - started, (getrusage(RUSAGE_SELF).ru_maxrss - before) / _MEGABYTE


def print_row(
    what: str, ours: Callable[[], object], usual: Callable[[], object], repetitions: int, *, target: float
) -> None:
    """Print a row of the table: median times in milliseconds of the same work done both ways, and their ratio."""
    # By turns, so that each way finds the processor's caches as the other left them; the first turn warms up.
    turns = [[used_by(way)[0] * 1000 for way in (ours, usual)] for _ in range(repetitions + 1)][1:]
    ours_ms, usual_ms = np.median(turns, axis=0)
    ratio = usual_ms / ours_ms
    print(f"  {what:<16}{ours_ms:>9.2f} ms{usual_ms:>11.2f} ms{ratio:>8.1f}x{target:>8}x{repetitions:>13}")


def main() -> None:
    """Print the comparison, both ways from validated records; exit with 1 when there is no model to time."""
    loaded: list[Detector] = []
    try:
        loading = used_by(lambda: loaded.append(load_detector(ServerSettings().model_dir)))
    except ArtifactError as error:
        sys.exit(error.message)
    detector, records = loaded[0], real_records()
    batch = [records[i % len(records)] for i in range(BATCH)]
    # The million comes first, for memory once taken is never given back: what it needs would not show after the rest.
    seconds, more = used_by(lambda: deque((detector.assess(batch) for _ in range(MANY // BATCH)), maxlen=0))
    complete = detector.model.preprocessor.impute(matrix_of(records))
    usual, batch_complete = UsualWay(complete), np.resize(complete, (BATCH, complete.shape[1]))
    ours, usually = cycle([record] for record in records), cycle(complete[:, np.newaxis, :])
    trees = detector.manifest.parameters

    print(describe_machine())
    print("\nScore and explanation, median processor times")
    print(f"  ours       {trees.n_estimators} trees of {trees.max_samples} samples, score and TreeSHAP by cell tables")
    print(f"  the usual  StandardScaler, {TREES} trees of {SAMPLES} samples, predict + score_samples + TreeExplainer\n")
    print(f"  {'':<16}{'ours':>12}{'the usual':>14}{'ratio':>9}{'target':>9}{'repetitions':>13}")
    print_row("one patient", lambda: detector.assess(next(ours)), lambda: usual.assess(next(usually)), 100, target=120)
    print_row("batch of 1000", lambda: detector.assess(batch), lambda: usual.assess(batch_complete), 7, target=80)
    print(f"\n  {MANY} patients in slices of {BATCH}: {MANY / seconds:.0f} a second, {more:.1f} MB more memory")
    print("  loading the model: {:.2f} s, {:.0f} MB; target: under 3 s, 60 MB".format(*loading))


if __name__ == "__main__":
    main()
