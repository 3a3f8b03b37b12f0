"""The launcher: what it reads, what it refuses with a sentence, and whom it ends."""

import ast
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import launcher
from config.secrets import PROJECT_ROOT
from launcher import App, LaunchError
from tests.support.model_versions import truncate

ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - given to the launcher, not bound


def make_app(name: str = "client-test", port: int = 1, **environment: str) -> App:
    return App(name, "127.0.0.1", port, {"Here": f"http://127.0.0.1:{port}"}, environment)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def app() -> Iterator[App]:
    """An app under a name no system uses, whose files are gone afterwards."""
    app = make_app(port=free_port())
    for folder in (launcher.LOCAL, app.log.parent, app.pid_file.parent):
        folder.mkdir(mode=0o700, exist_ok=True)
    yield app
    for file in (app.pid_file, app.log, app.log.with_suffix(".log.1")):
        file.unlink(missing_ok=True)


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def run_as(app: App, code: str) -> "subprocess.Popen[str]":
    """Start a process that carries the app's program in its command line and says when it runs."""
    command = [sys.executable, "-c", code, str(app.program)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "runs\n"
    app.pid_file.write_text(str(process.pid))
    return process


WAITS = "import sys; print('runs', flush=True); sys.stdin.read()"
IGNORES_SIGTERM = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('runs', flush=True);"
    "[signal.pause() for _ in iter(int, 1)]"
)
ENDS_ON_SIGTERM = "import signal; print('runs', flush=True); signal.pause()"


def test_without_settings_the_four_apps_have_their_usual_ports() -> None:
    apps = launcher.read_apps({})
    assert [(app.name, app.port) for app in apps] == [
        ("server", 5000),
        ("client-1", 5001),
        ("client-2", 5002),
        ("client-3", 5003),
    ]


def test_the_client_apps_are_told_where_the_server_is() -> None:
    _, *clients = launcher.read_apps({"SERVER_PORT": "6000"})
    assert {app.environment["SERVER_URL"] for app in clients} == {"http://127.0.0.1:6000"}
    assert [app.environment["CLIENT_ID"] for app in clients] == ["Client-1", "Client-2", "Client-3"]


def test_a_link_uses_the_public_address_where_there_is_one() -> None:
    server, client, *_ = launcher.read_apps({"SERVER_PUBLIC_URL": "https://hads.example/", "CLIENT_1_PORT": "7001"})
    assert all(link.startswith("https://hads.example/sign-in#token=") for link in server.links.values())
    assert all(link.startswith("http://127.0.0.1:7001/sign-in#token=") for link in client.links.values())


def test_open_to_all_addresses_the_apps_still_reach_each_other_on_this_machine() -> None:
    server, client, *_ = launcher.read_apps({"BIND_ADDRESS": ANY_ADDRESS, "ALLOWED_HOSTS": "desk.example"})
    assert server.environment["HOST"] == ANY_ADDRESS
    assert server.environment["ALLOWED_HOSTS"].split(",")[:2] == ["desk.example", "127.0.0.1"]
    assert client.environment["SERVER_URL"] == "http://127.0.0.1:5000"


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1"])
def test_what_is_no_port_number_is_refused_by_name(port: str) -> None:
    with pytest.raises(LaunchError, match=r"CLIENT_2_PORT in \.env must be a port number"):
        launcher.read_apps({"CLIENT_2_PORT": port})


def test_two_apps_cannot_share_a_port() -> None:
    with pytest.raises(LaunchError, match="a port of its own"):
        launcher.read_apps({"CLIENT_2_PORT": "5000"})


def test_a_link_holds_the_token_of_its_own_app_and_its_process_is_told_no_other() -> None:
    tokens = {
        "OPERATOR_TOKEN": "operator",
        "ADMINISTRATOR_TOKEN": "administrator",
        "CLIENT_1_CLINICIAN_TOKEN": "one",
        "CLIENT_2_CLINICIAN_TOKEN": "two",
        "CLIENT_3_CLINICIAN_TOKEN": "three",
    }
    apps = launcher.read_apps(tokens)
    links = [link for app in apps for link in app.links.values()]
    assert [link.partition("#token=")[2] for link in links] == list(tokens.values())
    told = [{*tokens} & {*app.environment} for app in apps]
    operators, administrators, *clinicians = tokens
    assert told == [{operators, administrators}, *({name} for name in clinicians)]


