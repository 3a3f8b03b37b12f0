"""Start, stop and test the system; standard library only, because it runs before anything is installed."""

import sys

if not (3, 11) <= sys.version_info < (3, 14):
    sys.exit("Python 3.11, 3.12 or 3.13 is needed, and this is another one: https://www.python.org/downloads/")

import argparse
import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.access.roles import sign_in_link
from common.addresses import becomes_free, in_url, is_ready
from config.secrets import (
    ENV_FILE,
    PROJECT_ROOT,
    complete_env_file,
    env_prefix,
    given_settings,
    secret_names,
    setting_names,
    settings_fingerprint,
)

ON_WINDOWS = os.name == "nt"
VENV = PROJECT_ROOT / ".venv"
STAMP = VENV / "installed.txt"
HERE = hashlib.sha256(str(PROJECT_ROOT).encode()).hexdigest()
LOCAL = PROJECT_ROOT / ".local"
SERVER_LOCK = PROJECT_ROOT / "server" / "requirements.txt"
COMPLETE_LOCK = PROJECT_ROOT / "requirements.txt"
NPM_LOCK = PROJECT_ROOT / "common" / "ui" / "npm-requirements.txt"
CLIENT_IDS = ("Client-1", "Client-2", "Client-3")
LOCAL_SECONDS, DOCKER_SECONDS, STOP_SECONDS = 60, 600, 15
SHOWN_LOG_LINES = 20
RESTARTS_BORNE = 3
SILENCE_SECONDS = 10
DETACHED = getattr(subprocess, "DETACHED_PROCESS", 0) | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)


class LaunchError(Exception):
    """Something keeps the system from starting or stopping; the message says what to do."""


@dataclass(frozen=True)
class App:
    """One of the four processes: where it listens, where people reach it, and the settings it is told and finds."""

    name: str
    host: str
    port: int
    links: Mapping[str, str]
    environment: Mapping[str, str]
    fingerprint: str = ""

    @property
    def program(self) -> Path:
        return PROJECT_ROOT / self.name.partition("-")[0] / "app.py"

    @property
    def log(self) -> Path:
        return LOCAL / "logs" / f"{self.name}.log"

    @property
    def pid_file(self) -> Path:
        return LOCAL / "run" / f"{self.name}.pid"


def main(arguments: Sequence[str]) -> int:
    """Run one command; return the exit code."""
    parser = argparse.ArgumentParser(description="Start, stop or test the heart-attack anomaly detection system.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("start", allow_abbrev=False).add_argument(
        "--local", action="store_true", help="without Docker, even if it is here"
    )
    commands.add_parser("stop")
    commands.add_parser("test", add_help=False)
    options, rest = parser.parse_known_args(arguments)
    if rest and options.command != "test":
        parser.error(f"unknown argument: {rest[0]}")
    for name in [*setting_names(), *secret_names(CLIENT_IDS)]:
        if os.environ.get(name) == "":
            del os.environ[name]  # Docker Compose would let it overrule .env
    work: dict[str, Callable[[], None]]
    work = {"start": lambda: start(local=options.local), "stop": stop, "test": lambda: test(rest)}
    try:
        work[options.command]()
    except LaunchError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except (OSError, UnicodeError) as error:
        reason = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else f"{ENV_FILE} is no UTF-8 text"
        print(f"\nA file cannot be used ({reason}). Mend that, and try again.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. What already runs keeps running: the stop script ends it.", file=sys.stderr)
        return 130
    return 0


def start(*, local: bool) -> None:
    """Bring up whatever of the four is not running, wait until all are ready, and print the links to sign in."""
    complete_env_file(ENV_FILE, secret_names(CLIENT_IDS))
    settings = given_settings(ENV_FILE, os.environ)
    apps = read_apps(settings)
    warn_about_token(settings)
    if local or any(is_running(app) for app in apps):
        start_locally(apps)
    elif has_docker():
        start_in_docker(apps)
    else:
        print("No Docker engine answers, so the system runs from a virtual environment in .venv.", flush=True)
        start_locally(apps)
    print_links(apps)


def stop() -> None:
    """Stop the processes and the containers of the system, whichever there are."""
    running = [app for app in read_apps(given_settings(ENV_FILE, os.environ)) if is_running(app)]
    end_processes(running)
    containers = compose_containers() if has_docker() else []
    if containers:
        run(["docker", "compose", "down"], "Docker could not stop the containers; what it said stands above.")
    print("Stopped." if running or containers else "Nothing was running.")


def test(arguments: Sequence[str]) -> None:
    """Install what the tests need, then run every check in turn (``tests/__main__.py``)."""
    python = prepare_environment(COMPLETE_LOCK)
    run([python, "-m", "tests", *arguments], "Not every check passed.")


