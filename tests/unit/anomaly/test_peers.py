"""Other detectors beside ours: differences worked out by hand, and a small comparison where PyOD is installed."""

import math
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score

from benchmarks import nested
from benchmarks.peers import (
    FACTORS,
    ORDINARY,
    OURS,
    PEERS,
    Aurocs,
    Peer,
    compare,
    measure_fold,
    peer_scores,
    peers_text,
)
from server.anomaly.fitting import fit_and_score
from server.evaluation.references import supervised_scores
from server.evaluation.splits import Fold, folds_of_repeat
from tests.support.estimates import interval
from tests.support.patients import real_patients, small_training

needs_pyod = pytest.mark.skipif(find_spec("pyod") is None, reason='PyOD is not installed: pip install -e ".[peers]"')

NEAR, FAR, TOLD = Peer("IForest", FACTORS), Peer("HBOS", ORDINARY), Peer("logistic regression", ORDINARY)


def results(theirs: dict[Peer, list[float]]) -> list[Aurocs]:
    """Two repeats of two folds, with the AUROC of ours and of some peers in each; NaN is a failure."""
    measured = {OURS: [0.90, 0.92, 0.88, 0.94]} | theirs
    return [{peer: by_fold[number] for peer, by_fold in measured.items()} for number in range(4)]


@pytest.fixture
def fold() -> Fold:
    return folds_of_repeat(real_patients(), small_training(), 0)[0]


def test_the_difference_is_of_the_same_folds_and_a_failed_one_is_left_out_of_both_sides() -> None:
    theirs = {NEAR: [0.89, 0.911, 0.87, 0.929], TOLD: [0.80, math.nan, 0.78, math.nan]}
    found = {one.peer: one for one in compare(results(theirs), 2)}
    low, lead, high = interval(found[NEAR].lead)
    assert lead == pytest.approx(0.01)
    assert 0 < low < lead < high < 0.02  # a steady difference has a narrow interval
    assert [found[TOLD].auroc.value, found[TOLD].lead.value] == pytest.approx([0.79, 0.10])
    assert found[TOLD].folds == 2


def test_the_table_is_sorted_by_auroc_with_ours_in_its_place_and_the_verdict_leaves_out_who_saw_labels() -> None:
    text = peers_text(results({NEAR: [0.95] * 4, FAR: [0.5, 0.6, math.nan, 0.5], TOLD: [0.99] * 4}), 2, pyod="1")
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("detector"))
    rows = lines[start + 1 : start + 5]
    assert [row[:21].strip() for row in rows] == ["logistic regression", "IForest", "ours", "HBOS"]
    assert [row.endswith("saw labels") for row in rows] == [True, False, False, False]
    assert rows[-1].endswith("3/4")
    assert "Given ordinary encodings: ours is above every unsupervised peer." in text
    assert "Given our eight factors: ours is not above IForest." in text
    assert max(map(len, lines)) <= 120


def test_classifiers_learn_from_all_who_are_not_held_out_and_however_one_peer_fails_the_others_are_compared(
    monkeypatch: pytest.MonkeyPatch, fold: Fold
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise np.linalg.LinAlgError

    monkeypatch.setattr(RandomForestClassifier, "fit", fail)
    dataset, failing = real_patients(), TOLD._replace(name="random forest")
    others = np.setdiff1d(np.arange(303), fold.fit.scored)
    reference = supervised_scores(dataset.values[others], dataset.has_disease[others], dataset.values[fold.fit.scored])
    np.testing.assert_allclose(peer_scores(TOLD, fold), reference, rtol=0, atol=1e-12)
    found = measure_fold(fold, [failing, TOLD])
    assert math.isnan(found[failing])
    assert found[TOLD] == pytest.approx(roc_auc_score(dataset.has_disease[fold.fit.scored], reference))


def test_the_nested_choice_is_made_without_the_held_out_patients(monkeypatch: pytest.MonkeyPatch, fold: Fold) -> None:
    monkeypatch.setattr(nested, "VARIANTS", [(16, None), (8, 7)])
    dataset, fit = real_patients(), fold.fit
    chosen, ours = nested.nested_fold(fold)
    raw = fit_and_score(dataset.values[fit.fitted_on], dataset.values[fit.scored], fold.settings)
    assert ours == pytest.approx(roc_auc_score(dataset.has_disease[fit.scored], raw))
    turned = dataset.has_disease.copy()
    turned[fit.scored] = ~turned[fit.scored]
    other, _ = nested.nested_fold(replace(fold, dataset=replace(dataset, has_disease=turned)))
    assert other == pytest.approx(1 - chosen)


@needs_pyod
def test_every_peer_is_measured_and_what_the_ill_are_like_changes_only_who_sees_labels(fold: Fold) -> None:
    dataset = real_patients()
    changed = dataset.values.copy()
    changed[np.setdiff1d(np.flatnonzero(dataset.has_disease), fold.fit.scored)] = dataset.values[
        dataset.disease_free[0]
    ]
    before, after = (measure_fold(replace(fold, dataset=replace(dataset, values=v))) for v in (dataset.values, changed))
    assert len(PEERS) == 24
    assert all(auroc > (0.45 if peer.name == "LOF" else 0.7) for peer, auroc in before.items())
    differing = {peer for peer in (OURS, *PEERS) if before[peer] != after[peer]}
    assert differing == {peer for peer in PEERS if peer.sees_labels}