@pytest.mark.parametrize("bind_address", ["::", "[::]", "::1"])
def test_an_ipv6_address_stands_in_brackets_in_every_address(bind_address: str) -> None:
    server, client, *_ = launcher.read_apps({"BIND_ADDRESS": bind_address})
    assert server.environment["HOST"] == bind_address.strip("[]")
    assert all(link.startswith("http://[::1]:5000/sign-in#token=") for link in server.links.values())
    assert client.environment["SERVER_URL"] == "http://[::1]:5000"
    assert client.environment["ALLOWED_HOSTS"].endswith(",127.0.0.1,[::1]")


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("host", ["::", "::1"])
def test_a_port_in_use_on_ipv6_is_noticed(host: str) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(LaunchError, match=f"Port {port}"):
            launcher.require_free_port(App("client-test", host, port, {}, {}))
    launcher.require_free_port(App("client-test", host, port, {}, {}))


def test_an_address_this_machine_does_not_have_is_refused_by_name() -> None:
    with pytest.raises(LaunchError, match=r"BIND_ADDRESS=192\.0\.2\.1 in \.env cannot be used here"):
        launcher.require_free_port(App("client-test", "192.0.2.1", free_port(), {}, {}))


@pytest.mark.parametrize("name", ["HUGGINGFACE_API_TOKEN", "OPERATOR_TOKEN", "LOG_LEVEL", "SERVER_PORT"])
def test_a_changed_setting_changes_what_the_server_is_known_by(name: str) -> None:
    one, other = (launcher.read_apps({name: value})[0].fingerprint for value in ("5100", "5200"))
    assert one != other


def test_what_is_no_setting_leaves_the_apps_alone() -> None:
    assert launcher.read_apps({"SHLVL": "1"}) == launcher.read_apps({"SHLVL": "2"})


def test_a_started_app_is_known_by_the_settings_it_was_started_with(app: App) -> None:
    process = launcher.launch(replace(app, environment={"PORT": "no port"}, fingerprint="one"), sys.executable)
    assert launcher.started(app) == (process.pid, "one")
    process.wait(timeout=30)


def test_a_port_in_use_is_refused_with_the_setting_that_helps() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(LaunchError, match=rf"Port {port}, which client-test needs.*CLIENT_TEST_PORT=\d+"):
            launcher.require_free_port(make_app(port=port))


def test_a_free_port_is_taken() -> None:
    launcher.require_free_port(make_app(port=free_port()))


