"""Run seeded schedules of faults on the real system: ``python -m tests.faults --seed 1 --schedules 500``."""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.faults.controls import CONTROLS
from tests.faults.rounds import Rounds
from tests.faults.storms import Outcome

BAR = 30


def main(arguments: Sequence[str]) -> int:
    """Run the schedules; return 1 if one failed, and with ``--control`` 1 if none did."""
    options = _parser().parse_args(arguments)
    failed, predictions, began = 0, 0, time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faults-")))
        rounds = stack.enter_context(Rounds(folder, async_mode=options.mode, control=options.control))
        for done, seed in enumerate(range(options.seed, options.seed + options.schedules), start=1):
            kept = options.keep / f"seed-{seed}"
            outcome = rounds.run(seed, keep=kept)
            predictions += outcome.predictions
            if outcome.trouble:
                failed += 1
                _tell(outcome, kept, options)
            _show_progress(done, options.schedules, failed, time.monotonic() - began)
            if options.control and failed:
                print(f"\nThe control was caught by schedule {done}.")
                return 0
    print(f"\n{options.schedules} schedules, {predictions} predictions, {failed} schedules with findings.")
    return 1 if failed or options.control else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="seed of the first schedule (1)")
    parser.add_argument("--schedules", type=int, default=10, help="how many, each with the next seed (10)")
    parser.add_argument("--mode", choices=["eventlet", "threading"], default="eventlet", help="concurrency (eventlet)")
    parser.add_argument("--control", choices=sorted(CONTROLS), help="break the product this way: it must be caught")
    parser.add_argument("--keep", type=Path, default=Path("faults-found"), help="folder for records of failures")
    return parser


def _tell(outcome: Outcome, kept: Path, options: argparse.Namespace) -> None:
    shown = outcome.trouble[:10]
    more = [f"... and {len(outcome.trouble) - len(shown)} more"] if len(outcome.trouble) > len(shown) else []
    control = f" --control {options.control}" if options.control else ""
    print(f"\n\nSeed {outcome.seed} failed, with these faults:", *outcome.faults, "Found:", *shown, *more, sep="\n  ")
    print(f"Records and logs: {kept}")
    print(f"Again: python -m tests.faults --seed {outcome.seed} --schedules 1 --mode {options.mode}{control}")


def _show_progress(done: int, schedules: int, failed: int, seconds: float) -> None:
    filled = BAR * done // schedules
    left = seconds / done * (schedules - done)
    bar = "#" * filled + "." * (BAR - filled)
    print(f"\r[{bar}] {done}/{schedules}, {failed} failed, {left / 60:.0f} min left ", end="", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("\nStopped before the last schedule.")
