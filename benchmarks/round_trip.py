"""The round trip of ``predict`` through a real server process: from sending a patient to holding the saved answer."""

import os
import queue
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, build_opener

import uuid_utils

from config.csv_rows import read_patients
from config.messages import CLIENTS_NAMESPACE, PROTOCOL_VERSION, Event, Handshake, PredictRequest
from config.patient import PatientRecord
from config.secret_store import PROJECT_ROOT, client_secret_names, new_secret
from config.web.link import Link
from config.web.serving import listen

WARM_UP = 20
ALONE_PREDICTIONS = 500
RUN_SECONDS = 10
RATES = (50.0, 100.0, 200.0)
START_SECONDS = 60
ANSWER_SECONDS = 30


@dataclass(frozen=True)
class RoundTrips:
    """Latencies in milliseconds at a number of connections and a rate of predictions a second."""

    connections: int
    rate: float
    milliseconds: Sequence[float]

    def quantile(self, share: float) -> float:
        return statistics.quantiles(self.milliseconds, n=1000, method="inclusive")[round(share * 1000) - 1]


class Sender:
    """One client app's connection that notes when each answer came."""

    def __init__(self, url: str, token: str, answers: "queue.SimpleQueue[tuple[str, float]]") -> None:
        self._answers = answers
        self._link = Link(CLIENTS_NAMESPACE, on_event=self._note, on_closed=lambda: None)
        self._link.connect(url, Handshake(protocol=PROTOCOL_VERSION, token=token))

    def send(self, number: int, record: PatientRecord) -> str:
        request = PredictRequest(
            request_id=str(uuid_utils.uuid7()),
            outbox_number=number,
            patient_reference=None,
            record=record,
            entered_at=datetime.now(UTC),
        )
        self._link.send(Event.PREDICT, request, acknowledged=lambda _: None)
        return request.request_id

    def close(self) -> None:
        self._link.close()

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == Event.PREDICTION_RESULT:
            self._answers.put((arguments[0]["request_id"], time.perf_counter()))


def measure_all() -> list[RoundTrips]:
    """Measure one connection that waits for each answer, and 50 connections that send on schedule."""
    return [measure(1, ALONE_PREDICTIONS, None), *(measure(50, round(rate * RUN_SECONDS), rate) for rate in RATES)]


def as_table(measured: Sequence[RoundTrips]) -> str:
    lines = [
        "Round trip through a real server: from sending a patient to holding the answer that is on its disk",
        "",
        f"  {'connections':>11}{'predictions/s':>15}{'p50':>12}{'p99':>12}{'predictions':>13}",
    ]
    lines += [
        f"  {each.connections:>11}{each.rate:>15.0f}{each.quantile(0.50):>9.1f} ms{each.quantile(0.99):>9.1f} ms"
        f"{len(each.milliseconds):>13}"
        for each in measured
    ]
    return "\n".join(lines)


def measure(connections: int, predictions: int, rate: float | None) -> RoundTrips:
    """Send patients over this many connections and time every answer.

    With a ``rate`` (predictions a second over all connections) they are sent on schedule and timed from the moment they
    were due, so that a slow answer does not hide the wait of the next; without one, each waits for the answer before.
    """
    records = [
        patient.record for patient in read_patients(PROJECT_ROOT / "data" / "heart_disease.csv", needs_label=True)
    ]
    with ExitStack() as stack:
        url, tokens = stack.enter_context(_running_server(connections))
        answers: queue.SimpleQueue[tuple[str, float]] = queue.SimpleQueue()
        senders = [Sender(url, token, answers) for token in tokens]
        for sender in senders:
            stack.callback(sender.close)
        _one_after_another(senders, records, answers, WARM_UP)
        started = time.perf_counter()
        if rate is None:
            milliseconds = _one_after_another(senders, records, answers, predictions)
        else:
            milliseconds = _on_schedule(senders, records, answers, predictions, rate)
        return RoundTrips(connections, predictions / (time.perf_counter() - started), milliseconds)


def _one_after_another(
    senders: Sequence[Sender],
    records: Sequence[PatientRecord],
    answers: "queue.SimpleQueue[tuple[str, float]]",
    predictions: int,
) -> list[float]:
    milliseconds = []
    for number in range(predictions):
        sent = time.perf_counter()
        senders[number % len(senders)].send(number + 1, records[number % len(records)])
        _, came = answers.get(timeout=ANSWER_SECONDS)
        milliseconds.append((came - sent) * 1000)
    return milliseconds


def _on_schedule(
    senders: Sequence[Sender],
    records: Sequence[PatientRecord],
    answers: "queue.SimpleQueue[tuple[str, float]]",
    predictions: int,
    rate: float,
) -> list[float]:
    due: dict[str, float] = {}
    start = time.perf_counter()
    for number in range(predictions):
        moment = start + number / rate
        time.sleep(max(0.0, moment - time.perf_counter()))
        due[senders[number % len(senders)].send(number + 1, records[number % len(records)])] = moment
    came = dict(answers.get(timeout=ANSWER_SECONDS) for _ in range(predictions))
    return [(came[request_id] - moment) * 1000 for request_id, moment in due.items()]


@contextmanager
def _running_server(clients: int) -> Iterator[tuple[str, list[str]]]:
    client_ids = [f"Bench-{number}" for number in range(1, clients + 1)]
    tokens = {client_secret_names(client_id)[0]: new_secret() for client_id in client_ids}
    port = _free_port()
    with tempfile.TemporaryDirectory() as folder:
        environment = (
            os.environ
            | tokens
            | {
                "PORT": str(port),
                "CLIENT_IDS": ",".join(client_ids),
                "DATA_DIR": folder,
                "SECRETS_DIR": str(Path(folder) / "secrets"),
                "DATABASE_URL": f"sqlite:///{folder}/predictions.sqlite",  # an empty one would leave that of .env
                "LLM_MODEL": "off",
                "LOG_LEVEL": "WARNING",
            }
        )
        process = subprocess.Popen(
            [sys.executable, "app.py"], cwd=PROJECT_ROOT / "server", env=environment, stdout=subprocess.DEVNULL
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(process, url)
            yield url, list(tokens.values())
        finally:
            process.terminate()
            process.wait(ANSWER_SECONDS)


def _free_port() -> int:
    with listen("127.0.0.1", 0) as listener:
        return int(listener.getsockname()[1])


def _wait_until_ready(process: subprocess.Popen[bytes], url: str) -> None:
    opener = build_opener(ProxyHandler({}))
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            opener.open(f"{url}/readyz", timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit("The server did not start; its reason stands above.")
            time.sleep(0.1)
        else:
            return
