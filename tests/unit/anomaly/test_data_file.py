"""What a file of patients leaves open is asked at a terminal, and is an error without one."""

import argparse
import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from server.anomaly.dataset import SHIPPED_DATA, Dataset
from server.anomaly.questions import AmbiguousDataError
from server.anomaly.recognition import load_dataset
from server.evaluation.data_file import add_file_options, read_with_questions

HEADER, *ROWS = SHIPPED_DATA.read_text().splitlines()

Asked = Callable[..., Dataset]


class Terminal(io.StringIO):
    """A standard input at which somebody has typed."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Read a file of which neither the label nor the codes are clear, with some options and typed answers."""
    rows = [row.split(",") for row in ROWS[:12]]
    shifted = [
        [str(int(row[0]) + 2), row[1], str(int(row[2]) - 1), *row[3:10], str(int(row[10]) - 1), *row[11:]]
        for row in rows
    ]
    thallium = {"3": "0", "6": "1", "7": "2", "": ""}
    lines = [",".join([*row[:12], thallium[row[12]], str(int(row[13] == "Presence"))]) for row in shifted]
    names = "age,sex,cp,trestbps,chol,fbs,restecg,thalach,exang,oldpeak,slope,ca,thal,target"
    (tmp_path / "clinic.csv").write_text("\n".join([names, *lines]))

    def read(*options: str, typed: str | None) -> Dataset:
        parser = argparse.ArgumentParser()
        add_file_options(parser)
        monkeypatch.setattr("sys.stdin", io.StringIO() if typed is None else Terminal(typed))
        return read_with_questions(partial(load_dataset, tmp_path / "clinic.csv"), parser.parse_args(options))

    return read


def test_questions_are_asked_one_after_the_other(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = asked(typed="1\nshifted/012\n")
    assert dataset.has_disease.tolist() == [row.endswith("Presence") for row in ROWS[:12]]
    assert dataset.values[0].tolist() == [65, 1, 1, 145, 233, 1, 2, 150, 0, 2.3, 3, 0, 6]
    said = capsys.readouterr()
    assert "which value of target means disease?" in said.err
    assert "--codes shifted/012: cp 0 = typical angina" in said.err
    assert said.out == "label of disease: codes: "


def test_without_a_terminal_or_an_answer_the_question_is_the_error(asked: Asked) -> None:
    with pytest.raises(AmbiguousDataError, match="State it with --label-of-disease VALUE"):
        asked(typed=None)
    with pytest.raises(AmbiguousDataError, match="which value of target"):
        asked(typed="\n")
    with pytest.raises(AmbiguousDataError, match="--codes shifted/012: "):
        asked("--label-of-disease", "1", typed=None)
    options = ["--label-of-disease", "1", "--codes", "shifted/012"]
    assert asked(*options, typed=None).values[1, 2] == 4
    assert "1 = disease" in asked(*options, typed=None).recognized[0]
