"""The command: `minidalle draw`, `minidalle train`, `minidalle evaluate`.

What goes wrong because of what was typed, or of a file, ends in one sentence and exit code 2; a
loss that is not finite in exit code 1; Ctrl-C in 130. torch is imported by the functions that
need it, so that `--help` and a misspelt option answer at once.
"""

import argparse
import json
import os
import platform
import sys
import time
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from minidalle.config import PRESETS, Preset, TrainConfig

MODELS = ("bpe", "dvae", "clip", "dalle")  # in the order in which they are trained
CLIP_WORDS = "bpe_simple_vocab_16e6.txt.gz"  # the name OpenAI gave to it


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
    commands = top.add_subparsers(dest="command", metavar="{draw,train,evaluate}", required=True)

    draw = commands.add_parser("draw", help="draw a caption and write a sheet of pictures")
    draw.set_defaults(run=run_draw)
    draw.add_argument("caption", metavar="CAPTION", help="after --, if it begins with a dash")
    draw.add_argument("--candidates", type=int, default=32, metavar="N", help="pictures drawn (32)")
    draw.add_argument("--keep", type=int, default=8, metavar="K", help="pictures kept by CLIP (8)")
    draw.add_argument("--temperature", type=float, metavar="T",
                      help="0: the likeliest code, 1: as in the paper (0.7)")
    draw.add_argument("--top-k", type=int, metavar="K", help="choose among the K likeliest codes")
    draw.add_argument("--top-p", type=float, metavar="P", help="… of those that make up P")
    draw.add_argument("--guidance", type=float, metavar="G", help="weight of the caption; 1 is off (1.5)")
    draw.add_argument("--truncate", action="store_true", help="cut a caption that is too long")
    draw.add_argument("--clip", type=Path, metavar="FILE",
                      help=f"rank with this CLIP of OpenAI's, beside which lies its {CLIP_WORDS}")
    draw.add_argument("--out", type=Path, default=Path("sheet.png"), metavar="FILE")

    train = commands.add_parser("train", help="train bpe, dvae, clip, then dalle")
    train.set_defaults(run=run_train)
    train.add_argument("model", choices=MODELS)
    train.add_argument("--preset", default="tiny", help="which sizes (tiny)")
    train.add_argument("--data", required=True,
                       help="scenes, emoji, both, or a folder of NAME.png and NAME.txt")
    train.add_argument("--out", type=Path, required=True, metavar="DIR", help="for all four models")
    length = train.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=some_minutes, metavar="M", help="as many steps as fit in")
    length.add_argument("--steps", type=at_least_one, metavar="N", help="not the preset's number")
    train.add_argument("--threads", type=at_least_one, metavar="N", help="of the CPU")
    old = train.add_mutually_exclusive_group()
    old.add_argument("--resume", action="store_true", help="go on from DIR's checkpoint")
    old.add_argument("--overwrite", action="store_true", help="begin again")

    evaluate = commands.add_parser("evaluate", help="measure the models")
    evaluate.set_defaults(run=run_evaluate)
    evaluate.add_argument("--split", action="append", metavar="NAME", help="only this one")
    evaluate.add_argument("--captions", type=at_least_one, default=500, help="of each part (500)")
    evaluate.add_argument("--candidates", type=at_least_one, default=32, help="of a caption (32)")
    evaluate.add_argument("--json", action="store_true", help="not a table")

    for command in (draw, evaluate):
        which = command.add_mutually_exclusive_group()
        which.add_argument("--preset", default="tiny", help="which shipped weights (tiny)")
        which.add_argument("--weights", type=Path, metavar="DIR", help="or what `train` made")
    for command in (draw, train, evaluate):
        command.add_argument("--seed", type=seed_number, default=0, help="of what is random (0)")
    return top


# ---- draw -------------------------------------------------------------------------------


