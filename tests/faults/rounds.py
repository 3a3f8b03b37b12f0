"""Schedule after schedule on one system, which is made anew now and then, and after every failure."""

import shutil
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.faults.controls import Control
from tests.faults.storms import Outcome, Storm
from tests.faults.system import System, copy_tree
from tests.support.model_versions import save_version
from tests.support.patients import real_patients, small_training

SCHEDULES_A_SYSTEM: Final = 25


class Rounds:
    """Runs schedules on copies of the product, with one change if a control says so."""

    def __init__(
        self, folder: Path, *, async_mode: str, control: Control | None = None, model_dir: Path | None = None
    ) -> None:
        self._folder = folder
        self._async_mode = async_mode
        self._tree = copy_tree(folder / "tree")
        if control is not None:
            control.apply(self._tree)
        self._model_dir = model_dir or _small_model(folder / "model")
        self._system: System | None = None
        self._storms = 0
        self._systems = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end_system()

    def run(self, seed: int) -> Outcome:
        """Run the schedule of a seed."""
        if self._system is None or self._storms == SCHEDULES_A_SYSTEM:
            self._begin_system()
        assert self._system is not None
        self._storms += 1
        with ExitStack() as on_failure:
            on_failure.callback(self._end_system)
            outcome = Storm(self._system, seed).run()
            if not outcome.trouble:
                on_failure.pop_all()
        return outcome

    def keep(self, outcome: Outcome, folder: Path) -> Path:
        """Keep the records of an outcome and what the processes wrote; return where."""
        kept = folder / f"seed-{outcome.seed}"
        kept.mkdir(parents=True, exist_ok=True)
        outcome.records.save(kept / "records.json")
        for log in (self._folder / f"system-{self._systems}").glob("*.log"):
            shutil.copy(log, kept)
        return kept

    def _begin_system(self) -> None:
        self._end_system()
        self._systems += 1
        self._storms = 0
        folder = self._folder / f"system-{self._systems}"
        self._system = System(folder, tree=self._tree, model_dir=self._model_dir, async_mode=self._async_mode)
        self._system.start()

    def _end_system(self) -> None:
        if self._system is not None:
            self._system.close()
            self._system = None


def _small_model(folder: Path) -> Path:
    folder.mkdir()
    return save_version(real_patients(), small_training(), folder, made_at=datetime.now(UTC))
