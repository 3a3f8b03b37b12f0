"""How much a real server carries, commits included: ``python -m benchmarks.load [--pages N]``.

Latencies are taken from the moment a patient was due to be sent, so that a slow answer does not hide the wait of the
next one; an answer counts when the client app's end of the connection holds it, which is after the server's commit.
"""

import argparse
import re
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
import uuid_utils
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page, sync_playwright

from benchmarks.predict import describe_machine
from benchmarks.running import RunningServer, our_server, usual_server
from benchmarks.usual_way import DATA
from benchmarks.wire import Wire
from common.csv_rows import read_patients
from common.messages import CLIENTS_NAMESPACE, OPERATORS_NAMESPACE, PROTOCOL_VERSION, Event, Handshake
from common.patient import PatientRecord
from tests.browser.conftest import CHROMIUM_OPTIONS, find_chromium
from tests.support.speaking import Browser

CONNECTIONS = 50
RATE = 200.0
RUN_SECONDS = 15.0
WARM_UP_SECONDS = 2.0
DASHBOARDS = 10
CEILING_RATES = (300.0, 400.0, 500.0, 600.0, 700.0, 800.0)
CEILING_SECONDS = 6.0
P99_TARGET_MS = 50.0
PAINTED_TARGET_MS = 150.0
USUAL_CONNECTIONS = 10
IN_FLIGHT = (1, 8)
USUAL_SECONDS = 10.0
TARGET_RATIO = 20
ANSWER_SECONDS = 60.0
ENTERED_AT = datetime.now(UTC).isoformat()

_REQUEST_ID = re.compile(r'"request_id":"([^"]+)"')
_PREDICTION_ID = re.compile(r'"prediction_id":"([^"]+)"')

# Stamps each row with the wall clock once the frame that shows it has been handed to the screen.
_STAMP_ROWS = """
window.paintedAt = {};
addEventListener("DOMContentLoaded", () => {
  const rows = document.getElementById("prediction-rows");
  if (!rows) return;
  new MutationObserver((changes) => {
    const ids = changes.flatMap(({ addedNodes }) => [...addedNodes]).map((row) => row.dataset?.id).filter(Boolean);
    requestAnimationFrame(() => setTimeout(() => ids.forEach((id) => { window.paintedAt[id] ??= Date.now(); })));
  }).observe(rows, { childList: true });
});
"""


@dataclass(frozen=True)
class Latencies:
    """Milliseconds from when each patient was due."""

    milliseconds: Sequence[float]

    def quantile(self, share: float) -> float:
        return statistics.quantiles(self.milliseconds, n=1000, method="inclusive")[round(share * 1000) - 1]

    def __str__(self) -> str:
        return f"p50 {self.quantile(0.50):6.1f} ms   p99 {self.quantile(0.99):6.1f} ms   n {len(self.milliseconds)}"


class Senders:
    """Client apps at one server: they send patients, and note when each answer came."""

    def __init__(self, server: RunningServer, records: Sequence[PatientRecord]) -> None:
        # Made once: to build and encode a message takes the sender longer than to send it.
        self._records = [orjson.dumps(record.model_dump(mode="json")).decode() for record in records]
        self._numbers = [0] * len(server.tokens)
        self.answered: dict[str, float] = {}
        self.prediction_ids: dict[str, str] = {}
        self.refused: set[str] = set()
        self.on_answer: Callable[[int], object] = lambda _: None
        self._wires = [
            Wire(
                server.url,
                CLIENTS_NAMESPACE,
                lambda text, moment, place=place: self._hear(place, text, moment),  # type: ignore[misc]
                auth=Handshake(protocol=PROTOCOL_VERSION, token=token).to_wire(),
            )
            for place, token in enumerate(server.tokens)
        ]

    def next_frame(self, place: int) -> tuple[str, str]:
        """Return the request id and the frame of a connection's next patient."""
        before, number = self._numbers[place], self._numbers[place] + 1
        self._numbers[place] = number
        request_id = str(uuid_utils.uuid7())
        record = self._records[(place + number) % len(self._records)]
        message = (
            f'{{"request_id":"{request_id}","outbox_number":{number},"follows":{before},"patient_reference":null,'
            f'"entered_at":"{ENTERED_AT}","record":{record}}}'
        )
        return request_id, self._wires[place].frame(Event.PREDICT, message)

    def send(self, place: int, frame: str) -> None:
        self._wires[place].send(frame)

    def await_answers(self, request_ids: Iterable[str]) -> None:
        """Wait until all of them are answered or refused."""
        wanted = set(request_ids)
        _await(lambda: wanted <= self.answered.keys() | self.refused, f"the answers of {len(wanted)} patients")

    def close(self) -> None:
        for wire in self._wires:
            wire.close()

    def _hear(self, place: int, text: str, moment: float) -> None:
        request_id = _REQUEST_ID.search(text)
        if request_id is None:
            return
        if Event.PREDICTION_REFUSED in text[:60]:
            self.refused.add(request_id.group(1))
        if Event.PREDICTION_RESULT not in text[:60]:
            return
        if prediction_id := _PREDICTION_ID.search(text):
            self.prediction_ids[request_id.group(1)] = prediction_id.group(1)
        self.answered[request_id.group(1)] = moment
        self.on_answer(place)


