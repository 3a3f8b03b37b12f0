"""The whole system as processes of a copied tree, with a faulty link wherever one process reaches another.

It has one server with its file, or two behind nginx that share a PostgreSQL.
"""

import os
import resource
import secrets
import signal
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from config.secrets import PROJECT_ROOT, secret_names
from tests.faults.checker import Kind
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
from tests.support.nginx import NO_TLS, balancer
from tests.support.postgres import Postgres, postgres
from tests.support.processes import Process, free_ports

STOP_SECONDS: Final = 60.0

SURVIVES_KILLS: Final = ("fsync=off", "full_page_writes=off")
"""Of PostgreSQL, while the machine goes on: a commit is with the system."""

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

    def __init__(
        self,
        folder: Path,
        *,
        tree: Path,
        model_dir: Path,
        async_mode: str,
        control: str | None = None,
        is_scaled: bool = False,
        **settings: object,
    ) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.control = control
        self.servers: Sequence[str] = SERVERS if is_scaled else ("server",)
        self.targets = (SCALED_PROCESSES, SCALED_LINKS) if is_scaled else (PROCESSES, LINKS)
        self._tree = tree
        self._stack = ExitStack()
        names = (*self.servers, *CLIENT_LINKS)
        ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.postgres: Postgres | None = None
        self.links: dict[str, FaultyLink] = {}
        entrance, database_url = ports[self.servers[0]], ""
        of_servers: dict[str, dict[str, object]] = {}
        if is_scaled:
            late = COMMITS_LATE if control == "answers-before-commit" else ()
            self.postgres = self._stack.enter_context(postgres([*SURVIVES_KILLS, *late]))
            database_url = self.postgres.new_database()
            front = balancer(folder / "nginx", [ports[name] for name in SERVERS], NO_TLS)
            entrance = urlsplit(self._stack.enter_context(front).url).port or 0
            for name, link in zip(SERVERS, DATABASE_LINKS, strict=True):
                self.links[link] = FaultyLink(self.postgres.port)
                through = database_url.replace(str(self.postgres.port), str(urlsplit(self.links[link].url).port))
                of_servers[name] = {"DATA_DIR": folder / name, "DATABASE_URL": through}  # each is a machine of its own
        self._database: Path | str = database_url or folder / "data" / "server" / "predictions.sqlite"
        self.links |= {name: FaultyLink(entrance) for name in LINKS}
        self.apps: dict[str, Process] = {}
        self.tokens = {name: secrets.token_urlsafe(32) for name in secret_names(CLIENT_IDS.values())}
        self._shared = self.tokens | {
            "PYTHONPATH": f"{tree}{os.pathsep}{PROJECT_ROOT}",  # of which the latter has tests.faults.broken alone
            "SOCKETIO_ASYNC_MODE": async_mode,
            "DATA_DIR": folder / "data",
            "SECRETS_DIR": folder / "secrets",
            "PUBLIC_URL": "",
            "BIND_ADDRESS": "",
            "DATABASE_URL": "",
            "TRUSTED_PROXIES": int(is_scaled),
            "MODEL_DIR": model_dir,
            "LLM_MODEL": "a/model",
            # Nothing answers there: the computed text becomes every prediction's final explanation, a little later.
            "LLM_BASE_URL": "http://127.0.0.1:9",
            "REPLY_TIMEOUT_SECONDS": 2,
            "RECONNECT_MAX_SECONDS": 1,
            **settings,
        }
        for name in self.servers:
            self.apps[name] = self._app(name, "server", PORT=ports[name], **of_servers.get(name, {}))
        for name, client_id in CLIENT_IDS.items():
            own = {"PORT": ports[name], "CLIENT_ID": client_id, "SERVER_URL": self.links[name].url}
            self.apps[name] = self._app(name, "client", **own)
        self.cookies: dict[str, dict[str, str]] = {name: {} for name in ("server", *CLIENT_LINKS)}
        """Sign-ins at each app, kept over schedules as browsers keep them."""

    def _app(self, name: str, role: str, **settings: object) -> Process:
        command, folder = ["app.py"], self._tree / role
        if self.control and CONTROLS[self.control][0] == role:
            command, folder = ["-m", "tests.faults.broken", self.control], self._tree
        return Process(command, folder, self._shared | settings, log=self.folder / f"{name}.log")

    @property
    def desk_links(self) -> list[str]:
        """By which the clinicians of the three client apps sign in."""
        tokens = [self.tokens[f"CLIENT_{number}_CLINICIAN_TOKEN"] for number in range(1, len(CLIENT_LINKS) + 1)]
        urls = [self.apps[name].url for name in CLIENT_LINKS]
        return [f"{url}/sign-in#token={token}" for url, token in zip(urls, tokens, strict=True)]

    def database(self, name: str) -> Path | str:
        return self._database if name == "server" else self.folder / "data" / name / "client.sqlite"

    def wait_until_started(self) -> None:
        for app in self.apps.values():
            app.wait_until_started()

    def begin(self, fault: Fault) -> None:
        if fault.of_link:
            self.links[fault.target].begin(fault.kind)
            return
        if fault.target == "postgres":
            assert self.postgres
            self.postgres.stop("immediate" if fault.kind == "kill" else "fast")
            return
        process = self.apps[fault.target].running
        if fault.kind == "full disk":
            self._limit_files(process.pid, Path(self.database(fault.target)).stat().st_size)
        else:
            signals = {"kill": signal.SIGKILL, "restart": signal.SIGTERM, "pause": signal.SIGSTOP}
            process.send_signal(signals[fault.kind])

    def end(self, fault: Fault) -> None:
        """End a fault; raises ``TimeoutExpired`` when a process does not end that was told to."""
        if fault.of_link:
            self.links[fault.target].heal()
            return
        if fault.target == "postgres":
            assert self.postgres
            self.postgres.start()
            return
        app = self.apps[fault.target]
        if fault.kind == "pause":
            app.running.send_signal(signal.SIGCONT)
        elif fault.kind == "full disk":
            self._limit_files(app.running.pid, resource.RLIM_INFINITY)
        else:
            app.wait(STOP_SECONDS)
            app.start()

    def fail_over(self, standby: Postgres) -> None:
        """Kill PostgreSQL, and have a standby, which is not started, take its place."""
        assert self.postgres
        self.postgres.stop()
        standby.port = self.postgres.port
        standby.start()
        standby.control("promote", "-w")
        self.postgres = standby

    def _limit_files(self, pid: int, size: int) -> None:
        """Let no file of a process grow beyond a size: writes then fail, as on a full disk."""
        with suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def close(self) -> None:
        for app in self.apps.values():
            with suppress(subprocess.TimeoutExpired):
                app.end(signal.SIGKILL)
        for link in self.links.values():
            link.close()
        self._stack.close()
