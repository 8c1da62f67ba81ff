"""The commands; their options are in options.py.

torch is imported by the functions that need it, so that `--help` and a misspelt option respond
at once. Bad input raises ValueError or OSError, in one sentence.
"""

import json
import math
import os
import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from minidalle import DATA
from minidalle.config import PRESETS, DVAEConfig
from minidalle.files import lines_of, whole_file
from minidalle.words import shown

BENCHES = ("sample", "candidates", "train", "attention", "bpe", "dvae", "clip", "scenes")
MOST_CAPTIONS = 2**26  # bytes of --among
CLIP_WORDS = "bpe_simple_vocab_16e6.txt.gz"  # OpenAI's name for it


# ---- draw -------------------------------------------------------------------------------


def draw(args) -> None:
    """BPE → transformer → dVAE → CLIP, then write the sheet and print the ranking."""
    begin = time.perf_counter()
    from tqdm import tqdm

    from minidalle import pipeline, plots

    plots.picture_format(args.out)  # fail now, not after a minute of drawing
    models, ranker = open_models(args), open_clip(args.clip)
    load = time.perf_counter() - begin
    how = {name: getattr(args, name) for name in ("temperature", "top_k", "top_p", "guidance")}
    how |= open_image(args, models.dvae.config)
    drawing = pipeline.draw(
        models, args.caption, args.candidates, args.keep, args.seed, truncate=args.truncate,
        ranker=ranker,
        progress=lambda positions: tqdm(positions, desc="drawing", unit="code", leave=False),
        **{name: value for name, value in how.items() if value is not None},
    )  # fmt: skip
    ranked = [(int(i), float(score)) for i, score in zip(drawing.order, drawing.scores)]
    scores = [f"#{i}  {score:.3f}" for i, score in ranked]
    plots.save_image(plots.sheet(drawing.best, drawing.caption, scores), args.out)

    warn_of_words(args)
    print("tokens  ", *map(repr, drawing.tokens))  # repr: a caption may hold control characters
    print("sheet   ", shown(args.out))
    print_ranking(ranked, {"load": load} | drawing.seconds)


def print_ranking(ranked: list[tuple[int, float]], seconds: dict[str, float]) -> None:
    """Print the candidates, best first, and the seconds of each stage, of which one is "load"."""
    print("rank  candidate  CLIP score")
    for rank, (i, score) in enumerate(ranked, 1):
        print(f"{rank:4}  {i:9}  {score:10.4f}")
    stages = ", ".join(f"{stage} {spent:.1f} s" for stage, spent in seconds.items())
    models = sum(seconds.values()) - seconds["load"]
    print(f"time      {stages}; models without load {models:.1f} s")


def warn_of_words(args) -> None:
    """Say on stderr which words of the caption training never had, and what could be drawn."""
    from minidalle import weights
    from minidalle.world import vocabulary

    file = (args.weights or DATA / args.preset) / f"{args.model}.safetensors"
    data = weights.read_about(file).get("data", "")
    if not vocabulary.captions(data):
        return  # somebody's own pictures
    if unknown := vocabulary.never_shown(args.caption, data):
        near = "; ".join(vocabulary.nearby(args.caption, data))
        print(
            f"minidalle: training never had {', '.join(map(repr, unknown))}, so what is drawn for "
            f"it is arbitrary; captions near this one are: {near}",
            file=sys.stderr,
        )


def open_image(args, config: DVAEConfig) -> dict[str, Any]:
    """The picture of --image, and the part of it to draw, as arguments of `pipeline.draw`."""
    if args.image is None:
        if args.keep_rows is not None or args.box is not None:
            raise ValueError(
                "--keep-rows and --box say which part of --image to draw: name a picture"
            )
        return {}
    from minidalle.datasets import to_tensor
    from minidalle.datasets.pictures import open_picture

    rows = config.grid // 2 if args.keep_rows is None else args.keep_rows
    given = to_tensor(open_picture(args.image, config.image_size)[None])[0]
    return {"given": given, "box": tuple(args.box or (rows, 0))}


