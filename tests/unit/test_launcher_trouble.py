"""What the launcher makes of damaged files and of a Docker engine that is slow or in trouble."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import launcher
from config.secrets import PROJECT_ROOT, given_settings
from launcher import App
from tests.support.system_parts import free_ports

SERVER = App("server", "127.0.0.1", 1, {}, {})


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of what the launcher needs, with settings and files of its own."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name in ("launcher.py", ".env.example"):
        shutil.copy(PROJECT_ROOT / name, folder)
    for name in ("common", "config"):
        shutil.copytree(PROJECT_ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def start(project: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(project / "launcher.py"), "start"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def docker_that(folder: Path, script: str) -> str:
    """Put a ``docker`` that does as the shell script says into a folder; return it as a search path."""
    folder.mkdir(exist_ok=True)
    program = folder / "docker"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


def test_settings_that_cannot_be_read_are_a_sentence(project: Path) -> None:
    (project / ".env").mkdir()
    done = start(project)
    assert done.returncode == 1
    assert f"A file cannot be used ({project / '.env'}: Is a directory)" in done.stderr
    assert "Traceback" not in done.stderr


def test_settings_in_another_encoding_are_a_sentence(project: Path) -> None:
    (project / ".env").write_bytes("LLM_MODEL=Müller".encode("latin-1"))
    done = start(project)
    assert done.returncode == 1
    assert f"{project / '.env'} is no UTF-8 text" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_damaged_process_file_is_no_running_process() -> None:
    damaged = App("damaged", "127.0.0.1", 1, {}, {})
    damaged.pid_file.parent.mkdir(parents=True, exist_ok=True)
    damaged.pid_file.write_bytes(b"\xff\xfe12")
    try:
        assert not launcher.is_running(damaged)
    finally:
        damaged.pid_file.unlink()


def test_a_damaged_note_of_what_is_installed_names_no_lock(tmp_path: Path) -> None:
    stamp = tmp_path / "installed.txt"
    assert launcher.read_stamp(stamp) == set()
    stamp.write_bytes(b"\xff{}")
    assert launcher.fingerprint(launcher.SERVER_LOCK) not in launcher.read_stamp(stamp)


@pytest.mark.parametrize("is_copied", [True, False])
def test_the_virtual_environment_of_a_copied_project_is_made_anew(project: Path, is_copied: bool) -> None:
    made_for = hashlib.sha256(str(project / "copied" if is_copied else project).encode()).hexdigest()
    (project / ".venv" / "bin").mkdir(parents=True)
    (project / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (project / ".venv" / "installed.txt").write_text(made_for)
    names = ("SERVER_PORT", "CLIENT_1_PORT", "CLIENT_2_PORT", "CLIENT_3_PORT")
    ports = {name: str(port) for name, port in zip(names, free_ports(4), strict=True)}
    done = start(project, PATH=docker_that(project / "bin", "exit 1"), **ports)
    assert done.returncode == 1, "there is nothing to install here"
    assert ("Making the virtual environment .venv." in done.stdout) == is_copied
    assert (project / ".venv" / "installed.txt").exists() != is_copied


def test_pip_installs_where_it_is_told_to_install_for_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_USER", "1")
    (nothing := tmp_path / "requirements.txt").touch()
    launcher.install(sys.executable, ["-r", str(nothing)], "It was refused.")


def test_a_setting_that_is_there_but_empty_counts_as_not_given(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("LLM_MODEL=a model\nLOG_LEVEL=\n")
    assert given_settings(file, {"LLM_MODEL": "", "LOG_LEVEL": ""}) == {"LLM_MODEL": "a model"}


def test_docker_is_not_told_of_an_empty_setting(project: Path) -> None:
    # Docker Compose would let it overrule the .env.
    script = f'case "$2" in build) /usr/bin/env > {project}/told; exit 1;; ps) ;; *) echo yes;; esac'
    names = ("SERVER_PORT", "CLIENT_1_PORT", "CLIENT_2_PORT", "CLIENT_3_PORT")
    ports = {name: str(port) for name, port in zip(names, free_ports(4), strict=True)}
    search_path = docker_that(project / "bin", script)
    done = start(project, PATH=search_path, LOG_LEVEL="", OPERATOR_TOKEN="", LLM_MODEL="off", **ports)
    assert "The images could not be built" in done.stderr
    told = (project / "told").read_text().splitlines()
    assert "LLM_MODEL=off" in told
    assert not {"LOG_LEVEL=", "OPERATOR_TOKEN="} & set(told)


@pytest.mark.parametrize(
    ("inspected", "has_failed"),
    [
        ("running 0", False),
        ("created 0", False),
        ("restarting 1", False),
        ("restarting 3", True),
        ("running 3", True),
        ("exited 0", True),
        ("", False),
    ],
)
def test_a_container_is_given_up_only_when_it_ended_or_keeps_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inspected: str, has_failed: bool
) -> None:
    script = f'case "$1 $2" in inspect*) echo {inspected};; "compose logs") echo it broke;; *) echo id;; esac'
    monkeypatch.setenv("PATH", docker_that(tmp_path, script))
    said = launcher.container_failure(SERVER)
    assert (said is not None) == has_failed
    assert said is None or "it broke" in said


def test_an_engine_that_does_not_answer_once_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", docker_that(tmp_path, "exit 1"))
    assert launcher.container_failure(SERVER) is None