def read_apps(settings: Mapping[str, str]) -> list[App]:
    """Return the server and the three client apps as the settings want them.

    Raises
    ------
    LaunchError
        When a port is no port number, or two apps share one.
    """
    server = make_app("server", 5000, settings, {})
    apps = [server]
    for number, client_id in enumerate(CLIENT_IDS, start=1):
        extra = {"CLIENT_ID": client_id, "SERVER_URL": f"http://{in_url(server.host)}:{server.port}"}
        apps.append(make_app(client_id.lower(), 5000 + number, settings, extra))
    if len({app.port for app in apps}) < len(apps):
        names = ", ".join(f"{env_prefix(app.name)}_PORT" for app in apps)
        raise LaunchError(f"Each app needs a port of its own: {names} in .env.")
    return apps


def make_app(name: str, default_port: int, settings: Mapping[str, str], extra: Mapping[str, str]) -> App:
    prefix = env_prefix(name)
    host = settings.get("BIND_ADDRESS", "127.0.0.1").strip("[]")
    port = read_port(settings, f"{prefix}_PORT", default_port)
    url = settings.get(f"{prefix}_PUBLIC_URL", f"http://{in_url(host)}:{port}").rstrip("/")
    # The client apps and the launcher reach the apps by these names, whatever else is allowed.
    allowed = f"{settings.get('ALLOWED_HOSTS', 'localhost,[::1]')},127.0.0.1,{in_url(host)}"
    secrets = {"Operators' dashboard": "OPERATOR_TOKEN", "The same, administrator": "ADMINISTRATOR_TOKEN"}
    if name != "server":
        secrets = {f"Clinic desk, {extra['CLIENT_ID']}": f"{prefix}_CLINICIAN_TOKEN"}
    # told, so that the app prints no link to its log
    tokens = {secret: settings[secret] for secret in secrets.values() if secret in settings}
    environment = {"HOST": host, "PORT": str(port), "PUBLIC_URL": url, "ALLOWED_HOSTS": allowed, **tokens, **extra}
    links = {title: sign_in_link(url, settings.get(secret, "")) for title, secret in secrets.items()}
    fingerprint = settings_fingerprint({**settings, **environment}, [*secret_names(CLIENT_IDS), *environment])
    return App(name, host, port, links, environment, fingerprint)


def read_port(settings: Mapping[str, str], name: str, default: int) -> int:
    value = settings.get(name, str(default))
    if not (value.isdecimal() and 1 <= int(value) <= 65535):  # noqa: PLR2004 - the last TCP port
        raise LaunchError(f"{name} in .env must be a port number from 1 to 65535.")
    return int(value)


def warn_about_token(settings: Mapping[str, str]) -> None:
    token = settings.get("HUGGINGFACE_API_TOKEN", "")
    if token and not token.startswith("hf_") and "LLM_BASE_URL" not in settings:
        print("HUGGINGFACE_API_TOKEN in .env does not look like a Hugging Face token (they begin with hf_).")
        print("The system starts all the same; without a valid one, explanations come from its own text alone.")


def print_links(apps: Iterable[App]) -> None:
    print("\nThe system runs. Each link signs you in; whoever has it can, too:\n")
    for app in apps:
        for title, link in app.links.items():
            print(f"  {title:<23} {link}")
    print(f"\nTo stop it: {'stop_system.bat' if ON_WINDOWS else './stop_system.sh'}")


def has_docker() -> bool:
    """Tell whether a Docker engine answers and Compose v2 is there."""
    return all(
        output(["docker", *question]) for question in (["version", "-f", "{{.Server.Version}}"], ["compose", "version"])
    )


def compose_containers() -> list[str]:
    return output(["docker", "compose", "ps", "-aq"]).split()


def start_in_docker(apps: Sequence[App]) -> None:
    running = output(["docker", "compose", "ps", "--services", "--status", "running"]).split()
    for app in apps:
        if app.name not in running:
            require_free_port(app)
    print("Building the images; the first time this takes a few minutes.", flush=True)
    run(["docker", "compose", "build"], no_network("The images could not be built"))
    run(["docker", "compose", "up", "-d"], "Docker could not start the containers; what it said stands above.")
    print("Waiting until all four are ready; on its first start the server trains its model.", flush=True)
    wait_until_ready(apps, container_failure, seconds=DOCKER_SECONDS, pause=2)


def container_failure(app: App) -> str | None:
    """Say why a container will not become ready, or ``None`` while it still may, or the engine is slow to tell."""
    container = output(["docker", "compose", "ps", "-aq", app.name]).strip()
    state = output(["docker", "inspect", "-f", "{{.State.Status}} {{.RestartCount}}", container]).split()
    if not state or (state[0] in {"created", "running", "restarting"} and int(state[1]) < RESTARTS_BORNE):
        return None
    lines = output(["docker", "compose", "logs", "--no-log-prefix", "--tail", str(SHOWN_LOG_LINES), app.name])
    return f"The container {app.name} does not start. Its last log lines:\n\n{lines}"


