"""Repeated cross-validation in worker processes; folds that were measured before are read from the disk."""

import inspect
import platform
from collections.abc import Callable
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import TypeVar

from joblib import Memory, delayed
from joblib import hash as joblib_hash

from config.secrets import PROJECT_ROOT, ConfigurationError
from config.settings import TrainingSettings
from server.anomaly.dataset import Dataset
from server.anomaly.preprocessing import refuse_unmeasured
from server.evaluation.console import watched
from server.evaluation.splits import Fold, folds_of_repeat, refuse_too_few
from server.evaluation.training import in_workers

_Result = TypeVar("_Result")

_MOST_KEPT = 500  # folds; those that were used longest ago go

_PACKAGES = ("numpy", "scikit-learn", "scipy", "shap")
_CODE = ("config/*.py", "common/*.py", "server/anomaly/*.py", "server/evaluation/*.py")


def cross_validate(
    measure: Callable[[Fold], _Result],
    dataset: Dataset,
    settings: TrainingSettings,
    directory: Path,
    *,
    repeats: int | None = None,
    title: str = "Evaluating",
) -> list[_Result]:
    """Return what is measured in ``settings.evaluation_folds`` folds for each repeat, in order.

    What ``directory`` keeps of earlier calls with the same data, settings, code and packages is not measured again.
    Without a number of repeats there are as many as are kept whole, and at least one.

    Raises
    ------
    InvalidDataError
        When there are too few patients to fit the folds, or a field was measured in too few of them.
    ConfigurationError
        When the folder cannot be written.
    """
    refuse_too_few(dataset, settings)
    try:
        memory = Memory(directory, verbose=0)
        kept = memory.cache(_measured, ignore=["measure", "fold"])
    except OSError as error:
        raise ConfigurationError(
            f"Results cannot be kept in {directory} ({error.strerror}): set DATA_DIR to another folder."
        ) from error
    # Values and labels count, whatever file they were read from; of the code, all that a fold may come from: joblib
    # itself looks no further than the one function that it keeps the results of.
    code = [path.read_bytes() for path in sorted({*code_files(), Path(inspect.getfile(measure))})]
    software = [platform.python_version(), *map(version, _PACKAGES), code]
    recipe = settings.model_dump(exclude={"workers", "signing_key"})
    made_of = joblib_hash([dataset.values, dataset.has_disease, recipe, software])

    calls = []
    for repeat in count() if repeats is None else range(repeats):
        of_repeat = [
            (made_of, repeat, fold.number, measure, fold) for fold in folds_of_repeat(dataset, settings, repeat)
        ]
        # Whole repeats only: part of one would count some patients more often than others.
        if repeats is None and repeat and not all(kept.check_call_in_cache(*call) for call in of_repeat):
            break
        calls += of_repeat
    for *_, fold in calls:
        refuse_unmeasured(dataset.values[fold.fit.fitted_on])
    # Only missing folds go to the workers, which start for them alone: a second call answers at once.
    if missing := [call for call in calls if not kept.check_call_in_cache(*call)]:
        measured = in_workers((delayed(kept)(*call) for call in missing), settings.workers)
        list(watched(measured, len(missing), title=title, unit="fold"))
    results = [kept(*call) for call in calls]
    memory.reduce_size(items_limit=max(_MOST_KEPT, len(calls)))
    return results


def _measured(made_of: str, repeat: int, number: int, measure: Callable[[Fold], _Result], fold: Fold) -> _Result:
    """Measure a fold; joblib keeps the result under the first three arguments, which the others follow from."""
    return measure(fold)


def code_files() -> set[Path]:
    """Return the modules of the project that the result of a fold may follow from."""
    return {path for pattern in _CODE for path in PROJECT_ROOT.glob(pattern)}