def run_draw(args) -> None:
    """BPE → transformer → dVAE → CLIP, then the sheet and a table of what is on it."""
    begin = time.perf_counter()
    from tqdm import tqdm

    from minidalle import pipeline, plots

    plots.picture_format(args.out)  # not after a minute of drawing
    models, ranker = open_models(args), open_clip(args.clip)
    load = time.perf_counter() - begin
    how = {name: getattr(args, name) for name in ("temperature", "top_k", "top_p", "guidance")}
    drawing = pipeline.draw(
        models, args.caption, args.candidates, args.keep, args.seed, truncate=args.truncate, ranker=ranker,
        progress=lambda positions: tqdm(positions, desc="drawing", unit="code", leave=False),
        **{name: value for name, value in how.items() if value is not None},
    )  # fmt: skip
    ranked = [(int(i), float(score)) for i, score in zip(drawing.order, drawing.scores)]
    scores = [f"#{i}  {score:.3f}" for i, score in ranked]
    plots.save_image(plots.sheet(drawing.best, drawing.caption, scores), args.out)

    print("tokens  ", *map(repr, drawing.tokens))  # repr: a caption may hold control characters
    print("sheet   ", args.out)
    print("rank  candidate  CLIP score")
    for rank, (i, score) in enumerate(ranked, 1):
        print(f"{rank:4}  {i:9}  {score:10.4f}")
    spent = {"load": load} | drawing.seconds
    stages = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in spent.items())
    print(f"time      {stages}; models without load {sum(drawing.seconds.values()):.1f} s")


def open_models(args):
    """The weights in --weights, else the shipped ones of --preset."""
    from minidalle import weights

    if args.weights is None:
        find_preset(args.preset)
        return weights.load_pretrained(args.preset)
    if not args.weights.is_dir():
        raise FileNotFoundError(f"there is no folder {args.weights} of weights")
    return weights.load_pretrained(args.weights.absolute())


def open_clip(path: Path | None):
    """The tokenizer and the model of --clip, or None."""
    if path is None:
        return None
    from minidalle import weights
    from minidalle.bpe import BPE

    return BPE.from_clip(path.parent / CLIP_WORDS), weights.from_openai_clip(path)


def find_preset(name: str) -> Preset:
    """The preset of that name."""
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}: there is {' and '.join(PRESETS)}")
    return PRESETS[name]


# ---- train ------------------------------------------------------------------------------


def run_train(args) -> None:
    """Train one model into DIR: bpe.json, or NAME.safetensors with its log NAME.csv."""
    if args.threads:
        import torch

        torch.set_num_threads(args.threads)
    preset, done = find_preset(args.preset), existing(args.model, args.out)
    if done and not (args.resume or args.overwrite):
        raise ValueError(f"{done} is there already: add --resume to go on with it, "
                         "--overwrite to begin again, or name another --out")
    if args.model == "bpe":
        train_bpe(args, preset, done)
    else:
        train_model(args, preset)


def existing(model: str, out: Path) -> Path | None:
    """A file that training this model would replace."""
    names = f"{model}.safetensors", f"{model}.checkpoint.safetensors"
    paths = [out / name for name in (("bpe.json",) if model == "bpe" else names)]
    return next((path for path in paths if path.exists()), None)


def train_bpe(args, preset: Preset, done: Path | None) -> None:
    """Learn the vocabulary, which takes seconds and is never half done."""
    if args.minutes or args.steps:
        raise ValueError("bpe learns merges, not steps: leave out --minutes and --steps")
    if args.resume and done:
        print(f"{done} is complete")
        return
    from minidalle import recipes
    from minidalle.bpe import BPE

    captions = recipes.bpe_captions(args.data, args.seed)
    bpe = BPE.train(captions, preset.dalle.vocab, progress=True)
    args.out.mkdir(parents=True, exist_ok=True)
    bpe.save(args.out / "bpe.json")
    print(f"{args.out / 'bpe.json'}: {bpe.vocab} tokens, of {len(captions)} captions")
    print("example  ", *map(repr, bpe.tokens(captions[0])))


def train_model(args, preset: Preset) -> None:
    """Train one of the networks: a job and its length for `training.train`."""
    from minidalle import training

    checkpoint = args.out / f"{args.model}.checkpoint.safetensors"
    config = stored_config(checkpoint, args.steps) if args.resume else preset.train[args.model]
    job = make_job(args, preset, config)
    args.out.mkdir(parents=True, exist_ok=True)
    if args.steps:
        config = replace(config, steps=args.steps)
    elif args.minutes and not args.resume:
        print(f"{args.model}: timing some steps, to see how many fit into {args.minutes:g} minutes")
        config = replace(config, steps=training.steps_in(args.minutes, job, config))
    if args.overwrite:
        checkpoint.unlink(missing_ok=True)  # else --resume might go on with the old run
    print(f"{args.model}: {config.steps} steps of {config.batch}; Ctrl-C stops, --resume goes on",
          flush=True)
    about = {"command": command_line(args, config), "seed": args.seed}
    about |= {"data": Path(args.data).resolve().name}
    about |= {"machine": machine(), "date": today()}
    try:
        training.train(job, config, args.out, resume=args.resume, **about)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("stopped; add --resume to go on") from None
    print(args.out / f"{args.model}.safetensors")


