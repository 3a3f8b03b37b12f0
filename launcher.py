"""Start, stop and test the system; standard library only until ``.venv`` exists, then it goes on inside it."""

import sys

if not (3, 11) <= sys.version_info < (3, 14):
    sys.exit("Python 3.11, 3.12 or 3.13 is needed, and this is another version: https://www.python.org/downloads/")

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from common import background
from common.access.roles import sign_in_link
from common.addresses import becomes_free, is_ready
from common.background import ON_WINDOWS, App, is_running, output
from config import secrets
from config.hosts import in_url, reachable_url
from config.secrets import CLIENT_IDS, ENV_FILE, PROJECT_ROOT, SERVER, env_prefix, secret_names

VENV = PROJECT_ROOT / ".venv"
VENV_MADE = VENV / "pyvenv.cfg"
PROGRAMS = VENV / ("Scripts" if ON_WINDOWS else "bin")
STOP_SCRIPT = "stop_system.bat" if ON_WINDOWS else "./stop_system.sh"
MADE_FOR = hashlib.sha256(f"{PROJECT_ROOT} {sys.version_info[:2]}".encode()).hexdigest()
STAMP = VENV / f"installed-{MADE_FOR[:16]}.txt"  # not in a copied project, whose programs lead to the original
SERVER_LOCK = PROJECT_ROOT / "server" / "requirements.txt"
COMPLETE_LOCK = PROJECT_ROOT / "requirements.txt"
BROWSER_LOCK = PROJECT_ROOT / "package-lock.json"
NPM_LOCK = PROJECT_ROOT / "common" / "ui" / "npm-requirements.txt"
CLIENTS = {client_id.lower(): client_id for client_id in CLIENT_IDS}
NAMES = (SERVER, *CLIENTS)
LOCAL_SECONDS, DOCKER_SECONDS = 60, 600
RESTARTS_BORNE = 3
NOT_INSTALLED = (
    "Not all packages could be installed; see the message above. The usual cause is a missing network: connect this "
    "machine, or set HTTPS_PROXY if it needs a proxy, and start again."
)


class LaunchError(secrets.ConfigurationError):
    """Something keeps the system from starting or stopping; the message says what to do."""


def main(arguments: Sequence[str]) -> None:
    """Run one command; ends the program with a sentence when it cannot be done."""
    commands = {"start": start, "stop": stop, "test": test, "secrets": write_secrets}
    parser = argparse.ArgumentParser(description="Start, stop or test the heart-attack anomaly detection system.")
    parser.add_argument("command", choices=list(commands))
    parser.add_argument("--local", action="store_true", help="start without Docker, even if it is here")
    options, rest = parser.parse_known_args(arguments)
    if rest and options.command != "test":
        parser.error(f"unknown argument: {rest[0]}")
    for name in [name for name, value in os.environ.items() if not value]:
        del os.environ[name]  # an empty setting counts as none; Docker Compose would let it overrule .env
    options.rest = rest
    try:
        commands[options.command](options)
    except secrets.ConfigurationError as error:
        sys.exit(f"\n{error}")
    except OSError as error:
        sys.exit(f"\nA file cannot be used ({error.filename}: {error.strerror}).")
    except KeyboardInterrupt:
        sys.exit("\nInterrupted. Start again to go on, or run the stop script to end what is running already.")


def start(options: argparse.Namespace) -> None:
    """Bring up those of the four that are not running, wait until all are ready, and print the links to sign in."""
    if not options.local and not any(map(is_running, NAMES)):
        if has_docker():
            return start_in_docker()
        print("No Docker engine was found, so the system runs in a virtual environment (.venv).", flush=True)
    return start_locally()


def stop(_: argparse.Namespace) -> None:
    """Stop the processes and the containers of the system, whichever there are."""
    running = [name for name in NAMES if is_running(name)]
    background.end_processes(running)
    # Where processes of this copy ran, it does not matter that another one has containers.
    in_docker = has_docker() and (containers_of() == PROJECT_ROOT if running else has_containers())
    if in_docker:
        run(["docker", "compose", "down"], "Docker could not stop the containers; see its message above.")
    print("Stopped." if running or in_docker else "Nothing was running.")


def test(options: argparse.Namespace) -> None:
    """Install what the tests need, then run every check in turn (``tests/__main__.py``)."""
    prepare_environment(COMPLETE_LOCK)
    train_if_needed()
    run([program("python"), "-m", "tests", *options.rest], "Not every check passed.")


