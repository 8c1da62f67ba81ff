"""From the options of `minidalle train` to a runtime: device and processes."""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from minidalle.config import Preset, TrainConfig
from minidalle.files import real_name
from minidalle.models import Row
from minidalle.runtime import Checkpoint, Runtime, SingleProcess, share_of
from minidalle.scale.blocks import bf16_speed, tune_blocks
from minidalle.scale.plan import GPU, Layout, refuse_what_does_not_fit
from minidalle.training import Job, differences

STATE = 20  # bytes for a parameter: itself, its gradient, two moments and its average


def make_runtime(args, row: Row) -> Runtime:
    """The runtime of the processes that torchrun started, or of this one alone."""
    accum = args.grad_accum_steps
    if "WORLD_SIZE" in os.environ:
        check_environment()
        from minidalle.scale.runtime import Distributed

        return Distributed(
            row.block, args.share, args.shard_size, args.powersgd, args.keep_checkpoints,
            60 * args.wait, args.bf16, accum, tuning(args),
        )  # fmt: skip
    if args.powersgd or args.shard_size:
        raise ValueError(
            "--powersgd and --shard-size need several processes: "
            "start them with `torchrun --nproc-per-node N -m minidalle train …`"
        )
    device = find_device(args.device)
    if device.type == "cuda":  # products of float32 in TF32: three digits, several times as fast
        torch.set_float32_matmul_precision("high")
    return SingleProcess(device, accum, tuning(args))


def check_environment() -> None:
    """Raise ValueError unless the numbers that torchrun sets are such."""
    size = at_least("WORLD_SIZE", 1)
    rank, local_size = at_least("RANK", 0), at_least("LOCAL_WORLD_SIZE", 1, str(size))
    if not (rank < size and at_least("LOCAL_RANK", 0, "0") < local_size <= size):
        raise ValueError(
            f"process {rank} of {size}, of which {local_size} are on this machine: these numbers, "
            "which `torchrun` sets, do not fit together"
        )


def at_least(name: str, least: int, default: str = "") -> int:
    """The number in an environment variable."""
    text = os.environ.get(name, default)
    if not text.isdecimal() or int(text) < least:
        raise ValueError(f"{name} must be a number from {least} on, as `torchrun` sets it")
    return int(text)


def tuning(args) -> Callable[[nn.Module], None]:
    """`tune_blocks` with the options of the command."""
    return lambda model: tune_blocks(model, args.bf16, args.compile, args.recompute)


def settle(args, checkpoint: Checkpoint, runtime: Runtime) -> list[str]:
    """Settle --resume, --start and --bf16; returns what to tell the user.

    A resumed run stays as it began, and begins if it has no checkpoint yet. --bf16 is left out on
    a CPU that it would slow down. Many processes do as they are told; resuming then needs the same
    --bf16, because the shards are already made.
    """
    news = []
    if args.resume and not checkpoint.exists():
        if (trained := args.out / f"{args.model}.safetensors").exists():
            raise FileNotFoundError(f"there is no {checkpoint.path} to resume, only {trained}")
        args.resume = False
        news.append(f"there is no checkpoint in {args.out} yet: the training begins")
    if args.resume:
        about = checkpoint.about()
        begun = about["run"]
        if args.start and real_name(args.start) != begun.get("start"):
            raise ValueError(f"{checkpoint.path} did not begin with --start {args.start}")
        start = begun.get("start")  # by name, for the record: the weights are long past it
        args.start = start if isinstance(start, str) else None
        if runtime.world_size == 1:
            if args.bf16 and not begun.get("bf16"):
                news.append("the training began without --bf16: it stays so")
            args.bf16 = bool(begun.get("bf16"))
        if others := differences(rounding(args, runtime), about["rounding"]):
            news.append(
                f"the training began with {', '.join(others)}: sums are rounded differently, so "
                "the last digits may not be those of a run that never stopped"
            )
    elif args.bf16 and runtime.device.type == "cpu" and runtime.world_size == 1:
        speed = bf16_speed()
        args.bf16 = speed > 1.2
        kept = "" if args.bf16 else ": --bf16 is left out"
        news.append(
            f"matrix products are {speed:.1f} times as fast in bfloat16 as in float32{kept}"
        )
    return news


def rounding(args, runtime: Runtime) -> dict:
    """What changes the last digits of a training, and nothing else."""
    return {
        "processes": runtime.world_size,
        "threads": torch.get_num_threads(),
        "parts of a batch": runtime.grad_accum_steps,
        "--compile": args.compile,
        "device": runtime.device.type,
        "torch": torch.__version__,
    }


