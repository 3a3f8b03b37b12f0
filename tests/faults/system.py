"""The whole system as processes of a copied tree, with a faulty link wherever one process reaches another."""

import secrets
import shutil
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from config.secrets import PROJECT_ROOT, secret_names
from tests.faults.controls import CONTROLS
from tests.faults.processes import App
from tests.faults.proxy import FaultyLink
from tests.faults.schedules import CLIENT_LINKS, DASHBOARD_LINKS, Fault
from tests.support.system_parts import free_ports

COPIED: Final = ("client", "common", "config", "data", "server", "tests")
NOBODY_THERE: Final = "http://127.0.0.1:9"
"""Where no language model answers: every prediction gets its final explanation from the template, a little later."""

CLIENT_IDS: Final = {name: name.title() for name in CLIENT_LINKS}
"""Names of the client apps and the identities they have at the server."""


def copy_tree(folder: Path) -> Path:
    """Copy the product, so that every schedule of a run meets the same code, and no settings of this checkout."""
    for name in COPIED:
        shutil.copytree(PROJECT_ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


class System:
    """A server, three client apps, and the links between them and to two dashboards."""

    def __init__(self, folder: Path, *, tree: Path, model_dir: Path, async_mode: str, control: str | None) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.control = control
        self._tree = tree
        ports = dict(zip(("server", *CLIENT_LINKS), free_ports(4), strict=True))
        self.links = {name: FaultyLink(ports["server"]) for name in CLIENT_LINKS + DASHBOARD_LINKS}
        self.tokens = {name: secrets.token_urlsafe(32) for name in secret_names(CLIENT_IDS.values())}
        self._shared = self.tokens | {
            "PYTHONPATH": tree,
            "SOCKETIO_ASYNC_MODE": async_mode,
            "DATA_DIR": folder / "data",
            "SECRETS_DIR": folder / "secrets",
            "PUBLIC_URL": "",
            "BIND_ADDRESS": "",
            "DATABASE_URL": "",
            "MODEL_DIR": model_dir,
            "LLM_MODEL": "a/model",
            "LLM_BASE_URL": NOBODY_THERE,
            "REPLY_TIMEOUT_SECONDS": 2,
            "RECONNECT_MAX_SECONDS": 1,
        }
        self.apps = {"server": self._app("server", "server", PORT=ports["server"])}
        for name, client_id in CLIENT_IDS.items():
            own = {"PORT": ports[name], "CLIENT_ID": client_id, "SERVER_URL": self.links[name].url}
            self.apps[name] = self._app(name, "client", **own)
        self.cookies: dict[str, dict[str, str]] = {name: {} for name in self.apps}
        """Sign-ins at each app, kept over schedules as browsers keep them."""

    def database(self, name: str) -> Path:
        return self.folder / "data" / name / ("predictions.sqlite" if name == "server" else "client.sqlite")

    def start(self) -> None:
        for app in self.apps.values():
            app.start()
        for app in self.apps.values():
            app.wait_until_started()

    def begin(self, fault: Fault) -> None:
        app = self.apps.get(fault.target)
        if fault.of_link or app is None:
            self.links[fault.target].begin(fault.kind)
            return
        acts: dict[str, Callable[[], None]] = {
            "kill": app.kill,
            "restart": partial(app.signal, signal.SIGTERM),
            "pause": partial(app.signal, signal.SIGSTOP),
            "full disk": lambda: app.limit_files(self.database(fault.target).stat().st_size),
        }
        acts[fault.kind]()

    def end(self, fault: Fault) -> None:
        """End a fault; raises ``TimeoutExpired`` when a process does not end that was told to."""
        app = self.apps.get(fault.target)
        if fault.of_link or app is None:
            self.links[fault.target].heal()
        elif fault.kind == "pause":
            app.signal(signal.SIGCONT)
        elif fault.kind == "full disk":
            app.limit_files()
        else:
            app.wait_until_ended()
            app.start()

    def close(self) -> None:
        for app in self.apps.values():
            with suppress(subprocess.TimeoutExpired):
                app.kill()
        for link in self.links.values():
            link.close()

    def _app(self, name: str, role: str, **settings: object) -> App:
        command, folder = ["app.py"], self._tree / role
        if self.control and CONTROLS[self.control][0] == role:
            command, folder = ["-m", "tests.faults.broken", self.control], self._tree
        return App(command, folder, self._shared | settings, log=self.folder / f"{name}.log")
