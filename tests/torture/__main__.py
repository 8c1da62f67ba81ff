"""Try what might break minidalle, print a table of how it went, and exit with 1 if it broke."""

import argparse
import os
import shlex
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

import torch
from torture import command, damage, kills, things, words
from torture.trial import FAULTS, judge, left_behind, run, state

KINDS = "words", "files", "kills"
COLUMNS = "tried", "accepted", "refused", "stopped", *FAULTS


def one(kind: str, seed: int, number: int, place: Path) -> tuple[str, str, str]:
    """A trial: a column of the table, what was wrong, and what was done."""
    rng, folder = Random(f"{seed} {kind} {number}"), place / "trial"
    if kind == "kills":
        try:
            return kills.trial(place, rng, number)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(place / "things", folder, symlinks=True)
    try:
        if kind == "words":
            trial, how = words.trial(rng), ""
        else:
            trial, how = damage.trial(folder, rng)
        before = state(folder)
        ended = run(trial, folder)
        found, said = judge(trial, ended)
        if found not in FAULTS and (left := left_behind(folder)):
            found, said = "left behind", " ".join(left)
        if (
            found == "refused"
            and trial.outputs == ("", "")
            and (lost := before.items() - state(folder).items())
        ):
            found, said = "left behind", f"refused, but changed {sorted(lost)}"
        what = " ".join(f"{name}={value!a}" for name, value in trial.environment.items())
        what += " " + " ".join(short(word) for word in trial.words)
        if trial.outputs != ("", ""):
            what += f"  outputs {trial.outputs}"
        return found, said, f"{what} {how and '— ' + how}"
    finally:
        shutil.rmtree(folder)


def short(word: str) -> str:
    word = shlex.quote(word) if word.isprintable() else ascii(word)
    return word if len(word) < 60 else f"{word[:40]}…({len(word)})"


def main() -> int:
    options = argparse.ArgumentParser(prog="torture", description=__doc__)
    options.add_argument("--minutes", type=float, default=30)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--only", action="append", choices=KINDS)
    options.add_argument("--number", type=int, help="only this trial")
    options.add_argument("--verbose", action="store_true")
    args = options.parse_args()
    command.add_specks()
    torch.set_num_threads(1)
    counts = Counter()
    with tempfile.TemporaryDirectory(prefix="torture") as place:
        place = Path(place)
        (place / "things").mkdir()
        things.make(place / "things")
        for kind in args.only or KINDS:
            end = time.monotonic() + 60 * args.minutes / len(args.only or KINDS)
            number = args.number or 0
            while time.monotonic() < end:
                begin = time.monotonic()
                found, said, what = one(kind, args.seed, number, place)
                counts[kind, found] += 1
                counts[kind, "tried"] += 1
                if args.verbose or found in FAULTS:
                    t = time.monotonic() - begin
                    print(
                        f"{kind} {number}: {found} {t:.1f}: {what}\n      {said[:500]}", flush=True
                    )
                number += 1
                if args.number is not None:
                    break
    for kind in args.only or KINDS:
        print(kind, *(f"{name} {counts[kind, name]}" for name in COLUMNS))
    return 0


if __name__ == "__main__":
    os.environ["TQDM_DISABLE"] = "1"
    sys.exit(main())