@pytest.mark.parametrize(
    ("settings", "warned"),
    [
        ({"HUGGINGFACE_API_TOKEN": "secret"}, True),
        ({"HUGGINGFACE_API_TOKEN": "hf_secret"}, False),
        ({"HUGGINGFACE_API_TOKEN": "secret", "LLM_BASE_URL": "http://127.0.0.1:1"}, False),
        ({}, False),
    ],
)
def test_a_token_that_does_not_look_like_one_is_warned_of(
    settings: dict[str, str], warned: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    launcher.warn_about_token(settings)
    said = capsys.readouterr().out
    assert ("does not look like a Hugging Face token" in said) == warned
    assert "secret" not in said


def test_a_pid_that_belongs_to_another_program_is_not_ours(app: App) -> None:
    with subprocess.Popen([sys.executable, "-c", WAITS], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        app.pid_file.write_text(str(other.pid))
        assert not launcher.is_running(app)
        other.kill()


def test_a_process_that_ended_is_not_running(app: App) -> None:
    process = run_as(app, ENDS_ON_SIGTERM)
    assert launcher.is_running(app)
    process.kill()
    process.communicate()
    assert not launcher.is_running(app)


def test_a_process_is_asked_to_end(app: App) -> None:
    process = run_as(app, ENDS_ON_SIGTERM)
    launcher.end_processes([app])
    process.communicate()
    assert process.returncode == -15
    assert not app.pid_file.exists()


def test_a_process_that_will_not_end_is_ended_by_force(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    process = run_as(app, IGNORES_SIGTERM)
    launcher.end_processes([app], seconds=0.2)
    process.communicate()
    assert process.returncode == -9
    assert "client-test did not end within 0.2 seconds and was ended by force." in capsys.readouterr().out


def test_a_process_that_fails_is_reported_with_its_last_log_lines(app: App) -> None:
    failing = make_app(app.name, app.port, PORT="no port")
    process = launcher.launch(failing, sys.executable)
    with pytest.raises(LaunchError, match=r"client-test ended.*client-test\.log:\n\nThe settings cannot be used: PORT"):
        launcher.wait_until_ready([failing], launcher.process_failure, seconds=30, pause=0.05)
    assert process.wait(timeout=30) == 2


def test_the_log_is_for_the_owner_alone_and_the_last_one_is_kept(app: App) -> None:
    app.log.write_text("the run before")
    launcher.launch(make_app(app.name, app.port, PORT="no port"), sys.executable).wait(timeout=30)
    assert app.log.stat().st_mode & 0o777 == 0o600
    assert app.log.with_suffix(".log.1").read_text() == "the run before"


class Ready(BaseHTTPRequestHandler):
    """Answers as a ready app does."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


def test_waiting_ends_when_every_app_is_ready(capsys: pytest.CaptureFixture[str]) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Ready) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        app = make_app(port=server.server_port)
        launcher.wait_until_ready([app], lambda _: "not asked", seconds=5, pause=0.05)
        server.shutdown()
    assert "client-test is ready" in capsys.readouterr().out


def test_waiting_is_bounded_and_says_for_whom() -> None:
    with pytest.raises(LaunchError, match=r"Not ready after 0 seconds: client-test\."):
        launcher.wait_until_ready([make_app(port=free_port())], lambda _: None, seconds=0, pause=0.05)


def test_a_command_that_fails_ends_in_the_given_sentence() -> None:
    with pytest.raises(LaunchError, match="Do this instead"):
        launcher.run([sys.executable, "-c", "raise SystemExit(3)"], "Do this instead.")
    with pytest.raises(LaunchError, match=r"no-such-program could not be run: .*Do this instead"):
        launcher.run(["no-such-program"], "Do this instead.")


def test_a_start_takes_the_model_there_is_and_ends_in_a_sentence_where_it_is_damaged(
    detector_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    models = Path(shutil.copytree(detector_dir, tmp_path / "models"))
    monkeypatch.setenv("MODEL_DIR", str(models))
    launcher.train_if_needed(sys.executable)
    assert " is ready.\n" in capfd.readouterr().out
    for damaged in models.rglob("isolation_forest.pkl"):
        truncate(damaged)
    with pytest.raises(LaunchError, match="There is no usable model; the reason stands above"):
        launcher.train_if_needed(sys.executable)
    assert "isolation_forest.pkl is not the file that was written" in capfd.readouterr().err


def test_an_error_of_the_launcher_is_one_sentence_and_exit_code_1(tmp_path: Path) -> None:
    done = run_launcher("stop", SERVER_PORT="no port")
    assert done.returncode == 1
    assert done.stderr.strip() == "SERVER_PORT in .env must be a port number from 1 to 65535."


def test_an_unknown_argument_is_refused() -> None:
    done = run_launcher("start", "--loca")
    assert done.returncode == 2


def run_launcher(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(PROJECT_ROOT / "launcher.py"), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_an_old_python_can_read_the_launcher_far_enough_to_say_that_it_is_old() -> None:
    ast.parse((PROJECT_ROOT / "launcher.py").read_text(encoding="utf-8"), feature_version=(3, 7))


def test_the_launcher_needs_nothing_that_is_installed() -> None:
    seen = f"import sys; sys.path.insert(0, {str(PROJECT_ROOT)!r}); import launcher; print('pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-S", "-c", seen], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("name", ["start_system", "stop_system", "run_tests"])
def test_without_a_fitting_python_a_script_says_what_is_needed(name: str, tmp_path: Path) -> None:
    (tmp_path / "dirname").symlink_to("/usr/bin/dirname")
    script = PROJECT_ROOT / f"{name}.sh"
    done = subprocess.run(
        ["/bin/sh", script], env={"PATH": str(tmp_path)}, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "Python 3.11, 3.12 or 3.13 is needed" in done.stderr


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("start_system", "launcher.py start"),
        ("stop_system", "launcher.py stop"),
        ("run_tests", "launcher.py test"),
    ],
)
def test_shell_and_batch_script_call_the_same_command(name: str, command: str) -> None:
    for suffix in (".sh", ".bat"):
        script = PROJECT_ROOT / f"{name}{suffix}"
        assert f"{command} " in script.read_text(encoding="ascii")
    assert (PROJECT_ROOT / f"{name}.sh").stat().st_mode & 0o111


@pytest.mark.parametrize("suffix", [".sh", ".bat"])
def test_the_start_script_names_the_way_without_python(suffix: str) -> None:
    assert "docker compose up --build" in (PROJECT_ROOT / f"start_system{suffix}").read_text(encoding="ascii")


@pytest.mark.parametrize(("suffix", "line_end"), [(".sh", b"\n"), (".bat", b"\r\n")])
def test_every_script_has_the_line_ends_its_system_needs(suffix: str, line_end: bytes) -> None:
    for script in PROJECT_ROOT.glob(f"*{suffix}"):
        lines = script.read_bytes().splitlines(keepends=True)
        assert {line[len(line.rstrip(b"\r\n")) :] for line in lines} == {line_end}
