"""Schedule after schedule on one system, which is made anew after every failure."""

import shutil
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from tests.faults.storms import Outcome, Storm
from tests.faults.system import System, copy_tree
from tests.support.model_versions import save_version
from tests.support.patients import real_patients, small_training


class Rounds:
    """Runs schedules on copies of the product, with one part replaced by a broken one if a control says so."""

    def __init__(
        self, folder: Path, *, async_mode: str, control: str | None = None, model_dir: Path | None = None
    ) -> None:
        self._folder = folder
        model = model_dir or save_version(
            real_patients(), small_training(), folder / "model", made_at=datetime.now(UTC)
        )
        tree = copy_tree(folder / "tree")
        self._make_system = partial(System, tree=tree, model_dir=model, async_mode=async_mode, control=control)
        self._system: System | None = None

    def run(self, seed: int, *, keep: Path | None = None) -> Outcome:
        """Run the schedule of a seed; if it fails, keep its records and what the processes wrote in a folder."""
        if self._system is None:
            self._system = self._make_system(self._folder / f"from-{seed}")
            self._system.start()
        outcome = Storm(self._system, seed).run()
        if outcome.trouble:
            if keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                outcome.records.save(keep / "records.json")
                for log in self._system.folder.glob("*.log"):
                    shutil.copy(log, keep)
            self.close()
        return outcome

    def close(self) -> None:
        if self._system is not None:
            self._system.close()
            self._system = None
