"""Ours beside other detectors on the same folds: ``python -m benchmarks.peers [--folds N] [--repeats N]``."""

import argparse
import math
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from textwrap import shorten

from benchmarks.peer_folds import PEERS, Encoding, Peer, PeerFold, measure_fold
from config.settings import TrainingSettings
from server.anomaly.dataset import SHIPPED_DATA, load_dataset
from server.anomaly.evaluation_figures import Estimate
from server.anomaly.intervals import over_folds
from server.evaluation.__main__ import STOPPED, add_folds, settings_or_exit
from server.evaluation.console import progress, run
from server.evaluation.cross_validation import cross_validate
from server.evaluation.report_text import with_interval

_LONGEST = 112


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
    dataset, watch = load_dataset(SHIPPED_DATA), progress("Comparing", "fold")
    results = cross_validate(measure_fold, dataset, settings, directory, repeats=repeats, progress=watch)
    print(peers_text(results, settings.evaluation_folds, pyod=pyod))
    return 0 if is_above_all(results, settings.evaluation_folds) else 1


@dataclass(frozen=True)
class Comparison:
    """A peer over all folds: its AUROC, ours less its own in the ``folds`` where it has one, and what went wrong.

    ``failures`` and ``warnings`` say in how many folds; where it failed in all, there are no figures.
    """

    peer: Peer
    auroc: Estimate
    lead: Estimate
    folds: int
    failures: Mapping[str, int]
    warnings: Mapping[str, int]

    @property
    def is_beaten(self) -> bool:
        return self.lead.value is not None and self.lead.value > 0

    @property
    def is_certain(self) -> bool:
        """Whether the interval of the difference keeps clear of 0."""
        return self.lead.low is not None and self.lead.high is not None and not self.lead.low <= 0 <= self.lead.high


def compare(results: Sequence[PeerFold], folds: int, *, peers: Iterable[Peer] = PEERS) -> list[Comparison]:
    """Compare each peer with ours on the same folds, of so many in each repeat; the highest AUROC first."""
    compared = []
    for peer in peers:
        attempts = [result.attempts[peer] for result in results]
        theirs = [math.nan if attempt.auroc is None else attempt.auroc for attempt in attempts]
        leads = [result.ours - auroc for result, auroc in zip(results, theirs, strict=True)]
        compared.append(
            Comparison(
                peer=peer,
                auroc=over_folds(theirs, folds),
                lead=over_folds(leads, folds, lowest=-1),
                folds=sum(not math.isnan(auroc) for auroc in theirs),
                failures=Counter(attempt.failure for attempt in attempts if attempt.failure),
                warnings=Counter(said for attempt in attempts for said in attempt.warnings),
            )
        )
    return sorted(compared, key=lambda found: _height(found.auroc), reverse=True)


def is_above_all(results: Sequence[PeerFold], folds: int, *, peers: Iterable[Peer] = PEERS) -> bool:
    """Return whether ours is above every unsupervised peer that could be measured."""
    compared = (found for found in compare(results, folds, peers=peers) if not found.peer.supervised)
    return all(found.is_beaten for found in compared if found.folds)


def peers_text(results: Sequence[PeerFold], folds: int, *, pyod: str, peers: Iterable[Peer] = PEERS) -> str:
    """Return the table of ours and its peers by AUROC, what failed or warned, and the verdict."""
    compared = compare(results, folds, peers=peers)
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
            *_mishaps(compared, len(results)),
            *(line for encoding in Encoding for line in _verdict(encoding, compared)),
        ]
    )


def _height(estimate: Estimate) -> float:
    return -math.inf if estimate.value is None else estimate.value


def _row(found: Comparison, folds: int) -> str:
    seen = "  saw labels" if found.peer.supervised else ""
    return (
        f"{found.peer.name:<21}{found.peer.encoding:<20}{with_interval(found.auroc):<24}"
        f"{with_interval(found.lead, '+.3f'):<27}{f'{found.folds}/{folds}':>8}{seen}"
    )


def _mishaps(compared: Iterable[Comparison], folds: int) -> Iterator[str]:
    """Say which peers have no figure in some folds or warned, in how many, and of what."""
    for found in compared:
        for verb, counted in (("failed", found.failures), ("warned", found.warnings)):
            for said, number in counted.items():
                yield f"{found.peer.name}, {found.peer.encoding} {verb} in {number} of {folds} folds:"
                yield f"  {shorten(said, _LONGEST, placeholder=' …')}"


def _verdict(encoding: Encoding, compared: Iterable[Comparison]) -> Iterator[str]:
    """Say whether ours is above every unsupervised peer with an encoding, how sure that is, and who has no figure."""
    peers = [found for found in compared if found.peer.encoding is encoding and not found.peer.supervised]
    measured = [found for found in peers if found.folds]
    not_beaten = _names(found for found in measured if not found.is_beaten)
    uncertain = _names(found for found in measured if not found.is_certain)
    unmeasured = _names(found for found in peers if not found.folds)
    if measured:
        said = f"not above {not_beaten}" if not_beaten else "above every unsupervised peer"
        yield f"Given {encoding}: ours is {said}."
        best = measured[0]
        yield f"  The best of them is {best.peer.name}: ours less theirs is {with_interval(best.lead, '+.3f')}."
        yield "  It was chosen as the best of them on these folds: the interval does not allow for that choice."
    if uncertain:
        yield f"  The 95 % interval of the difference reaches 0 for {uncertain}."
    if unmeasured:
        yield f"  No figure in any fold with {encoding}, so not compared: {unmeasured}."


def _names(found: Iterable[Comparison]) -> str:
    return ", ".join(one.peer.name for one in found)


if __name__ == "__main__":
    sys.exit(main())
