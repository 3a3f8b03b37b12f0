"""Schedule after schedule on one system, which is made anew now and then, and after every failure."""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.faults.storms import Outcome, Storm
from tests.faults.system import System, copy_tree
from tests.support.model_versions import save_version
from tests.support.patients import real_patients, small_training

SCHEDULES_A_SYSTEM: Final = 25


class Rounds:
    """Runs schedules on copies of the product, with one part replaced by a broken one if a control says so."""

    def __init__(
        self, folder: Path, *, async_mode: str, control: str | None = None, model_dir: Path | None = None
    ) -> None:
        self._folder = folder
        self._async_mode = async_mode
        self._control = control
        self._tree = copy_tree(folder / "tree")
        self._model_dir = model_dir or save_version(
            real_patients(), small_training(), folder / "model", made_at=datetime.now(UTC)
        )
        self._system: System | None = None
        self._runs = self._systems = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end_system()

    def run(self, seed: int, *, keep: Path | None = None) -> Outcome:
        """Run the schedule of a seed; if it fails, keep its records and what the processes wrote in a folder."""
        if self._system is None or self._runs % SCHEDULES_A_SYSTEM == 0:
            self._end_system()
            self._systems += 1
            self._system = System(
                self._folder / f"system-{self._systems}",
                tree=self._tree,
                model_dir=self._model_dir,
                async_mode=self._async_mode,
                control=self._control,
            )
            self._system.start()
        self._runs += 1
        outcome = Storm(self._system, seed).run()
        if outcome.trouble:
            if keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                outcome.records.save(keep / "records.json")
                for log in self._system.folder.glob("*.log"):
                    shutil.copy(log, keep)
            self._end_system()
        return outcome

    def _end_system(self) -> None:
        if self._system is not None:
            self._system.close()
            self._system = None
