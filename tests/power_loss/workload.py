"""A day at one desk: patients entered while the server is away and while it is there, watched by an operator."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from config.secrets import PROJECT_ROOT
from tests.power_loss.processes import Traced
from tests.power_loss.recording import Recording
from tests.support.speaking import Browser, Dashboard
from tests.support.system_parts import Clinician, free_ports

COPIED: Final = ("client", "common", "config", "data", "server")
DATA: Final = "local"
SECRETS: Final = "local/secrets"
CLIENT_ID: Final = "Client-1"
AT_ONCE: Final = 4


@dataclass(frozen=True)
class Recordings:
    """What happened to the two disks."""

    server: Recording
    client: Recording


def copy_tree(folder: Path) -> Path:
    """Copy the product to where it can be changed, away from this checkout's ``.env``."""
    for name in COPIED:
        shutil.copytree(PROJECT_ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def record_both(tree: Path, folder: Path, model_dir: Path, *, patients: int, async_mode: str) -> Recordings:
    """Record a server and a client app that start from nothing; nothing of a recording is left in ``folder``.

    Raises
    ------
    RecordingError
        When not everything that they did is known.
    """
    server_port, client_port = free_ports(2)
    shared = {
        "PYTHONPATH": tree,
        "SOCKETIO_ASYNC_MODE": async_mode,
        "CLIENT_1_TOKEN": secrets.token_urlsafe(32),
        "DATABASE_URL": "",
        "PUBLIC_URL": "",
        "BIND_ADDRESS": "",
        "LLM_MODEL": "off",
        "MODEL_DIR": model_dir,
        "RECONNECT_MAX_SECONDS": 1,
    }
    of_server = shared | {"PORT": server_port}
    of_client = shared | {
        "PORT": client_port,
        "CLIENT_ID": CLIENT_ID,
        "SERVER_URL": f"http://127.0.0.1:{server_port}",
    }
    with ExitStack() as ending:
        client = _start(ending, folder / "client", tree / "client" / "app.py", of_client)
        clinician = ending.enter_context(Clinician(_link(client, "clinician")))
        early = [clinician.submit() for _ in range(AT_ONCE)]
        server = _start(ending, folder / "server", tree / "server" / "app.py", of_server)
        with _operator(server):
            clinician.answers(early)
            for _ in range(len(early), patients, AT_ONCE):
                clinician.answers([clinician.submit() for _ in range(AT_ONCE)])
        return Recordings(server.end(), client.end())


def _start(ending: ExitStack, folder: Path, program: Path, settings: dict[str, object]) -> Traced:
    disk = folder / "disk"
    traced = Traced(folder, [program], settings | {"DATA_DIR": disk / DATA, "SECRETS_DIR": disk / SECRETS})
    ending.callback(traced.kill)
    return traced


def _link(app: Traced, role: str) -> str:
    return app.line(f"Open as {role} ").split()[-1]


@contextmanager
def _operator(server: Traced) -> Iterator[Dashboard]:
    address, _, token = _link(server, "operator").partition("/sign-in#token=")
    browser = Browser(address)
    browser.sign_in(token)
    dashboard = Dashboard(address, browser.cookie)
    try:
        yield dashboard
    finally:
        dashboard.close()
