"""The wire: what is refused where, and that every message survives it."""

import pytest

from common.errors import DetectionSystemError, InvalidMessageError, TemporaryError
from common.messages import Prediction, PredictRequest, WireError
from common.web.codec import OrjsonCodec
from tests.support.made_requests import prediction, request


def kinds(base: type[DetectionSystemError] = DetectionSystemError) -> list[type[DetectionSystemError]]:
    return [base, *(kind for child in base.__subclasses__() for kind in kinds(child))]


def test_every_failure_has_its_own_code_and_a_sentence() -> None:
    # Those of this module alone go over the wire: a file's open question is asked at the terminal.
    taxonomy = DetectionSystemError.__module__
    named = [
        kind for kind in kinds() if kind not in {DetectionSystemError, TemporaryError} and kind.__module__ == taxonomy
    ]
    codes = [kind.code for kind in named]
    assert len(set(codes)) == len(codes)
    for kind in named:
        assert kind.default_message.endswith((".", "train_model.py"))
        assert 400 <= kind.status < 600
        assert WireError.check(WireError.of(kind()).to_wire()).code == kind.code


@pytest.mark.parametrize(
    ("entered", "scored", "fields"),
    [
        ({"cholesterol": {"value": 5.8, "unit": "mmol/L"}}, 224.3, None),
        ({"cholesterol": {"value": 2.5, "unit": "mmol/L"}}, 96.7, None),  # 96.675: the page rounds up
        ({"cholesterol": {"value": 5.8, "unit": "mmol/L"}}, 224.4, {"entered"}),
        ({"cholesterol": {"value": 224.3, "unit": "mg/dL"}}, 224.3, {"entered"}),
        ({"cholesterol": {"value": 5.8}}, 224.3, {"entered.cholesterol.unit"}),
        ({"bed 12": 5.8}, 224.3, {"entered"}),
    ],
)
def test_what_was_typed_in_another_unit_agrees_with_what_is_scored(
    entered: object, scored: float | None, fields: set[str] | None
) -> None:
    wire = request(1).to_wire()
    wire |= {"record": wire["record"] | {"cholesterol": scored}, "entered": entered}
    if fields is None:
        assert PredictRequest.check(wire).to_wire() == wire
        return
    with pytest.raises(InvalidMessageError) as raised:
        PredictRequest.check(wire)
    assert set(raised.value.fields) == fields


@pytest.mark.parametrize("reference", ["Zoë Ω 7", "x" * 64, "  trimmed  "])
def test_a_reference_is_printable_text(reference: str) -> None:
    checked = PredictRequest.check(request(1).to_wire() | {"patient_reference": reference})
    assert checked.patient_reference == reference.strip()


@pytest.mark.parametrize("reference", ["", "   ", "x" * 65, "a\nb", "a\x00b", "a\u200bb", "a\u202eb", "\ue000", 7])
def test_a_reference_of_another_kind_is_refused(reference: object) -> None:
    with pytest.raises(InvalidMessageError):
        PredictRequest.check(request(1).to_wire() | {"patient_reference": reference})


def test_messages_survive_the_wire_to_the_last_digit() -> None:
    answer = prediction(request(3)).model_copy(update={"raw_score": 0.1 + 0.2, "base_value": -1e-17})
    there = OrjsonCodec.loads(OrjsonCodec.dumps(answer.to_wire()))
    assert Prediction.check(there) == answer
    assert Prediction.model_validate_json(answer.model_dump_json()).to_wire() == answer.to_wire()
    with pytest.raises(ValueError, match="frozen"):
        answer.request_id = "another"  # type: ignore[misc]
