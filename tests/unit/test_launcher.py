"""The launcher: what it tells the apps, what it refuses with a sentence, and whom it ends."""

import ast
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import launcher
from common import background
from common.background import App
from config.secrets import CLIENT_IDS, PROJECT_ROOT, secret_names
from config.settings import SystemSettings
from launcher import LaunchError
from tests.support.processes import free_ports
from tests.support.project_copy import copy_project, set_up

ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - given to the launcher, not bound
TOKENS = {name: f"the-{name}" for app in launcher.NAMES for name in launcher.links(app).values()}
ENDS_ON_SIGTERM = "import signal; print('runs', flush=True); signal.pause()"
IGNORES_SIGTERM = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {ENDS_ON_SIGTERM}; signal.pause()"


@pytest.fixture
def app() -> Iterator[App]:
    """An app under a name no system uses, whose files are gone afterwards."""
    app = App("client-test", "127.0.0.1", free_ports(1)[0], "http://127.0.0.1", {"PORT": "no port"}, "one")
    log, pid = background.log_file(app.name), background.pid_file(app.name)
    for folder in (background.LOCAL, log.parent, pid.parent):
        folder.mkdir(mode=0o700, exist_ok=True)
    yield app
    for file in (pid, log, log.with_suffix(".log.1")):
        file.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_project(tmp_path_factory.mktemp("launcher") / "project")
    set_up(folder)
    return folder


def local_apps(given: dict[str, str] | None = None, **system: object) -> list[App]:
    settings = SystemSettings.model_validate(system).model_dump()
    return [launcher.local_app(name, settings, TOKENS | (given or {})) for name in launcher.NAMES]


@pytest.mark.parametrize(
    ("bind_address", "host", "in_url"), [(ANY_ADDRESS, ANY_ADDRESS, "127.0.0.1"), ("[::1]", "::1", "[::1]")]
)
def test_on_any_address_people_and_apps_reach_each_other(bind_address: str, host: str, in_url: str) -> None:
    given = {"ALLOWED_HOSTS": "desk.example"}
    server, client, *others = local_apps(given, bind_address=bind_address, server_port=6000)
    desks = [(app.environment["CLIENT_ID"], app.port) for app in (client, *others)]
    assert desks == [(client_id, 5001 + number) for number, client_id in enumerate(CLIENT_IDS)]
    assert server.environment["HOST"] == host
    assert server.url == server.environment["PUBLIC_URL"] == client.environment["SERVER_URL"] == f"http://{in_url}:6000"
    assert client.environment["ALLOWED_HOSTS"] == f"desk.example,127.0.0.1,{in_url}"


def test_a_link_leads_to_the_public_address_and_a_process_is_told_no_token_but_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    apps = local_apps(server_public_url="https://hads.example/", client_1_port=7001)
    launcher.print_links(apps)
    links = [word for word in capsys.readouterr().out.split() if "#token=" in word]
    assert [link.partition("#token=")[2] for link in links] == list(TOKENS.values())
    assert links[1].startswith("https://hads.example/sign-in#")
    assert links[2].startswith("http://127.0.0.1:7001/sign-in#")
    told = [[name for name in TOKENS if name in app.environment] for app in apps]
    assert told == [list(launcher.links(app.name).values()) for app in apps]


