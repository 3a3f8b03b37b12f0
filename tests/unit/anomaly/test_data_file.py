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


def test_without_a_terminal_or_an_answer_the_question_is_the_error(asked: Asked) -> None:
    with pytest.raises(AmbiguousDataError, match="State it with --label-of-disease VALUE"):
        asked(typed=None)
    with pytest.raises(AmbiguousDataError, match="which value of target"):
        asked(typed="\n")
    with pytest.raises(AmbiguousDataError, match="which value of target"):  # the end of the input
        asked(typed="3\n")
    with pytest.raises(AmbiguousDataError, match="--codes shifted/012: "):
        asked("--label-of-disease", "1", typed=None)
    options = ["--label-of-disease", "1", "--codes", "shifted/012"]
    assert asked(*options, typed=None).values[1, 2] == 4
    assert "1 = disease" in asked(*options, typed=None).recognized[0]


@pytest.mark.parametrize("wrong", ["3", "maybe"])
def test_questions_are_asked_one_after_the_other_and_again_where_an_answer_does_not_fit_the_file(
    asked: Asked, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = asked(typed=f"{wrong}\n1\nshift\nshifted/012\n")
    assert dataset.has_disease.tolist() == [row.endswith("Presence") for row in ROWS[:12]]
    assert dataset.values[0].tolist() == [65, 1, 1, 145, 233, 1, 2, 150, 0, 2.3, 3, 0, 6]
    said = capsys.readouterr()
    for part in (
        "which value of target means disease?",
        "of target, which has 0 and 1.",
        "--codes shifted/012: cp 0 = typical angina",
        "there are no codes shift.",
    ):
        assert part in said.err
    assert said.out == "label of disease: label of disease: codes: codes: "


def test_columns_and_values_are_asked_for_and_may_be_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row.split(",") for row in ROWS[:90]]
    swapped = [[row[0], str(2 - int(row[1])), *row[2:]] for row in rows]
    names = ["wiek", *HEADER.split(",")[1:]]
    path = tmp_path / "clinic.csv"
    path.write_text("\n".join(",".join(row) for row in [names, *swapped]))
    parser = argparse.ArgumentParser()
    add_file_options(parser)
    monkeypatch.setattr("sys.stdin", Terminal("wick\nwiek\n1=male\n2=femme fatale\n2=female\n"))
    asked = read_with_questions(partial(load_dataset, path), parser.parse_args([]))
    assert asked.values[:, :2].tolist() == [[int(row[0]), int(row[1])] for row in rows]
    assert capsys.readouterr().out.startswith(
        "Which column is Age? (name) Which column is Age? (name) Sex (as 1=MEANING"
    )
    said = ["--column", "age=wiek", "--values", "sex:1=male,2=female"]
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert read_with_questions(partial(load_dataset, path), parser.parse_args(said)).recognized == asked.recognized
