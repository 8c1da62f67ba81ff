"""`minidalle train`: from its options to a job, its length and a runtime.

As in commands.py, bad input raises ValueError or OSError, in one sentence.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from minidalle.commands import find_preset, machine, set_threads, today
from minidalle.config import Preset, TrainConfig
from minidalle.files import only_one, real_name
from minidalle.words import shown


def train(args) -> None:
    """Train one model into DIR: bpe.json, or NAME.safetensors with its log NAME.csv."""
    from minidalle.models import MODELS

    if args.model not in ("bpe", *MODELS):
        raise ValueError(f"unknown model {args.model!r}: choose from bpe, {', '.join(MODELS)}")
    set_threads(args.threads)
    done = existing(args.model, args.out)
    if int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)):  # torchrun restarts us after a crash
        args.resume = done is not None
    if done and not (args.resume or args.overwrite):
        raise ValueError(
            f"{done} already exists: add --resume to continue it, "
            "--overwrite to start over, or choose another --out"
        )
    if args.model == "bpe":
        train_bpe(args, done)
    else:
        train_model(args)


def existing(model: str, out: Path) -> Path | None:
    """A file that training this model would replace, if there is one; ValueError if it cannot."""
    names = f"{model}.safetensors", f"{model}.checkpoint.safetensors", f"{model}.checkpoint"
    paths = [out / name for name in (("bpe.json",) if model == "bpe" else names)]
    found = [path for path in paths if path.exists()]
    for path in found:  # of several processes, the checkpoint is a folder
        if path.suffix != ".checkpoint" and not path.is_file():
            raise ValueError(f"{path} is no ordinary file")
    return next(iter(found), None)


def train_bpe(args, done: Path | None) -> None:
    """Learn the vocabulary: it takes seconds and needs no checkpoints."""
    if args.resume and done:
        print(f"{shown(done)} is complete")
        return
    from minidalle import recipes
    from minidalle.bpe import BPE

    vocab_size = find_preset(args.preset).dalle.vocab_size
    captions = recipes.bpe_captions(args.data, args.seed)
    bpe = BPE.train(captions, vocab_size, progress=True)
    args.out.mkdir(parents=True, exist_ok=True)
    bpe.save(args.out / "bpe.json")
    print(f"{shown(args.out / 'bpe.json')}: {bpe.vocab_size} tokens, from {len(captions)} captions")
    print("example  ", *map(repr, bpe.tokens(captions[0])))


def train_model(args) -> None:
    """Train one of the networks: a job, its length and a runtime for `training.train`."""
    from minidalle import training
    from minidalle.models import MODELS
    from minidalle.runtime import share_of
    from minidalle.scale.ahead import Ahead
    from minidalle.scale.attention import fast_attention
    from minidalle.scale.launch import (
        check_activations,
        check_transformer,
        explaining_what_is_missing,
        make_runtime,
        rounding,
        settle,
        while_it_fits,
    )

    row = MODELS[args.model]
    runtime = make_runtime(args, row)
    try:
        checkpoint = runtime.checkpoint(args.out / f"{row.name}.checkpoint")
        for news in settle(args, checkpoint, runtime):
            say(runtime, news)
        sizes = find_preset(args.preset, row.presets)
        if row.name not in sizes.train:
            raise ValueError(f"nothing was published on how {row.name} of {args.preset} is trained")
        config = stored_config(checkpoint, args) if args.resume else sizes.train[row.name]
        config = replace(
            config, lr=args.lr or config.lr, batch_size=args.batch_size or config.batch_size
        )
        if args.model == "dalle":
            check_transformer(sizes, config, runtime, args)
        with while_it_fits(runtime.device), explaining_what_is_missing():
            job = make_job(args, row, sizes, config, runtime)
            if args.model != "dalle" and not args.recompute:
                check_activations(job, config, runtime, args.bf16)
        fast_attention(job.model)  # the same numbers, faster
        if args.workers:
            own = [share_of(runtime, config.batch_size, i) for i in range(args.grad_accum_steps)]
            job = replace(job, load=Ahead(job.load, own, args.workers))
        with explaining_what_is_missing():
            config = with_length(args, job, config, runtime)
        about = {"command": command_line(args, config, sizes), "seed": args.seed}
        about |= {"data": real_name(args.data), "machine": machine(), "date": today()}
        about |= {"bf16": args.bf16, "start": start_name(args)}
        about["rounding"] = rounding(args, runtime)
        how = {"save_every": 60 * args.save_every, "runtime": runtime}
        with alone(runtime, args.out, row.name), explaining_what_is_missing():
            if args.overwrite:  # else --resume might continue the old run
                checkpoint.delete()
            say(runtime, f"{row.name}: {config.steps} steps of {config.batch_size}; "
                         "Ctrl-C stops, --resume continues")  # fmt: skip
            training.train(job, config, args.out, args.resume, **how, **about)
        farewell(args.out / f"{row.name}.safetensors", runtime)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("stopped; add --resume to continue") from None
    finally:
        runtime.close()


@contextmanager
def alone(runtime, out: Path, name: str) -> Iterator[None]:
    """Hold NAME.lock, in rank 0, so that nobody else trains this model in this folder meanwhile."""
    with ExitStack() as stack:
        error = None
        if runtime.rank == 0:
            try:
                out.mkdir(parents=True, exist_ok=True)
                lock = only_one(out / f"{name}.lock", f"{name} in {out} is being trained")
                stack.enter_context(lock)
            except (ValueError, OSError) as other:
                error = other
        if runtime.any_rank(error is not None):
            raise error or ValueError(f"{name} in {out} is being trained by others")
        yield


def say(runtime, line: str) -> None:
    """Print a line, in rank 0 only."""
    if runtime.rank == 0:
        print(shown(line), flush=True)


def farewell(done: Path, runtime) -> None:
    """Print where the weights are, and how much compression saved."""
    share = runtime.compression()
    sent = f"; PowerSGD sent {share:.1%} of the numbers in the gradients" if share else ""
    say(runtime, f"{done}{sent}")


def stored_config(checkpoint, args) -> TrainConfig:
    """The config of the run to be resumed; --steps lengthens it, nothing else can change."""
    from minidalle.weights import config_from

    about = checkpoint.about()
    config = config_from(TrainConfig, about["config"], checkpoint.path)
    for name, asked, begun in (
        ("--lr", args.lr, config.lr),
        ("--batch-size", args.batch_size, config.batch_size),
    ):
        if asked not in (None, begun):
            raise ValueError(f"{checkpoint.path} began with {name} {begun:g}: leave out {name}")
    steps = args.steps or config.steps
    if steps < about["step"]:
        raise ValueError(
            f"{checkpoint.path} has already done {about['step']} steps, more than {steps}"
        )
    return replace(config, steps=steps)


def with_length(args, job, config: TrainConfig, runtime) -> TrainConfig:
    """The config, with the number of steps set by --steps or --minutes."""
    from minidalle import training

    if runtime.grad_accum_steps > 1 and job.whole_batch:
        raise ValueError(
            f"the loss of {args.model} needs the whole batch: leave out --grad-accum-steps"
        )
    if args.steps:
        return replace(config, steps=args.steps)
    if args.minutes and not args.resume:
        say(
            runtime,
            f"{args.model}: timing a few steps to find how many fit into {args.minutes:g} minutes",
        )
        return replace(config, steps=training.steps_in(args.minutes, job, config, runtime))
    return config


def make_job(args, row, sizes, config: TrainConfig, runtime):
    """The job of a model, from the data and the models that it needs."""
    from torch import nn

    from minidalle import models

    before: dict[str, Any] = {}
    for name in row.needs:
        path = models.file_of(name, args.out)
        if not path.is_file():
            raise FileNotFoundError(f"{row.name} needs {path}: run `minidalle train {name}` first")
        before[name] = models.load(name, args.out)
        if isinstance(before[name], nn.Module):
            before[name].to(runtime.device)
    meta = runtime.shard_size > 1
    job = row.recipe(models.Request(sizes, config, args.data, args.seed, meta), **before)
    if args.start and not args.resume:
        job = starting_from(job, models.file_of(row.name, args.start))
    return replace(job, about=fingerprints(before) | files_of(args.data))


def fingerprints(models: dict[str, Any]) -> dict[str, str]:
    """The fingerprint of each model that another one is made with."""
    from minidalle import weights
    from minidalle.bpe import BPE

    return {
        name: model.fingerprint() if isinstance(model, BPE) else weights.fingerprint(model)
        for name, model in models.items()
    }


def files_of(data: str) -> dict[str, str]:
    """What tells the files of a data set from others of the same name."""
    from minidalle.datasets.identity import identity

    found = identity(data)
    return {"content of the data": found} if found else {}


def starting_from(job, path: Path):
    """The job with a trained model's weights in place of random ones."""
    from minidalle import weights

    trained = weights.load(path, type(job.model))
    if trained.config != job.model.config:
        raise ValueError(f"{path} holds a model of another size")
    values = {name: parameter.detach() for name, parameter in trained.named_parameters()}
    if not next(job.model.parameters()).is_meta:  # else each process fills its shard, by `start`
        job.model.load_state_dict(trained.state_dict())
    return replace(job, start=lambda name, shape: values[name])


def start_name(args) -> str | None:
    """The name of the folder of --start."""
    return real_name(args.start) if args.start else None


def command_line(args, config: TrainConfig, sizes: Preset) -> str:
    """The command that repeats this run, on any machine; without paths."""
    preset = sizes.train[args.model]
    return (
        f"minidalle train {args.model} --preset {args.preset} "
        f"--data {real_name(args.data)} --out {real_name(args.out)} "
        f"--seed {args.seed} --steps {config.steps}"
        + f" --batch-size {config.batch_size}" * (config.batch_size != preset.batch_size)
        + f" --lr {config.lr:g}" * (config.lr != preset.lr)
        + f" --start {start_name(args)}" * bool(args.start)
        + " --bf16" * args.bf16
    )
