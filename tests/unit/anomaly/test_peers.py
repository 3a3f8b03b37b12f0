"""Other detectors beside ours: differences worked out by hand, and a small comparison where PyOD is installed."""

from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.metrics import roc_auc_score

from benchmarks import peers
from benchmarks.peer_folds import PEERS, Attempt, Encoding, Peer, PeerFold, measure_fold, peer_scores
from benchmarks.peers import compare, is_above_all, main, peers_text
from server.anomaly.intervals import over_folds
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


def results(**theirs: list[float | None]) -> list[PeerFold]:
    """Two repeats of two folds, with the AUROC of some peers in each."""
    peers = {"near": NEAR, "far": FAR, "told": TOLD}
    return [
        PeerFold(ours=ours, attempts={peers[name]: attempt(by_fold[i]) for name, by_fold in theirs.items()})
        for i, ours in enumerate(OURS)
    ]


def attempt(auroc: float | None) -> Attempt:
    failure = "ValueError: Singular covariance matrix" if auroc is None else None
    return Attempt(auroc=auroc, failure=failure, warnings={"UserWarning: slow": 3} if auroc == 0.5 else {})


def first_fold() -> Fold:
    return folds_of_repeat(real_patients(), small_training(), 0)[0]


def test_the_difference_is_of_the_same_folds_so_a_steady_one_is_certain() -> None:
    (found,) = compare(results(near=[0.89, 0.911, 0.87, 0.929]), 2, peers=[NEAR])
    assert found.auroc == over_folds([0.89, 0.911, 0.87, 0.929], 2)
    low, lead, high = interval(found.lead)
    assert lead == pytest.approx(0.01)
    assert 0 < low < lead < high < 0.02
    assert found.is_beaten
    assert found.is_certain


def test_a_difference_that_changes_sign_from_fold_to_fold_is_not_certain() -> None:
    (found,) = compare(results(near=[0.95, 0.80, 0.95, 0.80]), 2, peers=[NEAR])
    assert found.lead.value == pytest.approx(0.035)
    assert (found.lead.low or 0) < 0 < (found.lead.high or 0)
    assert found.is_beaten
    assert not found.is_certain


def test_a_failed_fold_is_left_out_of_both_sides_and_counted() -> None:
    (found,) = compare(results(near=[0.80, None, 0.78, None]), 2, peers=[NEAR])
    assert found.auroc.value == pytest.approx(0.79)
    assert found.lead.value == pytest.approx(0.10)
    assert found.folds == 2
    assert found.failures == {"ValueError: Singular covariance matrix": 2}


def test_who_fails_in_every_fold_has_no_figure_is_last_and_is_named() -> None:
    compared = results(near=[None] * 4, far=[0.5, 0.6, 0.5, 0.6])
    assert [found.peer for found in compare(compared, 2, peers=[NEAR, FAR])] == [FAR, NEAR]
    text = peers_text(compared, 2, pyod="1", peers=[NEAR, FAR])
    (row,) = (line.split() for line in text.splitlines() if line.startswith("IForest "))
    assert row == ["IForest", "our", "eight", "factors", "-", "-", "0/4"]
    assert "No figure in any fold with our eight factors, so not compared: IForest." in text
    assert "Given our eight factors" not in text


def test_the_table_is_sorted_by_auroc_with_ours_in_its_place_and_those_marked_that_saw_labels() -> None:
    compared = results(near=[0.8] * 4, far=[0.7] * 4, told=[0.99] * 4)
    lines = peers_text(compared, 2, pyod="3.6", peers=[FAR, NEAR, TOLD]).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("detector"))
    rows = lines[start + 1 : start + 5]
    assert [row[:21].strip() for row in rows] == ["logistic regression", "ours", "IForest", "HBOS"]
    assert [row.endswith("saw labels") for row in rows] == [True, False, False, False]
    assert "-0.080 (" in rows[0]
    assert max(map(len, lines)) <= 120


def test_the_verdict_is_by_encoding_and_leaves_out_who_saw_labels() -> None:
    text = peers_text(results(near=[0.95] * 4, far=[0.5] * 4, told=[0.99] * 4), 2, pyod="1", peers=[NEAR, FAR, TOLD])
    assert "Given ordinary encodings: ours is above every unsupervised peer." in text
    assert "Given our eight factors: ours is not above IForest." in text
    assert "The best of them is HBOS: ours less theirs is +0.410" in text
    assert text.count("It was chosen as the best of them on these folds: the interval does not allow for") == 2


def test_ours_is_above_all_when_no_peer_that_saw_no_labels_is_higher() -> None:
    peers = [NEAR, FAR, TOLD]
    assert is_above_all(results(near=[0.8] * 4, far=[None] * 4, told=[0.99] * 4), 2, peers=peers)
    assert not is_above_all(results(near=[0.95] * 4, far=[0.5] * 4, told=[0.5] * 4), 2, peers=peers)


def test_the_verdict_says_whose_difference_may_be_chance() -> None:
    text = peers_text(results(near=[0.95, 0.80, 0.95, 0.80], far=[0.5] * 4), 2, pyod="1", peers=[NEAR, FAR])
    assert text.count("reaches 0 for") == 1
    assert "The 95 % interval of the difference reaches 0 for IForest." in text


def test_failures_and_warnings_are_counted_by_fold_and_shown() -> None:
    lines = peers_text(results(far=[0.5, None, 0.5, 0.6]), 2, pyod="1", peers=[FAR]).splitlines()
    assert lines[lines.index("HBOS, ordinary encodings failed in 1 of 4 folds:") + 1] == (
        "  ValueError: Singular covariance matrix"
    )
    assert lines[lines.index("HBOS, ordinary encodings warned in 2 of 4 folds:") + 1] == "  UserWarning: slow"


