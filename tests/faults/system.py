"""The whole system as processes of a copied tree, with a faulty link wherever one process reaches another.

It has one server with its file, or two behind nginx that share a PostgreSQL.
"""

import os
import secrets
import signal
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

from config.secrets import PROJECT_ROOT, env_prefix, secret_names
from tests.faults.checker import Kind
from tests.faults.parts import FaultyProcess, Part
from tests.faults.proxy import FaultyLink
from tests.faults.schedules import (
    CLIENT_LINKS,
    DATABASE_LINKS,
    LINKS,
    PROCESSES,
    SCALED_LINKS,
    SCALED_PROCESSES,
    SERVERS,
    Fault,
)
from tests.support.nginx import balancer
from tests.support.postgres import NOT_DURABLE, Postgres, at_port, postgres
from tests.support.processes import environment_of, free_ports
from tests.support.project_copy import copy_project

COMMITS_LATE: Final = ("synchronous_commit=off", "wal_writer_delay=10s", "wal_writer_flush_after=0")
"""Of PostgreSQL, broken on purpose: what it said to have committed is lost when it is killed."""

CLIENT_IDS: Final = {name: name.title() for name in CLIENT_LINKS}
"""Names of the client apps and the identities they have at the server."""

CONTROLS: Final = {
    "outbox-in-memory": ("client", Kind.LOST),
    "answers-before-commit": ("server", Kind.NOT_STORED),
    "no-deduplication": ("server", Kind.DOUBLED),
    "no-catch-up": ("dashboard", Kind.LOST),
    "no-catch-up-of-clients": ("client", Kind.LOST),
    "offset-before-entries": ("client", Kind.LOST),
}
"""Ways to break the system on purpose: which role has a broken part, and what the checker must find then.

Servers and client apps are broken by ``tests.faults.broken``, dashboards by a class in ``people``.
"""


class System:
    """Running servers, three client apps, and the links between them and to two dashboards."""

    postgres: Postgres
    """What two servers share."""

    def __init__(
        self,
        ending: ExitStack,
        folder: Path,
        model_dir: Path,
        *,
        async_mode: str = "eventlet",
        control: str | None = None,
        is_scaled: bool = False,
        **settings: object,
    ) -> None:
        """Start it, and wait until all of it answers; what was started ends with ``ending``, also when that fails."""
        self.folder = folder
        self.control = control
        self.servers: Sequence[str] = SERVERS if is_scaled else ("server",)
        self.targets = (SCALED_PROCESSES, SCALED_LINKS) if is_scaled else (PROCESSES, LINKS)
        self.links: dict[str, FaultyLink] = {}
        self.apps: dict[str, FaultyProcess] = {}
        self.tokens = {name: secrets.token_urlsafe(32) for name in secret_names(CLIENT_IDS.values())}
        self.cookies: dict[str, dict[str, str]] = {name: {} for name in ("server", *CLIENT_LINKS)}
        """Sign-ins at each app, kept over schedules as browsers keep them."""
        self._ending = ending
        self._tree = copy_project(folder / "tree")
        names = (*self.servers, *CLIENT_LINKS)
        ports = dict(zip(names, free_ports(len(names)), strict=True))
        entrance, record = ports[self.servers[0]], ""
        of_servers: dict[str, dict[str, object]] = {}
        if is_scaled:
            late = COMMITS_LATE if control == "answers-before-commit" else ()
            self.postgres = ending.enter_context(postgres([*NOT_DURABLE, *late]))
            record = self.postgres.new_database()
            entrance = ending.enter_context(balancer(folder / "nginx", [ports[name] for name in SERVERS]))
            for name, link in zip(SERVERS, DATABASE_LINKS, strict=True):
                address = at_port(record, self._link(link, self.postgres.port).port)
                of_servers[name] = {"DATA_DIR": folder / name, "DATABASE_URL": address}  # each is a machine of its own
        self._record: Path | str = record or folder / "data" / "server" / "predictions.sqlite"
        for name in LINKS:
            self._link(name, entrance)
        self._shared: dict[str, object] = {
            **environment_of(folder, model_dir, async_mode),
            **self.tokens,
            "PYTHONPATH": f"{self._tree}{os.pathsep}{PROJECT_ROOT}",  # the latter for tests.faults.broken alone
            "DATA_DIR": folder / "data",
            "BIND_ADDRESS": "",
            "DATABASE_URL": "",
            "TRUSTED_PROXIES": int(is_scaled),
            "LOG_LEVEL": "INFO",
            "LLM_MODEL": "a/model",
            # Nothing answers there: the computed text becomes every prediction's final explanation, a little later.
            "LLM_BASE_URL": "http://127.0.0.1:9",
            "REPLY_TIMEOUT_SECONDS": 2,
            "RECONNECT_MAX_SECONDS": 1,
            **settings,
        }
        for name in self.servers:
            self._start(name, "server", PORT=ports[name], **of_servers.get(name, {}))
        for name, client_id in CLIENT_IDS.items():
            self._start(name, "client", PORT=ports[name], CLIENT_ID=client_id, SERVER_URL=self.links[name].url)
        self.wait_until_started()

    def _link(self, name: str, port: int) -> FaultyLink:
        self.links[name] = self._ending.enter_context(closing(FaultyLink(port)))
        return self.links[name]

    def _start(self, name: str, role: str, **settings: object) -> None:
        command, folder = ["app.py"], self._tree / role
        if self.control and CONTROLS[self.control][0] == role:
            command, folder = ["-m", "tests.faults.broken", self.control], self._tree
        app = FaultyProcess(command, folder, self._shared | settings, log=self.folder / f"{name}.log")
        self._ending.callback(app.end, signal.SIGKILL)
        app.database = Path(self.database(name))
        self.apps[name] = app

    @property
    def desk_links(self) -> list[str]:
        """By which the clinicians of the three client apps sign in."""
        return [f"{self.apps[name].url}/sign-in#token={self.clinician_token(name)}" for name in CLIENT_LINKS]

    def clinician_token(self, name: str) -> str:
        return self.tokens[f"{env_prefix(CLIENT_IDS[name])}_CLINICIAN_TOKEN"]

    def database(self, name: str) -> Path | str:
        """Return the file of a client app, and for any other name the record: a file, or an address of PostgreSQL."""
        return self.folder / "data" / name / "client.sqlite" if name in CLIENT_IDS else self._record

    def wait_until_started(self) -> None:
        for app in self.apps.values():
            app.wait_until_started()

    def part(self, fault: Fault) -> Part:
        """Return what a fault is of."""
        if fault.of_link:
            return self.links[fault.target]
        return self.postgres if fault.target == "postgres" else self.apps[fault.target]
