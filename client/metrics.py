"""What a client app tells Prometheus: its link to the server, and what waits in its outbox."""

from collections.abc import Callable, Iterator
from datetime import datetime

from prometheus_client.core import Metric

from client.outbox import Outbox
from client.relay import Relay
from common.web.scrape import gauge


def outbox_metrics(relay: Relay, outbox: Outbox, clock: Callable[[], datetime]) -> Iterator[Metric]:
    yield gauge("link_up", "Whether the server answers this client app.", relay.status().state == "up")
    yield gauge("outbox_requests", "Requests that wait for their answer.", outbox.place.waiting)
    oldest = outbox.oldest()
    age = (clock() - oldest).total_seconds() if oldest else 0
    yield gauge("outbox_oldest_age_seconds", "Age of the oldest request that waits, 0 if none does.", age)