def test_all_ten_detectors_and_two_classifiers_meet_both_encodings() -> None:
    assert len(set(PEERS)) == len(PEERS) == 24
    assert sum(peer.supervised for peer in PEERS) == 4
    assert {peer.encoding for peer in PEERS} == set(Encoding)


def test_ordinary_encodings_standardise_numbers_and_give_every_code_its_column() -> None:
    values = real_patients().values
    encoded = ordinary_encoding().fit_transform(values)
    assert encoded.shape == (303, 25)
    numbers, codes = encoded[:, :8], encoded[:, 8:]
    assert numbers.mean(axis=0) == pytest.approx(0, abs=1e-12)
    assert numbers.std(axis=0) == pytest.approx(1)
    assert set(codes.ravel()) == {0, 1}
    assert (codes.sum(axis=1) == 5).all()


def test_classifiers_learn_from_all_who_are_not_held_out() -> None:
    dataset, fold = real_patients(), first_fold()
    others = np.setdiff1d(np.arange(303), fold.fit.scored)
    reference = supervised_scores(dataset.values[others], dataset.has_disease[others], dataset.values[fold.fit.scored])
    np.testing.assert_allclose(peer_scores(TOLD, fold), reference, rtol=0, atol=1e-12)
    attempts = measure_fold(fold, [TOLD]).attempts
    assert attempts[TOLD].auroc == pytest.approx(roc_auc_score(dataset.has_disease[fold.fit.scored], reference))


def test_a_peer_that_cannot_be_fitted_is_a_gap_with_its_reason() -> None:
    dataset, fold = real_patients(), first_fold()
    all_ill = np.union1d(fold.fit.scored, np.flatnonzero(dataset.has_disease))
    found = measure_fold(replace(fold, fit=replace(fold.fit, scored=all_ill)), [TOLD])
    assert found.attempts[TOLD].auroc is None
    assert (found.attempts[TOLD].failure or "").startswith("ValueError: This solver needs samples of at least …")
    assert 0.5 < found.ours < 1


@pytest.mark.parametrize("kind", [RuntimeError, np.linalg.LinAlgError, ZeroDivisionError, IndexError])
def test_however_one_peer_fails_the_others_are_compared(monkeypatch: pytest.MonkeyPatch, kind: type[Exception]) -> None:
    def fail(*_: object, **__: object) -> None:
        raise kind("no convergence after 37 steps")

    monkeypatch.setattr(RandomForestClassifier, "fit", fail)
    failing = replace(TOLD, name="random forest")
    found = measure_fold(first_fold(), [failing, TOLD])
    assert found.attempts[failing].failure == f"{kind.__name__}: no convergence after … steps"
    assert (found.attempts[TOLD].auroc or 0) > 0.8


def test_without_pyod_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(peers, "version", absent)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    assert main([]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("The peers need PyOD, which is not installed")
    assert 'pip install -e ".[peers]"' in said.err


@needs_pyod
def test_every_peer_is_measured_and_what_it_warns_of_is_kept() -> None:
    attempts = measure_fold(first_fold()).attempts
    assert set(attempts) == set(PEERS)
    for peer, attempt in attempts.items():
        assert attempt.auroc is not None, peer
        assert attempt.auroc > (0.45 if peer.name == "LOF" else 0.7), peer
    assert any("not full rank" in said for said in attempts[replace(FAR, name="MCD")].warnings)


@needs_pyod
def test_the_isolation_forest_of_pyod_is_scikit_learns_and_takes_our_seed_and_factors() -> None:
    dataset, fold = real_patients(), first_fold()
    factors = OneSidedRiskFactors().fit(dataset.frame(fold.fit.fitted_on))

    def seeded(seed: int) -> Fold:
        return replace(fold, settings=fold.settings.model_copy(update={"random_state": seed}))

    forest = IsolationForest(random_state=7).fit(factors.transform(dataset.frame(fold.fit.fitted_on)))
    expected = -forest.decision_function(factors.transform(dataset.frame(fold.fit.scored)))
    found = peer_scores(NEAR, seeded(7))
    assert np.ptp(found - expected) == pytest.approx(0, abs=1e-12)
    assert np.ptp(peer_scores(NEAR, seeded(8)) - expected) > 1e-3


@needs_pyod
def test_what_the_ill_are_like_changes_only_who_sees_labels() -> None:
    dataset, fold = real_patients(), first_fold()
    changed = dataset.values.copy()
    changed[np.setdiff1d(np.flatnonzero(dataset.has_disease), fold.fit.scored)] = dataset.values[
        dataset.disease_free[0]
    ]
    other = replace(dataset, values=changed)
    before, after = (measure_fold(replace(fold, dataset=data)) for data in (dataset, other))
    assert before.ours == after.ours
    changed_peers = {peer for peer in PEERS if before.attempts[peer] != after.attempts[peer]}
    assert changed_peers == {peer for peer in PEERS if peer.supervised}


@needs_pyod
def test_the_command_prints_the_comparison_and_keeps_the_folds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MODEL_N_ESTIMATORS", "50")
    monkeypatch.setenv("MODEL_WORKERS", "1")
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    assert main(["--folds", "2", "--repeats", "1"]) == 0
    first = capsys.readouterr()
    assert first.out.startswith("1 x 2-fold stratified cross-validation")
    assert first.out.count("saw labels") == 4
    assert "Given ordinary encodings: ours is above every unsupervised peer." in first.out
    assert len([*(tmp_path / "evaluation").rglob("output.pkl")]) == 2
    assert main(["--folds", "2", "--repeats", "1"]) == 0
    second = capsys.readouterr()
    assert (second.out, second.err) == (first.out, "")
