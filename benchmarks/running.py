"""A server process of its own, with its own folder, tokens and port, for as long as a measurement lasts."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

from common.web.serving import listen
from config.secrets import PROJECT_ROOT, client_secret_names, new_secret

START_SECONDS = 120
STOP_SECONDS = 30


@dataclass(frozen=True)
class RunningServer:
    """Where a server listens, and what proves who is who there."""

    url: str
    tokens: Sequence[str]
    operator_token: str
    process: subprocess.Popen[bytes]


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
        port = _free_port()
        command = [sys.executable, "app.py"]
        with _running(command, PROJECT_ROOT / "server", port, tokens | settings | {"PORT": str(port)}) as process:
            yield RunningServer(f"http://127.0.0.1:{port}", list(tokens.values()), operator_token, process)


@contextmanager
def usual_server(clients: int) -> Iterator[RunningServer]:
    """Run a server that scores the usual way, stores nothing and asks nobody who they are."""
    port = _free_port()
    with _running([sys.executable, "-m", "benchmarks.usual_way", str(port)], PROJECT_ROOT, port, {}) as process:
        yield RunningServer(f"http://127.0.0.1:{port}", ["none"] * clients, "", process)


@contextmanager
def _running(
    command: Sequence[str], folder: Path, port: int, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, cwd=folder, env=os.environ | environment, stdout=said, stderr=said)
        try:
            if not _gets_ready(process, f"http://127.0.0.1:{port}/readyz"):
                said.seek(0)
                sys.exit(f"The server did not start. It said:\n{said.read().decode(errors='replace')}")
            yield process
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)


def _gets_ready(process: subprocess.Popen[bytes], address: str) -> bool:
    opener = build_opener(ProxyHandler({}))
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            opener.open(address, timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return True
    return False


def _free_port() -> int:
    with listen("127.0.0.1", 0) as listener:
        return int(listener.getsockname()[1])
