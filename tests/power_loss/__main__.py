"""Open many disks that a loss of power may leave: ``python -m tests.power_loss [--states N] [--control NAME]``."""

import argparse
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tests.power_loss.cases import of_both
from tests.power_loss.commands import of_commands
from tests.power_loss.controls import CONTROLS
from tests.power_loss.exploring import Case, Result, explore_all
from tests.power_loss.processes import why_not
from tests.support.model_versions import save_another_version, save_version
from tests.support.patients import real_patients, small_training

_SHOWN: Final = 5
_NOT_HERE: Final = 2


def main() -> int:
    """Print what was opened and what was wrong; return 0 if nothing was, or if a control was caught."""
    options = _options()
    if reason := why_not():
        print(f"Nothing was recorded: {reason}")
        return _NOT_HERE
    with tempfile.TemporaryDirectory() as name:
        cases = _record(Path(name), options)
        results = explore_all(cases, states=options.states, seed=options.seed)
    for result in results:
        _show(result)
    found = any(result.violations for result in results)
    return int(found != bool(options.control))


def _record(folder: Path, options: argparse.Namespace) -> list[Case]:
    """Record the system at work, and the commands unless a control is to be caught."""
    made_at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    models = save_version(real_patients(), small_training(), folder / "models", made_at=made_at)
    cases = of_both(folder / "both", models, patients=options.patients, control=options.control)
    if options.control is None:
        save_another_version(folder / "other_models")
        cases += of_commands(folder / "commands", models, folder / "other_models")
    return cases


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--states", type=int, default=2000, help="most disks to open of each recording")
    parser.add_argument("--patients", type=int, default=24, help="patients that are entered")
    parser.add_argument("--seed", type=int, default=0, help="seed of what is chosen at random")
    parser.add_argument("--control", choices=CONTROLS, help="break the product in this way, which has to be caught")
    return parser.parse_args()


def _show(result: Result) -> None:
    print(
        f"{result.name}: {result.opened} different disks opened, of {result.judged} outcomes at {result.points} points "
        f"with {result.promises} promises; {len(result.violations)} broke one",
        end="",
    )
    print(f", the first was disk {result.caught_after}." if result.caught_after else ".")
    for violation in result.violations[:_SHOWN]:
        print(f"  {violation}")


if __name__ == "__main__":
    sys.exit(main())
