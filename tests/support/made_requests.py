"""Messages for tests of the client app: real patients of the data set in messages of the real models."""

from datetime import UTC, datetime, timedelta
from typing import Any

from common.messages import (
    Change,
    ChangeKind,
    Contribution,
    Explanation,
    Prediction,
    PredictRequest,
    RiskLevel,
    Submission,
    Thresholds,
    WireError,
)
from common.patient import FIELDS, PatientRecord
from tests.support.patients import real_records

CLIENT_ID = "Client-1"
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
LLAMA_TEXT = Explanation(text="The exercise test stands out.", source="llm", model="a model")


def record(number: int = 0) -> PatientRecord:
    """The record of one of the data set's patients."""
    return real_records()[number % len(real_records())]


def id_of(number: int) -> str:
    """A request id; of numbers with as many digits they are in order, as those of pages are in the order of time."""
    return f"request-{number}"


def submission(number: int, *, reference: str | None = None, **said: Any) -> Submission:
    """What a page submits for the patient of that number, who is new if nothing else is said."""
    told = {"is_new": True} | said
    return Submission(request_id=id_of(number), patient_reference=reference, record=record(number), **told)


def request(number: int) -> PredictRequest:
    """The request an outbox sends of the submission of that number."""
    return PredictRequest(
        request_id=id_of(number),
        patient_reference=None,
        record=record(number),
        entered_at=NOON + timedelta(minutes=number),
    )


def prediction(asked: PredictRequest, *, client_id: str = CLIENT_ID) -> Prediction:
    """An answer to a request, in form; its numbers are made up, for a client app passes them on as they are."""
    values = {name: getattr(asked.record, name) for name in FIELDS}
    part: dict[str, Any] = {"typical": 1.0, "contribution": 0.0, "extrapolated": False}
    return Prediction(
        **dict(asked),
        prediction_id=f"prediction-of-{asked.request_id}",
        client_id=client_id,
        made_at=NOON + timedelta(days=1),
        risk_level=RiskLevel.MEDIUM,
        anomaly_score=0.875,
        raw_score=0.5,
        is_anomaly=False,
        thresholds=Thresholds(medium=0.8, high=0.95),
        base_value=-1.0,
        contributions=[
            Contribution(field=name, value=value, imputed=value is None, **part) for name, value in values.items()
        ],
        top_factors=["st_depression"],
        imputed=asked.record.imputed(),
        extrapolated=asked.record.extrapolated(),
        explanation=Explanation(text="The score is above the threshold of Medium.", source="template"),
        awaits_explanation=True,
        model_version="a version",
        timings_ms={"scoring": 0.5},
    )


def made(sequence: int, answer: Prediction) -> Change:
    """The entry of a prediction."""
    return _entry(sequence, ChangeKind.PREDICTION_MADE, answer, prediction=answer)


def explained(sequence: int, answer: Prediction, explanation: Explanation = LLAMA_TEXT) -> Change:
    """The entry of a finished explanation."""
    return _entry(sequence, ChangeKind.EXPLANATION_FINISHED, answer, explanation=explanation)


def erased(sequence: int, answer: Prediction) -> Change:
    """The entry of an erasure."""
    return _entry(sequence, ChangeKind.PREDICTION_ERASED, answer)


def superseded(sequence: int, answer: Prediction, *, by: str) -> Change:
    """The entry of a correction by another request."""
    return _entry(sequence, ChangeKind.PREDICTION_SUPERSEDED, answer, superseded_by=by)


def withdrawn(sequence: int, request_id: str) -> Change:
    """The entry of a request that was withdrawn before it was answered."""
    return _entry(sequence, ChangeKind.PREDICTION_ERASED, request_id=request_id)


def refused(sequence: int, asked: PredictRequest, error: WireError) -> Change:
    """The entry of a request that was refused for good."""
    return _entry(sequence, ChangeKind.REQUEST_REFUSED, request_id=asked.request_id, error=error)


def _entry(sequence: int, kind: ChangeKind, answer: Prediction | None = None, **content: object) -> Change:
    said: dict[str, object] = {"client_id": CLIENT_ID, "prediction_id": None, "at": NOON}
    if answer:
        said = {name: getattr(answer, name) for name in ("client_id", "request_id", "prediction_id")}
        said["at"] = answer.made_at
    return Change.model_validate({"sequence": sequence, "kind": kind} | said | content)
