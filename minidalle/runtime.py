"""Where a model is trained: in one process here, in many with scale/runtime.py.

The loop of training.py asks a `Runtime` whatever depends on the others: which examples of a
batch are mine, what the mean over all of us is, whether somebody wants to stop, where a
checkpoint goes. For a process that trains by itself the answers are short.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from minidalle import weights

Numbers = dict[str, Tensor]
Start = Callable[
    [str, torch.Size], Tensor
]  # the first values of a parameter, by its name and shape


class Runtime(Protocol):
    """What the loop asks about the processes that train together, and where they are."""

    rank: int
    world_size: int
    shard_size: int  # how many processes share one copy of the model
    device: torch.device
    grad_accum_steps: int  # a step takes its batch in so many parts, one after the other

    def prepare(
        self,
        model: nn.Module,
        trained: bool = True,
        start: Start | None = None,
        partly_frozen: bool = False,
    ) -> nn.Module:
        """Lay a model out over the processes, in place; returns what is to be called.

        trained: it gets gradients; start: the values of a model that was made without any;
        partly_frozen: at times some parameters get no gradient.
        """

    def accumulate(self, called: nn.Module, last: bool) -> AbstractContextManager:
        """A context around the loss and gradient of one part of a step's batch."""

    def clip_grad(self, model: nn.Module, max_norm: float) -> Tensor:
        """Scale the gradient down to a norm; returns its norm before."""

    def gather(self, rows: Tensor) -> Tensor:
        """The rows of all processes, in order of rank, with gradient."""

    def mean(self, numbers: Numbers) -> Numbers:
        """Each number's mean over the processes, on the CPU."""

    def any_rank(self, flag: bool) -> bool:
        """Is it true in any process?"""

    def full_state_dict(self, model: nn.Module) -> Numbers:
        """All weights in full, in rank 0."""

    def checkpoint(self, place: Path) -> "Checkpoint":
        """Where a run is kept."""

    def compression(self) -> float | None:
        """The share of the gradients' numbers that was sent, if they were compressed."""

    def close(self) -> None:
        """Take leave of the other processes."""


class Checkpoint:
    """The state of a run in one file, PLACE.safetensors, written all or nothing."""

    def __init__(self, place: Path):
        self.path = place.with_name(place.name + ".safetensors")

    def save(self, tensors: Numbers, about: dict) -> None:
        """Replace what is there."""
        weights.write_tensors(self.path, tensors, about)

    def about(self) -> dict:
        """What the checkpoint says about itself; FileNotFoundError if there is none."""
        if not self.path.is_file():
            others = (
                "; there is one of several processes, for `torchrun`"
                if self.path.with_suffix("").is_dir()
                else ""
            )
            raise FileNotFoundError(
                f"there is no {self.path} to resume: leave out --resume{others}"
            )
        return weights.read_about(self.path)

    def fill(self, tensors: Numbers) -> None:
        """Read the checkpoint into these tensors."""
        stored, _ = weights.read_tensors(self.path)
        for name, tensor in tensors.items():
            if name not in stored or stored[name].shape != tensor.shape:
                raise ValueError(f"{self.path} belongs to a model of another size")
            tensor.copy_(stored[name])

    def delete(self) -> None:
        """Make sure that there is none."""
        self.path.unlink(missing_ok=True)


class SingleProcess:
    """The runtime of a process that trains by itself."""

    rank, world_size, shard_size = 0, 1, 1

    def __init__(
        self,
        device: torch.device | str = "cpu",
        grad_accum_steps: int = 1,
        tune: Callable[[nn.Module], None] = lambda model: None,
    ):
        """tune: changes a model that is to be trained in place, for speed (scale/blocks.py)."""
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
        return {name: number.cpu() for name, number in numbers.items()}

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


def share_of(runtime: Runtime, batch_size: int, part: int = 0) -> slice:
    """Which examples of a batch this process takes in the given part of a step."""
    parts = runtime.world_size * runtime.grad_accum_steps
    if batch_size % parts:
        raise ValueError(
            f"a batch of {batch_size} cannot be shared evenly by {runtime.world_size} processes in "
            f"{runtime.grad_accum_steps} parts: it must be a multiple of {parts}"
        )
    size, before = batch_size // parts, runtime.rank * runtime.grad_accum_steps + part
    return slice(before * size, (before + 1) * size)
