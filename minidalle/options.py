"""The options of every command: their names, limits and help.

What a wrong one says is one sentence, like any other bad input (__main__.py).
"""

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path

from minidalle import (
    DATA,
    commands,
    commands_course,
    commands_dalle2,
    commands_evaluate,
    commands_train,
)
from minidalle.commands import BENCHES, CLIP_WORDS


class Parser(argparse.ArgumentParser):
    """argparse, except that a wrong argument raises ValueError, like any other bad input."""

    def parse_args(self, args=None, namespace=None):  # type: ignore[override]
        words = sys.argv[1:] if args is None else args
        options = words[: words.index("--")] if "--" in words else words
        for word in options:
            if word.startswith("--") and word.endswith("=--"):  # argparse would make a list of it
                self.error(f"argument {word[:-3]}: '--' is no value")
        return super().parse_args(args, namespace)

    def error(self, message):
        if re.search(r"unrecognized arguments: .*\.(tar|safetensors)\b", message):  # unquoted
            message = "--data takes one pattern: put it in quotes, like 'shards/{00000..00009}.tar'"
        raise ValueError(f"{message}; `{self.prog} --help` lists the options")


def limited(kind: Callable, least: float, most: float) -> Callable[[str], float]:
    """The type of an option that is a number within limits; `kind` is int or float."""

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            whole = "whole " if kind is int else ""
            raise argparse.ArgumentTypeError(f"{text!r} is no {whole}number") from None
        if not least <= value <= most:  # which NaN is not
            raise argparse.ArgumentTypeError(f"must be from {least} to {most}, not {text}")
        return value

    return read


at_least_one, seed_number = limited(int, 1, 2**31 - 1), limited(int, 0, 2**32 - 1)
positive = limited(float, 1e-12, 1e6)  # a million minutes are two years
share = limited(float, 0, 1)