@contextmanager
def connected(server: RunningServer, records: Sequence[PatientRecord]) -> Iterator[Senders]:
    senders = Senders(server, records)
    try:
        yield senders
    finally:
        senders.close()


def on_schedule(senders: Senders, connections: int, rate: float, seconds: float) -> dict[str, float]:
    """Send patients at a rate over all connections, and return when each was due; frames are made beforehand."""
    frames = [(place, *senders.next_frame(place)) for place in _in_turn(connections, round(rate * seconds))]
    due: dict[str, float] = {}
    start = time.perf_counter()
    for number, (place, request_id, frame) in enumerate(frames):
        moment = start + number / rate
        time.sleep(max(0.0, moment - time.perf_counter()))
        due[request_id] = moment
        senders.send(place, frame)
    senders.await_answers(due)
    return due


def _in_turn(connections: int, number: int) -> Iterator[int]:
    return (place % connections for place in range(number))


def latencies(due: dict[str, float], came: dict[str, float]) -> Latencies:
    return Latencies([(came[request_id] - due[request_id]) * 1000 for request_id in due.keys() & came.keys()])


def measure_rate(
    records: Sequence[PatientRecord], rate: float, seconds: float
) -> tuple[Latencies, Sequence[Latencies]]:
    """Measure send to saved answer, and send to each of the dashboards' connections."""
    with ExitStack() as stack:
        server = stack.enter_context(our_server(CONNECTIONS, ADDRESS_EVENTS_PER_SECOND="100000"))
        senders = stack.enter_context(connected(server, records))
        arrivals: list[dict[str, float]] = [{} for _ in range(DASHBOARDS)]
        for arrived in arrivals:
            wire = Wire(server.url, OPERATORS_NAMESPACE, _noting(arrived), cookie=_operator_cookie(server))
            stack.callback(wire.close)
        on_schedule(senders, CONNECTIONS, rate, WARM_UP_SECONDS)
        due = on_schedule(senders, CONNECTIONS, rate, seconds)
        answered = due.keys() - senders.refused
        _await(lambda: all(answered <= arrived.keys() for arrived in arrivals), "the dashboards to hold every entry")
        return latencies(due, senders.answered), [latencies(due, arrived) for arrived in arrivals]


def _noting(arrived: dict[str, float]) -> Callable[[str, float], None]:
    def note(text: str, moment: float) -> None:
        arrived.update(dict.fromkeys(_REQUEST_ID.findall(text), moment))

    return note


def _operator_cookie(server: RunningServer) -> str:
    browser = Browser(server.url)
    browser.sign_in(server.operator_token)
    return browser.cookie


def measure_pages(records: Sequence[PatientRecord], rate: float, seconds: float, pages: int) -> tuple[Latencies, ...]:
    """Measure send to saved answer, and send to a painted row on each of so many real pages."""
    with ExitStack() as stack:
        chromium = stack.enter_context(_chromium())
        server = stack.enter_context(our_server(CONNECTIONS))
        opened = [_open_page(chromium, server) for _ in range(pages)]
        senders = stack.enter_context(connected(server, records))
        on_schedule(senders, CONNECTIONS, rate, WARM_UP_SECONDS)
        wall = time.time() - time.perf_counter()
        due = on_schedule(senders, CONNECTIONS, rate, seconds)
        painted = [_painted(page, {senders.prediction_ids[one]: one for one in due}) for page in opened]
        in_seconds = [{one: at / 1000 - wall for one, at in each.items()} for each in painted]
        return latencies(due, senders.answered), *(latencies(due, each) for each in in_seconds)


@contextmanager
def _chromium() -> Iterator[Chromium]:
    executable = find_chromium()
    if executable is None:
        sys.exit("Chromium is not installed: apt-get install chromium, or leave --pages away")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=list(CHROMIUM_OPTIONS))
        try:
            yield chromium
        finally:
            chromium.close()


def _open_page(chromium: Chromium, server: RunningServer) -> Page:
    page = chromium.new_context().new_page()
    page.add_init_script(_STAMP_ROWS)
    page.goto(f"{server.url}/sign-in#token={server.operator_token}")
    page.wait_for_url(f"{server.url}/")
    page.wait_for_selector("#live-state:has-text('Live')")
    return page


