"""Secrets: made once, agreed on by all who share a folder, readable by their owner alone, never overwritten."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from dotenv import dotenv_values

from config.secrets import ConfigurationError, append_secrets, load

MAKE_IT = """
import sys
from pathlib import Path
from config.secrets import load
sys.stdin.readline()
print(load([Path(sys.argv[1], "TOKEN")], {}))
"""


def mode(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


def test_a_secret_is_made_once_kept_and_closed_to_others(tmp_path: Path) -> None:
    folder = tmp_path / "secrets" / "server"
    (first,) = load([folder / "TOKEN"], {"TOKEN": " "})
    assert len(first) >= 43  # 256 bits
    assert first.replace("-", "").replace("_", "").isalnum()
    for _ in ("as it was made", "as it was copied back"):
        kept, other = load([folder / "TOKEN", folder / "OTHER"], {})
        assert kept == first != other
        assert (mode(folder / "TOKEN"), mode(folder)) == ("0o600", "0o700")
        folder.chmod(0o755)
        (folder / "TOKEN").chmod(0o644)
    assert sorted(path.name for path in folder.iterdir()) == ["OTHER", "TOKEN"]


def test_processes_that_start_together_agree(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MAKE_IT, str(tmp_path / "secrets")]
    started = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    (said,) = {process.communicate(timeout=60)[0] for process in started}
    assert said


def test_a_given_secret_wins_and_one_that_cannot_be_had_is_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "TOKEN"
    assert load([file], {"TOKEN": "given"}) == ["given"]
    assert not file.exists()
    file.write_text(" \n")
    for unusable, said in ((file, "is empty"), (file / "TOKEN", "cannot be created or read")):
        with pytest.raises(ConfigurationError, match=said):
            load([unusable], {})


@pytest.mark.parametrize("before", ["", "# a comment\nOPERATOR_TOKEN=mine\nCLIENT_1_TOKEN=", "\ufeffA='b'\r\n"])
def test_secrets_are_added_to_an_env_file_and_nothing_there_changes(tmp_path: Path, before: str) -> None:
    path = tmp_path / ".env"
    if before:
        path.write_text(before, newline="")
        path.chmod(0o644)
    append_secrets(path, ["CLIENT_1_TOKEN", "SERVER_SECRET_KEY"])
    after = path.read_bytes().decode()
    assert after.startswith(before)
    assert mode(path) == "0o600"
    values = dotenv_values(path)
    assert all(len(values.pop(name) or "") >= 43 for name in ("CLIENT_1_TOKEN", "SERVER_SECRET_KEY"))
    (tmp_path / "before").write_text(before.replace("CLIENT_1_TOKEN=", ""))
    assert values == dotenv_values(tmp_path / "before")
    append_secrets(path, [])
    assert path.read_bytes().decode() == after
