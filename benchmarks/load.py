"""How much a real server carries, commits included: ``python -m benchmarks.load [--pages N]``.

Latencies are taken from the moment a patient was due to be sent, so that a slow answer does not hide the wait of the
next one; an answer counts when the client app's end of the connection holds its log entry, which is after the commit.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from benchmarks.predict import describe_machine
from benchmarks.running import RunningServer, our_server, usual_server
from benchmarks.traffic import Peer, Peers
from benchmarks.usual_way import DATA
from common.csv_rows import read_patients
from common.patient import PatientRecord

CONNECTIONS = 50
RATE = 200.0
WARM_UP_SECONDS = 2.0
DASHBOARDS = 10
CEILING_RATES = (400.0, 600.0, 800.0, 900.0, 1000.0, 1100.0, 1200.0, 1300.0)
P99_TARGET_MS = 15.0
CEILING_MS = 500.0
USUAL_CONNECTIONS = 10
IN_FLIGHT = (1, 8)

Records = Sequence[PatientRecord]


@dataclass(frozen=True)
class Latencies:
    """Milliseconds from when each patient was due."""

    milliseconds: Sequence[float]

    @classmethod
    def of(cls, due: dict[str, float], came: dict[str, float]) -> "Latencies":
        return cls([(came[request_id] - due[request_id]) * 1000 for request_id in due.keys() & came.keys()])

    def quantile(self, share: float) -> float:
        return statistics.quantiles(self.milliseconds, n=1000, method="inclusive")[round(share * 1000) - 1]

    def __str__(self) -> str:
        return f"p50 {self.quantile(0.50):6.1f} ms   p99 {self.quantile(0.99):6.1f} ms   n {len(self.milliseconds)}"


@contextmanager
def connected(server: RunningServer, records: Records, dashboards: int = 0, **options: bool) -> Iterator[Peers]:
    peers = Peers(server, records, **options)
    try:
        for _ in range(dashboards):
            peers.add_dashboard()
        yield peers
    finally:
        peers.close()


def measure_rate(records: Records, rate: float, seconds: float) -> tuple[Latencies, Latencies]:
    """Measure send to saved answer, and send to the slowest dashboard."""
    with our_server(CONNECTIONS) as server, connected(server, records, DASHBOARDS) as peers:
        peers.on_schedule(rate, WARM_UP_SECONDS)
        due = peers.on_schedule(rate, seconds)
        at_dashboards = [Latencies.of(due, peer.came) for peer in peers.dashboards]
        return Latencies.of(due, peers.answered), max(at_dashboards, key=lambda each: each.quantile(0.99))


def print_rate(records: Records, seconds: float) -> None:
    answers, dashboard = measure_rate(records, RATE, seconds)
    print(f"{CONNECTIONS} connections, {RATE:.0f} predictions a second, {DASHBOARDS} dashboards connected")
    print(f"  send to saved answer            {answers}   target: p99 under {P99_TARGET_MS:.0f} ms")
    print(f"  send to the slowest dashboard   {dashboard}\n", flush=True)


def print_ceiling(records: Records, seconds: float) -> None:
    print(f"Ceiling: {CONNECTIONS} connections, {DASHBOARDS} dashboards connected, rising rates")
    for rate in CEILING_RATES:
        answers, _ = measure_rate(records, rate, seconds)
        refused = round(rate * seconds) - len(answers.milliseconds)
        print(f"  {rate:4.0f} predictions a second   {answers}   refused {refused}", flush=True)
        if refused or answers.quantile(0.99) > CEILING_MS:
            break
    print()


def sustained(peers: Peers, in_flight: int, seconds: float) -> tuple[float, Latencies]:
    """Keep a number of patients in flight on each connection; return the answers a second and their latencies."""
    sent: dict[str, float] = {}
    end = time.perf_counter() + seconds

    def send_next(peer: Peer) -> None:
        if time.perf_counter() < end:
            request_id, message = peers.next_frame()
            sent[request_id] = time.perf_counter()
            peers.send(peer, request_id, message)

    peers.on_answer = send_next
    for peer in peers.senders * in_flight:
        send_next(peer)
    peers.run_for(seconds)
    peers.await_answers(sent)
    took = max(peers.answered.values()) - min(sent.values())
    return len(sent) / took, Latencies.of(sent, peers.answered)


def print_ratio(records: Records, seconds: float) -> None:
    print(f"Sustained over {USUAL_CONNECTIONS} connections")

    def best(title: str, run: Callable[[int], AbstractContextManager[RunningServer]], *, follow: bool) -> float:
        rates = []
        for in_flight in IN_FLIGHT:
            with run(USUAL_CONNECTIONS) as server, connected(server, records, follow=follow) as peers:
                rate, each = sustained(peers, in_flight, seconds)
            print(f"  {title:<30} {in_flight} in flight on each {rate:6.0f} a second   {each}", flush=True)
            rates.append(rate)
        return max(rates)

    usual = best("the usual way, nothing stored", usual_server, follow=False)
    ours = best("ours, commit included", our_server, follow=True)
    print(f"  best to best {ours / usual:.1f}x\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the latencies at the target rate, on pages too if asked, the ratio, and the ceiling."""
    parser = argparse.ArgumentParser(description="Measure how much a real server carries.")
    parser.add_argument("--pages", type=int, default=0, metavar="N", help="dashboards to open in Chromium as well")
    parser.add_argument("--seconds", type=float, default=15, help="how long each rate is kept up (15)")
    options = parser.parse_args(arguments)
    records = [patient.record for patient in read_patients(DATA, needs_label=False)]
    print(describe_machine(), end="\n\n")
    if options.pages:
        try:
            from benchmarks.pages import print_pages  # noqa: PLC0415 - only this needs what the tests need
        except ModuleNotFoundError as missing:
            sys.exit(f"--pages needs {missing.name}: pip install -r requirements.txt, in the project's .venv")
        print_pages(records, options.pages, options.seconds)
    print_rate(records, options.seconds)
    print_ratio(records, options.seconds)
    print_ceiling(records, options.seconds / 2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