def _painted(page: Page, request_of: dict[str, str]) -> dict[str, float]:
    """Return when each row was painted; those that newer ones had pushed off the page before are left out."""
    newest = list(request_of)[-1]
    page.wait_for_function("id => id in window.paintedAt", arg=newest, timeout=ANSWER_SECONDS * 1000)
    stamps: dict[str, float] = page.evaluate("window.paintedAt")
    return {request_of[one]: at for one, at in stamps.items() if one in request_of}


def sustained(
    server: RunningServer, records: Sequence[PatientRecord], in_flight: int, seconds: float
) -> tuple[float, Latencies]:
    """Keep a number of patients in flight on each connection; return the answers a second and their latencies."""
    with connected(server, records) as senders:
        sent: dict[str, float] = {}
        ends = threading.Event()

        def send_next(place: int) -> None:
            if not ends.is_set():
                request_id, frame = senders.next_frame(place)
                sent[request_id] = time.perf_counter()
                senders.send(place, frame)

        senders.on_answer = send_next
        for place in _in_turn(USUAL_CONNECTIONS, USUAL_CONNECTIONS * in_flight):
            send_next(place)
        time.sleep(seconds)
        ends.set()
        senders.await_answers(sent)
        took = max(senders.answered.values()) - min(sent.values())
        return len(sent) / took, latencies(sent, senders.answered)


def _await(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + ANSWER_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"Waited {ANSWER_SECONDS:.0f} s for {what}.")
        time.sleep(0.05)


def print_rate(records: Sequence[PatientRecord]) -> None:
    answers, dashboards = measure_rate(records, RATE, RUN_SECONDS)
    slowest = max(dashboards, key=lambda each: each.quantile(0.99))
    print(f"{CONNECTIONS} connections, {RATE:.0f} predictions a second, {DASHBOARDS} dashboards connected")
    print(f"  send to saved answer            {answers}   target: p99 under {P99_TARGET_MS:.0f} ms")
    print(f"  send to the slowest dashboard   {slowest}\n")


def print_pages(records: Sequence[PatientRecord], pages: int) -> None:
    answers, *painted = measure_pages(records, RATE, RUN_SECONDS, pages)
    slowest = max(painted, key=lambda each: each.quantile(0.99))
    print(f"The same with {pages} dashboards open in Chromium, on the same cores")
    print(f"  send to saved answer            {answers}")
    print(f"  send to painted row, slowest    {slowest}   target: p99 under {PAINTED_TARGET_MS:.0f} ms\n")


def print_ceiling(records: Sequence[PatientRecord]) -> None:
    print(f"Ceiling: {CONNECTIONS} connections, {DASHBOARDS} dashboards connected, rising rates")
    for rate in CEILING_RATES:
        answers, _ = measure_rate(records, rate, CEILING_SECONDS)
        refused = round(rate * CEILING_SECONDS) - len(answers.milliseconds)
        print(f"  {rate:4.0f} predictions a second   {answers}   refused {refused}", flush=True)
        if refused or answers.quantile(0.99) > 10 * P99_TARGET_MS:
            break
    print()


def print_ratio(records: Sequence[PatientRecord]) -> None:
    print(f"Sustained over {USUAL_CONNECTIONS} connections")
    usual = _best("the usual way, nothing stored", usual_server, records)
    ours = _best("ours, commit included", our_server, records)
    print(f"  best to best {ours / usual:.1f}x   target: at least {TARGET_RATIO}x\n")


def _best(
    title: str, run: Callable[[int], AbstractContextManager[RunningServer]], records: Sequence[PatientRecord]
) -> float:
    best = 0.0
    for in_flight in IN_FLIGHT:
        with run(USUAL_CONNECTIONS) as server:
            rate, each = sustained(server, records, in_flight, USUAL_SECONDS)
        print(f"  {title:<30} {in_flight} in flight on each {rate:6.0f} a second   {each}", flush=True)
        best = max(best, rate)
    return best


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the latencies at the target rate, on pages too if asked, the ratio to the usual way, and the ceiling."""
    parser = argparse.ArgumentParser(description="Measure how much a real server carries.")
    parser.add_argument("--pages", type=int, default=0, metavar="N", help="dashboards to open in Chromium as well")
    pages = parser.parse_args(arguments).pages
    records = [patient.record for patient in read_patients(DATA, needs_label=False)]
    print(describe_machine(), end="\n\n")
    print_rate(records)
    if pages:
        print_pages(records, pages)
    print_ratio(records)
    print_ceiling(records)
    return 0


if __name__ == "__main__":
    sys.exit(main())
