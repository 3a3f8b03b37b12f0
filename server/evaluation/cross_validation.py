"""Repeated cross-validation in worker processes; folds that were measured before are read from the disk."""

import inspect
import platform
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from joblib import Memory, delayed
from joblib import hash as joblib_hash

from config.secrets import PROJECT_ROOT, ConfigurationError
from config.settings import TrainingSettings
from server.anomaly.dataset import Dataset
from server.anomaly.preprocessing import refuse_unmeasured
from server.evaluation.console import Watch, unwatched
from server.evaluation.splits import Fold, folds_of_repeat, refuse_too_few
from server.evaluation.training import in_workers

_Result = TypeVar("_Result")

_MOST_KEPT = 500  # folds; those that were used longest ago go

_PACKAGES = ("numpy", "pandas", "scikit-learn", "scipy", "shap")
_CODE = ("config/*.py", "common/*.py", "server/anomaly/*.py", "server/evaluation/*.py")


def cross_validate(
    measure: Callable[[Fold], _Result],
    dataset: Dataset,
    settings: TrainingSettings,
    directory: Path,
    *,
    repeats: int,
    progress: Watch = unwatched,
) -> list[_Result]:
    """Return what is measured in ``settings.evaluation_folds`` folds for each repeat, in order.

    What ``directory`` keeps of earlier calls with the same data, settings, code and packages is not measured again.

    Raises
    ------
    InvalidDataError
        When there are too few patients to fit the folds, or a field was measured in too few of them.
    ConfigurationError
        When the folder cannot be written.
    """
    refuse_too_few(dataset, settings)
    calls = [call for repeat in range(repeats) for call in _calls(measure, dataset, settings, repeat)]
    for *_, fold in calls:
        refuse_unmeasured(dataset.values[fold.fit.fitted_on])
    memory, kept = _kept_in(directory)
    is_kept = [kept.check_call_in_cache(*call) for call in calls]
    # Only missing folds go to the workers, which start for them alone: a second call answers at once.
    missing = [delayed(kept)(*call) for call, known in zip(calls, is_kept, strict=True) if not known]
    found = iter(list(progress(in_workers(missing, settings.workers), len(missing))) if missing else [])
    results = [kept(*call) if known else next(found) for call, known in zip(calls, is_kept, strict=True)]
    memory.reduce_size(items_limit=max(_MOST_KEPT, len(calls)))
    return results


def kept_repeats(measure: Callable[[Fold], Any], dataset: Dataset, settings: TrainingSettings, directory: Path) -> int:
    """Count the repeats that a cross-validation has kept whole, from the first on."""
    _, kept = _kept_in(directory)
    repeats = (_calls(measure, dataset, settings, repeat) for repeat in count())
    return next(n for n, calls in enumerate(repeats) if not all(kept.check_call_in_cache(*call) for call in calls))


_Call = tuple[str, int, int, Callable[[Fold], Any], Fold]


def _measured(made_of: str, repeat: int, number: int, measure: Callable[[Fold], _Result], fold: Fold) -> _Result:
    """Measure a fold; joblib keeps the result under the first three arguments, which the others follow from."""
    return measure(fold)


def _calls(
    measure: Callable[[Fold], Any], dataset: Dataset, settings: TrainingSettings, repeat: int
) -> Iterator[_Call]:
    """Yield the arguments of ``_measured`` for the folds of one repeat."""
    # Values and labels count, whatever file they were read from; of the code, all that a fold may come from: joblib
    # itself looks no further than the one function that it keeps the results of.
    software = [platform.python_version(), *map(version, _PACKAGES), _code(Path(inspect.getfile(measure)))]
    recipe = settings.model_dump(exclude={"workers", "signing_key"})
    made_of = joblib_hash([dataset.values, dataset.has_disease, recipe, software])
    for fold in folds_of_repeat(dataset, settings, repeat):
        yield made_of, repeat, fold.number, measure, fold


def _kept_in(directory: Path) -> tuple[Memory, Any]:
    try:
        memory = Memory(directory, verbose=0)
        return memory, memory.cache(_measured, ignore=["measure", "fold"])
    except OSError as error:
        raise ConfigurationError(
            f"Results cannot be kept in {directory} ({error.strerror}): set DATA_DIR to another folder."
        ) from error


@cache
def _code(measured_in: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted({*code_files(), measured_in})]


def code_files() -> set[Path]:
    """Return the modules of the project that the result of a fold may follow from."""
    return {path for pattern in _CODE for path in PROJECT_ROOT.glob(pattern)}
