"""What a promise stands on is synced, file and folder, and deleting overwrites: in the calls of real processes."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine

from client.outbox_file import open_outbox
from common.messages import BROWSER_NAMESPACE, Event
from config.secrets import PROJECT_ROOT
from server.registry.versions import active_manifest
from server.store.database import open_database
from tests.support.made_requests import submission
from tests.support.processes import free_ports
from tests.support.speaking import Browser, Page

CALLS = "openat,mkdir,rename,link,unlink,unlinkat,rmdir,write,pwrite64,ftruncate,fsync,fdatasync"
LOCK_SUFFIXES = ("lock", "-wal", "-shm")

_CALL = re.compile(r'\d+ +(\w+)\((?:AT_FDCWD<[^>]*>, )?(?:\d+<([^>]*)>(?:, )?)?(?:"([^"]*)")?(?:, "([^"]*)")?(.*)')

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="there is no strace")


@contextmanager
def traced(command: list[str], folder: Path, trace: Path, **settings: object) -> Iterator["subprocess.Popen[str]"]:
    """Run a command of the product, record its calls that concern files, and end it unless it has ended."""
    strace = ["strace", "-f", "--seccomp-bpf", "-y", "-s", "8", "-e", f"trace={CALLS}", "-e", "signal=none"]
    environment = os.environ | {name: str(value) for name, value in settings.items()} | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [*strace, "-o", str(trace), sys.executable, *command], cwd=folder, env=environment, stdout=-1, text=True
    ) as process:
        try:
            yield process
        finally:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            for child in children.read_text().split() if process.poll() is None else ():
                os.kill(int(child), signal.SIGTERM)
            process.communicate(timeout=30)


def synced(trace: Path, folder: Path) -> set[str]:
    """Return what came to be in a folder; fails when a name or content there was left to the system to write."""
    seen, names, contents = set[str](), set[str](), set[str]()
    for line in trace.read_text().splitlines():
        if not (found := _CALL.match(line)) or " = -1 " in line:
            continue
        call, opened, path, other, rest = (text or "" for text in found.groups())
        path = str(Path(opened, path))
        if call in {"fsync", "fdatasync"}:
            contents.discard(opened)
            names = {name for name in names if str(Path(name).parent) != opened}
        elif call in {"write", "pwrite64", "ftruncate"}:
            contents.add(opened)
        elif call in {"rename", "link"}:
            moved = {name for name in names | contents if name.startswith(path)} if call == "rename" else set()
            names, contents = names - moved | {other}, contents - moved
            seen.add(other)
        elif call in {"unlink", "unlinkat", "rmdir"}:
            names.discard(path)
            contents.discard(path)
        elif path not in seen and (call == "mkdir" or "O_CREAT" in rest):
            seen.add(path)
            names.add(path)
    within = f"{folder}/"
    left = {one for one in names | contents if one.startswith(within) and not one.endswith(LOCK_SUFFIXES)}
    assert left == set()
    return {one.removeprefix(within) for one in seen if one.startswith(within)}


def link_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return next(line.split()[-1] for line in process.stdout if "#token=" in line)


@needs_strace
def test_a_new_record_outbox_account_and_secret_are_on_disk_with_their_names(
    tmp_path: Path, detector_dir: Path
) -> None:
    ports = free_ports(2)
    shared = {"DATA_DIR": tmp_path / "new/data", "SECRETS_DIR": tmp_path / "new/secrets", "CLIENT_1_TOKEN": "t" * 43}
    of_server = {"PORT": ports[0], "MODEL_DIR": detector_dir, "LLM_MODEL": "off", "DATABASE_URL": ""}
    of_client = {"PORT": ports[1], "CLIENT_ID": "Client-1", "SERVER_URL": f"http://127.0.0.1:{ports[0]}"}
    (tmp_path / "new").mkdir()
    with (
        traced(["app.py"], PROJECT_ROOT / "server", tmp_path / "server", **shared, **of_server) as server,
        traced(["app.py"], PROJECT_ROOT / "client", tmp_path / "client", **shared, **of_client) as client,
    ):
        link_of(server)
        url, _, token = link_of(client).partition("/sign-in#token=")
        browser = Browser(url)
        browser.sign_in(token)
        with closing(Page(url, browser.cookie, BROWSER_NAMESPACE)) as page:
            page.ask(Event.SUBMIT, submission(1).to_wire())
            page.entry(lambda change: change["entry"]["prediction"])
    made = synced(tmp_path / "server", tmp_path / "new") | synced(tmp_path / "client", tmp_path / "new")
    assert {"data/server/predictions.sqlite", "data/server/access.sqlite", "data/client-1/client.sqlite"} <= made
    assert {"data/server/predictions.sqlite-journal", "data/client-1/client.sqlite-journal"} <= made
    assert any(name.startswith("secrets/server/") for name in made)


@pytest.mark.full
@needs_strace
def test_an_activated_model_is_on_disk_with_its_names(
    tmp_path: Path, model_folder: Path, other_detector_dir: Path
) -> None:
    other = active_manifest(other_detector_dir)
    assert other
    words = [str(PROJECT_ROOT / "train_model.py"), "--activate", other.model_version]
    with traced(words, PROJECT_ROOT, tmp_path / "trace", MODEL_DIR=model_folder) as process:
        process.wait(120)
    assert process.returncode == 0
    assert "active" in synced(tmp_path / "trace", model_folder)


@pytest.mark.parametrize("open_it", [lambda path: open_database(f"sqlite:///{path}"), open_outbox])
def test_a_commit_is_synced_and_what_is_deleted_is_overwritten(
    open_it: Callable[[Path], Engine], tmp_path: Path
) -> None:
    engine = open_it(tmp_path / "new.sqlite")
    wanted = {"journal_mode": "truncate", "synchronous": 2, "secure_delete": 1, "foreign_keys": 1}
    for _ in range(2):
        with engine.connect() as connection:
            assert {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in wanted} == wanted
        engine.dispose()