def find_device(name: str) -> torch.device:
    """The torch device of that name, if this machine has it."""
    here = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not here.get(name):
        raise ValueError(
            f"there is no device {name!r} here: choose from {', '.join(n for n in here if here[n])}"
        )
    return torch.device(name)


# ---- memory -----------------------------------------------------------------------------


def memory_here(device: torch.device) -> float:
    """Bytes that this process can have: a GPU's, or its share of the machine's; ∞ if unknown."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return pages / at_least("LOCAL_WORLD_SIZE", 1, "1")
    return math.inf


def check_transformer(sizes: Preset, config: TrainConfig, runtime: Runtime, args) -> None:
    """Raise ValueError if the transformer will not fit, by how much, and what would help."""
    here = memory_here(runtime.device)
    images = len(range(config.batch_size)[share_of(runtime, config.batch_size)])
    share = args.share if runtime.world_size > 1 else "ddp"
    layout = Layout(runtime.world_size, share, runtime.shard_size, images, args.recompute)
    each = "GPU" if runtime.device.type == "cuda" else "process"
    try:
        refuse_what_does_not_fit(
            sizes.dalle, config.batch_size, GPU(0, here / 1e9, 0), layout, each
        )
    except ValueError as error:
        raise ValueError(
            f"{error} in `minidalle plan`; here --grad-accum-steps lowers the number of "
            "images at a time, and torchrun adds GPUs"
        ) from None


@contextmanager
def while_it_fits(device: torch.device, each: int = STATE) -> Iterator[None]:
    """Raise ValueError once more parameters have been made than fit with `each` bytes for one.

    So a model that is far too large is given up before it fills the memory.
    """
    here = memory_here(device)
    left = here / each

    def count(module: nn.Module, name: str, parameter: nn.Parameter) -> None:
        nonlocal left
        left -= 0 if parameter is None or parameter.is_meta else parameter.numel()
        if left < 0:
            raise ValueError(
                f"this model has more than {here / each / 1e6:.3g} million parameters, which is "
                f"what fits into {here / 1e9:.1f} GB with {each} bytes for each"
            )

    hook = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()


def check_activations(job: Job, config: TrainConfig, runtime: Runtime, bf16: bool) -> None:
    """Raise ValueError if what a step keeps for its gradient will not fit, and say what would.

    What is kept for each example is measured, in the forward pass of two of them.
    """
    if runtime.device.type != "cpu" or config.batch_size < 2:
        return  # a GPU says itself that it is full, before anything else suffers
    mine = share_of(runtime, config.batch_size)
    count, here = mine.stop - mine.start, memory_here(runtime.device)
    each = kept_bytes(job, 2) / (4 if bf16 else 2)
    state = STATE * sum(p.numel() for p in job.model.parameters()) / runtime.shard_size
    if state + each * count <= here:
        return
    fit = int(max(0, here - state) / each)
    raise ValueError(
        f"{job.name} needs {state / 1e9:.1f} GB and {each / 1e9:.2g} GB for each of the {count} "
        f"examples at a time, more than the {here / 1e9:.1f} GB that there are: {fit} would fit, "
        "with --grad-accum-steps or a smaller --batch-size"
    )


def kept_bytes(job: Job, examples: int) -> int:
    """How many bytes the loss of some examples keeps for its gradient, parameters left out."""
    kept = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if not isinstance(tensor, nn.Parameter):
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    batch = job.batch(0, slice(0, examples))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss, _ = job.loss(job.model, batch, 0.0, lambda rows: rows)
    return sum(storage.nbytes() for storage in kept.values())


@contextmanager
def explaining_what_is_missing() -> Iterator[None]:
    """Turn torch's errors for lack of memory or a compiler into a sentence on what would help."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
            raise ValueError(
                "memory ran out in a step: --grad-accum-steps N splits a batch into N parts, and "
                "--recompute recomputes activations instead of keeping them"
            ) from None
        from torch._dynamo.exc import ShortenTraceback  # a compiler's; takes seconds to import

        if isinstance(error, ShortenTraceback):
            why = str(error).split("\n\n")[0]  # without torch's advice on how to debug it
            raise ValueError(
                f"--compile does not work here ({why}): leave it out, or install what it needs, "
                "such as g++"
            ) from None
        raise
