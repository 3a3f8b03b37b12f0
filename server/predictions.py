"""From a checked request to a stored prediction: score, explain, store, tell the log. Knows no transport."""

import hashlib
import logging
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Final

import orjson
import uuid_utils

from common.errors import ErasedError, InternalError, OverloadedError, ShuttingDownError, StoreUnavailableError
from common.messages import ChangeKind, PredictRequest, Receipt, RiskLevel, WireError
from common.patient import PatientRecord
from server.anomaly.detector import Assessment, Detector
from server.explanation.facts import facts_of
from server.explanation.template import describe
from server.explanations import ExplanationWorkers
from server.log import ChangeLog
from server.registry.current_model import CurrentModel
from server.store import NewPrediction, PredictionStore, Refusal
from server.store.record import RequestKey

log = logging.getLogger(__name__)

STOP_SECONDS: Final = 5
STORE_PAUSE_SECONDS: Final = 1.0
"""For how long requests are refused for now after the store could not be used."""

MAX_KNOWN: Final = 4096
"""Requests of which it is remembered what the record knows, about 1 MB."""

ACCEPTED: Final = Receipt(status="accepted")
STORED: Final = Receipt(status="stored")


@dataclass(frozen=True)
class Job:
    """A request on its way, and when it came (seconds of ``time.perf_counter``)."""

    request: PredictRequest
    client_id: str
    received: float

    @property
    def key(self) -> RequestKey:
        return self.client_id, self.request.request_id

    @cached_property
    def digest(self) -> str:
        """Identify what was asked: the record and the patient's reference."""
        meaning = {"record": vars(self.request.record), "patient_reference": self.request.patient_reference}
        return hashlib.sha256(orjson.dumps(meaning, option=orjson.OPT_SORT_KEYS)).hexdigest()