def open_clip(path: Path | None):
    """Load the tokenizer and the model of --clip; None without it."""
    if path is None:
        return None
    from minidalle import openai

    return openai.load_bpe(path.parent / CLIP_WORDS), openai.load_clip(path)


# ---- caption ----------------------------------------------------------------------------


def caption(args) -> None:
    """Print the captions that CLIP finds nearest to a picture."""
    import torch

    from minidalle import weights
    from minidalle.clip import features
    from minidalle.datasets import to_tensor
    from minidalle.datasets.pictures import open_picture
    from minidalle.world import vocabulary

    models = open_models(args)
    bpe, clip, T = models.bpe, models.clip, models.clip.config.text_len
    if args.among:
        captions = lines_of(args.among, MOST_CAPTIONS)
    else:
        folder = args.weights or DATA / args.preset
        captions = vocabulary.captions(
            weights.read_about(folder / "clip.safetensors").get("data", "")
        )
    if not captions:
        raise ValueError("there are no captions to choose among: name a file of some with --among")
    picture = to_tensor(open_picture(args.picture, clip.config.image_size)[None])
    with torch.no_grad():
        texts = features(clip.encode_text, bpe.frames(captions, T, truncate=True), 256)
        cosines = (texts @ features(clip.encode_image, picture)[0]).tolist()
    nearest = sorted(zip(cosines, captions), reverse=True)[: args.keep]
    for score, text in nearest:
        print(f"{score:.4f}  {shown(text)}")


# ---- tokenize ---------------------------------------------------------------------------


def tokenize(args) -> None:
    """Encode shards as ids and codes; print how many samples were left out, and why."""
    from minidalle.datasets import shards
    from minidalle.scale import tokenize as chapter

    text_len = find_preset(args.preset).dalle.text_len
    paths = shards.expand(args.data)
    try:
        counts = chapter.tokenize(paths, args.weights, args.out, text_len, args.processes)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("stopped; the same command continues") from None
    new, samples = counts.pop("new", 0), counts.pop("samples", 0)
    why = f" ({', '.join(f'{n} {why}' for why, n in sorted(counts.items()))})" if counts else ""
    print(f"{shown(args.out)}: {len(paths)} shards, {new} of them new")
    print(f"{samples} samples; {counts.total()} left out{why}")


# ---- plan -------------------------------------------------------------------------------


def plan(args) -> None:
    """Compute what training a preset's models take, without running anything."""
    name = args.preset or ("mini" if args.model == "mini" else "paper")
    if args.model == "dalle":
        from minidalle.scale import plan as chapter

        layout = chapter.Layout(args.gpus, args.share, args.shard_size, recompute=args.recompute)
        rows = chapter.plan(find_preset(name), args.gpu, layout, args.image_batch, args.mfu)
    else:
        from minidalle.dalle2.config import PRESETS as PRESETS_2
        from minidalle.dalle_mini.config import PRESETS as PRESETS_MINI
        from minidalle.scale import plan_others

        presets: Mapping[str, Any] = PRESETS_2 if args.model == "dalle2" else PRESETS_MINI
        rows = plan_others.plan(find_preset(name, presets), args.gpu, args.gpus, args.mfu)
    if args.json:
        print(
            json.dumps(
                [dict(zip(("what", "value", "unit", "source"), row)) for row in rows], indent=2
            )
        )
        return
    wide = max(16, *(len(row[0]) for row in rows))
    for what, value, unit, source in rows:
        value = f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
        print(f"{source:9}  {what:{wide}}  {value:>14}  {unit}".rstrip())


# ---- bench ------------------------------------------------------------------------------