def parser() -> argparse.ArgumentParser:
    """Every option of every subcommand."""
    top = Parser(prog="minidalle", description="DALL·E in miniature, from a caption to pictures.")
    verbs = top.add_subparsers(
        dest="command",
        metavar="{draw,vary,caption,train,tokenize,evaluate,plan,bench,course}",
        required=True,
    )

    draw = verbs.add_parser("draw", help="draw a caption and write a sheet of pictures")
    draw.set_defaults(run=drawing)
    draw.add_argument("caption", metavar="CAPTION", help="preceded by -- if it begins with a dash")
    draw.add_argument("--candidates", type=int, default=32, metavar="N", help="pictures drawn (32)")
    draw.add_argument("--keep", type=int, default=8, metavar="K", help="pictures kept by CLIP (8)")
    draw.add_argument(
        "--temperature",
        type=float,
        metavar="T",
        help="0: always the likeliest code, 1: as in the paper (0.7)",
    )
    draw.add_argument("--top-k", type=int, metavar="K", help="choose among the K likeliest codes")
    draw.add_argument(
        "--top-p", type=float, metavar="P", help="choose among the likeliest codes that sum to P"
    )
    draw.add_argument(
        "--guidance", type=float, metavar="G", help="strength of the caption; 1 is off (1.25)"
    )
    draw.add_argument(
        "--image", type=Path, metavar="FILE", help="redraw part of this picture, and keep the rest"
    )
    draw.add_argument(
        "--mask",
        type=Path,
        metavar="FILE",
        help="dalle2: a picture as large as --image, light where to draw",
    )
    draw.add_argument(
        "--model", choices=("dalle", "dalle2", "mini"), default="dalle", help="which DALL·E (dalle)"
    )
    part = draw.add_mutually_exclusive_group()
    part.add_argument(
        "--keep-rows", type=int, metavar="N", help="of codes, from the top (half of the picture)"
    )
    part.add_argument(
        "--box",
        type=int,
        nargs=2,
        metavar=("TOP", "LEFT"),
        help="in codes; draw from there to the bottom-right corner",
    )
    draw.add_argument("--truncate", action="store_true", help="cut a caption that is too long")
    draw.add_argument(
        "--clip",
        type=Path,
        metavar="FILE",
        help=f"rank with this OpenAI CLIP; {CLIP_WORDS} must be in the same folder",
    )
    draw.add_argument("--out", type=Path, default=Path("sheet.png"), metavar="FILE")

    vary = verbs.add_parser("vary", help="draw variations of a picture, or a way to another one")
    vary.set_defaults(run=commands_dalle2.vary)
    vary.add_argument("picture", type=Path, metavar="PICTURE")
    vary.add_argument("other", type=Path, metavar="OTHER", nargs="?", help="where the way ends")
    vary.add_argument("--keep", type=at_least_one, default=8, metavar="K", help="how many (8)")
    vary.add_argument(
        "--eta", type=share, metavar="η", help="0: the picture itself, to 1: only what it means (1)"
    )
    vary.add_argument(
        "--weights", type=Path, metavar="DIR", help="a folder of `train` (those shipped)"
    )
    vary.add_argument("--out", type=Path, default=Path("sheet.png"), metavar="FILE")

    caption = verbs.add_parser("caption", help="say which captions fit a picture")
    caption.set_defaults(run=commands.caption)
    caption.add_argument("picture", type=Path, metavar="PICTURE")
    caption.add_argument(
        "--among", type=Path, metavar="FILE", help="captions to choose among, one on each line"
    )
    caption.add_argument("--keep", type=at_least_one, default=5, metavar="K", help="how many (5)")

    train = verbs.add_parser(
        "train", help="train bpe, dvae, clip, then dalle; or decoder and others"
    )
    train.set_defaults(run=training)
    train.add_argument(
        "model",
        metavar="MODEL",
        help="bpe, dvae, clip or dalle; the last two need the first two. Of the second DALL·E: "
        "prior, ar_prior and decoder, which need bpe and clip, up64 and up128. Of DALL·E Mini: "
        "vqgan, and mini, which needs bpe and vqgan",
    )
    train.add_argument("--preset", default="tiny", help="sizes of the models (tiny)")
    train.add_argument(
        "--data",
        required=True,
        help="scenes, emoji, both, lit, a folder of NAME.png and NAME.txt, tar shards as "
        "'{00000..00009}.tar', or (dalle) a folder written by `tokenize`",
    )
    train.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder of all models"
    )
    train.add_argument(
        "--start", type=Path, metavar="DIR", help="begin with the trained model in DIR"
    )
    length = train.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=positive, metavar="M", help="as many steps as fit into M")
    length.add_argument("--steps", type=at_least_one, metavar="N", help="steps (as in the preset)")
    train.add_argument(
        "--lr", type=positive, metavar="RATE", help="peak learning rate (as in the preset)"
    )
    train.add_argument(
        "--batch-size",
        type=limited(int, 1, 2**16),
        metavar="B",
        help="examples in a step (as in the preset)",
    )
    train.add_argument(
        "--workers",
        type=at_least_one,
        metavar="N",
        help="processes that make examples ahead, for a GPU (0)",
    )
    train.add_argument(
        "--save-every",
        type=positive,
        default=1,
        metavar="M",
        help="minutes between checkpoints (1)",
    )
    many = train.add_argument_group("under torchrun")
    many.add_argument(
        "--share",
        choices=("ddp", "fsdp", "hsdp"),
        default="fsdp",
        help="what is sharded: nothing, the model, the model within each machine (fsdp)",
    )
    many.add_argument(
        "--shard-size",
        type=at_least_one,
        metavar="N",
        help="hsdp: processes per copy (a machine's)",
    )
    many.add_argument(
        "--powersgd", type=at_least_one, metavar="RANK", help="ddp: compress gradients"
    )
    many.add_argument(
        "--keep-checkpoints", type=at_least_one, default=2, metavar="N", help="how many to keep (2)"
    )
    many.add_argument(
        "--wait",
        type=positive,
        default=5,
        metavar="M",
        help="minutes to wait for all processes (5)",
    )
    old = train.add_mutually_exclusive_group()
    old.add_argument("--resume", action="store_true", help="continue from DIR's checkpoint")
    old.add_argument("--overwrite", action="store_true", help="start over")

    tokenize = verbs.add_parser(
        "tokenize", help="encode tar shards as ids and codes, for train dalle"
    )
    tokenize.set_defaults(run=commands.tokenize)
    tokenize.add_argument(
        "--data", required=True, metavar="PATTERN", help="such as 'shards/{00000..00009}.tar'"
    )
    tokenize.add_argument(
        "--weights", type=Path, required=True, metavar="DIR", help="trained BPE and dVAE"
    )
    tokenize.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="gets one file per shard"
    )
    tokenize.add_argument("--preset", default="tiny", help="sets the caption length (tiny)")
    tokenize.add_argument(
        "--processes", type=at_least_one, default=1, metavar="N", help="to run at once (1)"
    )

    bench = verbs.add_parser("bench", help="measure speed against the machine's limits")
    bench.set_defaults(run=commands.bench)
    bench.add_argument("path", choices=(*BENCHES, "all"), help="what to time")
    bench.add_argument("--preset", help="a preset's transformer, not the CPU-sized one")
    bench.add_argument("--depth", type=at_least_one, metavar="N", help="use only N layers")
    bench.add_argument(
        "--batch",
        type=at_least_one,
        metavar="B",
        help="batch size (sample: 1, 8, 32 and 64; dvae: 1; others: 8)",
    )
    bench.add_argument("--repeat", type=at_least_one, default=5, metavar="N", help="repeats (5)")
    bench.add_argument(
        "--peer", action="store_true", help="also time the peers that `make bench-peers` installs"
    )
    bench.add_argument("--profile", action="store_true", help="show where the time goes")
    bench.add_argument(
        "--into",
        type=Path,
        metavar="FILE",
        help="also write the table between the markers in FILE",
    )
    bench.add_argument("--json", action="store_true", help="one line of JSON instead of a table")

    evaluate = verbs.add_parser("evaluate", help="measure the models")
    evaluate.set_defaults(run=commands_evaluate.evaluate)
    evaluate.add_argument("--split", action="append", metavar="NAME", help="only this part")
    evaluate.add_argument("--captions", type=at_least_one, default=500, help="per part (500)")
    evaluate.add_argument("--candidates", type=at_least_one, default=32, help="per caption (32)")
    evaluate.add_argument("--json", action="store_true", help="JSON instead of a table")
    evaluate.add_argument(
        "--into",
        type=Path,
        metavar="FILE",
        help="write each part to FILE once it is measured"
        ", and leave out those that are there: may be stopped and started again",
    )

    plan = verbs.add_parser("plan", help="compute the memory, FLOPs and days of a training")
    plan.set_defaults(run=planning)
    plan.add_argument("--preset", help="size of the models (paper; of mini: mini)")
    plan.add_argument(
        "--model",
        choices=("dalle", "dalle2", "mini"),
        default="dalle",
        help="the transformer, or all of the second DALL·E or of DALL·E Mini (dalle)",
    )
    plan.add_argument("--gpus", type=int, default=1, metavar="N", help="number of GPUs (1)")
    plan.add_argument("--gpu", default="h100", help="h100, h200, a100-80, a100-40 or v100 (h100)")
    plan.add_argument(
        "--image-batch",
        type=at_least_one,
        metavar="B",
        help="images per GPU at a time (as many as fit)",
    )
    plan.add_argument(
        "--mfu", type=float, default=0.4, metavar="X", help="share of the peak reached (0.4)"
    )
    plan.add_argument(
        "--share", choices=("ddp", "fsdp", "hsdp"), default="fsdp", help="as in train (fsdp)"
    )
    plan.add_argument(
        "--shard-size", type=at_least_one, metavar="M", help="hsdp: GPUs per copy (8)"
    )
    plan.add_argument(
        "--recompute",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="recompute activations instead of keeping them",
    )
    plan.add_argument("--json", action="store_true", help="JSON instead of a table")

    course_options(verbs.add_parser("course", help="hand out assignments and grade them"))

    for command in (train, bench):
        command.add_argument(  # torch crashes when asked for many thousands
            "--threads", type=limited(int, 1, 1024), metavar="N", help="CPU threads"
        )
        command.add_argument("--device", default="cpu", help="cpu, cuda or mps (cpu)")
        command.add_argument(
            "--bf16", action="store_true", help="compute the blocks' matrix products in bfloat16"
        )
        command.add_argument(
            "--compile", action="store_true", help="compile the transformer's blocks"
        )
        command.add_argument(
            "--recompute", action="store_true", help="recompute activations instead of keeping them"
        )
        command.add_argument(
            "--grad-accum-steps",
            type=at_least_one,
            default=1,
            metavar="N",
            help="split each batch into N parts",
        )
    for command in (draw, vary, evaluate):
        command.add_argument("--device", default="cpu", help="cpu, cuda or mps (cpu)")
    for command in (draw, caption, evaluate):
        which = command.add_mutually_exclusive_group()
        which.add_argument("--preset", default="small", help="shipped weights (small)")
        which.add_argument("--weights", type=Path, metavar="DIR", help="or a folder of `train`")
    draw.set_defaults(preset=None)  # that of the first DALL·E, see `drawing`
    for command in (draw, vary, train, evaluate):
        command.add_argument("--seed", type=seed_number, default=0, help="random seed (0)")
    return top


