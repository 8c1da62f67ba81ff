"""The runtime of a training: a single process here, many in scale/runtime.py.

The loop of training.py leaves to a `Runtime` everything that depends on other processes: which
examples of a batch are this process's, means over all processes, whether any of them wants to
stop, where checkpoints go. For a single process all of it is trivial.
"""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from reprlib import repr as brief
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from minidalle import weights

Numbers = dict[str, Tensor]
Start = Callable[[str, torch.Size], Tensor]  # (name, shape) → initial values of a parameter


class Runtime(Protocol):
    """What the training loop needs to know about processes and devices."""

    rank: int
    world_size: int
    shard_size: int  # how many processes share one copy of the model
    device: torch.device
    grad_accum_steps: int  # a step processes its batch in this many parts

    def prepare(
        self,
        model: nn.Module,
        trained: bool = True,
        start: Start | None = None,
        partly_frozen: bool = False,
    ) -> nn.Module:
        """Distribute a model over the processes, in place; returns the module to call.

        trained: it gets gradients; start: initial values, for a model that was made without any;
        partly_frozen: in some steps some parameters get no gradient.
        """

    def accumulate(self, called: nn.Module, last: bool) -> AbstractContextManager:
        """A context for the forward and backward pass of one part of a batch."""

    def clip_grad(self, model: nn.Module, max_norm: float) -> Tensor:
        """Clip the gradient to max_norm; returns its norm before clipping."""

    def gather(self, rows: Tensor) -> Tensor:
        """The rows of all processes, in order of rank, with gradient."""

    def mean(self, numbers: Numbers) -> Numbers:
        """Each number's mean over the processes, on the CPU."""

    def any_rank(self, flag: bool) -> bool:
        """Whether the flag is true in any process."""

    def full_state_dict(self, model: nn.Module) -> Numbers:
        """All weights, unsharded, in rank 0."""

    def checkpoint(self, place: Path) -> "Checkpoint":
        """The checkpoint of a run, at `place`."""

    def compression(self) -> float | None:
        """The share of gradient values that was sent, or None without compression."""

    def close(self) -> None:
        """Leave the process group."""


class Checkpoint:
    """The state of a run in one file, PLACE.safetensors, written atomically."""

    def __init__(self, place: Path):
        self.path = place.with_name(place.name + ".safetensors")

    def save(self, tensors: Numbers, about: dict) -> None:
        """Write, replacing any earlier checkpoint."""
        weights.write_tensors(self.path, tensors, about)

    def exists(self) -> bool:
        """Whether there is one; raises FileNotFoundError if there is one of several processes."""
        others = self.path.with_suffix("")
        if not self.path.is_file() and others.is_dir():
            raise FileNotFoundError(f"{others} is of several processes: resume it with `torchrun`")
        return self.path.is_file()

    def about(self) -> dict:
        """The header; raises FileNotFoundError if there is no checkpoint."""
        return checked(weights.read_about(self.path), self.path)

    def fill(self, tensors: Numbers) -> None:
        """Read the checkpoint into these tensors."""
        stored, _ = weights.read_tensors(self.path)
        for name, tensor in tensors.items():
            found = stored.get(name)
            if found is None or (found.shape, found.dtype) != (tensor.shape, tensor.dtype):
                raise ValueError(f"{self.path} belongs to a model of another size")
            tensor.copy_(found)

    def delete(self) -> None:
        """Remove it, if there is one."""
        self.path.unlink(missing_ok=True)


def is_number(value: Any, kinds: tuple[type, ...] = (int,)) -> bool:
    """Whether it is a number of one of these types, not negative and not endless."""
    return type(value) in kinds and 0 <= value < 2**63


def are_sizes(sums: Any) -> bool:
    """Whether these are the shapes of sums, by name; they have few elements."""
    return isinstance(sums, dict) and all(
        isinstance(size, list) and all(map(is_number, size)) and math.prod(size) < 2**20
        for size in sums.values()
    )


def is_dict(value: Any) -> bool:
    """Whether it is a dict."""
    return isinstance(value, dict)


HEADER: dict[str, Callable[[Any], bool]] = {
    "step": is_number,
    "seconds": partial(is_number, kinds=(int, float)),
    "sums": are_sizes,
    "config": is_dict,
    "run": is_dict,
    "made of": is_dict,
    "rounding": is_dict,
}


def checked(about: dict, path: Path) -> dict:
    """The header of a checkpoint; raises ValueError, with the field that is missing or wrong."""
    for name, right in HEADER.items():
        if not right(about.get(name)):
            found = f"its {name} is {brief(about[name])}" if name in about else f"it has no {name}"
            raise ValueError(f"{path} is not a checkpoint of this version of minidalle: {found}")
    return about


class SingleProcess:
    """The runtime of a single process."""

    rank, world_size, shard_size = 0, 1, 1

    def __init__(
        self,
        device: torch.device | str = "cpu",
        grad_accum_steps: int = 1,
        tune: Callable[[nn.Module], None] = lambda model: None,
    ):
        """tune: modifies a model before training, in place, for speed (scale/blocks.py)."""
        self.device, self.grad_accum_steps, self.tune = torch.device(device), grad_accum_steps, tune

    def prepare(
        self,
        model: nn.Module,
        trained: bool = True,
        start: Start | None = None,
        partly_frozen: bool = False,
    ) -> nn.Module:
        model.to(self.device)
        if trained:
            self.tune(model)
        return model

    def accumulate(self, called: nn.Module, last: bool) -> AbstractContextManager:
        return nullcontext()

    def clip_grad(self, model: nn.Module, max_norm: float) -> Tensor:
        return nn.utils.clip_grad_norm_(model.parameters(), max_norm)

    def gather(self, rows: Tensor) -> Tensor:
        return rows

    def mean(self, numbers: Numbers) -> Numbers:
        flat = torch.cat([number.double().flatten().to(self.device) for number in numbers.values()])
        return unflattened(flat, numbers)  # in one piece: a GPU is waited for once

    def any_rank(self, flag: bool) -> bool:
        return flag

    def full_state_dict(self, model: nn.Module) -> Numbers:
        return model.state_dict()

    def checkpoint(self, place: Path) -> Checkpoint:
        return Checkpoint(place)

    def compression(self) -> float | None:
        return None

    def close(self) -> None:
        pass


def unflattened(flat: Tensor, like: Numbers) -> Numbers:
    """Cut a flat tensor into named ones of these shapes, on the CPU."""
    parts = flat.cpu().split([number.numel() for number in like.values()])
    return {name: part.view(like[name].shape) for name, part in zip(like, parts)}


def share_of(runtime: Runtime, batch_size: int, part: int = 0) -> slice:
    """The slice of a batch that this process takes in the given part of a step."""
    parts = runtime.world_size * runtime.grad_accum_steps
    if batch_size % parts:
        raise ValueError(
            f"a batch of {batch_size} cannot be shared evenly by {runtime.world_size} processes in "
            f"{runtime.grad_accum_steps} parts: it must be a multiple of {parts}"
        )
    size, before = batch_size // parts, runtime.rank * runtime.grad_accum_steps + part
    return slice(before * size, (before + 1) * size)
