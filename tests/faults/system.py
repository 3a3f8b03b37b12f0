"""The whole system as processes of a copied tree, with a faulty link wherever one process reaches another."""

import secrets
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from config.secrets import PROJECT_ROOT
from tests.faults.processes import App, environment
from tests.faults.proxy import FaultyLink, Loop
from tests.faults.schedules import CLIENT_LINKS, DASHBOARD_LINKS, Fault
from tests.support.system_parts import free_ports

COPIED: Final = ("client", "common", "config", "data", "server")
NOBODY_THERE: Final = "http://127.0.0.1:9"
"""Where no language model answers: every prediction gets its final explanation from the template, a little later."""

CLIENT_IDS: Final = {name: name.title() for name in CLIENT_LINKS}
"""Names of the client apps and the identities they have at the server."""


def copy_tree(folder: Path, *, source: Path = PROJECT_ROOT) -> Path:
    """Copy the product, so that every schedule of a run meets the same code."""
    for name in COPIED:
        shutil.copytree(source / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


class System:
    """A server, three client apps, and the links between them and to two dashboards."""

    def __init__(self, folder: Path, *, tree: Path, model_dir: Path, async_mode: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._loop = Loop()
        ports = dict(zip(("server", *CLIENT_LINKS), free_ports(4), strict=True))
        self.links = {name: FaultyLink(self._loop, ports["server"]) for name in CLIENT_LINKS + DASHBOARD_LINKS}
        self.tokens = _secrets()
        shared = self.tokens | {
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
        self.server = self._app("server", tree / "server", shared | {"PORT": ports["server"]}, "predictions.sqlite")
        self.clients = {
            name: self._app(name, tree / "client", shared | self._of_client(name, ports[name]), "client.sqlite")
            for name in CLIENT_LINKS
        }
        self.cookies: dict[str, dict[str, str]] = {}
        """Sign-ins by address, kept over schedules as browsers keep them."""

    @property
    def apps(self) -> Mapping[str, App]:
        return {"server": self.server, **self.clients}

    def start(self) -> None:
        for app in self.apps.values():
            app.start()
        for app in self.apps.values():
            app.wait_until_started()

    def begin(self, fault: Fault) -> None:
        if fault.of_link:
            self.links[fault.target].begin(fault.kind)
            return
        app = self.apps[fault.target]
        acts = {"kill": app.kill, "restart": app.terminate, "pause": app.pause, "full disk": app.fill_disk}
        acts[fault.kind]()

    def end(self, fault: Fault) -> None:
        if fault.of_link:
            self.links[fault.target].heal()
            return
        app = self.apps[fault.target]
        if fault.kind == "restart":
            app.wait_until_ended()
        acts = {"kill": app.start, "restart": app.start, "pause": app.go_on, "full disk": app.free_disk}
        acts[fault.kind]()

    def close(self) -> None:
        for app in self.apps.values():
            with suppress(subprocess.TimeoutExpired):
                app.kill()
        for link in self.links.values():
            link.close()
        self._loop.close()

    def _app(self, name: str, folder: Path, settings: Mapping[str, object], database: str) -> App:
        path = self.folder / "data" / name / database
        return App(name, folder, environment(**settings), path, self.folder / f"{name}.log")

    def _of_client(self, name: str, port: int) -> dict[str, object]:
        return {
            "PORT": port,
            "CLIENT_ID": CLIENT_IDS[name],
            "SERVER_URL": f"http://127.0.0.1:{self.links[name].port}",
        }


def _secrets() -> dict[str, str]:
    names = ["SERVER_SECRET_KEY", "OPERATOR_TOKEN", "ADMINISTRATOR_TOKEN"]
    for name in CLIENT_LINKS:
        prefix = name.upper().replace("-", "_")
        names += [f"{prefix}_TOKEN", f"{prefix}_CLINICIAN_TOKEN", f"{prefix}_SECRET_KEY"]
    return {name: secrets.token_urlsafe(32) for name in names}
