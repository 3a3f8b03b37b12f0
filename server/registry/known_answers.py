"""What a new model says of made-up patients, explained by the package shap: it must say the same wherever it runs."""

from collections.abc import Mapping

import numpy as np

from common.patient import FIELDS, PatientRecord
from server.anomaly.dataset import COLUMNS, FloatArray, matrix_of
from server.anomaly.detector import AnomalyModel, divided
from server.anomaly.fitting import average_path_length
from server.anomaly.manifest import KNOWN_PATIENTS, KnownAnswer

_FIRST_WITH_GAPS = 8
_GAP_SHARE = 0.4


def known_answers(model: AnomalyModel, seed: int) -> list[KnownAnswer]:
    """Return the model's scores of made-up patients, and the contributions that TreeSHAP gives."""
    records = made_up_patients(model.typical, seed)
    contributions = tree_shap_contributions(model, matrix_of(records))
    answers = []
    for record, said, explained in zip(records, model.assess(records), contributions.tolist(), strict=True):
        scores = {name: getattr(said, name) for name in ("raw_score", "anomaly_score", "risk_level", "base_value")}
        answers.append(KnownAnswer(record=record, **scores, contributions=dict(zip(COLUMNS, explained, strict=True))))
    return answers


def tree_shap_contributions(model: AnomalyModel, values: FloatArray) -> FloatArray:
    """Return the contributions by field, shape (n, 13), with the Shapley values of the package shap.

    Lundberg et al. (2020), path-dependent TreeSHAP of the mean path length. A model in use looks the same values up in
    its cell tables, which takes a fraction of the time, and is held to these.
    """
    import shap  # noqa: PLC0415 - numba below it takes seconds, and every start asks whether there is a model

    complete, typical = model.preprocessor.impute(values), model.preprocessor.typical_.tolist()
    factors = model.preprocessor.transform(complete).astype(np.float32)  # scikit-learn does this itself, shap does not
    path_lengths = shap.TreeExplainer(model.forest).shap_values(factors)
    by_factor = -path_lengths / average_path_length(model.forest.max_samples_)
    pairs = zip(by_factor.tolist(), complete.tolist(), strict=True)
    return np.array([divided(*pair, typical) for pair in pairs])


def made_up_patients(typical: Mapping[str, float], seed: int) -> list[PatientRecord]:
    """Make a dozen patients, ever farther from the typical one, the last of them with values not measured."""
    random, records = np.random.default_rng(seed), []
    for number, distance in enumerate(np.linspace(0, 1, KNOWN_PATIENTS).tolist()):
        values: dict[str, float | None] = {}
        for name, field in FIELDS.items():
            extreme = random.choice([*field.codes] if field.codes else [*(field.model_range or ())])
            # A code is the typical or an extreme one, ever more often the latter; a quantity moves there in steps.
            share = float(random.random() < distance) if field.codes else distance
            value = round(float(typical[name] + share * (extreme - typical[name])), 1)
            values[name] = int(value) if field.codes or field.step == 1 else value
            if number >= _FIRST_WITH_GAPS and not field.required and random.random() < _GAP_SHARE:
                values[name] = None
        records.append(PatientRecord.check(values))
    return records
