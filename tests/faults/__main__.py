"""Run seeded schedules of faults on the real system: ``python -m tests.faults --seed 1 --schedules 500``."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from tests.faults.controls import CONTROLS
from tests.faults.rounds import Rounds
from tests.faults.storms import Outcome


def main(arguments: Sequence[str]) -> int:
    """Run the schedules; return 1 if one failed, and with ``--control`` 1 if none did."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="seed of the first schedule (1)")
    parser.add_argument("--schedules", type=int, default=10, help="how many, each with the next seed (10)")
    parser.add_argument("--mode", choices=["eventlet", "threading"], default="eventlet", help="concurrency (eventlet)")
    parser.add_argument("--control", choices=sorted(CONTROLS), help="break the product this way: it must be caught")
    parser.add_argument("--keep", type=Path, default=Path("faults-found"), help="folder for records of failures")
    options = parser.parse_args(arguments)
    failed = predictions = 0
    with (
        tempfile.TemporaryDirectory(prefix="faults-") as folder,
        closing(Rounds(Path(folder), async_mode=options.mode, control=options.control)) as rounds,
    ):
        for done, seed in enumerate(range(options.seed, options.seed + options.schedules), start=1):
            outcome = rounds.run(seed, keep=options.keep / f"seed-{seed}")
            predictions += outcome.predictions
            failed += bool(outcome.trouble)
            if outcome.trouble:
                _tell(outcome, options)
            print(
                f"{done} of {options.schedules} schedules, {predictions} predictions, {failed} with findings",
                flush=True,
            )
            if options.control and outcome.trouble:
                return 0
    return 1 if failed or options.control else 0


def _tell(outcome: Outcome, options: argparse.Namespace) -> None:
    print(
        f"Seed {outcome.seed} failed, with these faults:", *outcome.faults, "Found:", *outcome.trouble[:10], sep="\n  "
    )
    print(f"{len(outcome.trouble)} in all; records and logs: {options.keep / f'seed-{outcome.seed}'}")
    control = f" --control {options.control}" if options.control else ""
    print(f"Again: python -m tests.faults --seed {outcome.seed} --schedules 1 --mode {options.mode}{control}")


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("\nStopped before the last schedule.")
