"""The wire: protocol version, namespaces, event names and every message that crosses a process boundary."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from common.errors import DetectionSystemError, InvalidMessageError, InvalidRecordError
from common.patient import PatientRecord, errors_by_field

PROTOCOL_VERSION = 3

CLIENTS_NAMESPACE = "/clients"
OPERATORS_NAMESPACE = "/operators"
BROWSER_NAMESPACE = "/"


class Event(StrEnum):
    """Names of the Socket.IO events; DISTRIBUTED_SYSTEM.md says who sends which to whom."""

    PREDICT = "predict"
    PREDICTION_RESULT = "prediction_result"
    PREDICTION_REFUSED = "prediction_refused"
    EXPLANATION_SENTENCE = "explanation_sentence"
    EXPLANATION_FINISHED = "explanation_finished"
    PREDICTION_ERASED = "prediction_erased"
    CONNECTION_REPLACED = "connection_replaced"
    CHANGES = "changes"
    CLIENT_STATUS = "client_status"
    MODEL_STATUS = "model_status"
    EXPLANATION_STATUS = "explanation_status"
    SUBMIT = "submit"
    UPDATE = "update"
    ENTRY_ERASED = "entry_erased"
    LINK_STATUS = "link_status"


class RiskLevel(StrEnum):
    """Level of risk by the thresholds of the anomaly score."""

    LOW = "Low"
    MEDIUM = "Medium"
    HIGH = "High"


def _text_or_datetime(value: object) -> object:
    if isinstance(value, str | datetime):
        return value
    raise ValueError("must be a time in ISO 8601 with its offset")


Timestamp = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_text_or_datetime)]
"""An aware time; ISO 8601 with its offset on the wire."""

Identifier = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z._:-]+$")]
"""An id made by a program, a UUIDv7 as a rule."""

PatientReference = Annotated[
    str, StringConstraints(min_length=1, max_length=64, strip_whitespace=True, pattern=r"^[^\p{C}]+$")
]
"""A clinic's own name for a patient: up to 64 printable characters, never logged."""


class Message(BaseModel):
    """A frozen, strict value that goes over the wire as JSON."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)

    @classmethod
    def check(cls, received: object) -> Self:
        """Validate a received message.

        Raises
        ------
        InvalidRecordError
            When only the patient record in it cannot be accepted; its fields are named without prefix.
        InvalidMessageError
            With every error of every field otherwise; an error of the whole message stands under ``message``.
        """
        try:
            return cls.model_validate(received)
        except ValidationError as error:
            fields = errors_by_field(error, whole="message")
        if all(name.startswith("record.") for name in fields):
            raise InvalidRecordError(fields={name.removeprefix("record."): said for name, said in fields.items()})
        raise InvalidMessageError(fields=fields)

    def to_wire(self) -> dict[str, Any]:
        return self.model_dump(mode="json")


class Handshake(Message):
    """What a client app presents when it connects to ``/clients``."""

    protocol: int
    token: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    waiting: Annotated[int, Field(ge=0, le=2**53)] = 0


class Submission(Message):
    """What a clinician's page submits to its client app."""

    request_id: Identifier
    patient_reference: PatientReference | None = None
    record: PatientRecord


class PredictRequest(Message):
    """One patient on the way from a client app's outbox to the server."""

    request_id: Identifier
    outbox_number: Annotated[int, Field(ge=1, le=2**53)]
    follows: Annotated[int, Field(ge=0, le=2**53)] = 0
    """Outbox number of the one before it that still waits for its answer, 0 if none does; that one comes first."""
    patient_reference: PatientReference | None
    record: PatientRecord
    entered_at: Timestamp
    waiting: Annotated[int, Field(ge=0, le=2**53)] = 0
    """How many requests wait in the sender's outbox, this one included; shown to operators."""


class WireError(Message):
    """A failure as it goes over the wire."""

    code: str
    message: str
    retryable: bool
    fields: dict[str, list[str]] = {}

    @classmethod
    def of(cls, error: DetectionSystemError) -> Self:
        return cls(code=error.code, message=error.message, retryable=error.retryable, fields=error.fields)


class Receipt(Message):
    """The acknowledgement of ``predict``: received for processing, or refused; never the answer itself."""

    status: Literal["accepted", "refused"]
    error: WireError | None = None


class Queued(Message):
    """The acknowledgement of ``submit``: on disk at the client app, or refused."""

    status: Literal["queued", "refused"]
    outbox_number: int | None = None
    error: WireError | None = None


class PredictionRefused(Message):
    """A request that had been accepted but could not be answered."""

    request_id: Identifier
    error: WireError


class Thresholds(Message):
    """Anomaly scores from which a patient is Medium and High."""

    medium: float
    high: float


class ExplanationMeasures(Message):
    """How far a text agrees with the facts it explains, each a share from 0 to 1; ``None`` where it says nothing."""

    rank_agreement: float | None = None
    sign_agreement: float | None = None
    value_agreement: float | None = None
    completeness: float | None = None
    conciseness: float | None = None


class Explanation(Message):
    """A clinical paragraph, and who wrote it."""

    text: str
    source: Literal["template", "llm"]
    model: str | None = None
    reason: str | None = None
    """Why this is the deterministic text although a language model was asked; ``None`` otherwise."""
    prompt_version: str | None = None
    first_sentence_ms: float | None = None
    """Milliseconds from the request to the language model's first sentence that passed, if any did."""
    total_ms: float | None = None
    """Milliseconds from the request to the final explanation."""
    measures: ExplanationMeasures | None = None