def write_secrets(_: argparse.Namespace) -> None:
    """Write into ``.env`` what it lacks for several servers, which make up no secret of their own."""
    text = ENV_FILE.read_text(encoding="utf-8-sig", errors="replace") if ENV_FILE.exists() else ""
    given = re.findall(r"^\s*(?:EXPORT\s+)?(\w+)\s*=[ \t]*['\"]?[^\s#'\"]", text.upper(), re.M)
    missing = [name for name in (*secret_names(CLIENT_IDS), "POSTGRES_PASSWORD") if name not in given]
    secrets.append_secrets(ENV_FILE, missing)
    print(f"Added to {ENV_FILE}: {', '.join(missing) or 'nothing'}")


def print_links(apps: Sequence[App]) -> None:
    print("\nThe system is running. Anyone who has one of these links can sign in with it:\n")
    for app in apps:
        for title, setting in links(app.name).items():
            print(f"  {title:<23} {sign_in_link(app.url, app.environment[setting])}")
    print(f"\nTo stop it: {STOP_SCRIPT}")


def links(name: str) -> dict[str, str]:
    """Return the built-in links of an app: who signs in, and the setting that holds the token."""
    if name == SERVER:
        return {"Operators' dashboard": "OPERATOR_TOKEN", "As administrator": "ADMINISTRATOR_TOKEN"}
    return {f"Clinic desk, {CLIENTS[name]}": f"{env_prefix(name)}_CLINICIAN_TOKEN"}


def require_free_ports(apps: Sequence[App]) -> None:
    """Check that each app can have its port.

    Raises
    ------
    LaunchError
        When it is another program's, or this machine does not have the address.
    """
    for app in apps:
        try:
            if becomes_free(app.host, app.port):
                continue
        except OSError as error:
            raise LaunchError(f"BIND_ADDRESS={app.host} in .env cannot be used here: {error.strerror}.") from error
        airplay = " (on a Mac, AirPlay Receiver)" if app.port == 5000 else ""  # noqa: PLR2004 - AirPlay's port
        raise LaunchError(
            f"Port {app.port}, which {app.name} needs, is in use by another program{airplay}. End that program, or "
            f"set another port in .env, for example {env_prefix(app.name)}_PORT={app.port + 1000}, and start again."
        )


def has_docker() -> bool:
    """Tell whether a Docker engine answers and Compose v2 is there."""
    return bool(output(["docker", "version", "-f", "{{.Server.Version}}"]) and output(["docker", "compose", "version"]))


def containers_of() -> Path | None:
    """Return the folder of the copy of this project that has containers of these names, ``None`` if none has."""
    containers = output(["docker", "compose", "ps", "-aq"]).split()
    if not containers:
        return None
    label = '{{index .Config.Labels "com.docker.compose.project.working_dir"}}'
    folder = (PROJECT_ROOT / output(["docker", "inspect", "-f", label, containers[0]]).strip()).resolve()
    return folder if folder.is_dir() else PROJECT_ROOT  # one that is gone was moved here


def has_containers() -> bool:
    """Tell whether there are containers of this copy of the project.

    Raises
    ------
    LaunchError
        When another copy of the project, in a folder of its own, has containers of the same names.
    """
    folder = containers_of()
    if folder not in {None, PROJECT_ROOT}:
        raise LaunchError(
            f"The containers of another copy of this project, in {folder}, have the same names. Run its stop script, "
            "or set another name in this copy's .env, for example COMPOSE_PROJECT_NAME=heart-attack-detection-2."
        )
    return folder is not None


def start_in_docker() -> None:
    apps = container_apps()
    if secrets.complete({name: value for app in apps for name, value in app.environment.items()}):
        apps = container_apps()
    has_containers()  # which refuses to touch those of another copy
    running = output(["docker", "compose", "ps", "--services", "--status", "running"]).split()
    require_free_ports([app for app in apps if app.name not in running])
    print("Building the images. The first time, this takes a few minutes.", flush=True)
    run(["docker", "compose", "build"], NOT_INSTALLED)
    run(["docker", "compose", "up", "-d"], "Docker could not start the containers; see its message above.")
    print("Waiting until all four are ready. The first time, training the model takes several minutes.", flush=True)
    wait_until_ready(apps, container_failure, seconds=DOCKER_SECONDS, pause=2)
    print_links(apps)


