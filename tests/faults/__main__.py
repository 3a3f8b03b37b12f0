"""Run seeded schedules of faults on the real system: ``python -m tests.faults --seed 1 --schedules 500``."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from tests.faults.rounds import Rounds
from tests.faults.system import CONTROLS
from tests.support.model_versions import save_version
from tests.support.patients import real_patients, small_training


def main(arguments: Sequence[str]) -> int:
    """Run the schedules; return 1 if one failed, and with ``--control`` 1 if none did."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="seed of the first schedule (1)")
    parser.add_argument("--schedules", type=int, default=10, help="how many, each with the next seed (10)")
    parser.add_argument("--mode", choices=["eventlet", "threading"], default="eventlet", help="concurrency (eventlet)")
    parser.add_argument("--scaled", action="store_true", help="two servers behind nginx on PostgreSQL")
    parser.add_argument("--control", choices=sorted(CONTROLS), help="break the product this way: it must be caught")
    parser.add_argument("--keep", type=Path, default=Path("faults-found"), help="folder for records of failures")
    options = parser.parse_args(arguments)
    failed = predictions = 0
    with tempfile.TemporaryDirectory(prefix="faults-") as name, ExitStack() as ending:
        folder = Path(name)
        model = save_version(real_patients(), small_training(), folder / "model", made_at=datetime.now(UTC))
        rounds = Rounds(folder, model, async_mode=options.mode, control=options.control, is_scaled=options.scaled)
        ending.callback(rounds.close)
        for done, seed in enumerate(range(options.seed, options.seed + options.schedules), start=1):
            kept = options.keep / f"seed-{seed}"
            outcome = rounds.run(seed, keep=kept)
            predictions += outcome.predictions
            if outcome.trouble:
                failed += 1
                found = outcome.trouble[:10]
                print(f"Seed {seed} failed, with these faults:", *outcome.faults, "Found:", *found, sep="\n  ")
                print(f"{len(outcome.trouble)} findings in all; records and logs: {kept}")
                print(f"To repeat it, run with --seed {seed} --schedules 1 and the same other options.")
            print(f"{done} of {options.schedules} schedules, {predictions} predictions, {failed} failed", flush=True)
            if options.control and failed:
                return 0
    return 1 if failed or options.control else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("\nStopped before the last schedule.")
