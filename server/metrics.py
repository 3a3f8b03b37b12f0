"""What the server tells Prometheus: predictions, record, log, model, client apps, explanations and drift."""

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, InfoMetricFamily, Metric

from common.messages import OperatorStatus
from common.web.scrape import counters, gauge, gauges
from server.drift.comparison import Status
from server.drift.report import DriftReport
from server.predictions import PredictionService


def prediction_metrics(service: PredictionService) -> Iterator[Metric]:
    store, changes, cluster = service.store, service.changes, service.cluster
    is_up = store.failure is None and not (cluster and cluster.is_cut_off)
    yield counters("predictions", "Predictions stored since the start.", "level", service.stored)
    yield counters("refused_requests", "Requests refused for good by an entry of the log.", "code", service.refused)
    yield gauge("waiting_patients", "Patients waiting to be scored.", service.waiting)
    yield from service.seconds.collect()
    yield gauge("database_up", "Whether the database could be used the last time.", is_up)
    yield gauge("database_last_write_timestamp_seconds", "Last successful write.", store.written_at)
    yield gauge("log_entries", "Sequence of the newest entry of the log.", changes.newest)
    yield gauge("log_last_read_timestamp_seconds", "Last read of what other servers wrote.", changes.looked_at)
    what = "Entries that failovers and restores took."
    yield CounterMetricFamily("heart_log_lost_entries", what, value=changes.lost_entries)
    behind, beat_at, leads = (cluster.behind, cluster.beat_at, cluster.leads) if cluster else (None, None, None)
    yield gauge("log_behind_entries", "Entries of other servers that it has not read.", behind)
    yield gauge("server_last_beat_timestamp_seconds", "Its last heartbeat, where there are several.", beat_at)
    yield gauge("server_leads", "Whether it does what one of several has to do.", leads)


def status_metrics(status: Callable[[], OperatorStatus]) -> Iterator[Metric]:
    told = status()
    model, explanations = told.model, told.explanations
    yield InfoMetricFamily("heart_model", "The model that scores.", value={"version": model.version})
    yield gauge("model_refused", "Whether newer files of a model were refused.", model.refused is not None)
    connected = {client.client_id: client.connected for client in told.clients}
    yield gauges("client_app_connected", "Whether a client app is connected.", "client_id", connected)
    waiting = {client.client_id: client.waiting for client in told.clients if client.waiting is not None}
    yield gauges("client_app_waiting_requests", "Requests in its outbox, as it last said.", "client_id", waiting)
    yield counters("explanations", "Explanations since the start.", "source", explanations.finished.by_source)
    yield gauge("explanations_waiting", "Predictions that await an explanation.", explanations.waiting)
    yield gauge("explanations_under_way", "Explanations that are being written.", explanations.under_way)
    state = explanations.circuit and explanations.circuit.state
    states = {name: name == state for name in ("closed", "half_open", "open")} if state else {}
    yield gauges("language_model_circuit", "State of the calls to the language model.", "state", states)


def drift_metrics(report: Callable[[], DriftReport]) -> Iterator[Metric]:
    groups = {group.client_id or "*": group.status for group in report().groups}
    ranks = {name: Status(status).rank for name, status in groups.items() if status is not None}
    yield gauges("drift", "Drift: 0 none, 1 moderate, 2 large; * is all client apps together.", "client_id", ranks)
