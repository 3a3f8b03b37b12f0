"""The forest's own score, walked in arrays, and what becomes of a prediction whose explainer fails."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import shap
from sklearn.ensemble import IsolationForest

from common.messages import RiskLevel
from common.patient import FIELDS
from server.anomaly import attribution
from server.anomaly.attribution import ForestExplainer
from server.anomaly.dataset import FloatArray
from server.anomaly.detector import Detector
from server.anomaly.scoring import ForestScorer
from server.evaluation.folds import random_values
from server.registry.artifact import load_detector
from tests.support.patients import typical_patient

Explain = Callable[[ForestExplainer, FloatArray], FloatArray]

MESSAGE = "no explanation today"

SICK = {"chest_pain_type": 4, "major_vessels": 3, "thallium_scan": 7, "st_depression": 6.0, "exercise_angina": 1}


def raises(_explainer: ForestExplainer, _factors: FloatArray) -> FloatArray:
    raise RuntimeError(MESSAGE)


def nothing(_explainer: ForestExplainer, factors: FloatArray) -> FloatArray:
    return np.full(factors.shape, np.nan)


def too_few(_explainer: ForestExplainer, factors: FloatArray) -> FloatArray:
    return np.zeros((len(factors), 3))


def wrong_sign(explainer: ForestExplainer, factors: FloatArray) -> FloatArray:
    return -honest(explainer, factors)


def a_little_more(explainer: ForestExplainer, factors: FloatArray) -> FloatArray:
    return honest(explainer, factors) * 1.001


def to_others(explainer: ForestExplainer, factors: FloatArray) -> FloatArray:
    """Each factor's contribution given to its neighbour, so that the sum stays."""
    return np.roll(honest(explainer, factors), 1, axis=1)


honest = ForestExplainer.contributions


@pytest.mark.parametrize("samples", [8, 32])
def test_the_score_is_the_one_of_scikit_learn(detector: Detector, samples: int) -> None:
    values = detector.model.preprocessor.impute(random_values(500, seed=3))
    factors = detector.model.preprocessor.factors(values)
    forest = IsolationForest(n_estimators=40, max_samples=samples, random_state=1).fit(factors[:200])
    np.testing.assert_allclose(
        ForestScorer(forest).raw_scores(factors), -forest.score_samples(factors), rtol=0, atol=1e-12
    )


def test_the_base_value_is_the_mean_of_what_the_trees_were_grown_on(detector: Detector) -> None:
    expected = shap.TreeExplainer(detector.model.forest).expected_value
    (said,) = detector.assess([typical_patient(dict(detector.typical))])
    per_step = -1 / ForestScorer(detector.model.forest).path_length_scale
    assert said.base_value == pytest.approx(float(np.ravel(expected)[0]) * per_step, abs=1e-9)


@pytest.mark.parametrize("broken", [raises, nothing, too_few, wrong_sign, a_little_more])
def test_an_explainer_that_breaks_takes_the_contributions_away_and_nothing_else(
    detector_dir: Path, monkeypatch: pytest.MonkeyPatch, broken: Explain
) -> None:
    detector = load_detector(detector_dir)
    patients = [typical_patient(dict(detector.typical)), typical_patient(dict(detector.typical), **SICK)]
    before = detector.assess(patients)
    monkeypatch.setattr(ForestExplainer, "contributions", broken)
    after = detector.assess(patients)
    assert [said.contributions for said in after] == [{}, {}]
    assert [said.anomaly_score for said in after] == [said.anomaly_score for said in before]
    assert after[1].risk_level is RiskLevel.HIGH
    trouble = detector.model.trouble
    assert trouble is not None
    assert (detector.model.explains, detector.model.unexplained) == (False, 2)
    assert ("raises" in trouble.where) == (broken is raises)
    assert MESSAGE not in trouble.reason + trouble.where
    monkeypatch.setattr(ForestExplainer, "contributions", honest)
    assert detector.assess(patients) == before
    assert detector.model.explains


@pytest.mark.parametrize("broken", [raises, nothing, too_few, wrong_sign, a_little_more, to_others])
def test_a_model_whose_explainer_is_broken_from_the_start_scores_without_contributions_and_logs_nothing(
    detector_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, broken: Explain
) -> None:
    """What is loaded beside green threads must not take the locks of the log."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(ForestExplainer, "contributions", broken)
    detector = load_detector(detector_dir)
    assert caplog.records == []
    assert not detector.model.explains
    assert detector.model.trouble is not None
    monkeypatch.setattr(ForestExplainer, "contributions", honest)
    (said,) = detector.assess([typical_patient(dict(detector.typical), **SICK)])
    assert (said.risk_level, said.contributions) == (RiskLevel.HIGH, {})


def test_an_explainer_that_cannot_even_be_made_is_done_without(
    detector_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_forest: IsolationForest) -> None:
        raise AssertionError("this forest is not supported")

    monkeypatch.setattr(attribution, "LeafTables", fail)
    caplog.set_level(logging.DEBUG)
    model = load_detector(detector_dir).model
    assert not model.explains
    assert model.trouble is not None
    assert model.trouble.reason == "AssertionError in the explainer"
    assert "in fail" in model.trouble.where
    assert caplog.records == []


def test_only_the_patient_whose_contributions_do_not_add_up_goes_without(
    detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong_for_the_second(explainer: ForestExplainer, factors: FloatArray) -> FloatArray:
        contributions = honest(explainer, factors)
        contributions[1] += 0.01
        return contributions

    monkeypatch.setattr(ForestExplainer, "contributions", wrong_for_the_second)
    first, second, third = detector.assess([typical_patient(dict(detector.typical), **SICK)] * 3)
    assert list(first.contributions) == list(third.contributions) == list(FIELDS)
    assert second.contributions == {}
