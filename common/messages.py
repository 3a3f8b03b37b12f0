"""The wire: protocol version, namespaces, event names and every message that crosses a process boundary."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
)

from common.errors import DetectionSystemError, InvalidMessageError, InvalidRecordError
from common.patient import FIELDS, PatientRecord, errors_by_field

PROTOCOL_VERSION = 5

CLIENTS_NAMESPACE = "/clients"
OPERATORS_NAMESPACE = "/operators"
BROWSER_NAMESPACE = "/"


class Event(StrEnum):
    """Names of the Socket.IO events; DISTRIBUTED_SYSTEM.md says who sends which to whom."""

    PREDICT = "predict"
    SUBMIT = "submit"
    WITHDRAW = "withdraw"
    FOLLOW = "follow"
    CHANGES = "changes"
    RELOAD = "reload"
    CLOSING = "closing"


class RiskLevel(StrEnum):
    """Level of risk by the thresholds of the anomaly score; none where too little was measured for one."""

    LOW = "Low"
    MEDIUM = "Medium"
    HIGH = "High"
    INDETERMINATE = "Indeterminate"
    """Too little was measured for a level; pages call it *Not enough measured*."""


LEVELS = (RiskLevel.LOW, RiskLevel.MEDIUM, RiskLevel.HIGH)
"""The levels that are counted, ascending."""


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
    """A frozen, strict value that goes over the wire or into a file as JSON."""

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


Position = Annotated[int, Field(ge=0, le=2**53)]
"""A place in a log: the sequence of the last entry that a reader has, 0 before the first."""


class Handshake(Message):
    """What a client app says when it connects to ``/clients``, beside its token in the ``Authorization`` header."""

    protocol: int
    instance: Identifier
    """Of the running process: attempts are counted within it."""
    attempt: Annotated[int, Field(ge=1, le=2**53)]
    """Of the attempts of one instance, an older one that arrives late is refused."""


class EnteredQuantity(Message):
    """A quantity as it was typed, in another unit than the record's; the record holds it converted."""

    value: float
    unit: str


_ROUNDING = 0.051
"""Pages and Python round a half of the last digit, 0.1, differently."""


def _of_fields(entered: object) -> object:
    # Before all else: errors name the path to a value, and a received name may say anything.
    if isinstance(entered, dict) and not all(name in FIELDS and FIELDS[name].other_unit for name in entered):
        raise ValueError("must be of fields that have another unit")
    return entered


def _agreeing(entered: dict[str, EnteredQuantity], message: ValidationInfo) -> dict[str, EnteredQuantity]:
    record = message.data.get("record")  # none where it cannot be accepted, which is told anyway
    for name, quantity in entered.items():
        if quantity.unit != FIELDS[name].other_unit:
            raise ValueError(f"must be in {FIELDS[name].other_unit}")
        scored = getattr(record, name, None)
        if record and (scored is None or abs(quantity.value * FIELDS[name].other_factor - scored) > _ROUNDING):
            raise ValueError("must be what the record holds, in the other unit")
    return entered


Entered = Annotated[dict[str, EnteredQuantity], BeforeValidator(_of_fields), AfterValidator(_agreeing)]
"""By field name, the quantities of a record that were typed in another unit; checked against the record."""


class Submission(Message):
    """What a clinician's page submits to its client app."""

    request_id: Identifier
    patient_reference: PatientReference | None = None
    record: PatientRecord
    entered: Entered = {}
    corrects: Identifier | None = None
    """The request of this client app that this one takes the place of."""
    is_new: bool = False
    """Whether the person was asked about an earlier request of the same patient, and wants another one."""


class Withdrawal(Message):
    """A request that is to be dropped unless it has been answered."""

    request_id: Identifier


class _Asked(Message):
    """What was asked about a patient, as it is stored and shown; it was checked when it was asked."""

    request_id: Identifier
    patient_reference: str | None
    record: PatientRecord
    entered_at: Timestamp
    entered_by: str | None = None
    """The name of the account at the client app; ``None`` where it is not known."""
    entered: dict[str, EnteredQuantity] = {}
    corrects: Identifier | None = None


class PredictRequest(_Asked):
    """One patient on the way from a client app's outbox to the server."""

    patient_reference: PatientReference | None
    entered: Entered = {}


class Follow(Message):
    """A follower asks for what comes after a place in the log; one ``changes`` (or ``reload``) is the answer."""

    log: Identifier | None
    """The log that ``after`` counts in, as the last answer named it; ``None`` before the first."""
    after: Position
    ticket: Annotated[str, StringConstraints(max_length=64)] | None
    """Of the last answer over this connection; ``None`` before the first."""
    waiting: Position | None = None
    """How many requests wait in a client app's outbox now."""


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
    """The acknowledgment of ``predict``; the answer itself is an entry of the log.

    ``stored``: the log has, or will bring, what became of this request.
    """

    status: Literal["accepted", "stored", "refused"]
    error: WireError | None = None


