"""Secrets: made once, readable by their owner alone, never overwritten."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from config.secrets import ConfigurationError, load

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


def test_a_given_secret_wins_and_one_that_cannot_be_had_is_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "TOKEN"
    assert load([file], {"TOKEN": "given"}) == ["given"]
    assert not file.exists()
    file.write_text(" \n")
    for unusable, said in ((file, "is empty"), (file / "TOKEN", "cannot be created or read")):
        with pytest.raises(ConfigurationError, match=said):
            load([unusable], {})


def test_processes_that_start_together_agree(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MAKE_IT, str(tmp_path / "secrets")]
    started = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    (said,) = {process.communicate(timeout=60)[0] for process in started}
    assert said
