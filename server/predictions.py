"""From a checked request to a stored, published prediction: score, explain, store, publish. Knows no transport."""

import hashlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import orjson
import uuid_utils

from common.errors import (
    DetectionSystemError,
    ErasedError,
    InternalError,
    OutOfTurnError,
    OverloadedError,
    RequestIdReusedError,
    ShuttingDownError,
    StoreUnavailableError,
)
from common.messages import Contribution, Prediction, PredictionRefused, PredictRequest, RiskLevel, WireError
from common.patient import FIELDS, PatientRecord
from server.anomaly.detector import Assessment, Detector
from server.explanation.facts import Facts, facts_of
from server.explanation.template import describe
from server.explanations import ExplanationWorkers
from server.outbox_order import OutboxOrder
from server.recorder import Publisher, Recorder
from server.registry.current_model import CurrentModel
from server.store import NewPrediction, PredictionStore

log = logging.getLogger(__name__)

Clock = Callable[[], datetime]
STOP_SECONDS = 5


@dataclass(frozen=True)
class Job:
    """A request on its way, and when it came (seconds of ``time.perf_counter``)."""

    request: PredictRequest
    client_id: str
    received: float

    @property
    def key(self) -> tuple[str, str]:
        return self.client_id, self.request.request_id

    @cached_property
    def digest(self) -> str:
        """Identify what was asked: the record and the patient's reference."""
        meaning = self.request.model_dump(mode="json", include={"record", "patient_reference"})
        return hashlib.sha256(orjson.dumps(meaning, option=orjson.OPT_SORT_KEYS)).hexdigest()


