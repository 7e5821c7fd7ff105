"""A soak: random configurations through the command line, as a user types them: ``python -m tests.soak``.

Valid ones, sampled from the yaml files of all groups, must train two batches and exit with 0. Invalid ones, each a
valid one with one thing broken, must exit with 1 and one message that names what is wrong, and no traceback. All run
in this process, on small images of bars or swimmers. A case is drawn from (seed, kind, number) alone: ``--only
invalid:17`` runs it again and prints what it printed.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.command_line import Outcome, type_in
from tests.configurations import invalid, valid


def check_valid(number: int, seed: int) -> tuple[list[str], Outcome, str]:
    """A valid case: its command line, its outcome, and what is wrong with it, or nothing."""
    arguments = valid(random.Random(f"{seed} valid {number}")).arguments()
    with tempfile.TemporaryDirectory() as folder:
        outcome = type_in("train.py", [*arguments, "hydra.run.dir=run"], Path(folder))
        file = Path(folder) / "run" / "metrics.json"
        if outcome.status:
            return arguments, outcome, "it failed"
        if not file.exists() or not json.loads(file.read_text()):
            return arguments, outcome, "it left no metrics.json"
    return arguments, outcome, ""


def check_invalid(number: int, seed: int) -> tuple[list[str], Outcome, str]:
    """An invalid case: its command line, its outcome, and what is wrong with it, or nothing."""
    arguments, word = invalid(random.Random(f"{seed} invalid {number}"))
    with tempfile.TemporaryDirectory() as folder:
        outcome = type_in("train.py", ["hydra.run.dir=run", *arguments], Path(folder))
        finished = (Path(folder) / "run" / "metrics.json").exists()
    if outcome.status == 0:
        return arguments, outcome, "it was not refused"
    if "Traceback" in outcome.err:
        return arguments, outcome, "a traceback"
    # Hydra repeats the command line before the message
    message = [line for line in outcome.err.splitlines() if not line.startswith("Error executing job with overrides")]
    if not any(word in line for line in message):
        return arguments, outcome, f"its message does not name {word}"
    # what a sweeper is to see is known at the end only, and the measures are kept
    return arguments, outcome, "it left a metrics.json" if finished and word != "metric" else ""


CHECKS = {"valid": check_valid, "invalid": check_invalid}


def main() -> None:
    """Run the soak and print what it found; exit status 1 if anything."""
    parser = argparse.ArgumentParser(description=__doc__)
    for kind in CHECKS:
        parser.add_argument(f"--{kind}", type=int, default=200, help="number of cases")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="one case, as kind:number")
    options = parser.parse_args()
    if options.only:
        kind, _, number = options.only.partition(":")
        arguments, outcome, wrong = CHECKS[kind](int(number), options.seed)
        print(f"python train.py {' '.join(arguments)}\n{outcome.out}{outcome.err}\n{wrong or 'as it should be'}")
        sys.exit(bool(wrong))
    failures = 0
    for kind, check in CHECKS.items():
        start, wrongs = time.monotonic(), 0
        count = getattr(options, kind)
        for number in range(count):
            arguments, outcome, wrong = check(number, options.seed)
            if wrong:
                wrongs += 1
                last = outcome.err.strip().splitlines()[-6:]
                print(
                    f"{kind}:{number}: {wrong}\n  python train.py {' '.join(arguments)}\n  " + "\n  ".join(last),
                    flush=True,
                )
        print(f"{count} {kind}, seed {options.seed}: {wrongs} wrong ({time.monotonic() - start:.0f} s)", flush=True)
        failures += wrongs
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
