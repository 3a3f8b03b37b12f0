"""A real PostgreSQL of the tests' own, from Debian's package: its folder, its port, one database for each test."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from unittest import SkipTest

import psycopg
from sqlalchemy import make_url

from tests.support.processes import free_ports
from tests.support.waiting import wait_until

USER: Final = "postgres"
NOT_DURABLE: Final = ("fsync=off", "full_page_writes=off")
"""For tests in which the machine itself goes on."""


def programs() -> Path:
    """Return the folder of PostgreSQL's programs; where there is none, the test is skipped."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        raise SkipTest("PostgreSQL is not installed: apt-get install postgresql")
    return found[-1].parent


def as_its_user(command: Sequence[str | Path]) -> None:
    """Run one of PostgreSQL's programs, which refuse to be root."""
    if os.geteuid() == 0:
        command = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", *command]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


@dataclass
class Postgres:
    """One server of PostgreSQL, which is started, stopped, killed and promoted as an operator would do it."""

    folder: Path
    port: int
    settings: Sequence[str] = ()
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def log(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.log")

    @property
    def _main(self) -> Path:
        """What says, while it runs, which process makes the others."""
        return self.folder / "postmaster.pid"

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        fixed = [f"port={self.port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=60"]
        options = " ".join(f"-c {setting}" for setting in [*fixed, *self.settings])
        self.control("start", "-w", "-o", options, "-l", str(self.log))

    def stop(self, mode: str = "immediate") -> None:
        """Stop it; ``immediate`` is as good as killed, and it recovers at the next start."""
        self.control("stop", "-w", "-m", mode)

    def kill(self) -> None:
        """Kill all its processes at once; it does not come back."""
        for process in (processes := self.processes()):
            os.kill(process, signal.SIGKILL)
        wait_until(lambda: not any(Path(f"/proc/{process}/exe").exists() for process in processes))
        self._main.unlink()

    def fail_over(self, standby: "Postgres") -> None:
        """Kill it, and have a standby take its place, and its port."""
        self.kill()
        if standby._main.exists():
            standby.stop("fast")
        standby.port = self.port
        standby.start()
        standby.control("promote", "-w")

    def begin(self, fault: str) -> None:
        """Kill it, or stop it to ``restart`` it."""
        self.stop("immediate" if fault == "kill" else "fast")

    def heal(self) -> None:
        self.start()

    def processes(self) -> list[int]:
        """Return the ids of all its processes, first the one that makes the others."""
        main = int(self._main.read_text(encoding="utf-8").split()[0])
        return [main, *map(int, Path(f"/proc/{main}/task/{main}/children").read_text().split())]

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Stop all its processes where they are: its connections stay open, and nobody answers."""
        processes = self.processes()
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                os.kill(process, signal.SIGCONT)

    def control(self, *words: str) -> None:
        as_its_user([programs() / "pg_ctl", "-D", self.folder, *words])

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement by itself; return its rows, if it has any."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def new_database(self, template: str = "template0") -> str:
        """Make a database and return its address."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def standby(self, name: str = "standby") -> "Postgres":
        """Copy it, while it runs, to a standby that replays what it writes, and has a slot; not started yet."""
        other = Postgres(self.folder.with_name(name), free_ports(1)[0], self.settings)
        source = f"host=127.0.0.1 port={self.port} user={USER} application_name={name}"
        as_its_user(
            [programs() / "pg_basebackup", "-D", other.folder, "-R", "-c", "fast", "-C", "-S", name, "-d", source]
        )
        return other


def at_port(url: str, port: int) -> str:
    """Return the address of a database by way of another port."""
    return make_url(url).set(port=port).render_as_string(hide_password=False)


@contextmanager
def postgres(settings: Sequence[str] = NOT_DURABLE) -> Iterator[Postgres]:
    """Run a server in a folder of its own, which goes in the end; a standby that was made of it is stopped as well."""
    # Not in pytest's folders, which nobody but their owner may enter.
    with TemporaryDirectory(prefix="postgres-") as folder:
        if os.geteuid() == 0:
            shutil.chown(folder, USER, USER)
        main = Postgres(Path(folder, "main"), free_ports(1)[0], settings)
        trusted = ["-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"]
        as_its_user([programs() / "initdb", "-D", main.folder, *trusted])
        try:
            main.start()
            yield main
        finally:
            for running in Path(folder).glob("*/postmaster.pid"):
                Postgres(running.parent, 0).stop()
