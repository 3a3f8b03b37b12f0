"""What a file of patients leaves open is asked at a terminal, and is an error without one."""

import argparse
import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from server.anomaly.dataset import Dataset
from server.anomaly.questions import AmbiguousDataError
from server.anomaly.recognition import load_dataset
from server.evaluation.data_file import add_file_options, read_with_questions
from tests.unit.anomaly.test_recognition import (
    HEADER,
    IN_NUMBERS,
    ROWS,
    SHIFTED,
    SHORT,
    changed,
    elsewhere,
    is_ill,
    truth,
)  # fmt: skip

Asked = Callable[..., Dataset]


class Terminal(io.StringIO):
    """A standard input at which somebody has typed."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Read a file of which neither the label nor the codes are clear, with some options and typed answers."""
    rows = changed(elsewhere(ROWS[:12]), SHIFTED, IN_NUMBERS)
    (tmp_path / "clinic.csv").write_text("\n".join(map(",".join, [SHORT, *rows])))

    def read(*options: str, typed: str | None) -> Dataset:
        parser = argparse.ArgumentParser()
        add_file_options(parser)
        monkeypatch.setattr("sys.stdin", io.StringIO() if typed is None else Terminal(typed))
        return read_with_questions(partial(load_dataset, tmp_path / "clinic.csv"), parser.parse_args(options))

    return read


def test_without_a_terminal_or_an_answer_the_question_is_the_error(asked: Asked) -> None:
    for typed in (None, "\n", "3\n"):  # the last ends before there is an answer that fits
        with pytest.raises(AmbiguousDataError, match="State it with --label-of-disease VALUE"):
            asked(typed=typed)
    options = ["--label-of-disease", "1", "--codes", "shifted/012"]
    assert asked(*options, typed=None).values[1, 2] == 4


def test_questions_are_asked_one_after_the_other_and_again_where_an_answer_does_not_fit_the_file(
    asked: Asked, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = asked(typed="3\n1\nshift\nshifted/012\n")
    assert dataset.has_disease.tolist() == is_ill(ROWS[:12])
    np.testing.assert_array_equal(dataset.values, truth(elsewhere(ROWS[:12])))
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
    path = tmp_path / "clinic.csv"
    rows = changed(ROWS[:90], {1: {"0": "2"}})
    path.write_text("\n".join(map(",".join, [["wiek", *HEADER[1:]], *rows])))
    parser = argparse.ArgumentParser()
    add_file_options(parser)
    monkeypatch.setattr("sys.stdin", Terminal("wick\nwiek\n1=male\n2=femme fatale\n2=female\n"))
    asked = read_with_questions(partial(load_dataset, path), parser.parse_args([]))
    np.testing.assert_array_equal(asked.values, truth(ROWS[:90]))
    assert capsys.readouterr().out.startswith(
        "Which column is Age? (name) Which column is Age? (name) Sex (as 1=MEANING"
    )
    said = ["--column", "age=wiek", "--values", "sex:1=male,2=female"]
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert read_with_questions(partial(load_dataset, path), parser.parse_args(said)).recognized == asked.recognized
