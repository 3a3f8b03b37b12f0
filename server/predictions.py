"""From a checked request to a stored prediction: score, explain, store, tell the log. Knows no transport."""

import hashlib
import logging
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import KW_ONLY, dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final

import orjson
import uuid_utils
from prometheus_client import Histogram

from common.errors import ErasedError, InternalError, OverloadedError, ShuttingDownError, StoreUnavailableError
from common.messages import LEVELS, ChangeKind, MissingTests, NotEnough, PredictRequest, Receipt, RiskLevel, WireError
from common.patient import PatientRecord
from common.periodic import PeriodicTask
from server.anomaly.detector import Assessment, Detector
from server.cluster import Cluster
from server.explanation.facts import facts_of
from server.explanation.template import describe
from server.explanations import ExplanationWorkers, about
from server.log import ChangeLog
from server.registry.current_model import CurrentModel
from server.store import NewPrediction, PredictionStore, RequestKey
from server.store.record import Appended

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
"""Between two looks at what other processes wrote to the log."""

HOUSEKEEPING_SECONDS: Final = 3600.0
ERASED_AT_ONCE: Final = 50
STOP_SECONDS: Final = 5
STORE_PAUSE_SECONDS: Final = 1.0
"""For how long requests are refused for now after the store could not be used."""

MAX_KNOWN: Final = 4096
"""How many requests are remembered with what the record knows of them; about 1 MB."""

STAGE_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

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