def container_apps() -> list[App]:
    """Return the four apps as Docker Compose reads its file, ``.env`` and the environment."""
    failure = "Docker Compose cannot use the settings; see its message above. IPv6 needs brackets: [::1]."
    read = json.loads(run(["docker", "compose", "config", "--format", "json"], failure, stdout=subprocess.PIPE))
    apps = []
    for name in NAMES:
        (port,) = read["services"][name]["ports"]
        settings = read["services"][name]["environment"].items()
        environment = {setting: value.replace("$$", "$") for setting, value in settings if value}
        url = reachable_url(environment["PUBLIC_URL"])
        apps.append(App(name, port["host_ip"], int(port["published"]), url, environment))
    return apps


def container_failure(app: App) -> str | None:
    """Say why a container will not become ready, or ``None`` while it still may, or the engine is slow to tell."""
    container = output(["docker", "compose", "ps", "-aq", app.name]).strip()
    state = output(["docker", "inspect", "-f", "{{.State.Status}} {{.RestartCount}}", container]).split()
    if not state or (state[0] in {"created", "running", "restarting"} and int(state[1]) < RESTARTS_BORNE):
        return None
    tail = f"--tail={background.SHOWN_LOG_LINES}"
    lines = output(["docker", "compose", "logs", "--no-log-prefix", tail, app.name])
    return f"The container {app.name} does not start. Its last log lines:\n\n{lines}"


def start_locally() -> None:
    if has_docker() and containers_of() == PROJECT_ROOT:
        raise LaunchError(f"The system is already running in Docker. Stop it first with {STOP_SCRIPT}.")
    if not any(map(is_running, NAMES)):  # nothing is replaced under apps that run
        prepare_environment(SERVER_LOCK)
    go_on_inside("start", "--local")
    apps = local_apps()
    changed = [app.name for app in apps if is_running(app.name) and background.started(app.name)[1] != app.fingerprint]
    if changed:
        print(f"Settings have changed. Restarting: {', '.join(changed)}.", flush=True)
        background.end_processes(changed)
    missing = [app for app in apps if not is_running(app.name)]
    require_free_ports(missing)
    if missing:
        train_if_needed()
    for app in missing:
        background.launch(app)
    wait_until_ready(apps, background.why_ended, seconds=LOCAL_SECONDS, pause=0.2)
    print_links(apps)


def go_on_inside(*arguments: str) -> None:
    """Go on with the Python of ``.venv``, which reads the settings as the apps do; nothing happens if this is it."""
    if Path(sys.prefix).resolve() == VENV.resolve():
        return
    command = [program("python"), str(PROJECT_ROOT / "launcher.py"), *arguments]
    if ON_WINDOWS:  # whose exec gives the terminal back before the program ends
        sys.exit(subprocess.run(command, check=False).returncode)
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


def local_apps() -> list[App]:
    """Return the four apps as ``.env`` and the environment want them.

    Raises
    ------
    LaunchError, ConfigurationError
        When a setting cannot be used, or a server of several lacks a secret.
    """
    # Only here, inside the virtual environment: these need installed packages.
    from common.settings_errors import SETTINGS_ERRORS, settings_sentence  # noqa: PLC0415
    from config import env_file, settings  # noqa: PLC0415

    try:
        system, *_ = [kind() for kind in settings.KINDS]
    except SETTINGS_ERRORS as error:
        raise LaunchError(settings_sentence(error)) from None
    secrets.complete(env_file.given())
    known = {*settings.known_names(), *secret_names(CLIENT_IDS)}
    given = {name: value for name, value in env_file.given().items() if name in known}
    return [local_app(name, system.model_dump(), given) for name in NAMES]


def local_app(name: str, system: Mapping[str, Any], given: Mapping[str, str]) -> App:
    prefix, host = env_prefix(name).lower(), system["bind_address"]
    port = system[f"{prefix}_port"]
    url = system[f"{prefix}_public_url"] or f"http://{in_url(host)}:{port}"
    environment = {
        "HOST": host,
        "PORT": str(port),
        "PUBLIC_URL": url,
        # The client apps and the launcher reach the apps by these names, whatever else is allowed.
        "ALLOWED_HOSTS": f"{given.get('ALLOWED_HOSTS', 'localhost,[::1]')},127.0.0.1,{in_url(host)}",
        **{setting: given[setting] for setting in links(name).values()},  # told, so that no log shows a link
    }
    if name != SERVER:
        server = f"http://{in_url(host)}:{system['server_port']}"
        environment |= {"CLIENT_ID": CLIENTS[name], "SERVER_URL": server}
    read = json.dumps([sorted(given.items()), sorted(environment.items())])
    return App(name, host, port, url, environment, hashlib.sha256(read.encode()).hexdigest())


