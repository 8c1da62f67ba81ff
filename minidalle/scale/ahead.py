"""Examples made ahead of time, by other processes, while a GPU trains on those before.

A GPU takes a step in the time in which one processor paints a fraction of its pictures. Because
the examples of a step are a function of its number, any process can make them, and those of later
steps before they are needed; torch's `DataLoader` hands them over in order. The processes are
copies of this one (a fork), so they share what it has drawn already, and never touch the GPU.
"""

import multiprocessing
from collections.abc import Callable, Iterator

import torch
from torch.utils.data import DataLoader, Dataset

from minidalle.training import Batch

Load = Callable[[int, slice], Batch]


class Ahead:
    """The twin of a job's `load` for steps that are asked for in order."""

    def __init__(self, load: Load, parts: list[slice], workers: int):
        """parts: the parts of each step that this process takes, in order."""
        if "fork" not in multiprocessing.get_all_start_methods():
            raise ValueError("--workers needs Linux or macOS: leave it out")
        self.load, self.parts, self.workers = load, parts, workers
        self.next: tuple[int, slice] | None = None
        self.made: Iterator[Batch] = iter(())

    def __call__(self, step: int, part: slice) -> Batch:
        """The examples of a part of a step; begins anew if it does not follow the last."""
        if (step, part) != self.next:
            loads = Loads(self.load, self.parts, step)
            first = self.parts.index(part)
            self.made = iter(
                DataLoader(
                    loads,
                    sampler=range(first, len(loads)),
                    batch_size=None,
                    num_workers=self.workers,
                    prefetch_factor=4,
                    pin_memory=torch.cuda.is_available(),
                    multiprocessing_context="fork",
                )
            )
        here = self.parts.index(part) + 1
        self.next = (step + here // len(self.parts), self.parts[here % len(self.parts)])
        return tuple(next(self.made))


class Loads(Dataset):
    """Item i is the i-th part of the steps from `first` on; there is no last."""

    def __init__(self, load: Load, parts: list[slice], first: int):
        self.load, self.parts, self.first = load, parts, first

    def __len__(self) -> int:
        return 2**31

    def __getitem__(self, i: int) -> Batch:
        step, which = divmod(i, len(self.parts))
        return self.load(self.first + step, self.parts[which])
