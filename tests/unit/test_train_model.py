"""The training command: what it trains, recalibrates, lists and activates, prints and refuses, and how it ends."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

import train_model
from common.access.audit import AuditTrail
from common.access.file import AccessFile, access_file
from config.secrets import PROJECT_ROOT
from server.evaluation import __main__ as evaluation
from server.registry.artifact import load_detector
from server.registry.versions import stored_versions
from tests.support.model_versions import truncate
from tests.support.patients import DATA
from tests.support.tampering import change_manifest

HEADER, *ROWS = DATA.read_text().splitlines()

FEW = [row for row in ROWS if row.endswith("Absence")][:66] + [row for row in ROWS if row.endswith("Presence")][:20]

# A training that takes a second or two.
FOLDS = dict.fromkeys(("MODEL_CALIBRATION_FOLDS", "MODEL_EVALUATION_FOLDS"), "2")
SMALL = FOLDS | {"MODEL_N_ESTIMATORS": "50", "MODEL_WORKERS": "1"}

WriteCsv = Callable[..., Path]
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def csv_file(tmp_path: Path) -> WriteCsv:
    def write(*rows: str) -> Path:
        path = tmp_path / "clinic.csv"
        path.write_text("\n".join([HEADER, *rows]) + "\n")
        return path

    return write


@pytest.fixture(autouse=True)
def _small_and_with_folders_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in (SMALL | {"DATA_DIR": str(tmp_path / "data"), "SECRETS_DIR": str(tmp_path / "secrets")}).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def models(detector_dir: Path, tmp_path: Path) -> Path:
    """A folder with one active version."""
    return Path(shutil.copytree(detector_dir, tmp_path / "models"))


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command on the models of the test; return the exit code and what it said on both streams."""

    def call(*words: str | Path) -> tuple[int, str, str]:
        code = train_model.main([*map(str, words), "--out", str(tmp_path / "models")])
        return code, *capsys.readouterr()

    return call


def active_in(models: Path) -> str:
    return load_detector(models).model_version


def names_in(models: Path) -> list[str]:
    return [version.name for version in stored_versions(models)]


def test_a_file_without_vessels_and_thallium_says_what_that_costs_and_names_recalibration(
    csv_file: WriteCsv, models: Path, command: Command
) -> None:
    path = csv_file(*[",".join([*row.split(",")[:11], "", "", row.split(",")[13]]) for row in FEW])
    code, said, error = command("--data", path)
    assert (code, "an AUROC of 0.90, and without these fields of 0.86" in said) == (1, True)
    assert error.startswith("Number of vessels fluro, Thallium: measured in too few disease-free patients.")
    assert "train_model.py --recalibrate FILE" in error
    assert command("--recalibrate", path)[0] == 0


def test_training_again_says_what_changed_and_how_to_go_back_and_evaluates_as_often_as_asked_for_or_kept(
    csv_file: WriteCsv, models: Path, tmp_path: Path, command: Command
) -> None:
    earlier = active_in(models)
    code, said, progress = command("--data", csv_file(*FEW), "--repeats", "2")
    assert (code, "\n\nHeld-out evaluation, 2 x 2-fold: " in said) == (0, True)
    assert "Evaluating: 4 of 4 folds" in progress
    assert names_in(models) == [earlier, active_in(models)]
    assert "66 disease-free patients, 20 with disease" in said
    assert f"Model {active_in(models)} is active in {models} and reproduces its known answers.\n" in said
    assert f"What changed since {earlier}:\n" in said
    assert "  trained on clinic.csv (66 disease-free patients), before on heart_disease.csv (164)\n" in said
    assert "  calibration_folds 2, before 4\n" in said
    assert said.endswith(f"To go back: python train_model.py --activate {earlier} --out {models}\n")
    code, again, progress = command("--data", csv_file(*FEW))
    assert (code, "\n\nHeld-out evaluation, 2 x 2-fold: " in again) == (0, True)
    assert "Evaluating" not in progress
    assert "  nothing but the time\n" in again
    assert command("--activate", earlier)[0] == 0
    (last,) = AuditTrail(AccessFile(access_file(tmp_path / "data", "server")), clock=lambda: 0).newest(1)
    assert (last.action, last.target) == ("model_activated", earlier)
    assert active_in(models) == earlier