def bench(args) -> None:
    """Time one part against the machine's limits or against its peers."""
    set_threads(args.threads)
    import torch

    from minidalle.bench import paths as chapter
    from minidalle.bench import timing, transformer
    from minidalle.runtime import SingleProcess
    from minidalle.scale import launch
    from minidalle.scale.launch import find_device, tuning

    config = find_preset(args.preset).dalle if args.preset else transformer.MIDDLE
    config = replace(config, depth=args.depth or config.depth)
    runtime = SingleProcess(find_device(args.device), args.grad_accum_steps, tuning(args))
    asked = timing.Setting(
        config, args.batch, args.repeat, runtime, args.bf16, args.peer, args.profile
    )
    text = around_marks(args.into) if args.into else None  # fail now, not after half an hour
    paths = BENCHES if args.path == "all" else [args.path]
    rows = []
    for path in paths:
        each = launch.STATE if path == "train" else 4  # bytes for a parameter
        with launch.while_it_fits(runtime.device, each), launch.explaining_what_is_missing():
            rows += [row.figures() for row in chapter.BENCHES[path](asked)]
    threads = torch.get_num_threads()
    printed = (
        f"{today()}, {machine()}, {args.device}, {threads} of its threads\n\n{timing.table(rows)}\n"
    )
    if text:
        with whole_file(args.into) as part:
            part.write_text(printed.join(text), encoding="utf-8")
    if not args.json:
        print(printed)
    where = {"date": today(), "machine": machine(), "device": args.device, "threads": threads}
    print(json.dumps(valid(where | {"rows": rows})))


def around_marks(path: Path) -> tuple[str, str]:
    """The parts of a text before and after the figures, markers included."""
    begin, end = "<!-- minidalle bench -->\n", "<!-- end of minidalle bench -->"
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is no ordinary file")
    text = path.read_text("utf-8")
    if not 0 <= text.find(begin) < text.find(end):
        raise ValueError(
            f"{path} has no place for the figures: add the lines {begin.strip()} and {end}"
        )
    return text[: text.find(begin) + len(begin)], text[text.find(end) :]


# ---- for several commands ---------------------------------------------------------------


def find_preset(name: str, presets: Mapping[str, Any] = PRESETS) -> Any:
    """The preset of that name."""
    if name not in presets:
        raise ValueError(f"unknown preset {name!r}: choose from {', '.join(presets)}")
    return presets[name]


def open_models(args):
    """Load the weights in --weights, else the shipped ones of --preset."""
    from minidalle import pipeline
    from minidalle.scale.launch import find_device

    device = find_device(getattr(args, "device", "cpu"))
    if args.weights is None:
        find_preset(args.preset)
        return pipeline.load_pretrained(args.preset).to(device)
    if not args.weights.is_dir():
        raise FileNotFoundError(f"there is no folder of weights {args.weights}")
    model = getattr(args, "model", None)
    return pipeline.load_pretrained(args.weights.absolute(), model).to(device)


def open_second(args):
    """Load the second DALL·E's weights in --weights, else those that are shipped."""
    from minidalle.dalle2 import pipeline
    from minidalle.scale.launch import find_device

    return pipeline.load_pretrained(args.weights or "dalle2").to(find_device(args.device))


def valid(value: Any) -> Any:
    """The same for JSON, which has no word for what is not finite: None."""
    if isinstance(value, dict):
        return {name: valid(one) for name, one in value.items()}
    if isinstance(value, list):
        return [valid(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def set_threads(threads: int | None) -> None:
    """Set the number of CPU threads."""
    if threads:
        import torch

        torch.set_num_threads(threads)


def machine() -> str:
    """The machine and software: "2 × AMD EPYC, torch 2.13.0+cpu, Linux", and any GPU."""
    import torch

    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    if torch.cuda.is_available():
        name += f" with {torch.cuda.get_device_name()}"
    return f"{os.cpu_count()} × {name}, torch {torch.__version__}, {platform.system()}"


def today() -> str:
    """The date, in UTC."""
    return datetime.now(timezone.utc).date().isoformat()
