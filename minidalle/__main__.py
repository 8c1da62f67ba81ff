"""The command: `minidalle draw`, `train`, `tokenize`, `evaluate`, `plan`, `bench`.

What goes wrong because of what was typed, or of a file, ends in one sentence and exit code 2; a
loss that is not finite in exit code 1; Ctrl-C in 130. What the commands do is in commands.py.
"""

import argparse
import os
import sys
from pathlib import Path

from minidalle import commands
from minidalle.commands import BENCHES, CLIP_WORDS, MODELS


# ---- what may be typed ------------------------------------------------------------------


class Parser(argparse.ArgumentParser):
    """argparse, but a wrong argument is a ValueError like any other bad input."""

    def error(self, message):
        raise ValueError(f"{message}; `{self.prog} --help` shows what there is")


def at_least_one(text: str) -> int:
    """An integer ≥ 1."""
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, not {text}")
    return int(text)


def some_minutes(text: str) -> float:
    """A finite number > 0."""
    if not 0 < float(text) < float("inf"):
        raise argparse.ArgumentTypeError(f"must be more than 0, not {text}")
    return float(text)


def seed_number(text: str) -> int:
    """An integer of 32 bits."""
    if not 0 <= int(text) < 2**32:
        raise argparse.ArgumentTypeError(f"must be from 0 to {2**32 - 1}, not {text}")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """Every option of every subcommand."""
    top = Parser(prog="minidalle", description="DALL·E in miniature, from a caption to pictures.")
    verbs = top.add_subparsers(dest="command", metavar="{draw,train,tokenize,evaluate,plan,bench}", required=True)

    draw = verbs.add_parser("draw", help="draw a caption and write a sheet of pictures")
    draw.set_defaults(run=commands.draw)
    draw.add_argument("caption", metavar="CAPTION", help="after --, if it begins with a dash")
    draw.add_argument("--candidates", type=int, default=32, metavar="N", help="pictures drawn (32)")
    draw.add_argument("--keep", type=int, default=8, metavar="K", help="pictures kept by CLIP (8)")
    draw.add_argument("--temperature", type=float, metavar="T",
                      help="0: the likeliest code, 1: as in the paper (0.7)")
    draw.add_argument("--top-k", type=int, metavar="K", help="choose among the K likeliest codes")
    draw.add_argument("--top-p", type=float, metavar="P", help="… of those that make up P")
    draw.add_argument("--guidance", type=float, metavar="G", help="weight of the caption; 1 is off (1.25)")
    draw.add_argument("--truncate", action="store_true", help="cut a caption that is too long")
    draw.add_argument("--clip", type=Path, metavar="FILE",
                      help=f"rank with this CLIP of OpenAI's, beside which lies its {CLIP_WORDS}")
    draw.add_argument("--out", type=Path, default=Path("sheet.png"), metavar="FILE")

    train = verbs.add_parser("train", help="train bpe, dvae, clip, then dalle")
    train.set_defaults(run=commands.train)
    train.add_argument("model", choices=MODELS)
    train.add_argument("--preset", default="tiny", help="which sizes (tiny)")
    train.add_argument("--data", required=True,
                       help="scenes, emoji, both, a folder of NAME.png and NAME.txt, tar shards as "
                       "'{00000..00009}.tar', or (dalle) a folder of what `tokenize` made")
    train.add_argument("--out", type=Path, required=True, metavar="DIR", help="for all four models")
    length = train.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=some_minutes, metavar="M", help="as many steps as fit in")
    length.add_argument("--steps", type=at_least_one, metavar="N", help="not the preset's number")
    train.add_argument("--save-every", type=some_minutes, default=1, metavar="M", help="minutes (1)")
    many = train.add_argument_group("under torchrun")
    many.add_argument("--share", choices=("ddp", "fsdp", "hsdp"), default="fsdp",
                      help="what is shared: nothing, everything, everything within a machine (fsdp)")
    many.add_argument("--together", type=at_least_one, metavar="N", help="hsdp: N share (a machine's)")
    many.add_argument("--powersgd", type=at_least_one, metavar="RANK", help="ddp: gradients compressed")
    many.add_argument("--keep-checkpoints", type=at_least_one, default=2, metavar="N", help="the newest (2)")
    many.add_argument("--wait", type=some_minutes, default=5, metavar="M", help="minutes to meet in (5)")
    old = train.add_mutually_exclusive_group()
    old.add_argument("--resume", action="store_true", help="go on from DIR's checkpoint")
    old.add_argument("--overwrite", action="store_true", help="begin again")

    tokenize = verbs.add_parser("tokenize", help="turn tar shards into ids and codes, for train dalle")
    tokenize.set_defaults(run=commands.tokenize)
    tokenize.add_argument("--data", required=True, metavar="PATTERN", help="as 'shards/{00000..00009}.tar'")
    tokenize.add_argument("--weights", type=Path, required=True, metavar="DIR", help="of a BPE and a dVAE")
    tokenize.add_argument("--out", type=Path, required=True, metavar="DIR", help="a file for each shard")
    tokenize.add_argument("--preset", default="tiny", help="whose length of captions (tiny)")
    tokenize.add_argument("--processes", type=at_least_one, default=1, metavar="N", help="at once (1)")

    bench = verbs.add_parser("bench", help="measure speed, beside what the machine could do")
    bench.set_defaults(run=commands.bench)
    bench.add_argument("path", choices=(*BENCHES, "all"), help="what is to be timed")
    bench.add_argument("--preset", help="the transformer of this preset, not the one for CPUs")
    bench.add_argument("--depth", type=at_least_one, metavar="N", help="but only so many layers")
    bench.add_argument("--batch", type=at_least_one, metavar="B",
                       help="images at a time (sample: 1, 8, 32 and 64; dvae: 1; others: 8)")
    bench.add_argument("--repeat", type=at_least_one, default=5, metavar="N", help="times (5)")
    bench.add_argument("--peer", action="store_true", help="beside the peers that `make bench-peers` installs")
    bench.add_argument("--profile", action="store_true", help="and where the time goes")
    bench.add_argument("--into", type=Path, metavar="FILE", help="put the table between the marks of this text, too")
    bench.add_argument("--json", action="store_true", help="one line of JSON, not a table")

    evaluate = verbs.add_parser("evaluate", help="measure the models")
    evaluate.set_defaults(run=commands.evaluate)
    evaluate.add_argument("--split", action="append", metavar="NAME", help="only this one")
    evaluate.add_argument("--captions", type=at_least_one, default=500, help="of each part (500)")
    evaluate.add_argument("--candidates", type=at_least_one, default=32, help="of a caption (32)")
    evaluate.add_argument("--json", action="store_true", help="not a table")

    plan = verbs.add_parser("plan", help="what training the transformer takes: memory, FLOPs, days")
    plan.set_defaults(run=commands.plan)
    plan.add_argument("--preset", default="paper", help="which sizes (paper)")
    plan.add_argument("--gpus", type=int, default=1, metavar="N", help="how many (1)")
    plan.add_argument("--gpu", default="h100", help="h100, h200, a100-80, a100-40 or v100 (h100)")
    plan.add_argument("--image-batch", type=at_least_one, metavar="B",
                      help="images in a GPU at a time (as many as fit)")
    plan.add_argument("--mfu", type=float, default=0.4, metavar="X", help="share of the peak reached (0.4)")
    plan.add_argument("--share", choices=("ddp", "fsdp", "hsdp"), default="fsdp", help="as in train (fsdp)")
    plan.add_argument("--together", type=at_least_one, metavar="M", help="hsdp: M share (8)")
    plan.add_argument("--recompute", action=argparse.BooleanOptionalAction, default=False,
                      help="activations are computed again, not kept")
    plan.add_argument("--json", action="store_true", help="not a table")

    for command in (train, bench):
        command.add_argument("--threads", type=at_least_one, metavar="N", help="of the CPU")
        command.add_argument("--device", default="cpu", help="cpu, cuda or mps (cpu)")
        command.add_argument("--bf16", action="store_true", help="matrix products of blocks in bfloat16")
        command.add_argument("--compile", action="store_true", help="compile the transformer's blocks")
        command.add_argument("--recompute", action="store_true", help="activations are computed again, not kept")
        command.add_argument("--rounds", type=at_least_one, default=1, metavar="N", help="a batch in N parts")
    for command in (draw, evaluate):
        which = command.add_mutually_exclusive_group()
        which.add_argument("--preset", default="tiny", help="which shipped weights (tiny)")
        which.add_argument("--weights", type=Path, metavar="DIR", help="or what `train` made")
    for command in (draw, train, evaluate):
        command.add_argument("--seed", type=seed_number, default=0, help="of what is random (0)")
    return top


# ---- how it ends ------------------------------------------------------------------------


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    if hasattr(sys.stdout, "reconfigure"):  # a terminal may not know every character
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        args = parser().parse_args(argv)
        args.run(args)
        sys.stdout.flush()
    except FloatingPointError as error:
        return complain(error, 1)
    except BrokenPipeError:  # `minidalle … | head`: nobody listens any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nor at the exit
        return 1
    except KeyboardInterrupt as error:
        return complain(str(error) or "stopped", 130)
    except (ValueError, OSError) as error:
        return complain(error, 2)
    return 0


def complain(error: Exception | str, code: int) -> int:
    """One line on stderr, and the exit code back."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        error = f"{error.filename}: {error.strerror}"
    print("minidalle:", " ".join(str(error).split()), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
