"""Ours beside other detectors on the same folds: ``python -m benchmarks.peers [--folds N] [--repeats N]``."""

import argparse
import math
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from benchmarks.peer_folds import Encoding, Peer, PeerFold, measure_fold
from config.settings import TrainingSettings
from server.anomaly.dataset import SHIPPED_DATA, load_dataset
from server.anomaly.evaluation_figures import Estimate
from server.anomaly.intervals import over_folds
from server.evaluation.__main__ import STOPPED, add_folds, settings_or_exit
from server.evaluation.console import progress, run
from server.evaluation.cross_validation import cross_validate
from server.evaluation.report_text import with_interval


def main(words: Sequence[str] | None = None) -> int:
    """Compare and print; return the exit code: 0, 1 when a peer is not beaten or PyOD is missing, 2 for misuse."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    add_folds(parser)
    arguments = parser.parse_args(words)
    settings, server = settings_or_exit(parser, arguments)
    try:
        pyod = version("pyod")
    except PackageNotFoundError:
        print('The peers need PyOD, which is not installed: run pip install -e ".[peers]".', file=sys.stderr)
        return 1
    directory = server.data_dir / "evaluation" / f"pyod-{pyod}"
    return run(partial(_compare_and_print, settings, directory, arguments.repeats, pyod), stopped=STOPPED)


def _compare_and_print(settings: TrainingSettings, directory: Path, repeats: int, pyod: str) -> int:
    dataset, folds = load_dataset(SHIPPED_DATA), settings.evaluation_folds
    watch = progress("Comparing", "fold")
    results = cross_validate(measure_fold, dataset, settings, directory, repeats=repeats, progress=watch)
    print(peers_text(results, folds, pyod=pyod))
    compared = compare(results, folds)
    return 0 if all(found.is_beaten for found in compared if found.folds and not found.peer.supervised) else 1


class Comparison(NamedTuple):
    """A peer over all folds: its AUROC, ours less its own in the ``folds`` where it has one, and how the others failed.

    Where it failed in all, there are no figures.
    """

    peer: Peer
    auroc: Estimate
    lead: Estimate
    folds: int
    failures: Counter[str]

    @property
    def is_beaten(self) -> bool:
        return self.lead.value is not None and self.lead.value > 0


def compare(results: Sequence[PeerFold], folds: int) -> list[Comparison]:
    """Compare each peer with ours on the same folds, of so many in each repeat; the highest AUROC first."""
    compared = []
    for peer in results[0].theirs:
        theirs = [result.theirs[peer] for result in results]
        # The difference is of the same fold: what a fold makes easy or hard for both falls out of it.
        leads = [result.ours - result.theirs[peer] for result in results]
        failures = Counter(result.failures[peer] for result in results if peer in result.failures)
        measured = len(results) - failures.total()
        compared.append(
            Comparison(peer, over_folds(theirs, folds), over_folds(leads, folds, lowest=-1), measured, failures)
        )
    return sorted(compared, key=lambda found: _height(found.auroc), reverse=True)


def _height(estimate: Estimate) -> float:
    return -math.inf if estimate.value is None else estimate.value


def peers_text(results: Sequence[PeerFold], folds: int, *, pyod: str) -> str:
    """Return the table of ours and its peers by AUROC, what failed, and the verdict."""
    compared = compare(results, folds)
    ours = over_folds([result.ours for result in results], folds)
    own_row = f"{'ours':<21}{Encoding.FACTORS:<20}{with_interval(ours):<51}{f'{len(results)}/{len(results)}':>8}"
    higher = sum(_height(found.auroc) > _height(ours) for found in compared)
    rows = [_row(found, len(results)) for found in compared]
    return "\n".join(
        [
            f"{len(results) // folds} x {folds}-fold stratified cross-validation; ours and PyOD {pyod}'s detectors",
            "(default parameters) are fitted on the training folds' disease-free patients only, supervised classifiers",
            "on all of them with labels. ECOD and COPOD rank a held-out patient among the others held out as well.",
            "Ordinary encodings: numbers standardised, codes one-hot. 95 % intervals by Nadeau and Bengio (2003), of",
            "the differences on the same folds. All by their raw scores, ours too: calibration by what was measured",
            "orders patients with gaps a little otherwise.",
            "",
            f"{'detector':<21}{'given':<20}{'AUROC':<24}{'ours less theirs':<27}{'folds':>8}",
            *[*rows[:higher], own_row, *rows[higher:]],
            "",
            *(line for encoding in Encoding for line in _verdict(encoding, compared)),
        ]
    )


def _row(found: Comparison, folds: int) -> str:
    seen = "  saw labels" if found.peer.supervised else ""
    failed = "".join(f"  {kind} in {number}" for kind, number in found.failures.items())
    return (
        f"{found.peer.name:<21}{found.peer.encoding:<20}{with_interval(found.auroc):<24}"
        f"{with_interval(found.lead, '+.3f'):<27}{f'{found.folds}/{folds}':>8}{seen}{failed}"
    )


def _verdict(encoding: Encoding, compared: Sequence[Comparison]) -> Iterator[str]:
    """Say whether ours is above every unsupervised peer with an encoding, and by how much."""
    of_encoding = [found for found in compared if found.peer.encoding is encoding and not found.peer.supervised]
    measured = [found for found in of_encoding if found.folds]
    if not measured:
        return
    not_beaten = ", ".join(found.peer.name for found in measured if not found.is_beaten)
    said = f"not above {not_beaten}" if not_beaten else "above every unsupervised peer"
    best = measured[0]
    yield f"Given {encoding}: ours is {said}."
    yield f"  The best of them is {best.peer.name}: ours less theirs is {with_interval(best.lead, '+.3f')}."
    yield "  It was chosen as the best of them on these folds: the interval does not allow for that choice."


if __name__ == "__main__":
    sys.exit(main())
