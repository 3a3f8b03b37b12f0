"""The composition root of the server: where its parts meet."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

from flask import Flask

from common.messages import OperatorStatus
from common.sqlite import BUSY_SECONDS
from common.web.app import Remembered, make_app
from common.web.concurrency import EVENTLET, run_aside
from common.web.scrape import add_metrics
from common.web.sockets import RealTime
from config.settings import ServerSettings
from server import api, metrics, model_routes
from server.clients import ConnectedClients, client_of_token
from server.cluster import Cluster
from server.drift.report import DriftReport, drift_report
from server.drift.sentences import data_in_words
from server.drift.windows import RollingWindows
from server.explanation.llama import ExplanationSource, explanation_source
from server.explanations import ExplanationWorkers
from server.log import ChangeLog
from server.predictions import PredictionService
from server.registry.artifact import load_detector
from server.registry.current_model import CurrentModel
from server.sockets import ClientsNamespace, OperatorsNamespace
from server.store import PredictionStore
from server.store.access import AccessDatabase
from server.store.database import database_url, open_database

BUSY_SECONDS_IN_LOOP: Final = 0.5
"""How long a statement waits for another program on eventlet, where it holds up everybody; it is then tried again."""

DRIFT_SECONDS: Final = 300.0
"""How long a comparison counts that Prometheus asked for: it takes a second where there are many client apps."""


@dataclass(frozen=True)
class Server:
    """A composed server: the Flask app, its real-time side, and the service to start and stop."""

    app: Flask
    real_time: RealTime
    service: PredictionService


def create_app(
    settings: ServerSettings,
    *,
    model: CurrentModel,
    store: PredictionStore,
    explanations: ExplanationSource,
    clock: Callable[[], datetime],
) -> Server:
    """Put the server together from its parts."""
    secrets = settings.secrets
    clients = ConnectedClients(settings.client_ids, clock=clock)
    changes = ChangeLog(store, clock)
    cluster = None
    if settings.is_scaled:
        cluster = Cluster(
            store,
            clients,
            changes,
            model=lambda: model.detector.model_version,
            connections=lambda: len(real_time.door.connections),
            clock=clock,
        )
    workers = ExplanationWorkers(
        explanations, store, changes, clock=clock, seconds=settings.llm_seconds, concurrency=settings.llm_concurrency
    )
    service = PredictionService(
        model,
        store,
        changes,
        workers,
        clock=clock,
        batch_size=settings.batch_size,
        max_waiting=settings.max_waiting,
        retention_days=settings.retention_days,
        cluster=cluster,
    )
    app = make_app(
        "server",
        settings,
        audience="server",
        title="Operators' dashboard",
        secret_key=secrets.secret_key,
        check_ready=service.check,
        file=AccessDatabase(store.engine, cluster.check) if cluster else None,
        clock=lambda: clock().timestamp(),
    )
    real_time = RealTime(
        app,
        settings,
        client_of_token=partial(client_of_token, tokens=secrets.client_tokens),
        check=cluster.check if cluster else lambda: None,
    )

    def status() -> OperatorStatus:
        return OperatorStatus(
            clients=clients.all(),
            model=model.status,
            explanations=workers.status,
            servers=cluster.servers if cluster else None,
            lost=changes.lost,
        )

    real_time.register(ClientsNamespace(service, clients))
    real_time.register(OperatorsNamespace(changes, status=status))
    windows = RollingWindows(
        store, settings.client_ids, settings.drift_window_patients, settings.drift_window_days, clock=clock
    )
    app.register_blueprint(model_routes.blueprint(model, settings.model_dir, settings.model_signing_key))

    def report() -> DriftReport:
        detector = model.detector
        data = data_in_words(detector.manifest.recalibrated_from)
        return drift_report(windows, detector.reference, detector.model_version, data)

    app.register_blueprint(api.blueprint(service, drift_report=report, status=status, real_time=real_time, clock=clock))
    add_metrics(
        app,
        settings,
        real_time,
        partial(metrics.prediction_metrics, service),
        partial(metrics.status_metrics, status),
        partial(metrics.drift_metrics, Remembered(report, DRIFT_SECONDS)),
    )
    return Server(app, real_time, service)


def build(settings: ServerSettings) -> Server:
    """Make the server of this environment: read the model and open the database.

    Raises
    ------
    ArtifactError, ConfigurationError, StoreUnavailableError
        If there is no usable model or no usable database; the sentence says what to do.
    """
    clock = partial(datetime.now, UTC)
    busy_seconds = BUSY_SECONDS_IN_LOOP if settings.socketio_async_mode == EVENTLET else BUSY_SECONDS
    return create_app(
        settings,
        model=current_model(settings, clock),
        store=PredictionStore(open_database(database_url(settings), busy_seconds=busy_seconds)),
        explanations=explanation_source(settings),
        clock=clock,
    )


def current_model(settings: ServerSettings, clock: Callable[[], datetime]) -> CurrentModel:
    """Load the model of these settings' folder, which is watched from the start of the service on."""
    return CurrentModel(
        settings.model_dir,
        load=partial(run_aside, settings.socketio_async_mode, partial(load_detector, key=settings.model_signing_key)),
        clock=clock,
        seconds=settings.model_watch_seconds,
    )