class Thresholds(Message):
    """Anomaly scores from which a patient is Medium and High."""

    medium: float
    high: float


class Explanation(Message):
    """A clinical paragraph, and who wrote it."""

    text: str
    source: Literal["template", "llm"]
    model: str | None = None
    reason: str | None = None
    """Why this is the deterministic text although a language model was asked; ``None`` otherwise."""
    prompt_version: str | None = None
    total_ms: float | None = None
    """Milliseconds from the prediction to the final explanation."""


class Contribution(Message):
    """How much one field moved the score.

    ``contribution`` is in log2 score units: positive pulls toward anomalous, and the 13 of a prediction and its
    ``base_value`` add up to log2 of ``raw_score``. ``typical`` is the median of the disease-free training patients,
    which is also used for a value that was not measured (``imputed``).
    """

    field: str
    value: float | None
    typical: float
    contribution: float
    imputed: bool
    extrapolated: bool


class Interval(Message):
    """The ends of a 95 % interval of a share (0 to 1)."""

    low: float
    high: float


class Outcome(Message):
    """A score and its level, as far as tests that were not measured could lead."""

    anomaly_score: float
    risk_level: Annotated[RiskLevel, Field(strict=False)]


class MissingTests(Message):
    """What the fields that were not measured could still show, over their codes and bins of their quantities."""

    lowest: Outcome
    highest: Outcome
    most_informative: str
    """The field whose result would narrow this range most, on average over its values."""
    is_sampled: bool
    """Whether only some of the combinations were looked at."""


class NotEnough(Message):
    """Why there is no level: the measured fields alone do not tell patients with disease from those without."""

    needed: list[str]
    """Fields of which any one would be enough; empty where it takes more than one."""
    extreme: list[str]
    """Measured fields that would make the level High with all others typical."""


class PredictiveValue(Message):
    """Of the patients at High, the share (0 to 1) with disease at a prevalence (0 to 1), measured on held-out ones."""

    value: float
    low: float
    high: float
    prevalence: float


class Prediction(_Asked):
    """The immutable answer for one patient.

    ``anomaly_score`` is the calibrated share (0 to 1) of disease-free patients who are less anomalous, not a
    probability of disease; ``raw_score`` is the isolation forest's own score (0 to 1, Liu et al. 2008, eq. 2).
    """

    prediction_id: Identifier
    client_id: str
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
    """Whether a language model was asked as well; exactly one entry ``explanation_finished`` then follows."""
    model_version: str
    timings_ms: Mapping[str, float]
    """Milliseconds by stage: ``waiting`` in the batcher, ``scoring`` with attribution, ``explaining``."""
    # Predictions of protocol 4 are stored without these.
    score_interval: Interval | None = None
    """Where the anomaly score lies at 95 %, as far as the size of the calibration set tells; nothing of the patient."""
    missing_tests: MissingTests | None = None
    """``None`` where all was measured, and where there is no level."""
    not_enough: NotEnough | None = None
    """Only of a prediction without a level."""
    predictive_value: PredictiveValue | None = None
    """Of the model that made it, at the prevalence of its training file; ``None`` where it is not known."""


class ChangeKind(StrEnum):
    """What an entry of the change log records."""

    PREDICTION_MADE = "prediction_made"
    EXPLANATION_FINISHED = "explanation_finished"
    PREDICTION_ERASED = "prediction_erased"
    PREDICTION_SUPERSEDED = "prediction_superseded"
    REQUEST_REFUSED = "request_refused"


class Change(Message):
    """One entry of the change log; ``sequence`` ascends with commit order.

    Client apps see their own entries, operators all. Of a prediction that was erased the entries stay, without
    prediction and explanation.
    """

    sequence: Position
    kind: Annotated[ChangeKind, Field(strict=False)]
    client_id: str
    request_id: Identifier
    prediction_id: Identifier | None
    """``None`` of a request that was refused."""
    at: Timestamp
    prediction: Prediction | None = None
    explanation: Explanation | None = None
    error: WireError | None = None
    """Why a request was refused for good."""
    superseded_by: Identifier | None = None
    """The request that corrects this one; its prediction is no longer counted."""


class Totals(Message):
    """What the server counted over all stored predictions."""

    predictions: int
    by_level: dict[str, int]
    by_client: dict[str, int]


class OperatorStatus(Message):
    """What dashboards show that is no history: client apps, model and language model as they are now."""

    clients: "list[ClientStatus]"
    model: "ModelStatus"
    explanations: "ExplanationStatus"
    servers: "list[ServerStatus] | None" = None
    """Those on the same PostgreSQL, the oldest first; ``None`` with SQLite, where there is one server."""
    lost: "LostEntries | None" = None