def stored_config(checkpoint: Path, steps: int | None) -> TrainConfig:
    """How the run that is to go on was being trained."""
    from minidalle import weights

    if not checkpoint.is_file():
        raise FileNotFoundError(f"there is no {checkpoint} to resume: leave out --resume")
    _, about = weights.read_tensors(checkpoint)
    if "step" not in about:
        raise ValueError(f"{checkpoint} is no checkpoint of `minidalle train`")
    config = TrainConfig(**about["config"] | {"betas": tuple(about["config"]["betas"])})
    if steps not in (None, config.steps):
        raise ValueError(f"{checkpoint} belongs to a run of {config.steps} steps, not {steps}")
    return config


def make_job(args, preset: Preset, config: TrainConfig):
    """What this model learns, from which data, with what was trained before it."""
    from minidalle import recipes

    if args.model == "dvae":
        return recipes.dvae_job(preset.dvae, config, args.data, args.seed, preset.dvae_loss)
    bpe = trained_before(args, "bpe")
    V = bpe.vocab  # a folder of few words gives fewer merges than the preset has room for
    dvae = trained_before(args, "dvae")
    if args.model == "clip":
        sizes = replace(preset.clip, vocab=V + 1 + preset.clip.text_len, end=V + 1)
        return recipes.clip_job(sizes, config, args.data, args.seed, bpe, dvae)
    sizes = replace(preset.dalle, vocab=V, codebook=dvae.config.codebook, grid=dvae.config.grid)
    return recipes.dalle_job(sizes, config, args.data, args.seed, bpe, dvae, preset.bpe_dropout)


def trained_before(args, model: str):
    """The BPE or dVAE in DIR that this model builds on."""
    from minidalle import weights
    from minidalle.bpe import BPE

    path = args.out / ("bpe.json" if model == "bpe" else f"{model}.safetensors")
    if not path.is_file():
        raise FileNotFoundError(f"{args.model} needs {path}: "
                                f"run `minidalle train {model}` first")
    return BPE.load(path) if model == "bpe" else weights.load(path, model.upper())


def command_line(args, config: TrainConfig) -> str:
    """What to type for the same run again, whatever the speed of the machine; no folders."""
    return (f"minidalle train {args.model} --preset {args.preset} "
            f"--data {Path(args.data).resolve().name} --out {args.out.resolve().name} "
            f"--seed {args.seed} --steps {config.steps}")


def machine() -> str:
    """What this ran on: "2 × AMD EPYC, torch 2.13.0+cpu, Linux"."""
    import torch

    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{os.cpu_count()} × {name}, torch {torch.__version__}, {platform.system()}"


def today() -> str:
    """The day, UTC."""
    return datetime.now(timezone.utc).date().isoformat()


# ---- evaluate ---------------------------------------------------------------------------


def run_evaluate(args) -> None:
    """Measure the models on each part, and say when and where."""
    from minidalle.evaluate import PARTS, evaluate

    parts = args.split or list(PARTS)
    for part in parts:
        if part not in PARTS:
            raise ValueError(f"unknown split {part!r}: there is {', '.join(PARTS)}")
    results = evaluate(open_models(args), parts, args.captions, args.candidates, args.seed)
    if args.json:
        asked = {"captions": args.captions, "candidates": args.candidates, "seed": args.seed}
        print(json.dumps({"date": today(), "machine": machine()} | asked | results, indent=2))
    else:
        print(f"{today()}, {machine()}")
        print(table(results))


def table(results: dict) -> str:
    """{"unseen": {"exact, one sample": 0.75}} → a heading, and its measures below, aligned."""
    lines = []
    for part, measures in results.items():
        measures = measures if isinstance(measures, dict) else {"": measures}
        lines.append(part)
        wide = max(map(len, map(str, measures)), default=0)
        for name, value in measures.items():
            value = f"{value:10.4g}" if isinstance(value, float) else f"{value!s:>10}"
            lines.append(f"  {name!s:{wide}}  {value}")
    return "\n".join(lines)


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
