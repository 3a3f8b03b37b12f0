"""How much a real server carries, commits included: ``python -m benchmarks.load [--pages N]``.

Latencies are taken from the moment a patient was due to be sent, so that a slow answer does not hide the wait of the
next one; an answer counts when the client app's end of the connection holds its log entry, which is after the commit.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from functools import partial

import numpy as np

from benchmarks.running import RunningServer, describe_machine, our_servers, usual_server
from benchmarks.traffic import Peer, Peers

CONNECTIONS = 50
RATES = (200.0, 400.0, 600.0, 800.0, 900.0, 1000.0, 1100.0, 1200.0, 1300.0)
WARM_UP_SECONDS = 2.0
DASHBOARDS = 10
CEILING_MS = 500.0
USUAL_CONNECTIONS = 10
IN_FLIGHT = (1, 8)
ANSWERS = "send to saved answer"

Running = AbstractContextManager[Sequence[RunningServer]]


class Latencies:
    """Milliseconds from when each patient was due to when it came, and how many never came."""

    def __init__(self, due: Mapping[str, float], came: Mapping[str, float]) -> None:
        milliseconds = [(came[request_id] - due[request_id]) * 1000 for request_id in due.keys() & came.keys()]
        self.number = len(milliseconds)
        self.missing = len(due) - self.number
        self.p50, self.p99 = np.percentile(milliseconds, [50, 99])

    def __str__(self) -> str:
        refused = f"   refused {self.missing}" if self.missing else ""
        return f"p50 {self.p50:6.1f} ms   p99 {self.p99:6.1f} ms   n {self.number}{refused}"


def slowest(latencies: Iterable[Latencies]) -> Latencies:
    return max(latencies, key=lambda each: each.p99)


def print_rates(rates: Iterable[float], measured: Callable[[float], Mapping[str, object]]) -> None:
    """Print what is measured at rising rates, by its name, up to the one that the servers cannot keep up with."""
    for rate in rates:
        found = measured(rate)
        for what, figures in found.items():
            print(f"  {rate:4.0f} a second  {what:<40} {figures}", flush=True)
        answers = found[ANSWERS]
        if isinstance(answers, Latencies) and (answers.missing or answers.p99 > CEILING_MS):
            break


def _measured(seconds: float, rate: float) -> dict[str, Latencies]:
    # A new server for each rate: what an earlier one left behind would slow the next.
    with our_servers(1, CONNECTIONS) as servers, closing(Peers(*servers, dashboards=DASHBOARDS)) as peers:
        peers.on_schedule(rate, WARM_UP_SECONDS)
        due = peers.on_schedule(rate, seconds)
    boards = slowest(Latencies(due, peer.came) for peer in peers.dashboards)
    return {ANSWERS: Latencies(due, peers.answered), "send to the slowest dashboard": boards}


def sustained(peers: Peers, in_flight: int, seconds: float) -> tuple[float, Latencies]:
    """Keep a number of patients in flight on each connection; return the answers a second and their latencies."""
    sent: dict[str, float] = {}
    end = time.perf_counter() + seconds

    def send_next(peer: Peer) -> None:
        if time.perf_counter() < end:
            message = peers.next_message()
            sent[message["request_id"]] = time.perf_counter()
            peers.send(peer, message)

    peers.on_answer = send_next
    for peer in peers.senders * in_flight:
        send_next(peer)
    peers.run_until(end)
    peers.await_answers(sent)
    took = max(peers.answered.values()) - min(sent.values())
    return len(sent) / took, Latencies(sent, peers.answered)


def print_ratio(seconds: float) -> None:
    print(f"Sustained over {USUAL_CONNECTIONS} connections")

    def best(title: str, servers: Callable[[int], Running], *, follow: bool) -> float:
        rates = []
        for in_flight in IN_FLIGHT:
            with servers(USUAL_CONNECTIONS) as running, closing(Peers(*running, follow=follow)) as peers:
                rate, each = sustained(peers, in_flight, seconds)
            print(f"  {title:<30} {in_flight} in flight on each {rate:6.0f} a second   {each}", flush=True)
            rates.append(rate)
        return max(rates)

    # Best to best: each way at the number in flight that suits it.
    usual = best("the usual way, nothing stored", usual_server, follow=False)
    ours = best("ours, commit included", partial(our_servers, 1), follow=True)
    print(f"  best to best {ours / usual:.1f}x\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the latencies on pages if asked, the ratio, and the latencies up to the ceiling."""
    parser = argparse.ArgumentParser(description="Measure how much a real server carries.")
    parser.add_argument("--pages", type=int, default=0, metavar="N", help="dashboards to open in Chromium as well")
    parser.add_argument("--seconds", type=float, default=15, help="how long each rate is kept up (15)")
    options = parser.parse_args(arguments)
    print(describe_machine(), end="\n\n")
    if options.pages:
        try:
            from benchmarks.pages import print_pages  # noqa: PLC0415 - only this needs what the tests need
        except ModuleNotFoundError as missing:
            sys.exit(f"--pages needs {missing.name}: pip install -r requirements.txt, in the project's .venv")
        print_pages(options.pages, options.seconds)
    print_ratio(options.seconds)
    print(f"{CONNECTIONS} connections, {DASHBOARDS} dashboards; target at {RATES[0]:.0f} a second: p99 under 15 ms")
    print_rates(RATES, partial(_measured, options.seconds))


if __name__ == "__main__":
    main()
