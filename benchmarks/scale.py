"""How much several servers on one PostgreSQL carry, and what outages cost: ``python -m benchmarks.scale``.

All of it runs on this machine; what a core each would carry follows from the processor time of a prediction.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from unittest import SkipTest

from benchmarks.load import ANSWERS, WARM_UP_SECONDS, Latencies, print_rates, slowest
from benchmarks.outages import print_outages
from benchmarks.running import RunningServer, describe_machine, our_servers
from benchmarks.traffic import Peers
from config.secrets import PROJECT_ROOT
from tests.support.postgres import Postgres, at_port, postgres
from tests.support.processes import started

SERVERS = (1, 2, 4)
CLIENTS = 48
DELAYS_MS = (0.0, 1.0)
RATES = (80.0, 200.0, 400.0, 600.0, 800.0)


@dataclass(frozen=True)
class Measured:
    """What became of a rate: answers, entries at dashboards of other servers, processor milliseconds a prediction.

    ``sequences`` are those that each dashboard was told, as they came.
    """

    answers: Latencies
    elsewhere: Latencies | None
    sequences: list[list[int]]
    server_ms: float
    postgres_ms: float


@contextmanager
def scaled(count: int, delay_ms: float = 0.0) -> Iterator[tuple[Sequence[RunningServer], Postgres]]:
    """Run so many servers on a new PostgreSQL, which syncs every commit, and is so far away."""
    with ExitStack() as stack:
        database = stack.enter_context(postgres(()))
        url = database.new_database()
        if delay_ms:
            command = ["-m", "tests.faults.proxy", str(database.port), str(delay_ms / 1000)]
            url = at_port(url, stack.enter_context(started(command, PROJECT_ROOT)).port)
        yield stack.enter_context(our_servers(count, CLIENTS, DATABASE_URL=url)), database


def measure(servers: Sequence[RunningServer], database: Postgres, rate: float, seconds: float) -> Measured:
    """Send patients at a rate to all servers in turn, with a dashboard at each.

    Entries at dashboards of other servers are timed from when the prediction was made, shortly before its commit.
    """
    with closing(Peers(*servers, dashboards=1)) as peers:
        peers.on_schedule(rate, WARM_UP_SECONDS)
        before = _processor_seconds(servers, database)
        due = peers.on_schedule(rate, seconds)
        after = _processor_seconds(servers, database)
    now = time.time() - time.perf_counter()
    made = [(one, peers.made[one]) for one in due]
    elsewhere = [
        Latencies({one: of.at - now for one, of in made if of.server != board.server}, board.came)
        for board in peers.dashboards
        if len(servers) > 1
    ]
    used = [(end - begin) * 1000 / len(due) for begin, end in zip(before, after, strict=True)]
    told = [board.sequences for board in peers.dashboards]
    return Measured(Latencies(due, peers.answered), slowest(elsewhere) if elsewhere else None, told, *used)


def _processor_seconds(servers: Sequence[RunningServer], database: Postgres) -> tuple[float, float]:
    """Return what the servers have used so far, and what PostgreSQL has."""
    return sum(_used(server.process.running.pid) for server in servers), sum(map(_used, database.processes()))


def _used(pid: int) -> float:
    """Return the processor seconds of a process and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what outages cost, and what 1, 2 and 4 servers carry, up to the rate that they cannot keep up with."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=15, help="how long each rate is kept up (15)")
    parser.add_argument("--part", choices=("outages", "rates"), help="leave the other one out")
    options = parser.parse_args(arguments)
    print(describe_machine())
    if options.part != "rates":
        print_outages()
    if options.part != "outages":
        print(f"Rates: {CLIENTS} connections, a dashboard at each server")
        for count, delay_ms in product(SERVERS, DELAYS_MS):
            print(f"{count} server{'s' if count > 1 else ''}, the database {delay_ms:.0f} ms further away")
            print_rates(RATES, partial(_figures, count, delay_ms, options.seconds))


def _figures(count: int, delay_ms: float, seconds: float, rate: float) -> dict[str, object]:
    # New ones each time: what an earlier rate left would slow the next.
    with scaled(count, delay_ms) as (servers, database):
        found = measure(servers, database, rate, seconds)
    used = f"server {found.server_ms:.2f} ms, PostgreSQL {found.postgres_ms:.2f} ms"
    return {
        ANSWERS: found.answers,
        **({"made to a dashboard at another server": found.elsewhere} if found.elsewhere else {}),
        "processor time of a prediction": used,
        "carried by each server with its own core": f"{1000 / found.server_ms:.0f} a second",
    }


if __name__ == "__main__":
    try:
        main()
    except SkipTest as missing:  # PostgreSQL or nginx
        sys.exit(str(missing))