def program(name: str) -> str:
    """Return the path of a program in ``.venv``."""
    return str(PROGRAMS / (f"{name}.exe" if ON_WINDOWS else name))


def prepare_environment(lock: Path) -> None:
    """Make ``.venv`` and ``node_modules`` hold what the locks say; the complete lock holds the server's."""
    # Without its configuration, its Python installs into the one that made it.
    state, works = installation(), VENV_MADE.exists() and output([program("python"), "--version"])
    done = STAMP.read_text(encoding="utf-8") if works and STAMP.exists() else ""
    is_copied = not done and any(VENV.glob("installed-*.txt"))
    if done in {f"{state} {lock}", f"{state} {COMPLETE_LOCK}"} and (PROJECT_ROOT / "node_modules").exists():
        return
    # With other locks packages are installed over the old ones: clearing would take them from under apps that run. An
    # environment without a stamp was made by hand, and keeps what is in it.
    advice = "On Debian and Ubuntu install the package python3-venv and start again."
    if not works or is_copied:
        print("Creating the virtual environment .venv.", flush=True)
        VENV_MADE.unlink(missing_ok=True)  # first, so that one that is cleared in part is not taken for a whole one
        failure = f"The virtual environment could not be created. {advice}"
        run([sys.executable, "-m", "venv", "--clear", str(VENV)], failure)
    elif not output([program("python"), "-m", "pip", "--version"]):  # its creation was interrupted, or left pip out
        failure = f"There is no pip in .venv, and it could not be installed. {advice}"
        run([program("python"), "-m", "ensurepip"], failure, stdout=subprocess.PIPE)
    print("Installing the packages. The first time, this downloads about 200 MB.", flush=True)
    install("--require-hashes", "-r", str(lock))
    install("--no-deps", "-e", str(PROJECT_ROOT))
    npm = shutil.which("npm")
    if npm is None or not output([npm, "--version"]):
        install("--require-hashes", "-r", str(NPM_LOCK))
        npm = program("npm")
    run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], NOT_INSTALLED)
    STAMP.write_text(f"{state} {lock}", encoding="utf-8")


def installation() -> str:
    """Return the SHA-256 of the locks."""
    locks = (PROJECT_ROOT / "pyproject.toml", SERVER_LOCK, COMPLETE_LOCK, BROWSER_LOCK)
    return hashlib.sha256("".join(lock.read_text(encoding="utf-8") for lock in locks).encode()).hexdigest()


def install(*what: str) -> None:
    os.environ["PIP_USER"] = "0"  # which pip refuses in a virtual environment
    command = [program("python"), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--quiet"]
    run([*command, *what], NOT_INSTALLED)


def train_if_needed() -> None:
    run([program("python"), "train_model.py", "--if-needed"], "The model cannot be used; see the message above.")


def wait_until_ready(
    apps: Sequence[App], failure: Callable[[App], str | None], *, seconds: float, pause: float
) -> None:
    """Wait until every app is ready, saying which one is.

    Raises
    ------
    LaunchError
        When ``failure`` says why one will not be, or after ``seconds``.
    """
    ends = time.monotonic() + seconds
    waiting = list(apps)
    while waiting:
        time.sleep(pause)
        for app in [app for app in waiting if is_ready(app.host, app.port)]:
            print(f"  {app.name} is ready", flush=True)
            waiting.remove(app)
        reason = next(filter(None, map(failure, waiting)), None)
        if reason or (waiting and time.monotonic() > ends):
            names = ", ".join(app.name for app in waiting)
            raise LaunchError(reason or f"Not ready after {seconds:.0f} seconds: {names}.")


def run(command: Sequence[str], failure: str, **options: Any) -> str:
    """Run a command in the project's folder, its output shown or, with ``stdout=PIPE``, returned.

    Raises
    ------
    LaunchError
        With the sentence ``failure``, if the command cannot be run or fails.
    """
    try:
        done = subprocess.run(command, cwd=PROJECT_ROOT, stdin=subprocess.DEVNULL, text=True, check=True, **options)
    except (OSError, subprocess.SubprocessError) as error:
        reason = f"{command[0]} could not be run: {error.strerror}. " if isinstance(error, OSError) else ""
        raise LaunchError(f"{reason}{failure}") from error
    return str(done.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
