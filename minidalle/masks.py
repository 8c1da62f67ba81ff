"""The attention masks of the single stream, as pure functions.

T text tokens, N = h·w image tokens, S = T + N. A mask is a bool tensor (S, S), True where the
query (row) may attend to the key (column). In all of them text sees earlier text, every image
position sees all text, and nothing sees the future. They differ in which earlier image positions
an image position sees, which depends only on how many raster steps (codes in reading order) back
they lie: `offsets` lists these. Ramesh et al. 2021, section 2.2 and figure 11.
"""

import torch
from torch import Tensor

from minidalle.config import DALLEConfig


def offsets(kind: str, height: int, width: int, kernel: int = 11) -> list[int]:
    """How many raster steps back an image position attends, on a grid of height × width codes.

    causal          every step back
    row             0 … width: back to the position directly above
    column          0, width, 2 · width, …: the positions above in its column
    convolutional   the causal half of a kernel × kernel neighbourhood, wrapping at the edges

    >>> offsets("row", 4, 4), offsets("column", 4, 4), offsets("convolutional", 4, 4, 3)
    ([0, 1, 2, 3, 4], [0, 4, 8, 12], [0, 1, 3, 4, 5])
    """
    reach = kernel // 2
    around = {r * width + c for r in range(reach + 1) for c in range(-reach, reach + 1)}
    steps = {
        "causal": range(height * width),
        "row": range(width + 1),
        "column": range(0, height * width, width),
        "convolutional": sorted(around),
    }[kind]
    return [step for step in steps if 0 <= step < height * width]


def mask_of(kind: str, text_len: int, height: int, width: int, kernel: int = 11) -> Tensor:
    """The mask (S, S) of one kind: "causal", "row", "column" or "convolutional"."""
    position = torch.arange(text_len + height * width)
    back = position[:, None] - position[None, :]
    is_image = position >= text_len
    both_image = is_image[:, None] & is_image[None, :]
    seen = torch.isin(back, torch.tensor(offsets(kind, height, width, kernel)))
    return (back >= 0) & (~both_image | seen)


def causal_mask(text_len: int, height: int, width: int) -> Tensor:
    """Every earlier position and itself, (S, S) bool."""
    return mask_of("causal", text_len, height, width)


def row_mask(text_len: int, height: int, width: int) -> Tensor:
    """The last `width` image positions and itself; the farthest is the one directly above.

    On a grid 3 wide, the last of 6 image positions sees (x) its row and one position more:

    >>> "".join(".x"[int(seen)] for seen in row_mask(0, 2, 3)[5])
    '..xxxx'
    """
    return mask_of("row", text_len, height, width)


def column_mask(text_len: int, height: int, width: int) -> Tensor:
    """The image positions above in its column, and itself."""
    return mask_of("column", text_len, height, width)


def convolutional_mask(text_len: int, height: int, width: int, kernel: int = 11) -> Tensor:
    """The causal half of a kernel × kernel neighbourhood, wrapping around in raster order.

    With width 4 and kernel 3 a position sees those 0, 1, 3, 4 and 5 steps back: itself, its
    left neighbour, and the three above it.
    """
    return mask_of("convolutional", text_len, height, width, kernel)


def layer_kinds(config: DALLEConfig) -> list[str]:
    """The kind of each layer's mask, first to last (paper, appendix B.1).

    Layers count from 1: layer i is a column layer if (i - 2) mod 4 = 0, else a row layer, and
    the last one is convolutional.
    """
    if config.attention == "dense":
        return ["causal"] * config.depth
    kinds = ["column" if (i - 2) % 4 == 0 else "row" for i in range(1, config.depth)]
    return kinds + ["convolutional"]


def layer_masks(config: DALLEConfig) -> list[Tensor]:
    """One mask (S, S) per layer; layers of the same kind share a tensor."""
    kinds = layer_kinds(config)
    size = config.text_len, config.grid, config.grid, config.kernel
    masks = {kind: mask_of(kind, *size) for kind in set(kinds)}
    return [masks[kind] for kind in kinds]