@pytest.mark.parametrize("host", ["127.0.0.1", "::"])
def test_a_port_in_use_is_refused_with_the_setting_that_helps(app: App, host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip("this machine has no IPv6")
    app = replace(app, host=host, port=listener.getsockname()[1])
    with listener, pytest.raises(LaunchError, match=rf"Port {app.port}, which client-test.*CLIENT_TEST_PORT=\d+"):
        launcher.require_free_ports([app])
    launcher.require_free_ports([app])
    with pytest.raises(LaunchError, match=r"BIND_ADDRESS=192\.0\.2\.1 in \.env cannot be used here"):
        launcher.require_free_ports([replace(app, host="192.0.2.1")])


def test_an_address_of_another_machine_is_named_even_if_the_port_answers_there(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket.socket, "connect_ex", lambda *_: 0)
    with pytest.raises(LaunchError, match=r"BIND_ADDRESS=192\.0\.2\.1 in \.env cannot be used here"):
        launcher.require_free_ports([replace(app, host="192.0.2.1")])


def test_a_process_id_of_another_program_or_a_damaged_one_is_not_ours(app: App) -> None:
    for content in (str(os.getpid()).encode(), b"\xff\xfe12"):
        background.pid_file(app.name).write_bytes(content)
        assert not background.is_running(app.name)


@pytest.mark.parametrize(("code", "number", "said"), [(ENDS_ON_SIGTERM, 15, ""), (IGNORES_SIGTERM, 9, "by force")])
def test_a_process_is_asked_to_end_and_ended_by_force_if_it_does_not(
    app: App, code: str, number: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-c", code, str(background.app_file(app.name))]  # it is known by its program's name
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "runs\n"
    background.pid_file(app.name).write_text(str(process.pid))
    assert background.is_running(app.name)
    background.end_processes([app.name], seconds=0.2 if said else 30)
    process.communicate()
    assert process.returncode == -number
    assert not background.is_running(app.name)
    assert said in capsys.readouterr().out


def test_an_app_that_ends_is_reported_with_its_last_log_lines_and_the_log_before_is_kept(app: App) -> None:
    log = background.log_file(app.name)
    log.write_text("the run before")
    process = background.launch(app)
    assert background.started(app.name) == (process.pid, "one")
    with pytest.raises(LaunchError, match=r"client-test ended.*client-test\.log:\n\nThe settings cannot be used: PORT"):
        launcher.wait_until_ready([app], background.why_ended, seconds=30, pause=0.05)
    with pytest.raises(LaunchError, match=r"Not ready after 0 seconds: client-test\."):
        launcher.wait_until_ready([app], lambda _: None, seconds=0, pause=0.05)
    assert process.wait(timeout=30) == 2
    assert log.stat().st_mode & 0o777 == 0o600
    assert log.with_suffix(".log.1").read_text() == "the run before"


def docker_that(folder: Path, script: str) -> str:
    """Put a ``docker`` that does as the shell script says into a folder; return it as a search path."""
    folder.mkdir(exist_ok=True)
    (program := folder / "docker").write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


@pytest.mark.parametrize(
    ("inspected", "has_failed"),
    [("running 0", False), ("restarting 1", False), ("restarting 3", True), ("exited 0", True), ("", False)],
)
def test_a_container_is_given_up_only_when_it_ended_or_keeps_ending(
    app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inspected: str, has_failed: bool
) -> None:
    script = f'case "$1 $2" in inspect*) echo {inspected};; "compose logs") echo it broke;; *) echo id;; esac'
    monkeypatch.setenv("PATH", docker_that(tmp_path, script))
    assert ("it broke" in (launcher.container_failure(app) or "")) == has_failed


def test_only_containers_of_this_copy_keep_it_from_starting_without_docker(project: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    for folder, said in ((project, "already running in Docker"), (tmp_path / "copy", "LOG_LEVEL must be")):
        search_path = docker_that(tmp_path / "bin", f'case "$1" in inspect) echo {folder};; *) echo yes;; esac')
        done = run_launcher(project, "start", "--local", PATH=search_path, LOG_LEVEL="x")
        assert said in done.stderr


def test_processes_are_stopped_whoever_has_containers(
    app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = f'case "$1" in inspect) echo {tmp_path};; *) echo yes;; esac'
    monkeypatch.setenv("PATH", docker_that(tmp_path, script))
    monkeypatch.setattr(launcher, "NAMES", [app.name])
    command = [sys.executable, "-c", ENDS_ON_SIGTERM, str(background.app_file(app.name))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "runs\n"
        background.pid_file(app.name).write_text(str(process.pid))
        launcher.main(["stop"])
    assert capsys.readouterr().out == "Stopped.\n"
    with pytest.raises(SystemExit, match="another copy of this project"):
        launcher.main(["stop"])


def test_docker_is_asked_what_it_reads_and_told_of_no_empty_setting(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = dict.fromkeys(secret_names(CLIENT_IDS), "a$$b")
    services = {
        name: {
            "environment": secrets | {"PUBLIC_URL": f"http://{ANY_ADDRESS}:{port}", "LOG_LEVEL": None},
            "ports": [{"host_ip": "127.0.0.1", "target": 5000, "published": str(port)}],
        }
        for name, port in zip(launcher.NAMES, free_ports(len(launcher.NAMES)), strict=True)
    }
    (tmp_path / "config").write_text(json.dumps({"services": services}))
    script = f"""case "$2" in
    config) cat {tmp_path}/config;; build) /usr/bin/env > {tmp_path}/told; exit 1;; ps) ;; *) echo yes;; esac"""
    search_path = docker_that(tmp_path / "bin", script)
    done = run_launcher(project, "start", PATH=search_path, LOG_LEVEL="", LLM_MODEL="off")
    assert "Not all packages could be installed" in done.stderr
    told = (tmp_path / "told").read_text().splitlines()
    assert "LLM_MODEL=off" in told
    assert "LOG_LEVEL=" not in told
    monkeypatch.setenv("PATH", search_path)
    app, *_ = launcher.container_apps()
    assert (app.url, app.environment["OPERATOR_TOKEN"]) == (f"http://127.0.0.1:{app.port}", "a$b")


def run_launcher(project: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a copy's launcher as its script does, where no Docker answers unless ``PATH`` leads to one."""
    command = [sys.executable, str(project / "launcher.py"), *arguments]
    given = {"PATH": str(project), **environment}
    return subprocess.run(command, env=given, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    "line", ["SERVER_PORT=5215 # because of AirPlay", "\ufeffSERVER_PORT=5215", "export server_port='5215'"]
)
def test_the_launcher_and_the_apps_read_one_value(project: Path, line: str) -> None:
    (project / ".env").write_text(f"{line}\r\n", encoding="utf-8")
    code = (
        "import launcher; from config import env_file, settings;"
        "server, *_ = launcher.local_apps();"
        "print(server.port, env_file.given()['SERVER_PORT'], settings.SystemSettings().server_port)"
    )
    command = [str(project / ".venv" / "bin" / "python"), "-c", code]
    done = subprocess.run(command, cwd=project, env={}, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["5215"] * 3


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("SERVER_PUBLIC_URL=hads.example", "The settings cannot be used: SERVER_PUBLIC_URL must be an http:// or"),
        ("MODEL_N_ESTIMATORS=1", "The settings cannot be used: MODEL_N_ESTIMATORS must be 50 or more"),
        ("LLM_MODEL=M\udcfcller", r"The settings cannot be used: .*\.env is not UTF-8 text"),
        ("DATABASE_URL=postgresql://database/record", "With PostgreSQL every .* run python3 launcher.py secrets"),
    ],
)
def test_settings_that_cannot_be_used_are_a_sentence_and_nothing_is_made_up(
    project: Path, line: str, said: str
) -> None:
    file, content = project / ".env", line.encode(errors="surrogateescape")
    file.write_bytes(content)
    done = run_launcher(project, "start", "--local")
    assert (done.returncode, done.stdout, file.read_bytes()) == (1, "", content)
    assert re.match(f"\n{said}", done.stderr)
    file.unlink()


def test_what_several_servers_need_is_written_once_and_nothing_that_is_given(project: Path) -> None:
    file = project / ".env"
    before = "\ufeffCLIENT_1_TOKEN=a\nexport operator_token='b'\n#CLIENT_2_TOKEN=c\nSERVER_SECRET_KEY="
    file.write_text(before)
    first, second = run_launcher(project, "secrets"), run_launcher(project, "secrets")
    text, mode = file.read_text(), file.stat().st_mode & 0o777
    file.unlink()
    assert (text.startswith(before), mode) == (True, 0o600)
    added = {*secret_names(CLIENT_IDS), "POSTGRES_PASSWORD"} - {"CLIENT_1_TOKEN", "OPERATOR_TOKEN"}
    assert {line.partition("=")[0] for line in text.splitlines()[4:]} == added
    assert first.stdout.count(",") == len(added) - 1
    assert second.stdout == f"Added to {file}: nothing\n"


@pytest.mark.full
def test_the_virtual_environment_of_a_copied_project_is_made_anew(tmp_path: Path) -> None:
    set_up(project := copy_project(tmp_path / "project"))
    (stamp,) = (project / ".venv").glob("installed-*.txt")
    stamp.rename(stamp.with_name("installed-elsewhere.txt"))
    settings = {"HTTPS_PROXY": "http://127.0.0.1:1", "PIP_RETRIES": "0", "PIP_USER": "1"}
    done = run_launcher(project, "start", "--local", **settings)
    assert done.stdout.startswith("Creating the virtual environment .venv.")
    assert "Not all packages could be installed; see the message above" in done.stderr
    assert "'--user' install" not in done.stderr  # which pip refuses in a virtual environment
    assert not stamp.exists()


@pytest.mark.full
def test_a_virtual_environment_whose_making_was_interrupted_is_made_anew_or_given_pip(tmp_path: Path) -> None:
    set_up(project := copy_project(tmp_path / "project"))
    venv, offline = project / ".venv", {"HTTPS_PROXY": "http://127.0.0.1:1", "PIP_RETRIES": "0"}
    for file in (*venv.glob("installed-*.txt"), *venv.glob("lib/python*/site-packages/installation.pth")):
        file.unlink()
    done = run_launcher(project, "start", "--local", **offline)
    assert done.stdout.startswith("Installing the packages.")
    assert "Not all packages could be installed" in done.stderr
    assert "No module named pip" not in done.stderr
    (venv / "pyvenv.cfg").unlink()
    assert run_launcher(project, "start", "--local", **offline).stdout.startswith("Creating the virtual environment")


@pytest.mark.full
def test_a_virtual_environment_that_was_made_by_hand_keeps_what_is_in_it(tmp_path: Path) -> None:
    set_up(project := copy_project(tmp_path / "project"))
    (stamp,) = (project / ".venv").glob("installed-*.txt")
    stamp.unlink()
    done = run_launcher(project, "start", "--local", HTTPS_PROXY="http://127.0.0.1:1", PIP_RETRIES="0")
    assert done.stdout.startswith("Installing the packages.")


def test_an_old_python_can_read_the_launcher_far_enough_to_say_that_it_is_old() -> None:
    ast.parse((PROJECT_ROOT / "launcher.py").read_text(encoding="utf-8"), feature_version=(3, 7))


def test_until_there_is_a_virtual_environment_the_launcher_needs_nothing_that_is_installed() -> None:
    seen = f"import sys; sys.path.insert(0, {str(PROJECT_ROOT)!r}); import launcher; print('pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-S", "-c", seen], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
