"""Other detectors beside ours: differences worked out by hand, and a small comparison where PyOD is installed."""

import math
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.metrics import roc_auc_score

from benchmarks import nested, peers
from benchmarks.peer_folds import PEERS, Encoding, Peer, PeerFold, measure_fold, peer_scores
from benchmarks.peers import compare, main, peers_text
from server.anomaly.fitting import fit_and_score
from server.anomaly.preprocessing import OneSidedRiskFactors
from server.evaluation.references import ordinary_encoding, supervised_scores
from server.evaluation.splits import Fold, folds_of_repeat
from tests.support.estimates import interval
from tests.support.patients import real_patients, small_training

needs_pyod = pytest.mark.skipif(find_spec("pyod") is None, reason='PyOD is not installed: pip install -e ".[peers]"')

NEAR = Peer("IForest", Encoding.FACTORS, supervised=False)
FAR = Peer("HBOS", Encoding.ORDINARY, supervised=False)
TOLD = Peer("logistic regression", Encoding.ORDINARY, supervised=True)
OURS = [0.90, 0.92, 0.88, 0.94]


def results(**theirs: list[float]) -> list[PeerFold]:
    """Two repeats of two folds, with the AUROC of some peers in each; NaN is a failure."""
    peers = {"near": NEAR, "far": FAR, "told": TOLD}
    found = []
    for i, ours in enumerate(OURS):
        by_peer = {peers[name]: by_fold[i] for name, by_fold in theirs.items()}
        failures = {peer: "ValueError" for peer, auroc in by_peer.items() if math.isnan(auroc)}
        found.append(PeerFold(ours, by_peer, failures))
    return found


def first_fold() -> Fold:
    return folds_of_repeat(real_patients(), small_training(), 0)[0]


def test_the_difference_is_of_the_same_folds_so_a_steady_one_has_a_narrow_interval() -> None:
    steady, changing = compare(results(near=[0.89, 0.911, 0.87, 0.929], far=[0.95, 0.80, 0.95, 0.80]), 2)
    low, lead, high = interval(steady.lead)
    assert lead == pytest.approx(0.01)
    assert 0 < low < lead < high < 0.02
    assert changing.lead.value == pytest.approx(0.035)
    assert (changing.lead.low or 0) < 0 < (changing.lead.high or 0)
    assert steady.is_beaten
    assert changing.is_beaten


def test_a_failed_fold_is_left_out_of_both_sides_and_counted() -> None:
    (found,) = compare(results(near=[0.80, math.nan, 0.78, math.nan]), 2)
    assert [found.auroc.value, found.lead.value] == pytest.approx([0.79, 0.10])
    assert (found.folds, found.failures) == (2, {"ValueError": 2})


def test_the_table_is_sorted_by_auroc_with_ours_in_its_place_and_the_verdict_leaves_out_who_saw_labels() -> None:
    text = peers_text(results(near=[0.95] * 4, far=[0.5, 0.6, math.nan, 0.5], told=[0.99] * 4), 2, pyod="1")
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("detector"))
    rows = lines[start + 1 : start + 5]
    assert [row[:21].strip() for row in rows] == ["logistic regression", "IForest", "ours", "HBOS"]
    assert [row.endswith("saw labels") for row in rows] == [True, False, False, False]
    assert rows[-1].endswith("3/4  ValueError in 1")
    assert "Given ordinary encodings: ours is above every unsupervised peer." in text
    assert "Given our eight factors: ours is not above IForest." in text
    assert "The best of them is HBOS: ours less theirs is +0.3" in text
    assert max(map(len, lines)) <= 120
    failed = peers_text(results(near=[math.nan] * 4), 2, pyod="1")
    assert "0/4  ValueError in 4" in failed
    assert "Given" not in failed