def start_locally(apps: Sequence[App]) -> None:
    if has_docker() and compose_containers():
        raise LaunchError("The system runs in Docker already. Stop it first with ./stop_system.sh.")
    changed = [app for app in apps if is_running(app) and started(app)[1] != app.fingerprint]
    if changed:
        print(f"Settings have changed, so these start anew: {', '.join(app.name for app in changed)}.", flush=True)
        end_processes(changed)
    missing = [app for app in apps if not is_running(app)]
    for app in missing:
        require_free_port(app)
    python = prepare_environment(SERVER_LOCK) if missing else ""
    for app in missing:
        launch(app, python)
    wait_until_ready(apps, process_failure, seconds=LOCAL_SECONDS, pause=0.2)


def require_free_port(app: App) -> None:
    """Raise ``LaunchError`` when another program has the port."""
    try:
        if becomes_free(app.host, app.port):
            return
    except OSError as error:
        raise LaunchError(f"BIND_ADDRESS={app.host} in .env cannot be used here: {error.strerror}.") from error
    airplay = ""
    if sys.platform == "darwin" and app.port == 5000:  # noqa: PLR2004 - AirPlay's port
        airplay = " On a Mac it is AirPlay Receiver's (System Settings, General, AirDrop & Handoff)."
    raise LaunchError(
        f"Port {app.port}, which {app.name} needs, is in use by another program.{airplay} "
        f"End that program, or write another port into .env, say "
        f"{env_prefix(app.name)}_PORT={app.port + 1000}, and start again."
    )


def prepare_environment(lock: Path) -> str:
    """Make ``.venv`` and ``node_modules`` hold what the locks say, and a model; return the path of its Python."""
    python = tool("python")
    usable = output([python, "-c", "import sys; print('yes' * ((3, 11) <= sys.version_info < (3, 14)))"]).strip()
    done = read_stamp(STAMP)
    if not usable or (done and HERE not in done):  # that of a copied project runs the original's code
        print("Making the virtual environment .venv.", flush=True)
        advice = "On Debian and Ubuntu install the package python3-venv and start again."
        failure = f"The virtual environment could not be made. {advice}"
        run([sys.executable, "-m", "venv", "--clear", str(VENV)], failure)
    install_python_packages(python, lock)
    install_browser_libraries(python)
    train_if_needed(python)
    return python


def tool(name: str) -> str:
    """Return the path of a program in ``.venv``."""
    return str(VENV / "Scripts" / f"{name}.exe") if ON_WINDOWS else str(VENV / "bin" / name)


def install_python_packages(python: str, lock: Path) -> None:
    wanted = {HERE, fingerprint(lock), fingerprint(SERVER_LOCK)}  # the complete lock holds the server's
    if wanted <= read_stamp(STAMP):
        return
    print("Installing the Python packages: about 200 MB the first time, which takes a minute or more.", flush=True)
    failure = no_network("The Python packages could not be installed")
    install(python, ["--require-hashes", "-r", str(lock)], failure)
    install(python, ["--no-deps", "-e", str(PROJECT_ROOT)], failure)
    STAMP.write_text("\n".join(wanted), encoding="ascii")


def install_browser_libraries(python: str) -> None:
    stamp = PROJECT_ROOT / "node_modules" / ".installed"
    wanted = fingerprint(PROJECT_ROOT / "package-lock.json")
    if wanted in read_stamp(stamp):
        return
    print("Installing the browser libraries.", flush=True)
    failure = no_network("The browser libraries could not be installed")
    npm = shutil.which("npm")
    if npm is None or not output([npm, "--version"]):
        install(python, ["--require-hashes", "-r", str(NPM_LOCK)], f"There is no npm here. {failure}")
        npm = tool("npm")
    run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], failure)
    stamp.write_text(wanted, encoding="ascii")