@dataclass(eq=False)
class PredictionService:
    """Takes requests without waiting, and answers them in batches, each in one call and one transaction.

    The answer is an entry of the log; the same request again changes nothing. While the store is unavailable requests
    are dropped and refused for now: client apps send them again. What is older than ``retention_days`` is erased.
    """

    model: CurrentModel
    store: PredictionStore
    changes: ChangeLog
    explanations: ExplanationWorkers
    _: KW_ONLY
    clock: Callable[[], datetime]
    batch_size: int
    max_waiting: int
    retention_days: int | None = None
    cluster: Cluster | None = None
    """The other servers, if there may be others."""

    def __post_init__(self) -> None:
        self.stored: Counter[str] = Counter(dict.fromkeys(RiskLevel, 0))
        """Predictions since the start, by risk level."""
        self.refused: Counter[str] = Counter()
        """Requests that an entry of the log refused for good since the start, by the error's code."""
        self.seconds = Histogram(
            "heart_stage_seconds",
            "Seconds that each stored patient spent waiting, being scored, in the commit, and until the answer in all.",
            ["stage"],
            registry=None,
            buckets=STAGE_SECONDS,
        )
        self._seconds_of = {stage: self.seconds.labels(stage) for stage in ("waiting", "scoring", "commit", "answer")}
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._known: OrderedDict[RequestKey, set[str]] = OrderedDict()
        self._known_as_of = self.changes.generation
        self._unavailable_until = 0.0
        self._is_to_vacuum = False
        self._batcher = threading.Thread(target=self._run, name="batcher", daemon=True)
        self._log_watcher = PeriodicTask("change log", self.changes.look, seconds=LOOK_SECONDS)
        self._notices = PeriodicTask(
            "commit notices", lambda: self.store.listen(self._notice, self._notices.stopping), seconds=LOOK_SECONDS
        )
        self._housekeeping = PeriodicTask("housekeeping", self.erase_old, seconds=HOUSEKEEPING_SECONDS)

    def start(self) -> None:
        self.explanations.start()
        self._log_watcher.start()
        self._housekeeping.start()
        self.model.start(lambda _: self.changes.nudge())
        self._batcher.start()
        if self.cluster is not None:
            self._notices.start()
            self.cluster.start(on_lead=self._housekeeping.wake)

    def stop(self) -> None:
        """Accept nothing new, answer what was accepted, and return within ``STOP_SECONDS``."""
        deadline = time.monotonic() + STOP_SECONDS
        self._housekeeping.stop()  # first, so that the batcher need not wait for it to let go of the record
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._batcher.join(max(0.0, deadline - time.monotonic()))
        self.explanations.stop()
        self.model.stop(max(0.0, deadline - time.monotonic()))
        self._notices.stop(0)  # it ends within a second
        self._log_watcher.stop()
        if self.cluster is not None:
            self.cluster.stop()
        self.store.close()

    @property
    def waiting(self) -> int:
        return len(self._jobs)

    @property
    def is_running(self) -> bool:
        return self._batcher.is_alive()

    def check(self) -> None:
        """Raise the named error that keeps it from answering patients, if there is one."""
        if self.cluster is None:
            self.store.check()
        else:
            self.store.require_answers()  # waits for nothing; the cluster tries whether a failure is over
            if failure := self.store.failure:
                raise StoreUnavailableError(f"{StoreUnavailableError.default_message} The cause: {failure}.")
        if not self.is_running:
            raise InternalError("The server has stopped answering patients. Restart it.")

    def _notice(self, newest: int) -> None:
        """Look at once at what another server has committed; what this one has is known already, or in a moment."""
        if newest > self.changes.newest:
            self._log_watcher.wake()

    def erase_old(self) -> bool:
        """Erase some of the predictions that are too old to be kept; return whether there may be more."""
        if self.retention_days is None or (self.cluster is not None and not self.cluster.leads):
            return False
        now, days = self.clock(), self.retention_days
        old = self.store.older_than(now - timedelta(days=days), limit=ERASED_AT_ONCE)
        if old:
            page, _ = self.store.erase(old, now)
            self.changes.appended(page)
            self._is_to_vacuum = True
            log.info("%d predictions were erased because they were older than %d days", len(old), days)
        if self._is_to_vacuum and len(old) < ERASED_AT_ONCE:
            self.store.vacuum()
            self._is_to_vacuum = False
        return len(old) == ERASED_AT_ONCE

    def submit(self, request: PredictRequest, client_id: str) -> Receipt:
        """Take a request, whose answer is an entry of the log; ``stored`` if that is known to be there.

        Raises
        ------
        OverloadedError, ShuttingDownError, StoreUnavailableError
            All may be tried again.
        ErasedError
            If its prediction was erased.
        """
        # From memory alone: an acknowledgment must not wait for the disk, nor for the batch.
        job = Job(request, client_id, time.perf_counter())
        if ChangeKind.PREDICTION_ERASED in self._said(job):
            raise ErasedError
        if self._is_known(job):
            return STORED
        self._require_store()
        # Under the lock that a stop takes: what is accepted here is before the end of the queue, and is answered.
        with self._changed:
            if self._stopping:
                raise ShuttingDownError
            if len(self._jobs) >= self.max_waiting:
                raise OverloadedError
            self._jobs.append(job)
            self._changed.notify()
        return ACCEPTED

    def withdraw(self, request_id: str, client_id: str) -> Receipt:
        """See to it that a request is never answered, unless it has been: an entry of the log tells which.

        Raises
        ------
        StoreUnavailableError
            It may be tried again.
        """
        self._require_store()
        try:
            page = self.store.withdraw((client_id, request_id), self.clock())
        except StoreUnavailableError:  # each of the withdrawals that wait would hold up everybody as long as this one
            self._unavailable_until = time.monotonic() + STORE_PAUSE_SECONDS
            raise
        self.changes.appended(page)
        return STORED

    def _require_store(self) -> None:
        if time.monotonic() < self._unavailable_until:
            raise StoreUnavailableError
        self.store.require_answers()

    def _is_known(self, job: Job) -> bool:
        """Tell whether nothing is to be written of a request, as far as is remembered."""
        return not self._said(job).isdisjoint({job.digest, *ChangeKind})

    def _said(self, job: Job) -> Set[str]:
        """Return what is remembered of a request; an erasure takes all of it, which are digests, with it."""
        # A digest lets a patient's values be guessed, so it must not outlive the patient's erasure.
        if self._known_as_of != (generation := self.changes.generation):
            self._known = OrderedDict()  # not cleared: a batch on its way may still add to the old one
            self._known_as_of = generation
        return self._known.get(job.key, frozenset())

    def _run(self) -> None:
        while batch := self._next_batch():
            try:
                self._answer(batch)
            except StoreUnavailableError:  # the store has said why
                self._unavailable_until = time.monotonic() + STORE_PAUSE_SECONDS
            except Exception:
                log.exception("a batch of %d was not stored; it will come again", len(batch), extra=_about(batch))
            time.sleep(0)  # between batches everybody else has a turn

    def _next_batch(self) -> list[Job]:
        """Wait for requests and take them; none after a stop, when all that were accepted are taken."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._stopping)
            return [self._jobs.popleft() for _ in range(min(len(self._jobs), self.batch_size))]

    def _answer(self, batch: Sequence[Job]) -> None:
        """Store what is new in a batch, refuse for good what cannot be scored, and tell the log."""
        jobs = [job for job in batch if not self._is_known(job)]
        if not jobs:
            return
        made, refused = self._made(jobs)
        known = self._known  # of before: what is erased meanwhile must not be remembered
        started = time.perf_counter()
        appended = self.store.append(made, refused, self.clock())
        commit = time.perf_counter() - started
        known.update(appended.known)
        # Those that were forgotten are found in the store when they come again; this only spares the look-up.
        while len(known) > MAX_KNOWN:
            known.popitem(last=False)
        # The commit comes before the nudge: a follower that reads first would find nothing and sleep.
        self.changes.appended(appended.page)
        if any(one.message["awaits_explanation"] for one in appended.new):
            self.explanations.look()
        self._note(appended, commit, {job.key: job.received for job in jobs})

    def _note(self, appended: Appended, commit: float, received: Mapping[RequestKey, float]) -> None:
        """Count and log what became of a batch; ``commit`` is in seconds."""
        now = time.perf_counter()
        for one in appended.new:
            timings = {stage: one.message["timings_ms"][stage] / 1000 for stage in ("waiting", "scoring")}
            for stage, seconds in (timings | {"commit": commit, "answer": now - received[one.key]}).items():
                self._seconds_of[stage].observe(seconds)
            self.stored[one.message["risk_level"]] += 1
        if appended.new:  # one line for all: a line costs as much as a tenth of a prediction
            log.info("%d predictions were stored", len(appended.new), extra=_about(appended.new))
        for entry in appended.page.entries:
            if entry.kind == ChangeKind.REQUEST_REFUSED:
                said = orjson.loads(entry.wire)
                code, asked = said["error"]["code"], about(said["request_id"])
                self.refused[code] += 1
                log.warning("a request of %s was refused for good: %s", entry.client_id, code, extra=asked)

    def _made(self, jobs: Sequence[Job]) -> tuple[list[NewPrediction], dict[RequestKey, WireError]]:
        """Score and explain together; if that fails, each alone, so that one patient does not take others along."""
        try:
            return self._scored(jobs), {}
        except Exception:
            log.exception("a batch of %d could not be scored", len(jobs), extra=_about(jobs))
        if len(jobs) == 1:
            return [], {jobs[0].key: WireError.of(InternalError())}
        alone = [self._made([job]) for job in jobs]
        refused = {key: error for _, refusals in alone for key, error in refusals.items()}
        return [one for made, _ in alone for one in made], refused

    def _scored(self, jobs: Sequence[Job]) -> list[NewPrediction]:
        detector = self.model.detector  # once, so that a batch is of one version
        started = time.perf_counter()
        assessments = detector.assess([job.request.record for job in jobs])
        scoring = time.perf_counter() - started
        return [
            self._predict(job, detector, assessment, {"waiting": started - job.received, "scoring": scoring})
            for job, assessment in zip(jobs, assessments, strict=True)
        ]

    def _predict(self, job: Job, detector: Detector, assessment: Assessment, spent: dict[str, float]) -> NewPrediction:
        """Make one prediction; ``spent`` are seconds by stage, up to here."""
        request, started = job.request, time.perf_counter()
        outlook = detector.outlook(request.record, assessment.risk_level)
        facts = facts_of(request.record, assessment, detector.thresholds, outlook)
        explanation = describe(facts)
        timings = spent | {"explaining": time.perf_counter() - started}
        # The message ``Prediction``, with the fields of request and assessment, which it shares with them. It is
        # unchecked: checking what was just made would take longer than making it.
        message = {
            **vars(request),
            **vars(assessment),
            "prediction_id": str(uuid_utils.uuid7()),
            "client_id": job.client_id,
            "record": vars(request.record),
            "entered": {name: vars(quantity) for name, quantity in request.entered.items()},
            "made_at": self.clock(),
            "score_interval": assessment.score_interval and vars(assessment.score_interval),
            "is_anomaly": assessment.risk_level == RiskLevel.HIGH,
            "thresholds": vars(detector.thresholds),
            "contributions": _contributions(request.record, detector, assessment),
            "top_factors": [factor.name for factor in facts.factors],
            "imputed": facts.not_measured,
            "extrapolated": facts.extrapolated,
            "explanation": vars(explanation),
            "predictive_value": detector.predictive_value and vars(detector.predictive_value),
            "missing_tests": outlook.model_dump() if isinstance(outlook, MissingTests) else None,
            "not_enough": vars(outlook) if isinstance(outlook, NotEnough) else None,
            "awaits_explanation": self.explanations.enabled and bool(facts.factors) and assessment.risk_level in LEVELS,
            "model_version": detector.model_version,
            "timings_ms": {stage: round(seconds * 1000, 3) for stage, seconds in timings.items()},
        }
        made = NewPrediction(message, job.digest)
        made.body  # noqa: B018 - encoded here: what cannot be must fail alone, and not while the record is locked
        return made


def _about(ones: Iterable[Job | NewPrediction]) -> dict[str, str]:
    return about(*(request_id for _, request_id in (one.key for one in ones)))


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