class PredictionService:
    """Takes requests without waiting, and answers them in batches, each in one call and one transaction.

    The answer is an entry of the log; the same request again changes nothing. While the store is unavailable requests
    are dropped and refused for now: client apps send them again.
    """

    def __init__(
        self,
        model: CurrentModel,
        store: PredictionStore,
        changes: ChangeLog,
        explanations: ExplanationWorkers,
        *,
        clock: Callable[[], datetime],
        batch_size: int,
        max_waiting: int,
    ) -> None:
        self.model = model
        self.store = store
        self.changes = changes
        self.explanations = explanations
        self._clock = clock
        self._batch_size = batch_size
        self._jobs: queue.Queue[Job | None] = queue.Queue(max_waiting)
        self._known: OrderedDict[RequestKey, set[str]] = OrderedDict()
        self._known_as_of = changes.generation
        self._unavailable_until = 0.0
        self._accepting = threading.Lock()
        self._stopping = False
        self._batcher = threading.Thread(target=self._run, name="batcher", daemon=True)

    def start(self) -> None:
        self.explanations.start()
        self.changes.start()
        self.model.start(lambda _: self.changes.nudge())
        self._batcher.start()

    def stop(self) -> None:
        """Accept nothing new, answer what was accepted, and return within ``STOP_SECONDS``."""
        deadline = time.monotonic() + STOP_SECONDS
        with self._accepting:
            self._stopping = True
        with suppress(queue.Full):  # the batcher hangs, and nothing more can be done for what waits
            self._jobs.put(None, timeout=STOP_SECONDS)
        self._batcher.join(max(0.0, deadline - time.monotonic()))
        self.explanations.stop()
        self.model.stop(max(0.0, deadline - time.monotonic()))
        self.changes.stop()
        self.store.close()

    @property
    def is_running(self) -> bool:
        return self._batcher.is_alive()

    def submit(self, request: PredictRequest, client_id: str) -> Receipt:
        """Take a request, whose answer is an entry of the log; ``stored`` if that is known to be there.

        Raises
        ------
        OverloadedError, ShuttingDownError, StoreUnavailableError
            All may be tried again.
        ErasedError
            If its prediction was erased.
        """
        job = Job(request, client_id, time.perf_counter())
        if said := self._said(job):
            if ChangeKind.PREDICTION_ERASED in said:
                raise ErasedError
            if self._is_known(job):
                return STORED
        if time.monotonic() < self._unavailable_until:
            raise StoreUnavailableError
        with self._accepting:  # so that nothing is taken after the end of the queue
            if self._stopping:
                raise ShuttingDownError
            try:
                self._jobs.put_nowait(job)
            except queue.Full:
                raise OverloadedError from None
        return ACCEPTED

    def _is_known(self, job: Job) -> bool:
        """Tell whether nothing is to be written of a request, as far as is remembered."""
        return not self._said(job).isdisjoint({job.digest, *ChangeKind})

    def _said(self, job: Job) -> Set[str]:
        """Return what is remembered of a request; an erasure takes all of it, which are digests, with it."""
        if self._known_as_of != self.changes.generation:
            self._known_as_of = self.changes.generation
            self._known.clear()
        return self._known.get(job.key, frozenset())

    def _remember(self, known: Mapping[RequestKey, set[str]]) -> None:
        self._known.update(known)
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)

    def _run(self) -> None:
        while (first := self._jobs.get()) is not None:
            batch = [first, *self._waiting()]
            try:
                self._answer(batch)
            except StoreUnavailableError:  # the store has said why
                self._unavailable_until = time.monotonic() + STORE_PAUSE_SECONDS
            except Exception:
                log.exception("a batch of %d was not stored; its requests will come again", len(batch))
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
        """Store what is new in a batch, refuse for good what cannot be scored, and tell the log."""
        jobs = [job for job in batch if not self._is_known(job)]
        if not jobs:
            return
        made, refused = self._made(jobs)
        appended = self.store.append(made, refused, self._clock())
        self._remember(appended.known)
        # The commit comes before the nudge: a follower that reads first would find nothing and sleep.
        self.changes.appended(appended.page)
        if any(one.awaits_explanation for one in appended.new):
            self.explanations.look()

    def _made(self, jobs: Sequence[Job]) -> tuple[list[NewPrediction], list[Refusal]]:
        """Score and explain together; if that fails, each alone, so that one patient does not take others along."""
        try:
            return self._scored(jobs), []
        except Exception:
            log.exception("a batch of %d could not be scored", len(jobs))
        if len(jobs) == 1:
            return [], [Refusal(*jobs[0].key, WireError.of(InternalError()))]
        alone = [self._made([job]) for job in jobs]
        return [one for made, _ in alone for one in made], [one for _, refused in alone for one in refused]

    def _scored(self, jobs: Sequence[Job]) -> list[NewPrediction]:
        detector = self.model.detector  # once, so that a batch is of one version
        started = time.perf_counter()
        assessments = detector.assess([job.request.record for job in jobs])
        scoring = time.perf_counter() - started
        return [
            self._predict(job, detector, assessment, started - job.received, scoring)
            for job, assessment in zip(jobs, assessments, strict=True)
        ]

    def _predict(
        self, job: Job, detector: Detector, assessment: Assessment, waiting: float, scoring: float
    ) -> NewPrediction:
        """Make the message ``Prediction``: once and unchecked, for the record, the log and everybody who reads it."""
        request, made_at = job.request, self._clock()
        started = time.perf_counter()
        facts = facts_of(request.record, assessment, detector.thresholds)
        explanation = describe(facts)
        explaining = time.perf_counter() - started
        prediction_id = str(uuid_utils.uuid7())
        awaits_explanation = self.explanations.enabled and bool(facts.factors)
        body = {
            "prediction_id": prediction_id,
            "request_id": request.request_id,
            "client_id": job.client_id,
            "patient_reference": request.patient_reference,
            "record": vars(request.record),
            "entered_at": request.entered_at,
            "made_at": made_at,
            "risk_level": assessment.risk_level,
            "anomaly_score": assessment.anomaly_score,
            "raw_score": assessment.raw_score,
            "is_anomaly": assessment.risk_level == RiskLevel.HIGH,
            "thresholds": vars(detector.thresholds),
            "base_value": assessment.base_value,
            "contributions": _contributions(request.record, detector, assessment),
            "top_factors": [factor.name for factor in facts.factors],
            "imputed": request.record.imputed(),
            "extrapolated": request.record.extrapolated(),
            "explanation": vars(explanation),
            "awaits_explanation": awaits_explanation,
            "model_version": detector.model_version,
            "timings_ms": _milliseconds(waiting=waiting, scoring=scoring, explaining=explaining),
        }
        return NewPrediction(
            prediction_id=prediction_id,
            client_id=job.client_id,
            request_id=request.request_id,
            request_digest=job.digest,
            risk_level=assessment.risk_level,
            anomaly_score=assessment.anomaly_score,
            awaits_explanation=awaits_explanation,
            made_at=made_at,
            body=orjson.dumps(body, option=orjson.OPT_UTC_Z).decode(),
        )


def _contributions(record: PatientRecord, detector: Detector, assessment: Assessment) -> list[dict[str, Any]]:
    """Return the contributions of all fields, or none where they could not be worked out."""
    values, typical, extrapolated = vars(record), detector.typical, record.extrapolated()
    return [
        {
            "field": name,
            "value": None if values[name] is None else float(values[name]),
            "typical": typical[name],
            "contribution": contribution,
            "imputed": values[name] is None,
            "extrapolated": name in extrapolated,
        }
        for name, contribution in assessment.contributions.items()
    ]


def _milliseconds(**seconds: float) -> dict[str, float]:
    return {stage: round(duration * 1000, 3) for stage, duration in seconds.items()}