def install(python: str, what: Sequence[str], failure: str) -> None:
    os.environ["PIP_USER"] = "0"  # which pip refuses in a virtual environment
    run([python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--quiet", *what], failure)


def read_stamp(stamp: Path) -> set[str]:
    """Return the fingerprints of the locks that are installed, none where the file is missing."""
    return set(stamp.read_text(encoding="ascii", errors="replace").split()) if stamp.exists() else set()


def no_network(what: str) -> str:
    return (
        f"{what}; the reason stands above. The usual one is that this machine has no network: connect it, or set "
        "HTTPS_PROXY if it needs a proxy, and start again."
    )


def fingerprint(lock: Path) -> str:
    """Return the SHA-256 of a lock and of the file it was made from."""
    return hashlib.sha256(lock.read_bytes() + (PROJECT_ROOT / "pyproject.toml").read_bytes()).hexdigest()


def train_if_needed(python: str) -> None:
    run([python, "train_model.py", "--if-needed"], "There is no usable model; the reason stands above.")


def launch(app: App, python: str) -> "subprocess.Popen[bytes]":
    """Start one app in a session of its own, so that it outlives this program and its terminal."""
    for folder in (LOCAL, app.log.parent, app.pid_file.parent):
        folder.mkdir(mode=0o700, exist_ok=True)
    app.pid_file.write_text("", encoding="ascii")  # while nothing runs yet that a locked file would leave without one
    if app.log.exists():
        app.log.replace(app.log.with_suffix(".log.1"))
    with os.fdopen(os.open(app.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
        process = subprocess.Popen(
            [python, str(app.program)],
            cwd=app.program.parent,
            env=os.environ | app.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            creationflags=DETACHED,
        )
    app.pid_file.write_text(f"{process.pid}\n{app.fingerprint}\n", encoding="ascii")
    while process.poll() is None and not is_running(app):
        time.sleep(0.01)  # a process that was made just now has no command line for a moment
    return process


def wait_until_ready(
    apps: Sequence[App], failure: Callable[[App], str | None], *, seconds: float, pause: float
) -> None:
    """Wait until every app is ready, saying which one is.

    Raises
    ------
    LaunchError
        When ``failure`` says why one will not be, or after ``seconds``.
    """
    began = told = time.monotonic()
    waiting = list(apps)
    while True:
        for app in [app for app in waiting if is_ready(app.host, app.port)]:
            print(f"  {app.name} is ready", flush=True)
            waiting.remove(app)
        if not waiting:
            return
        now = time.monotonic()
        names = ", ".join(app.name for app in waiting)
        reason = next(filter(None, map(failure, waiting)), None)
        if reason or now - began > seconds:
            raise LaunchError(reason or f"Not ready after {seconds:.0f} seconds: {names}.")
        if now - told > SILENCE_SECONDS:
            told = now
            print(f"  waiting for {names} ({now - began:.0f} s)", flush=True)
        time.sleep(pause)


def process_failure(app: App) -> str | None:
    """Say why a process will not become ready, or ``None`` while it still may."""
    if is_running(app):
        return None
    lines = app.log.read_text(encoding="utf-8", errors="replace").splitlines()[-SHOWN_LOG_LINES:]
    return "\n".join([f"{app.name} ended. The last lines of its log, {app.log}:", "", *lines])


def is_running(app: App) -> bool:
    return app.pid_file.exists() and str(app.program) in command_line(started(app)[0])


def started(app: App) -> tuple[int, str]:
    """Return the process id that an app was started with, and the fingerprint of its settings; 0 if unknown."""
    pid, fingerprint, *_ = [*app.pid_file.read_text(encoding="ascii", errors="replace").split(), "", ""]
    return int(pid) if pid.isdecimal() else 0, fingerprint


def command_line(pid: int) -> str:
    """Return the command line of a process, empty if it ended: a process id may belong to another program by now."""
    if ON_WINDOWS:
        query = f"(Get-CimInstance Win32_Process -Filter 'ProcessId={pid}').CommandLine"
        return output(["powershell", "-NoProfile", "-Command", query])
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):  # it ended, or this is a Mac
        return output(["ps", "-ww", "-o", "command=", "-p", str(pid)])


def end_processes(apps: Sequence[App], seconds: float = STOP_SECONDS) -> None:
    """Ask the processes to end, and end those that do not within the bounded wait."""
    for app in apps:
        send_signal(app, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    for app in apps:
        while is_running(app) and time.monotonic() < deadline:
            time.sleep(0.1)
        if is_running(app) and not ON_WINDOWS:
            print(f"{app.name} did not end within {seconds:g} seconds and was ended by force.")
            send_signal(app, signal.SIGKILL)
        app.pid_file.unlink()


def send_signal(app: App, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it ended by itself meanwhile
        os.kill(started(app)[0], number)


def run(command: Sequence[str], failure: str) -> None:
    """Run a command in the project's folder, its output shown; raise ``LaunchError(failure)`` if it fails."""
    try:
        subprocess.run(command, cwd=PROJECT_ROOT, stdin=subprocess.DEVNULL, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = f"{command[0]} could not be run: {error.strerror}. " if isinstance(error, OSError) else ""
        raise LaunchError(f"{reason}{failure}") from error


def output(command: Sequence[str]) -> str:
    """Return what a command prints; empty if it is missing, fails, or takes longer than 30 seconds."""
    try:
        done = subprocess.run(
            command, cwd=PROJECT_ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
