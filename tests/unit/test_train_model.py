"""The training command: what it trains, recalibrates, lists and activates, prints and refuses, and how it ends."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr

import train_model
from common.access.audit import AuditTrail
from common.access.file import AccessFile, access_file
from config.secrets import PROJECT_ROOT
from server.anomaly.dataset import COLUMNS
from server.drift.comparison import Status, field_drifts, score_drift
from server.evaluation import __main__ as evaluation
from server.evaluation.report_text import with_interval
from server.registry.artifact import load_detector
from server.registry.versions import stored_versions
from tests.support.model_versions import flip_a_byte, truncate
from tests.support.patients import real_patients
from tests.support.tampering import change_manifest

HEADER, *ROWS = (PROJECT_ROOT / "data" / "heart_disease.csv").read_text().splitlines()

FEW = [row for row in ROWS if row.endswith("Absence")][:66] + [row for row in ROWS if row.endswith("Presence")][:20]

SMALL = {
    "MODEL_N_ESTIMATORS": "50",
    "MODEL_CALIBRATION_FOLDS": "2",
    "MODEL_EVALUATION_FOLDS": "2",
    "MODEL_WORKERS": "1",
}

WriteCsv = Callable[..., Path]


@pytest.fixture
def csv_file(tmp_path: Path) -> WriteCsv:
    def write(*rows: str, header: str = HEADER) -> Path:
        path = tmp_path / "clinic.csv"
        path.write_text("\n".join([header, *rows]) + "\n")
        return path

    return write


@pytest.fixture(autouse=True)
def _with_an_audit_trail_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path / "secrets"))


def run(
    *words: str | Path, options: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command as people do; ``options`` are the interpreter's."""
    return subprocess.run(
        [sys.executable, *options, str(PROJECT_ROOT / "train_model.py"), *map(str, words)],
        env=os.environ | dict(environment or {}),
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Settings of a training that takes a second or two, and a folder of the test's own for what is kept."""
    for name, value in (SMALL | {"DATA_DIR": str(tmp_path / "data")}).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def models(detector_dir: Path, tmp_path: Path) -> Path:
    """A folder with one active version."""
    return Path(shutil.copytree(detector_dir, tmp_path / "models"))


def active_in(models: Path) -> str:
    return load_detector(models).model_version


def names_in(models: Path) -> list[str]:
    return [version.name for version in stored_versions(models)]


def test_a_model_is_trained_reported_and_made_the_active_one(csv_file: WriteCsv, tmp_path: Path) -> None:
    environment = SMALL | {"DATA_DIR": str(tmp_path / "data"), "MODEL_WORKERS": "2"}
    done = run("--data", csv_file(*FEW), "--out", tmp_path / "models", environment=environment)
    assert done.returncode == 0, done.stderr
    version = active_in(tmp_path / "models")
    assert "66 disease-free patients, 20 with disease" in done.stdout
    assert "AUROC 0." in done.stdout
    assert f"Model {version} is active in {tmp_path / 'models'} and reproduces its known answers.\n" in done.stdout
    assert "What changed" not in done.stdout
    assert done.stderr.splitlines() == [
        *(f"Calibrating: {number} of 2 forests" for number in (1, 2)),
        *(f"Evaluating: {number} of 2 folds" for number in (1, 2)),
    ]
    assert names_in(tmp_path / "models") == [version]


@pytest.mark.usefixtures("small")
def test_training_again_says_what_changed_and_how_to_go_back(
    csv_file: WriteCsv, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    earlier = active_in(models)
    assert train_model.main(["--data", str(csv_file(*FEW)), "--out", str(models)]) == 0
    said = capsys.readouterr().out
    assert active_in(models) != earlier
    assert names_in(models) == [earlier, active_in(models)]
    assert f"What changed since {earlier}:\n" in said
    assert "  trained on clinic.csv (66 disease-free patients), before on heart_disease.csv (164)\n" in said
    assert "  calibration_folds 2, before 4\n" in said
    assert said.endswith(f"To go back: python train_model.py --activate {earlier}\n")
    assert train_model.main(["--activate", earlier, "--out", str(models)]) == 0
    (last,) = AuditTrail(AccessFile(access_file(tmp_path / "data", "server")), clock=lambda: 0).newest(1)
    assert (last.action, last.target) == ("model_activated", earlier)
    assert active_in(models) == earlier


@pytest.mark.usefixtures("small")
def test_patients_without_disease_alone_are_enough_and_get_no_auroc(
    csv_file: WriteCsv, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = tmp_path / "models"
    assert train_model.main(["--data", str(csv_file(*FEW[:66])), "--out", str(models)]) == 0
    said = capsys.readouterr().out
    assert "66 disease-free patients, 0 with disease" in said
    assert "false alarms" in said
    assert not {"AUROC", "sensitivity", "nan"} & set(re.findall(r"[A-Za-z]+", said))
    detector = load_detector(models)
    assert detector.metrics["auroc"] is None
    assert set(detector.reference.populations) == {"disease_free", "all_patients"}
    assert score_drift(np.linspace(0.01, 0.99, 200), detector.reference).status is Status.STABLE
    assert set(field_drifts(np.repeat(real_patients().values[:50], 4, axis=0), detector.reference)) == set(COLUMNS)


@pytest.mark.usefixtures("small")
def test_so_many_repeats_are_evaluated_as_were_asked_for_and_kept(
    csv_file: WriteCsv, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", str(csv_file(*FEW)), "--out", str(tmp_path / "models")]
    assert train_model.main([*words, "--repeats", "2"]) == 0
    first = capsys.readouterr()
    assert first.out.startswith("Held-out evaluation, 2 x 2-fold: ")
    assert "Evaluating: 4 of 4 folds" in first.err
    assert train_model.main(words) == 0
    second = capsys.readouterr()
    assert second.out.startswith("Held-out evaluation, 2 x 2-fold: ")
    assert "Evaluating" not in second.err
    assert "What changed" in second.out
    assert "  nothing but the time\n" in second.out


@pytest.mark.usefixtures("small")
def test_recalibration_keeps_the_forest_and_says_how_the_levels_change(
    csv_file: WriteCsv, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    earlier = load_detector(models)
    assert train_model.main(["--recalibrate", str(csv_file(*FEW[36:])), "--out", str(models)]) == 0
    said = capsys.readouterr().out
    later = load_detector(models)
    assert later.manifest.recalibrated_from == earlier.model_version
    known = [answer.raw_score for answer in earlier.manifest.known_answers]
    assert [answer.raw_score for answer in later.manifest.known_answers] == known
    assert later.model.calibration.patients == (30,)
    share = r"\d+ of {} \(\d+%\)"
    by_design = "now 5% by design; with so many patients it may truly be 0% to 15%"
    assert re.search(f"\n  disease-free patients at High: {share.format(30)} before, {by_design}\n", said)
    ill = share.format(20)
    assert re.search(f"\n  patients with disease at Medium or higher: {ill} before, {ill} now\n", said)
    assert said.endswith(f"To go back: python train_model.py --activate {earlier.model_version}\n")
    assert train_model.main(["--list", "--out", str(models)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"  {earlier.model_version}  trained on heart_disease.csv, 164 disease-free patients, AUROC "
        + with_interval(earlier.manifest.evaluation.figures["auroc"].ours),
        f"* {later.model_version}  {earlier.model_version} recalibrated on clinic.csv, 30 disease-free patients, AUROC "
        + with_interval(earlier.manifest.evaluation.figures["auroc"].ours),
        "* active. To go back to another: python train_model.py --activate VERSION",
    ]


@pytest.mark.usefixtures("small")
def test_a_recalibration_says_that_it_keeps_the_thresholds_where_the_settings_name_others(
    monkeypatch: pytest.MonkeyPatch, csv_file: WriteCsv, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--recalibrate", str(csv_file(*FEW[36:])), "--out", str(models)]
    assert train_model.main(words) == 0
    assert "thresholds" not in capsys.readouterr().out
    monkeypatch.setenv("MODEL_HIGH_THRESHOLD", "0.9")
    assert train_model.main(words) == 0
    said = capsys.readouterr().out
    assert "The thresholds stay those of the training, Medium from 0.8 and High from 0.95" in said
    assert load_detector(models).thresholds.high == 0.95


def test_a_damaged_version_is_listed_with_the_reason(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    version = active_in(models)
    truncate(models / "versions" / version / "calibration.npz")
    assert train_model.main(["--list", "--out", str(models)]) == 0
    listed, _ = capsys.readouterr().out.splitlines()
    assert listed.startswith(f"* {version}  cannot be used: ")
    assert "calibration.npz is not the file that was written" in listed
    assert train_model.main(["--activate", version, "--out", str(models)]) == 1
    assert "calibration.npz is not the file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--list"], "There is no trained model in"),
        (["--recalibrate", str(PROJECT_ROOT / "data" / "heart_disease.csv")], "There is no trained model in"),
        (["--activate", "20260102T030405Z-000000000000"], "There is no version"),
        (["--activate", ""], "There is no version"),
        (["--activate", "../elsewhere"], "There is no version"),
    ],
)
def test_where_there_is_no_model_or_no_such_version_the_answer_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    out = tmp_path / "models"
    out.mkdir()
    assert train_model.main([*words, "--out", str(out)]) == 1
    told = capsys.readouterr()
    assert told.err.startswith(said)
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert list(out.iterdir()) == []


def make_outdated(models: Path, **changes: object) -> None:
    """Make all there is what an earlier version of this program wrote."""

    def change(manifest: dict[str, Any]) -> None:
        manifest.update(format=1, **changes)

    change_manifest(models, change, seal=False)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("layout", ["no model", "an earlier layout"])
def test_if_needed_trains_where_there_is_no_model_or_one_of_the_shipped_data_of_an_earlier_layout(
    csv_file: WriteCsv, models: Path, capsys: pytest.CaptureFixture[str], layout: str
) -> None:
    if layout == "no model":
        shutil.rmtree(models)
    else:
        make_outdated(models)
    words = ["--if-needed", "--data", str(csv_file(*FEW)), "--out", str(models)]
    assert train_model.main(words) == 0
    said = capsys.readouterr().out
    assert "Training the model; this takes about a minute.\n" in said
    assert said.startswith("The model was made of the shipped data by an earlier version") == (layout != "no model")
    version = active_in(models)
    assert train_model.main(words) == 0
    assert capsys.readouterr() == (f"Model {version} is ready.\n", "")
    assert active_in(models) == version


@pytest.mark.parametrize("part", ["data", "calibration_data"])
def test_if_needed_never_replaces_a_clinic_s_own_model_of_an_earlier_layout(
    models: Path, capsys: pytest.CaptureFixture[str], part: str
) -> None:
    own = {"name": "clinic.csv", "sha256": "0" * 64, "patients": 80, "disease_free": 60}
    make_outdated(models, **{part: own})
    before = {path: path.read_bytes() for path in models.rglob("*") if path.is_file()}
    assert train_model.main(["--if-needed", "--out", str(models)]) == 1
    said = capsys.readouterr().err
    assert "was written by an earlier version of this program" in said
    assert "--list" in said
    assert "--data FILE" in said
    assert {path: path.read_bytes() for path in models.rglob("*") if path.is_file()} == before


def test_if_needed_trains_nothing_where_no_version_is_active_and_some_are_stored(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    version = active_in(models)
    (models / "active").unlink()
    assert train_model.main(["--if-needed", "--out", str(models)]) == 1
    said = capsys.readouterr()
    assert f"No version in {models} is active" in said.err
    assert (said.out, names_in(models)) == ("", [version])
    assert train_model.main(["--activate", version, "--out", str(models)]) == 0
    assert train_model.main(["--if-needed", "--out", str(models)]) == 0


@pytest.mark.parametrize("damage", [flip_a_byte, truncate])
def test_if_needed_refuses_a_damaged_version_and_trains_no_other(
    models: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], None]
) -> None:
    version, words = active_in(models), ["--if-needed", "--out", str(models)]
    wrong = "isolation_forest.pkl is not the file that was written when the model was made"
    damage(models / "versions" / version / "isolation_forest.pkl")
    assert train_model.main(words) == 1
    said = capsys.readouterr()
    assert (said.out, wrong in said.err, names_in(models)) == ("", True, [version])


@pytest.mark.usefixtures("small")
def test_with_a_key_new_models_are_signed_and_unsigned_ones_refused(
    monkeypatch: pytest.MonkeyPatch, csv_file: WriteCsv, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MODEL_SIGNING_KEY", "k" * 32)
    assert train_model.main(["--if-needed", "--out", str(models)]) == 1
    assert "is not signed with MODEL_SIGNING_KEY" in capsys.readouterr().err
    for option, rows in (("--data", FEW), ("--recalibrate", FEW[1:])):  # the second file takes the place of the first
        assert train_model.main([option, str(csv_file(*rows)), "--out", str(models)]) == 0
        assert load_detector(models, key=SecretStr("k" * 32)).manifest.signature is not None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--list", "--if-needed"], "not allowed with"),
        (["--recalibrate", "x.csv", "--activate", "x"], "not allowed with"),
        (["--recalibrate", "x.csv", "--data", "y.csv"], "--data and --repeats are for training"),
        (["--list", "--repeats", "2"], "--data and --repeats are for training"),
        (["--repeats", "0"], "--repeats must be 1 or more"),
    ],
)
def test_options_that_do_not_go_together_are_usage_errors(
    capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        train_model.main(words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_training_that_is_stopped_leaves_the_active_model(models: Path, tmp_path: Path, workers: str) -> None:
    """As Ctrl-C does it: the signal reaches the command and its worker processes alike."""
    before = names_in(models)
    slow = {"MODEL_CALIBRATION_FOLDS": "20", "MODEL_WORKERS": workers, "DATA_DIR": str(tmp_path / "data")}
    own = signal.signal(signal.SIGINT, signal.default_int_handler)  # the child inherits "ignored", as in the background
    training = subprocess.Popen(
        [sys.executable, str(PROJECT_ROOT / "train_model.py"), "--out", str(models)],
        env=os.environ | SMALL | slow,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    signal.signal(signal.SIGINT, own)
    assert training.stderr is not None
    for done in range(1, 7):  # by then every worker has begun
        assert training.stderr.readline() == f"Calibrating: {done} of 20 forests\n"
    os.killpg(training.pid, signal.SIGINT)
    said, errors = training.communicate(timeout=60)
    assert training.returncode == 130, errors
    assert said == ""
    lines = errors.splitlines()
    assert all(line.startswith("Calibrating: ") for line in lines[:-1]), errors
    assert lines[-1] == "Stopped; the active model is still as it was."
    assert names_in(models) == before == [active_in(models)]


@pytest.mark.parametrize("main", [train_model.main, evaluation.main])
@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"MODEL_N_ESTIMATORS": "7"}, "MODEL_N_ESTIMATORS must be 50 or more"),
        ({"MODEL_MEDIUM_THRESHOLD": "0.97"}, "MODEL_MEDIUM_THRESHOLD must be below MODEL_HIGH_THRESHOLD"),
    ],
)
def test_a_setting_that_makes_no_sense_is_a_usage_error(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    main: Callable[[list[str]], int],
    setting: dict[str, str],
    said: str,
) -> None:
    for name, value in setting.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_without_its_packages_the_command_says_what_to_run() -> None:
    done = run(options=["-S"])
    assert done.returncode == 1
    assert done.stderr.endswith("Run: pip install -r requirements.txt && pip install -e . --no-deps\n")
    assert "Traceback" not in done.stderr