def test_ordinary_encodings_standardise_numbers_and_give_every_code_its_column() -> None:
    encoded = ordinary_encoding().fit_transform(real_patients().values)
    numbers, codes = encoded[:, :8], encoded[:, 8:]
    assert encoded.shape == (303, 25)
    assert numbers.mean(axis=0) == pytest.approx(0, abs=1e-12)
    assert numbers.std(axis=0) == pytest.approx(1)
    assert set(codes.ravel()) == {0, 1}
    assert (codes.sum(axis=1) == 5).all()


def test_classifiers_learn_from_all_who_are_not_held_out_and_however_one_peer_fails_the_others_are_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise np.linalg.LinAlgError

    monkeypatch.setattr(RandomForestClassifier, "fit", fail)
    dataset, fold, failing = real_patients(), first_fold(), TOLD._replace(name="random forest")
    others = np.setdiff1d(np.arange(303), fold.fit.scored)
    reference = supervised_scores(dataset.values[others], dataset.has_disease[others], dataset.values[fold.fit.scored])
    np.testing.assert_allclose(peer_scores(TOLD, fold), reference, rtol=0, atol=1e-12)
    found = measure_fold(fold, [failing, TOLD])
    assert found.failures == {failing: "LinAlgError"}
    assert found.theirs[TOLD] == pytest.approx(roc_auc_score(dataset.has_disease[fold.fit.scored], reference))


def test_without_pyod_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(peers, "version", absent)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    assert main([]) == 1
    assert capsys.readouterr() == (
        "",
        'The peers need PyOD, which is not installed: run pip install -e ".[peers]".\n',
    )


def test_the_nested_choice_is_made_without_the_held_out_patients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nested, "VARIANTS", [(16, None), (8, 7)])
    fold, dataset = first_fold(), real_patients()
    chosen, ours = nested.nested_fold(fold)
    raw = fit_and_score(dataset.frame(fold.fit.fitted_on), dataset.frame(fold.fit.scored), fold.settings)
    assert ours == pytest.approx(roc_auc_score(dataset.has_disease[fold.fit.scored], raw))
    turned = dataset.has_disease.copy()
    turned[fold.fit.scored] = ~turned[fold.fit.scored]
    other, _ = nested.nested_fold(replace(fold, dataset=replace(dataset, has_disease=turned)))
    assert other == pytest.approx(1 - chosen)


@needs_pyod
def test_every_peer_is_measured() -> None:
    found = measure_fold(first_fold())
    assert len(PEERS) == 24
    assert found.failures == {}
    assert all(auroc > (0.45 if peer.name == "LOF" else 0.7) for peer, auroc in found.theirs.items())


@needs_pyod
def test_the_isolation_forest_of_pyod_is_scikit_learns_and_takes_our_seed_and_factors() -> None:
    dataset, fold = real_patients(), first_fold()
    factors = OneSidedRiskFactors().fit(dataset.frame(fold.fit.fitted_on))
    forest = IsolationForest(random_state=7).fit(factors.transform(dataset.frame(fold.fit.fitted_on)))
    expected = -forest.decision_function(factors.transform(dataset.frame(fold.fit.scored)))
    for seed, is_same in ((7, True), (8, False)):
        seeded = replace(fold, settings=fold.settings.model_copy(update={"random_state": seed}))
        assert (np.ptp(peer_scores(NEAR, seeded) - expected) < 1e-12) == is_same


@needs_pyod
def test_what_the_ill_are_like_changes_only_who_sees_labels() -> None:
    dataset, fold = real_patients(), first_fold()
    changed = dataset.values.copy()
    ill = np.setdiff1d(np.flatnonzero(dataset.has_disease), fold.fit.scored)
    changed[ill] = dataset.values[dataset.disease_free[0]]
    other = replace(dataset, values=changed)
    before, after = (measure_fold(replace(fold, dataset=data)) for data in (dataset, other))
    assert before.ours == after.ours
    differing = {peer for peer in PEERS if before.theirs[peer] != after.theirs[peer]}
    assert differing == {peer for peer in PEERS if peer.supervised}
