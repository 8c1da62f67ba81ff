"""Try what might break minidalle, print a table of how it went, and exit with 1 if it broke."""

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import torch

from torture import command, damage, kills, things, words
from torture.trial import FAULTS

KINDS = {"words": words.trial, "files": damage.trial, "kills": kills.trial}
SAMPLE = {"words": 100, "files": 60, "kills": 4}  # a minute
COLUMNS = "tried", "refused", "accepted", "stopped", *FAULTS


def main() -> int:
    """Run the trials; returns the exit code."""
    options = argparse.ArgumentParser(prog="torture", description=__doc__)
    options.add_argument("--minutes", type=float, default=30, help="in all (30)")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--only", action="append", choices=KINDS, help="this kind of trial")
    options.add_argument("--number", type=int, help="only this one")
    options.add_argument("--sample", action="store_true", help="only a few of each")
    options.add_argument("--verbose", action="store_true", help="print all, not only faults")
    args = options.parse_args()
    kinds, first, counts = args.only or list(KINDS), args.number or 0, Counter()
    with things_in_a_folder() as place:
        for kind in kinds:
            end = time.monotonic() + 60 * args.minutes / len(kinds)
            count = 2**31 if args.number is None else 1
            count = SAMPLE[kind] if args.sample else count
            for number in range(first, first + count):
                if time.monotonic() > end:
                    break
                counts.update(try_one(place, kind, args.seed, number, args.verbose))
    print(table(counts))
    return int(any(counts[kind, fault] for kind in KINDS for fault in FAULTS))


@contextmanager
def things_in_a_folder() -> Iterator[Path]:
    """A folder for trials, in which there is one of everything."""
    command.add_specks()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="torture") as place:
        things.make(Path(place, "things"))
        yield Path(place)


def try_one(place: Path, kind: str, seed: int, number: int, verbose: bool) -> list[tuple]:
    """Make a trial and print what is worth it; returns where it counts in the table."""
    begin = time.monotonic()
    found, said, what = KINDS[kind](place, Random(f"{seed} {kind} {number}"), number)
    if verbose or found in FAULTS:
        spent = f"{time.monotonic() - begin:.1f} s"
        print(f"--only {kind} --seed {seed} --number {number}: {found}, {spent}: {what}")
        print(f"    {said[:400]}", flush=True)
    return [(kind, found), (kind, "tried")]


def table(counts: Counter) -> str:
    """A row for each kind and a column for each way to end."""
    rows = [["kind", *COLUMNS]]
    for kind in KINDS:
        if counts[kind, "tried"]:
            rows.append([kind, *(str(counts[kind, name]) for name in COLUMNS)])
    return "\n".join("  ".join(f"{word:>12}" for word in row) for row in rows)


if __name__ == "__main__":
    sys.exit(main())