def course_options(course: argparse.ArgumentParser) -> None:
    """The options of `minidalle course`."""
    verbs = course.add_subparsers(metavar="{release,grade,report,check}", required=True)
    release = verbs.add_parser("release", help="make the students' versions")
    grade = verbs.add_parser("grade", help="grade what was handed in, and write feedback")
    report = verbs.add_parser("report", help="write one table of all marks")
    check = verbs.add_parser("check", help="try the tests on right and wrong solutions")
    for command, run in (
        (release, commands_course.release),
        (grade, commands_course.grade),
        (report, commands_course.report),
        (check, commands_course.check),
    ):
        command.set_defaults(run=run)
    for command in (release, grade, check):
        command.add_argument("assignment", nargs="*", help="a1, a2, … (all)")
    for command in (release, grade, report):
        command.add_argument(
            "--course", type=Path, default=Path("course"), metavar="DIR", help="folder (course)"
        )
    for command in (release, grade, check):
        command.add_argument(
            "--student", action="append", default=[], metavar="NAME", help="only this one"
        )
        command.add_argument(
            "--students", type=Path, metavar="FILE", help="their names, one a line"
        )
    grade.add_argument("--jobs", type=at_least_one, default=2, metavar="N", help="at once (2)")
    report.add_argument("--out", type=Path, metavar="FILE", help="CSV (marks.csv in the folder)")


