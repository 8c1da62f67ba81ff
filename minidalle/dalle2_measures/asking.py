"""What all measures of the second DALL·E do: ask many captions at a time, and judge pictures."""

from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor
from tqdm import tqdm

from minidalle.dalle2.pipeline import CHUNK, Pretrained, generators
from minidalle.dalle2_measures.worlds import Asked, World
from minidalle.plots import to_uint8
from minidalle.rates import Figures, mean


def frames(models: Pretrained, captions: Sequence[str]) -> Tensor:
    """Captions as ids (B, T)."""
    return models.bpe.frames(captions, models.clip.config.text_len, truncate=True)


def in_chunks(what: str, draw: Callable[[slice], Tensor], count: int) -> Tensor:
    """Rows 0 to `count`, drawn CHUNK at a time under a progress bar."""
    chunks = [slice(i, min(i + CHUNK, count)) for i in range(0, count, CHUNK)]
    return torch.cat([draw(chunk) for chunk in tqdm(chunks, desc=what)])


def streams_of(seed: int, chunk: slice) -> list[Generator]:
    """The generators of these rows."""
    return generators(seed, chunk.start, chunk.stop - chunk.start)


def judged(name: str, world: World, asked: Sequence[Asked], pictures: Tensor) -> Figures:
    """How many pictures (B, 3, 32, 32) are exact, and would be of another one's caption."""
    readings = world.examine(to_uint8(pictures).numpy())
    right = [not world.differences(one.said, seen) for one, seen in zip(asked, readings)]
    exact, other = (
        [not world.faults(one.said, seen) for one, seen in zip(some, readings)]
        for some in (asked, [*asked[1:], asked[0]])
    )
    figures = mean(name, exact) | mean(f"{name}, reading only", right)
    return figures | mean(f"{name}, of another caption", other)