class PredictionService:
    """Takes requests without waiting, and answers them in batches, each in one call and one transaction.

    An answer goes out after its commit; the same request again gets the stored answer. The requests of one client app
    are stored in the order of its outbox, whichever of them have to come again.
    """

    def __init__(
        self,
        model: CurrentModel,
        store: PredictionStore,
        recorder: Recorder,
        publisher: Publisher,
        explanations: ExplanationWorkers,
        *,
        clock: Clock,
        batch_size: int,
        max_waiting: int,
    ) -> None:
        self.model = model
        self.store = store
        self.explanations = explanations
        self._recorder = recorder
        self._publisher = publisher
        self._clock = clock
        self._batch_size = batch_size
        self._jobs: queue.Queue[Job | None] = queue.Queue(max_waiting)
        self._order = OutboxOrder()
        self._accepting = threading.Lock()
        self._stopping = False
        self._batcher = threading.Thread(target=self._run, name="batcher", daemon=True)

    def start(self) -> None:
        """End what an earlier process left unexplained, and begin to answer."""
        for prediction in self.store.unfinished():
            reason = "The server was restarted before the language model's explanation was finished."
            self.explanations.fall_back(prediction, reason)
        self.explanations.start()
        self.model.start(self._publisher.model_status)
        self._batcher.start()

    def stop(self) -> None:
        """Accept nothing new, answer what was accepted, and return within ``STOP_SECONDS``."""
        deadline = time.monotonic() + STOP_SECONDS
        with self._accepting:
            self._stopping = True
        with suppress(queue.Full):  # the batcher hangs, and nothing more can be done for what waits
            self._jobs.put(None, timeout=STOP_SECONDS)
        self._batcher.join(max(0.0, deadline - time.monotonic()))
        self.model.stop(max(0.0, deadline - time.monotonic()))
        self.store.close()

    @property
    def is_running(self) -> bool:
        return self._batcher.is_alive()

    def submit(self, request: PredictRequest, client_id: str) -> None:
        """Take a request; its answer is published later.

        Raises
        ------
        OverloadedError, ShuttingDownError
            Both may be tried again.
        """
        job = Job(request, client_id, time.perf_counter())
        with self._accepting:  # so that nothing is taken after the end of the queue
            if self._stopping:
                raise ShuttingDownError
            try:
                self._jobs.put_nowait(job)
            except queue.Full:
                self._order.give_back(client_id, request)
                raise OverloadedError from None

    def _run(self) -> None:
        while (first := self._jobs.get()) is not None:
            batch = [first, *self._waiting()]
            self._answer(batch)
            time.sleep(0)  # between batches everybody else has a turn

    def _waiting(self) -> list[Job]:
        more: list[Job] = []
        while len(more) + 1 < self._batch_size:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                self._jobs.put_nowait(None)
                break
            more.append(job)
        return more

    def _answer(self, batch: Sequence[Job]) -> None:
        """Answer a batch; whatever fails is an answer too, and never ends the batcher.

        Each job of a batch that failed is tried once more alone: one that was stored before is a repeat then.
        """
        unanswered = list(batch)
        if self._succeeds(self._answer_together, unanswered):
            return
        for job in unanswered:
            if not self._succeeds(self._answer_together, [job]):
                self._succeeds(self._give_up, [job])

    @staticmethod
    def _succeeds(answer: Callable[[list[Job]], None], jobs: list[Job]) -> bool:
        try:
            answer(jobs)
        except Exception:
            log.exception("a batch of %d could not be answered", len(jobs))
            return False
        return True

    def _answer_together(self, unanswered: list[Job]) -> None:
        """Answer jobs; those that the store could answer leave the list."""
        try:
            unanswered[:] = self._in_order(unanswered)
            unanswered[:] = self._without_repeats(unanswered)
            self._answer_new(unanswered)
        except DetectionSystemError as error:
            self._refuse(unanswered, error)

    def _give_up(self, jobs: list[Job]) -> None:
        """Refuse what could not be answered, unless it was stored: then its answer stands in the change log."""
        try:
            stored = self.store.find([job.key for job in jobs])
        except StoreUnavailableError as error:
            self._refuse(jobs, error)
        else:
            self._refuse([job for job in jobs if job.key not in stored], InternalError())

    def _in_order(self, batch: Sequence[Job]) -> list[Job]:
        """Refuse for now whatever follows a request that has to come again, and return the rest."""
        in_turn = []
        for job in batch:
            if self._order.take(job.client_id, job.request):
                in_turn.append(job)
            else:
                self._refuse([job], OutOfTurnError())
        return in_turn

    def _without_repeats(self, batch: Sequence[Job]) -> list[Job]:
        """Answer what was answered before, refuse ids erased or used for something else, and return the rest."""
        known = self.store.find([job.key for job in batch])
        new: dict[tuple[str, str], Job] = {}
        for job in batch:
            if job.key not in known:
                if new.setdefault(job.key, job).digest != job.digest:
                    self._refuse([job], RequestIdReusedError())
                continue
            stored = known[job.key]
            if stored is None:
                self._refuse([job], ErasedError())
            elif stored.request_digest != job.digest:
                self._refuse([job], RequestIdReusedError())
            else:
                self._publisher.repeat(stored.prediction)
        return list(new.values())

    def _answer_new(self, jobs: Sequence[Job]) -> None:
        if not jobs:
            return
        detector = self.model.detector  # once, so that a batch is of one version
        started = time.perf_counter()
        assessments = detector.assess([job.request.record for job in jobs])
        scoring = time.perf_counter() - started
        explained = [
            self._predict(job, detector, assessment, started - job.received, scoring)
            for job, assessment in zip(jobs, assessments, strict=True)
        ]
        new = [NewPrediction(made, job.digest) for job, (made, _) in zip(jobs, explained, strict=True)]
        self._recorder.record(new, then=lambda: self._request_explanations(explained))

    def _request_explanations(self, explained: Sequence[tuple[Prediction, Facts]]) -> None:
        for made, facts in explained:
            if made.awaits_explanation:
                self.explanations.request(made, facts)

    def _predict(
        self, job: Job, detector: Detector, assessment: Assessment, waiting: float, scoring: float
    ) -> tuple[Prediction, Facts]:
        request, thresholds = job.request, detector.thresholds
        started = time.perf_counter()
        facts = facts_of(request.record, assessment, thresholds)
        explanation = describe(facts)
        explaining = time.perf_counter() - started
        made = Prediction(
            prediction_id=str(uuid_utils.uuid7()),
            request_id=request.request_id,
            client_id=job.client_id,
            outbox_number=request.outbox_number,
            patient_reference=request.patient_reference,
            record=request.record,
            entered_at=request.entered_at,
            made_at=self._clock(),
            risk_level=assessment.risk_level,
            anomaly_score=assessment.anomaly_score,
            raw_score=assessment.raw_score,
            is_anomaly=assessment.risk_level == RiskLevel.HIGH,
            thresholds=thresholds,
            base_value=assessment.base_value,
            contributions=_contributions(request.record, detector, assessment),
            top_factors=[factor.name for factor in facts.factors],
            imputed=request.record.imputed(),
            extrapolated=request.record.extrapolated(),
            explanation=explanation,
            awaits_explanation=self.explanations.enabled and bool(facts.factors),
            model_version=detector.model_version,
            timings_ms=_milliseconds(waiting=waiting, scoring=scoring, explaining=explaining),
        )
        return made, facts

    def _refuse(self, jobs: Sequence[Job], error: DetectionSystemError) -> None:
        for job in jobs:
            if error.retryable:
                self._order.give_back(job.client_id, job.request)
            refusal = PredictionRefused(request_id=job.request.request_id, error=WireError.of(error))
            self._publisher.refused(job.client_id, refusal)


def _contributions(record: PatientRecord, detector: Detector, assessment: Assessment) -> list[Contribution]:
    """Return the contributions of all fields, or none where they could not be worked out."""
    return [
        Contribution(
            field=name,
            value=(value := getattr(record, name)),
            typical=detector.typical[name],
            contribution=assessment.contributions[name],
            imputed=value is None,
            extrapolated=description.is_extrapolated(value),
        )
        for name, description in FIELDS.items()
        if name in assessment.contributions
    ]


def _milliseconds(**seconds: float) -> dict[str, float]:
    return {stage: round(duration * 1000, 3) for stage, duration in seconds.items()}
