"""``/metrics`` for Prometheus: what an app tells of itself, behind a token of its own; never of a patient."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Final

from flask import Flask, Response, request
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from common.access.tokens import bearer_token, tokens_equal
from common.errors import NotSignedInError, StoreUnavailableError
from common.web.sockets import RealTime
from config.settings import ClientSettings, ServerSettings

Part = Callable[[], Iterable[Metric]]
_ENDED: Final = ("namespace", "reason")


def add_metrics(app: Flask, settings: ServerSettings | ClientSettings, real_time: RealTime, *parts: Part) -> None:
    """Answer ``/metrics`` if there is a token for it; what a part cannot read is left out."""
    if settings.metrics_token is None:
        return
    expected = settings.metrics_token.get_secret_value()
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    registry.register(_Parts(lambda: _app_metrics(app, real_time), *parts))

    @app.get("/metrics")
    def metrics() -> Response:
        if not tokens_equal(bearer_token(request.headers.get("Authorization")) or "", expected):
            raise NotSignedInError("Only the token in METRICS_TOKEN opens this address.")
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def gauge(name: str, what: str, value: float | None) -> Metric:
    """Return one value; a family without a sample where there is none."""
    return GaugeMetricFamily(f"heart_{name}", what, value=value)


def gauges(name: str, what: str, label: str, values: Mapping[str, float]) -> Metric:
    return _filled(GaugeMetricFamily(f"heart_{name}", what, labels=[label]), values)


def counters(name: str, what: str, label: str, values: Mapping[str, float]) -> Metric:
    """Return a family whose name ends with ``_total``."""
    return _filled(CounterMetricFamily(f"heart_{name}", what, labels=[label]), values)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, values: Mapping[str, float]) -> Metric:
    for label, value in list(values.items()):
        family.add_metric([label], value)
    return family


class _Parts(Collector):
    """Reads all parts at each scrape, in their order."""

    def __init__(self, *parts: Part) -> None:
        self._parts = parts

    def collect(self) -> Iterator[Metric]:
        for part in self._parts:
            with suppress(StoreUnavailableError):
                yield from part()


def _app_metrics(app: Flask, real_time: RealTime) -> Iterator[Metric]:
    # First: the check also finds out whether the database can be used, which other parts tell.
    yield gauge("ready", "Whether the app can do its job, as /readyz says.", app.extensions["failure"]() is None)
    yield gauge("connections", "Open connections of pages and client apps.", len(real_time.door.connections))
    yield counters("refusals", "Refused connections and events, by error.", "code", real_time.door.refusals)
    number, lag, ended = {}, {}, CounterMetricFamily("heart_disconnects", "Connections that ended.", labels=_ENDED)
    for one in real_time.namespaces:
        number[one.name], lag[one.name] = len(one.followers), one.followers.lag
        for reason, times in list(one.followers.ended.items()):
            ended.add_metric([one.name, reason], times)
    yield gauges("followers", "Followers of the log.", "namespace", number)
    yield gauges("follower_lag_entries", "Log entries that the slowest has not asked for.", "namespace", lag)
    yield ended
