"""Secrets: made once, agreed on by all who share a folder, readable by their owner alone, never overwritten."""

import io
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st

from config.secrets import ConfigurationError, complete_env_file, load_or_create, parse_env_lines

MAKE_IT = """
import sys
from pathlib import Path
from config.secrets import load_or_create
sys.stdin.readline()
print(load_or_create("TOKEN", given={}, folder=Path(sys.argv[1])))
"""


def mode(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


def test_a_secret_is_made_once_and_kept(tmp_path: Path) -> None:
    folder = tmp_path / "secrets" / "server"
    first = load_or_create("TOKEN", given={}, folder=folder)
    assert load_or_create("TOKEN", given={}, folder=folder) == first
    assert load_or_create("OTHER", given={}, folder=folder) != first
    assert len(first) >= 43  # 256 bits
    assert first.replace("-", "").replace("_", "").isalnum()
    assert mode(folder / "TOKEN") == "0o600"
    assert mode(folder) == "0o700"
    assert sorted(path.name for path in folder.iterdir()) == ["OTHER", "TOKEN"]


def test_a_secret_that_was_copied_back_open_to_all_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir(mode=0o755)
    (folder / "TOKEN").write_text("kept\n")
    (folder / "TOKEN").chmod(0o644)
    assert load_or_create("TOKEN", given={}, folder=folder) == "kept"
    assert (mode(folder / "TOKEN"), mode(folder)) == ("0o600", "0o700")


def test_processes_that_start_together_agree(tmp_path: Path) -> None:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", MAKE_IT, str(tmp_path / "secrets")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = {process.communicate(timeout=60)[0] for process in started}
    assert len(said) == 1
    assert said != {""}


def test_a_given_secret_wins_and_makes_no_file(tmp_path: Path) -> None:
    assert load_or_create("TOKEN", given={"TOKEN": "given"}, folder=tmp_path / "secrets") == "given"
    assert not (tmp_path / "secrets").exists()


@pytest.mark.parametrize("given", [{}, {"TOKEN": None}, {"TOKEN": ""}, {"TOKEN": "  "}])
def test_an_empty_value_counts_as_none(tmp_path: Path, given: dict[str, str | None]) -> None:
    assert len(load_or_create("TOKEN", given=given, folder=tmp_path)) >= 43


@pytest.mark.parametrize("content", ["", " \n"])
def test_an_empty_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "TOKEN").write_text(content)
    with pytest.raises(ConfigurationError, match="is empty"):
        load_or_create("TOKEN", given={}, folder=tmp_path)


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be made or read"):
        load_or_create("TOKEN", given={}, folder=tmp_path / "file")


def test_an_env_file_is_completed_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("# a comment\nHUGGINGFACE_API_TOKEN='hf_x'\nOPERATOR_TOKEN=mine\nCLIENT_1_TOKEN=")
    path.chmod(0o644)
    before = path.read_text()
    assert complete_env_file(path, ["OPERATOR_TOKEN", "CLIENT_1_TOKEN", "SERVER_SECRET_KEY"]) == [
        "CLIENT_1_TOKEN",
        "SERVER_SECRET_KEY",
    ]
    after = path.read_text()
    assert after.startswith(before + "\n")
    assert mode(path) == "0o600"
    values = dotenv_values(path)
    assert values["OPERATOR_TOKEN"] == "mine"
    assert values["HUGGINGFACE_API_TOKEN"] == "hf_x"
    assert len(values["CLIENT_1_TOKEN"] or "") >= 43
    assert complete_env_file(path, ["OPERATOR_TOKEN", "CLIENT_1_TOKEN", "SERVER_SECRET_KEY"]) == []
    assert path.read_text() == after


def test_a_missing_env_file_is_made_private(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    assert complete_env_file(path, ["TOKEN"]) == ["TOKEN"]
    assert mode(path) == "0o600"
    assert list(dotenv_values(path)) == ["TOKEN"]


_plain = st.text(st.sampled_from("abcXYZ019-_./:@"), max_size=12)


@given(st.lists(st.tuples(st.sampled_from(["A", "B", "C_1"]), _plain, st.sampled_from(["", "'", '"'])), max_size=6))
def test_plain_lines_mean_what_they_mean_to_dotenv(lines: list[tuple[str, str, str]]) -> None:

    text = "".join(f"{name}={quote}{value}{quote}\n" for name, value, quote in lines)
    assert parse_env_lines(text) == dict(dotenv_values(stream=io.StringIO(text)))
