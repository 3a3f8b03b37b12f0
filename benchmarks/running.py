"""A server process of its own, with its own folder, tokens and port, for as long as a measurement lasts."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from config.secrets import PROJECT_ROOT, client_secret_names, new_secret
from tests.support.processes import Process, free_ports


@dataclass(frozen=True)
class RunningServer:
    """Where a server listens, what proves who is who there, and its process."""

    url: str
    tokens: Sequence[str]
    operator_token: str
    pid: int

    def figures(self) -> tuple[float, int]:
        """Return its resident memory in MB and the number of its threads, as Linux counts them."""
        lines = dict(line.split(":", 1) for line in Path(f"/proc/{self.pid}/status").read_text().splitlines())
        return int(lines["VmRSS"].split()[0]) / 1024, int(lines["Threads"])


@contextmanager
def our_server(clients: int, **changes: str) -> Iterator[RunningServer]:
    """Run the product's server with its usual settings, but for ``changes``, and so many client identities.

    No language model is asked.
    """
    client_ids = [f"Bench-{number}" for number in range(1, clients + 1)]
    tokens = {client_secret_names(client_id)[0]: new_secret() for client_id in client_ids}
    operator_token = new_secret()
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "CLIENT_IDS": ",".join(client_ids),
            "DATA_DIR": folder,
            "SECRETS_DIR": str(Path(folder) / "secrets"),
            "DATABASE_URL": f"sqlite:///{folder}/predictions.sqlite",  # an empty one would leave that of .env
            "LLM_MODEL": "off",
            "LOG_LEVEL": "WARNING",
            "OPERATOR_TOKEN": operator_token,
            **changes,
        }
        with _running(["app.py"], PROJECT_ROOT / "server", tokens | settings) as (url, pid):
            yield RunningServer(url, list(tokens.values()), operator_token, pid)


@contextmanager
def usual_server(clients: int) -> Iterator[RunningServer]:
    """Run a server that scores the usual way, stores nothing and asks nobody who they are."""
    with _running(["-m", "benchmarks.usual_way"], PROJECT_ROOT, {}) as (url, pid):
        yield RunningServer(url, ["none"] * clients, "", pid)


@contextmanager
def _running(command: Sequence[str], folder: Path, settings: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    with tempfile.TemporaryDirectory() as written:
        process = Process(command, folder, {**settings, "PORT": free_ports(1)[0]}, log=Path(written, "log"))
        try:
            process.wait_until_started()
            yield process.url, process.running.pid
        finally:
            process.end(seconds=60)
