"""Who may look at whom: the attention masks of the single stream, as pure functions.

T text tokens, N = h·w image tokens, S = T + N. A mask is a bool tensor (S, S), True where the
query (row) may attend to the key (column). All of them agree on three things: text sees
earlier text, every image position sees all text, and nothing sees what comes later. They
differ in which earlier image positions an image position sees, and that depends only on how
many raster steps back it lies. Ramesh et al. 2021, section 2.2 and figure 11.
"""

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from minidalle.config import DALLEConfig


def causal_mask(text_len: int, height: int, width: int) -> Tensor:
    """Every earlier position, (S, S) bool."""
    return _mask(text_len, height * width, lambda back: back >= 0)


def row_mask(text_len: int, height: int, width: int) -> Tensor:
    """The last `width` image positions and itself; the farthest is the one right above.

    On a grid 3 wide, the last of 6 image positions sees (x) the row it ends and one more:

    >>> "".join(".x"[int(seen)] for seen in row_mask(0, 2, 3)[5])
    '..xxxx'
    """
    return _mask(text_len, height * width, lambda back: (back >= 0) & (back <= width))


def column_mask(text_len: int, height: int, width: int) -> Tensor:
    """The image positions straight above, and itself."""
    return _mask(text_len, height * width, lambda back: (back >= 0) & (back % width == 0))


def convolutional_mask(text_len: int, height: int, width: int, kernel: int = 11) -> Tensor:
    """The causal half of a kernel × kernel neighbourhood, wrapping round in raster order.

    With width 4 and kernel 3 a position sees those 0, 1, 3, 4 and 5 steps back: itself, its
    left neighbour, and the three above it.
    """
    reach = kernel // 2
    offsets = [r * width + c for r in range(reach + 1) for c in range(-reach, reach + 1)]
    offsets = torch.tensor([o for o in offsets if o >= 0])
    return _mask(text_len, height * width, lambda back: torch.isin(back, offsets))


def _mask(text_len: int, image_len: int, sees: Callable[[Tensor], Tensor]) -> Tensor:
    """Causal everywhere; between image positions also `sees(steps back)`."""
    position = torch.arange(text_len + image_len)
    back = position[:, None] - position[None, :]
    between_images = (position[:, None] >= text_len) & (position[None, :] >= text_len)
    return (back >= 0) & (~between_images | sees(back))


def layer_kinds(config: DALLEConfig) -> list[str]:
    """The kind of each layer's mask, first to last.

    Layers are counted from 1: column if (i - 2) mod 4 = 0, else row, and the last one
    convolutional (paper, appendix B.1).
    """
    if config.attention == "dense":
        return ["causal"] * config.depth
    kinds = ["column" if (i - 2) % 4 == 0 else "row" for i in range(1, config.depth)]
    return kinds + ["convolutional"]


def layer_masks(config: DALLEConfig) -> list[Tensor]:
    """One mask (S, S) per layer; layers of one kind share one tensor."""
    size = config.text_len, config.grid, config.grid
    kinds = layer_kinds(config)
    masks = {kind: mask_of(kind, *size, config.kernel) for kind in set(kinds)}
    return [masks[kind] for kind in kinds]


def mask_of(kind: str, text_len: int, height: int, width: int, kernel: int) -> Tensor:
    """The mask of a kind: "causal", "row", "column" or "convolutional"."""
    size = text_len, height, width
    make = {"causal": causal_mask, "row": row_mask, "column": column_mask}
    return convolutional_mask(*size, kernel) if kind == "convolutional" else make[kind](*size)


@lru_cache
@torch.inference_mode(False)  # kept for a later call, which may track gradients
def windows(kind: str, height: int, width: int, kernel: int) -> tuple[slice | Tensor, ...]:
    """The image positions that each image position sees, as a slice if they are evenly spaced.

    >>> windows("column", 3, 4, 3)[9]  # positions 1, 5 and 9
    slice(1, 10, 4)
    """
    with torch.device("cpu"):
        seen = [row.nonzero().flatten() for row in mask_of(kind, 0, height, width, kernel)]
    steps = [(positions[1:] - positions[:-1]).unique() for positions in seen]
    return tuple(
        slice(int(positions[0]), place + 1, int(step[0]) if len(step) else 1) if len(step) < 2 else positions
        for place, (positions, step) in enumerate(zip(seen, steps))
    )