class Contribution(Message):
    """How much one field moved the score.

    ``contribution`` is in log2 score units: positive pulls toward anomalous, and the 13 of a prediction and its
    ``base_value`` add up to log2 of ``raw_score``. ``typical`` is the median of the disease-free training patients,
    which also stands in for a value that was not measured (``imputed``).
    """

    field: str
    value: float | None
    typical: float
    contribution: float
    imputed: bool
    extrapolated: bool


class Prediction(Message):
    """The immutable answer for one patient.

    ``anomaly_score`` is the calibrated share (0 to 1) of disease-free patients who are less anomalous, not a
    probability of disease; ``raw_score`` is the isolation forest's own score (0 to 1, Liu et al. 2008, eq. 2).
    """

    prediction_id: Identifier
    request_id: Identifier
    client_id: str
    outbox_number: int
    patient_reference: str | None
    record: PatientRecord
    entered_at: Timestamp
    made_at: Timestamp
    risk_level: Annotated[RiskLevel, Field(strict=False)]
    anomaly_score: float
    raw_score: float
    is_anomaly: bool
    thresholds: Thresholds
    base_value: float
    contributions: list[Contribution]
    top_factors: list[str]
    imputed: list[str]
    extrapolated: list[str]
    explanation: Explanation
    awaits_explanation: bool
    """Whether a language model was asked as well; exactly one ``explanation_finished`` then follows."""
    model_version: str
    timings_ms: Mapping[str, float]
    """Milliseconds by stage: ``waiting`` in the batcher, ``scoring`` with attribution, ``explaining``."""


class ExplanationSentence(Message):
    """One checked sentence of an explanation that is still being written."""

    prediction_id: Identifier
    text: str
    source: Literal["llm"] = "llm"
    attempt: Annotated[int, Field(ge=1)] = 1
    """A sentence of a later attempt makes those of an earlier one void."""


class ExplanationFinished(Message):
    """The final explanation of a prediction; from ``template``, the text is the first one and ``reason`` says why."""

    prediction_id: Identifier
    explanation: Explanation


class PredictionErased(Message):
    """A prediction was erased for good: whoever holds a copy erases it too."""

    prediction_id: Identifier


class ChangeKind(StrEnum):
    """What an entry of the change log records."""

    PREDICTION_MADE = "prediction_made"
    EXPLANATION_FINISHED = "explanation_finished"
    PREDICTION_ERASED = "prediction_erased"


class Change(Message):
    """One entry of the change log; ``sequence`` ascends with commit order.

    Of a prediction that was erased the entries stay, without prediction and explanation.
    """

    sequence: int
    kind: Annotated[ChangeKind, Field(strict=False)]
    prediction_id: Identifier
    client_id: str
    at: Timestamp
    prediction: Prediction | None = None
    explanation: Explanation | None = None


class Totals(Message):
    """What the server counted over all stored predictions."""

    predictions: int
    by_level: dict[str, int]
    by_client: dict[str, int]


class Changes(Message):
    """A run of change-log entries, ascending.

    A reader that holds everything up to ``after`` holds everything up to ``next_after`` once it has taken these
    entries; ``after`` above the reader's own position means that it missed some and has to ask for them.
    """

    after: int
    next_after: int
    has_more: bool
    entries: list[Change]
    totals: Totals | None = None
    """Only for operators."""


class ClientStatus(Message):
    """One client app as the server sees it."""

    client_id: str
    connected: bool
    last_seen: Timestamp | None
    waiting: int
    """Requests in its outbox when it last spoke, less those answered since."""


class ModelStatus(Message):
    """Which model version scores, since when, and its figures.

    ``refused`` says why the files in the model's folder are not taken; ``None`` when they are those of this version.
    ``explains`` is false when contributions cannot be had, or were found to be wrong.
    """

    version: str
    since: Timestamp
    metrics: Mapping[str, Any]
    refused: str | None
    explains: bool


class CircuitStatus(Message):
    """Whether the language model's endpoint is asked (closed), left alone (open) or tried again (half_open)."""

    state: Literal["closed", "open", "half_open"]
    seconds_left: int
    """For how long it is left alone."""
    reason: str | None
    """Why it is not closed: a clause that says what to do about it."""


class ExplanationCounts(Message):
    """What became of the explanations since the server started, by source and reason, and the means by source."""

    by_source: Mapping[str, int]
    by_reason: Mapping[str, int]
    means: Mapping[str, Mapping[str, float]]
    """Of the times (milliseconds) and the measures (shares) that an explanation is stored with."""


class ExplanationStatus(Message):
    """Who writes explanations and why, how a language model's endpoint is doing, and what became of them."""

    source: Literal["template", "llm"]
    reason: str
    model: str | None
    prompt_version: str | None
    circuit: CircuitStatus | None
    last_failure: str | None
    """Why the last explanation is the deterministic one; ``None`` if it is the language model's."""
    waiting: int
    under_way: int
    at_once: int
    """How many may be under way."""
    seconds: float
    """How long one may take."""
    finished: ExplanationCounts


class LinkStatus(Message):
    """A client app's link to the server, for its own page."""

    state: Literal["up", "connecting", "down", "refused"]
    reason: str | None
    since: Timestamp
    waiting: int


class HistoryEntry(Message):
    """One request of this client app: waiting, answered or refused."""

    request_id: Identifier
    outbox_number: int
    patient_reference: str | None
    entered_at: Timestamp
    state: Literal["queued", "answered", "refused"]
    record: PatientRecord
    prediction: Prediction | None = None
    explanation: Explanation | None = None
    """The latest explanation; the prediction's own until a language model's replaces it."""
    error: WireError | None = None


class EntryErased(Message):
    """A request of this client app was erased with its answer."""

    request_id: Identifier
