"""Server processes with their own folders, tokens and ports, for as long as a measurement lasts."""

import os
import platform
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from config.secrets import PROJECT_ROOT, client_secret_names
from config.settings import ServerSettings
from tests.support.processes import Process, environment_of, started


@dataclass(frozen=True)
class RunningServer:
    """A server's process, and the tokens of its client apps."""

    process: Process
    tokens: Sequence[str]

    @property
    def url(self) -> str:
        return self.process.url

    def figures(self) -> tuple[float, int]:
        """Return its resident memory in MB and the number of its threads, as Linux counts them."""
        status = Path(f"/proc/{self.process.running.pid}/status").read_text()
        lines = dict(line.split(":", 1) for line in status.splitlines())
        return int(lines["VmRSS"].split()[0]) / 1024, int(lines["Threads"])


@contextmanager
def our_servers(count: int, clients: int, **changes: str) -> Iterator[Sequence[RunningServer]]:
    """Run the product's server so many times with its usual settings, but for ``changes``.

    Each gets its share of so many client identities. No language model is asked.
    """
    client_ids = [f"Bench-{number}" for number in range(1, clients + 1)]
    tokens = {client_secret_names(client_id)[0]: f"the-token-of-{client_id}" for client_id in client_ids}
    shared = tokens | {"CLIENT_IDS": ",".join(client_ids), "LOG_LEVEL": "WARNING"} | changes
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        servers = []
        for number in range(count):
            settings = environment_of(Path(folder, f"{number}"), ServerSettings().model_dir) | shared
            process = stack.enter_context(started(["app.py"], PROJECT_ROOT / "server", **settings))
            servers.append(RunningServer(process, list(tokens.values())[number::count]))
        yield servers


@contextmanager
def usual_server(clients: int) -> Iterator[Sequence[RunningServer]]:
    """Run a server that scores the usual way, stores nothing and asks nobody who they are."""
    with started(["-m", "benchmarks.usual_way"], PROJECT_ROOT) as process:
        yield [RunningServer(process, ["none"] * clients)]


def describe_machine() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("scikit-learn", "shap", "numpy"))
    return f"Python {platform.python_version()}, {packages}; {os.cpu_count()} cores, {platform.machine()}"