def test_patients_without_disease_alone_are_enough_and_get_no_auroc(csv_file: WriteCsv, command: Command) -> None:
    code, said, _ = command("--data", csv_file(*FEW[:66]))
    assert code == 0
    assert "66 disease-free patients, 0 with disease" in said
    assert "false alarms" in said
    assert not {"AUROC", "sensitivity", "nan"} & set(re.findall(r"[A-Za-z]+", said))


def test_recalibration_keeps_forest_and_thresholds_and_says_how_the_levels_change(
    monkeypatch: pytest.MonkeyPatch, csv_file: WriteCsv, models: Path, command: Command
) -> None:
    monkeypatch.setenv("MODEL_HIGH_THRESHOLD", "0.9")
    earlier = load_detector(models)
    code, said, _ = command("--recalibrate", csv_file(*FEW[36:]))
    later = load_detector(models)
    assert (code, later.manifest.recalibrated_from) == (0, earlier.model_version)
    known, again = ([answer.raw_score for answer in detector.manifest.known_answers] for detector in (earlier, later))
    assert (again, later.thresholds, later.model.calibration.patients) == (known, earlier.thresholds, (30,))
    by_design = "now 5% by design; with this many patients the true share may be 0% to 15%"
    assert re.search(rf"\n  disease-free patients at High: \d+ of 30 \(\d+%\) before, {by_design}\n", said)
    assert f"To go back: python train_model.py --activate {earlier.model_version} --out {models}\n" in said
    auroc = format(earlier.manifest.evaluation.figures["auroc"].ours, ".3f")
    assert command("--list")[1].splitlines() == [
        f"  {earlier.model_version}  trained on heart_disease.csv, 164 disease-free patients, AUROC {auroc}",
        f"* {later.model_version}  {earlier.model_version} recalibrated on clinic.csv, 30 disease-free patients, "
        f"AUROC {auroc}",
        f"* active. To go back to another: python train_model.py --activate VERSION --out {models}",
    ]


def test_a_damaged_version_is_listed_with_the_reason_neither_used_nor_replaced(models: Path, command: Command) -> None:
    version = active_in(models)
    truncate(models / "versions" / version / "calibration.npz")
    code, said, _ = command("--list")
    assert (code, said.startswith(f"* {version}  cannot be used: ")) == (0, True)
    assert "calibration.npz is not the file that was written" in said
    for words in (["--activate", version], ["--if-needed"]):
        code, said, error = command(*words)
        assert (code, said, "calibration.npz is not the file" in error) == (1, "", True)
    assert names_in(models) == [version]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--list"], "There is no trained model in"),
        (["--recalibrate", DATA], "There is no trained model in"),
        (["--activate", "20260102T030405Z-000000000000"], "There is no version"),
    ],
)
def test_where_there_is_no_model_or_no_such_version_the_answer_is_one_sentence(
    tmp_path: Path, command: Command, words: list[str], said: str
) -> None:
    code, out, error = command(*words)
    assert (code, out, error.startswith(said), error.count("\n")) == (1, "", True, 1)
    assert not (tmp_path / "models").exists()


def make_outdated(models: Path, **changes: object) -> None:
    """Make all there is what an earlier version of this program wrote."""
    change_manifest(models, lambda manifest: manifest.update(format=1, **changes), seal=False)