class _Answer(Message):
    """What followed a place in a log: the one answer to a ``follow``.

    A reader that holds everything up to ``after`` of ``log`` holds everything up to ``next_after``, the place that was
    scanned, once it has applied these entries. An answer about another log, or about another place than was asked
    after, means that the record was replaced: the reader drops what it holds, and starts over with this answer.
    """

    log: Identifier
    """The identity of the database and its epoch: another one is another log."""
    after: Position
    next_after: Position
    has_more: bool
    ticket: str | None = None
    """What the next ``follow`` has to return; ``None`` over HTTP."""


class Changes(_Answer):
    """What followed a place in the change log."""

    entries: list[Change]
    totals: Totals | None = None
    """Only for operators."""
    status: OperatorStatus | None = None
    """Only for operators, and only if it is news to this follower."""


class Reload(Message):
    """The answer to a follower that is so far behind that it should load its page instead."""

    log: Identifier
    ticket: str


class Closing(Message):
    """Why a connection is about to be closed."""

    reason: WireError


class ClientStatus(Message):
    """One client app as the server sees it."""

    client_id: str
    connected: bool
    last_seen: Timestamp | None
    waiting: int | None
    """Requests in its outbox when it last said so; ``None`` if it never did."""
    waiting_at: Timestamp | None
    """When it said so: the page shows how old the number is."""


class ServerStatus(Message):
    """One of several servers, as it last said of itself."""

    id: str
    started_at: Timestamp
    protocol: int
    model: str
    """The version of the model that scores there."""
    connections: int
    behind: int
    """Entries of the change log that it had not read yet."""
    leads: bool
    """Whether it does what one of them has to do, such as erasing what is too old."""
    answers: bool
    """Whether it has said anything in the last 8 seconds."""


class LostEntries(Message):
    """What the log lacks after the database failed over or was restored, as far as this server had read it.

    It adds up since the server's start; an entry that is lost twice counts twice.
    """

    noticed_at: Timestamp
    entries: int
    predictions: int
    """Those among them that it still had in memory."""
    stored_again: int
    """Of these predictions, those whose requests are in the log again."""


class ModelStatus(Message):
    """Which model version scores, since when, and its figures.

    ``refused`` says why the files in the model's folder are not taken; ``None`` when they are those of this version.
    ``explains`` is false when contributions cannot be computed, or were found to be wrong.
    """

    version: str
    since: Timestamp
    metrics: Mapping[str, Any]
    refused: str | None
    explains: bool


class CircuitStatus(Message):
    """Whether the language model's endpoint is asked (closed), paused (open) or tried again (half_open)."""

    state: Literal["closed", "open", "half_open"]
    until: Timestamp | None
    """Until when it is paused; ``None`` unless it is open."""
    reason: str | None
    """Why it is not closed: a clause that says what to do about it."""


class ExplanationCounts(Message):
    """What became of the explanations since the server started, by source and reason."""

    by_source: Mapping[str, int]
    by_reason: Mapping[str, int]


class ExplanationStatus(Message):
    """Who writes explanations and why, how a language model's endpoint is doing, and what became of them."""

    source: Literal["template", "llm"]
    reason: str
    model: str | None
    circuit: CircuitStatus | None
    last_failure: str | None
    """Why the last explanation is the deterministic one; ``None`` if it is the language model's."""
    waiting: int
    under_way: int
    finished: ExplanationCounts


class LinkStatus(Message):
    """A client app's link to the server, for its own page."""

    state: Literal["up", "connecting", "down", "refused"]
    reason: str | None
    since: Timestamp
    waiting: int


class HistoryEntry(_Asked):
    """One request of this client app: waiting, answered or refused. The ``request_id`` is its order as well."""

    state: Literal["queued", "withdrawing", "answered", "refused"]
    superseded_by: Identifier | None = None
    prediction: Prediction | None = None
    explanation: Explanation | None = None
    """The latest explanation; the prediction's own until a language model's replaces it."""
    error: WireError | None = None


class SubmissionReceipt(Message):
    """The acknowledgment of ``submit`` and ``withdraw``: the entry as it is on the client app's disk, or why not.

    ``duplicate``: nothing was saved, because ``entry`` is of the same patient, within the last 24 hours.
    """

    status: Literal["saved", "refused", "duplicate"]
    entry: HistoryEntry | None = None
    error: WireError | None = None


class HistoryChange(Message):
    """One entry of a client app's own log: a request as it is now, or, without ``entry``, that it was erased."""

    sequence: Position
    request_id: Identifier
    entry: HistoryEntry | None


class HistoryChanges(_Answer):
    """What followed a place in a client app's own log; read like ``Changes``."""

    entries: list[HistoryChange]
    status: LinkStatus | None = None
    """Only if it is news to this page."""