def drawing(args: argparse.Namespace) -> None:
    """`draw` with any of the models."""
    if args.mask and args.model != "dalle2":
        raise ValueError("--mask needs --model dalle2; the others draw a --box")
    if args.model == "dalle2":
        return commands_dalle2.draw(args)
    if args.model == "mini":
        if args.preset:
            raise ValueError("--preset is for the first DALL·E: leave out --model mini")
        args.weights = args.weights or DATA / "dalle_mini"
    args.preset = args.preset or "small"
    commands.draw(args)


OF_BPE = {"preset", "data", "out", "seed", "resume", "overwrite"}  # in `train`
OF_FIRST_PLAN = {"share", "shard_size", "image_batch", "recompute"}  # of the first DALL·E


def training(args: argparse.Namespace) -> None:
    """`train`, of bpe or a network."""
    least = "train", "bpe", "--data=", "--out="
    if args.model == "bpe" and (others := given(args, *least) - OF_BPE):
        raise ValueError(
            f"bpe learns merges, in one process and without steps: leave out {spelled(others)}"
        )
    commands_train.train(args)


def planning(args: argparse.Namespace) -> None:
    """`plan` of any of the models."""
    if args.model != "dalle" and (others := given(args, "plan") & OF_FIRST_PLAN):
        raise ValueError(
            f"the plan of {args.model} has neither activations nor ways to share: "
            f"leave out {spelled(others)}"
        )
    commands.plan(args)


def given(args: argparse.Namespace, *least: str) -> set[str]:
    """The options that differ from what they are with the fewest words."""
    plain = vars(parser().parse_args(least))
    return {name for name in plain if getattr(args, name) != plain[name]}


def spelled(names: set[str]) -> str:
    """{"lr", "batch_size"} → "--batch-size, --lr"."""
    return ", ".join("--" + name.replace("_", "-") for name in sorted(names))