@pytest.mark.parametrize("layout", ["no model", "an earlier layout"])
def test_if_needed_trains_where_there_is_no_model_or_one_of_the_shipped_data_of_an_earlier_layout(
    csv_file: WriteCsv, models: Path, command: Command, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if layout == "no model":
        shutil.rmtree(models)
    else:
        make_outdated(models)
    words = ["--if-needed", "--data", csv_file(*FEW)]
    code, said, _ = command(*words)
    assert code == 0
    assert "Training the model; this takes about a minute.\n" in said
    assert said.startswith("The model was made of the shipped data by an earlier version") == (layout != "no model")
    assert command(*words) == (0, f"Model {active_in(models)} is ready.\n", "")
    monkeypatch.setenv("MODEL_HIGH_THRESHOLD", "0.97")
    assert "is ready.\nThe thresholds stay those of the training, Medium from 0.8 and High" in command(*words)[1]


@pytest.mark.parametrize("part", ["data", "calibration_data"])
def test_if_needed_never_replaces_a_clinics_own_model_of_an_earlier_layout(
    models: Path, command: Command, part: str
) -> None:
    make_outdated(models, **{part: {"name": "clinic.csv", "sha256": "0" * 64}})
    before = {path: path.read_bytes() for path in models.rglob("*") if path.is_file()}
    code, _, error = command("--if-needed")
    assert (code, "was written by an earlier version of this program" in error) == (1, True)
    assert {path: path.read_bytes() for path in models.rglob("*") if path.is_file()} == before


def test_if_needed_trains_nothing_where_no_version_is_active_and_some_are_stored(
    models: Path, command: Command
) -> None:
    version = active_in(models)
    (models / "active").unlink()
    code, said, error = command("--if-needed")
    assert (code, said, names_in(models)) == (1, "", [version])
    assert f"No version in {models} is active" in error
    assert command("--activate", version)[0] == command("--if-needed")[0] == 0


def test_with_a_key_new_models_are_signed_and_unsigned_ones_refused(
    monkeypatch: pytest.MonkeyPatch, csv_file: WriteCsv, models: Path, command: Command
) -> None:
    monkeypatch.setenv("MODEL_SIGNING_KEY", "k" * 32)
    assert "is not signed with MODEL_SIGNING_KEY" in command("--if-needed")[2]
    for option, rows in (("--data", FEW), ("--recalibrate", FEW[1:])):
        assert command(option, csv_file(*rows))[0] == 0
        assert load_detector(models, key=SecretStr("k" * 32)).manifest.signature is not None


@pytest.mark.parametrize(
    ("main", "words", "said"),
    [
        (train_model.main, ["--recalibrate", "x.csv", "--activate", "x"], "not allowed with"),
        (train_model.main, ["--recalibrate", "x.csv", "--data", "y.csv"], "--data and --repeats are for training"),
        (train_model.main, ["--repeats", "0"], "--repeats must be 1 or more"),
        (train_model.main, ["MODEL_MEDIUM_THRESHOLD=0.97"], "must be below MODEL_HIGH_THRESHOLD"),
        (train_model.main, ["MODEL_N_ESTIMATORS=7"], "MODEL_N_ESTIMATORS must be 50 or more"),
        (evaluation.main, ["--folds", "1"], "MODEL_EVALUATION_FOLDS"),
        (evaluation.main, ["--model", "somewhere"], "--model needs --data"),
    ],
)
def test_words_and_settings_that_make_no_sense_are_usage_errors(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    main: Callable[[list[str]], int],
    words: list[str],
    said: str,
) -> None:
    for name, _, value in (word.partition("=") for word in words if "=" in word):
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        main([word for word in words if "=" not in word])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.full
def test_a_training_that_is_stopped_leaves_the_active_model(models: Path) -> None:
    """As Ctrl-C does it: the signal reaches the command and its worker processes alike."""
    before = names_in(models)
    slow = {"MODEL_CALIBRATION_FOLDS": "20", "MODEL_WORKERS": "2"}
    own = signal.signal(signal.SIGINT, signal.default_int_handler)  # the child inherits "ignored", as in the background
    training = subprocess.Popen(
        [sys.executable, str(PROJECT_ROOT / "train_model.py"), "--out", str(models)],
        env=os.environ | slow,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    signal.signal(signal.SIGINT, own)
    assert training.stderr is not None
    for done in range(1, 7):  # by then every worker has begun
        assert training.stderr.readline().startswith(f"Calibrating: {done} of 20 forests")
    os.killpg(training.pid, signal.SIGINT)
    said, errors = training.communicate(timeout=60)
    assert training.returncode == 130, errors
    assert said == ""
    lines = errors.splitlines()
    assert all(line.startswith("Calibrating: ") for line in lines[:-1]), errors
    assert lines[-1] == "Stopped. The active model is unchanged."
    assert names_in(models) == before == [active_in(models)]


def test_without_its_packages_the_command_says_what_to_run() -> None:
    command = [sys.executable, "-S", str(PROJECT_ROOT / "train_model.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.endswith("Run: pip install -r requirements.txt && pip install -e . --no-deps\n")
    assert "Traceback" not in done.stderr
