"""Server processes with their own folders, tokens and ports, for as long as a measurement lasts."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

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
    with our_servers(1, clients, **changes) as (server,):
        yield server


@contextmanager
def our_servers(count: int, clients: int, **changes: str) -> Iterator[Sequence[RunningServer]]:
    """Run several as ``our_server``, each of which gets its share of the client identities."""
    client_ids = [f"Bench-{number}" for number in range(1, clients + 1)]
    tokens = {client_secret_names(client_id)[0]: new_secret() for client_id in client_ids}
    operator_token = new_secret()
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "CLIENT_IDS": ",".join(client_ids),
            "SERVER_SECRET_KEY": new_secret(),
            "ADMINISTRATOR_TOKEN": new_secret(),
            "DATABASE_URL": f"sqlite:///{folder}/predictions.sqlite",  # an empty one would leave that of .env
            "LLM_MODEL": "off",
            "LOG_LEVEL": "WARNING",
            "OPERATOR_TOKEN": operator_token,
            **changes,
        }
        with ExitStack() as stack:
            servers = []
            for number in range(count):
                own = {"DATA_DIR": f"{folder}/{number}", "SECRETS_DIR": f"{folder}/secrets"}
                running = _running(["app.py"], PROJECT_ROOT / "server", tokens | settings | own)
                url, pid = stack.enter_context(running)
                servers.append(RunningServer(url, list(tokens.values())[number::count], operator_token, pid))
            yield servers


@contextmanager
def usual_server(clients: int) -> Iterator[RunningServer]:
    """Run a server that scores the usual way, stores nothing and asks nobody who they are."""
    with _running(["-m", "benchmarks.usual_way"], PROJECT_ROOT, {}) as (url, pid):
        yield RunningServer(url, ["none"] * clients, "", pid)


@contextmanager
def delayed(database_url: str, milliseconds: float) -> Iterator[str]:
    """Give another address of a database, by which a round trip takes so much longer."""
    port = str(urlsplit(database_url).port)
    with _running(["-m", "benchmarks.delay", port, str(milliseconds)], PROJECT_ROOT, {}) as (url, _):
        yield database_url.replace(port, str(urlsplit(url).port))


@contextmanager
def _running(command: Sequence[str], folder: Path, settings: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    with tempfile.TemporaryDirectory() as written:
        process = Process(command, folder, {**settings, "PORT": free_ports(1)[0]}, log=Path(written, "log"))
        try:
            process.wait_until_started()
            yield process.url, process.running.pid
        finally:
            process.end(seconds=60)
