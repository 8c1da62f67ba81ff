"""Attention that leaves out what the masks hide, and not only forbids it.

B batch, H heads, T text tokens, N = h·w image tokens, S = T + N, d width of a head.

A masked score costs as much as any other: at the paper's size a row layer computes 1 280 scores
for each position and uses about 290. The masks are regular, so the image can be cut into groups
whose positions all look at the same few keys:

    row             each row of the grid looks at itself and the row above
    column          each column looks at itself
    convolutional   each row looks at itself and the few rows that the kernel reaches

All of them look at the text as well, which is one matrix product, and one softmax joins the two.
`transformer.attention` with `masks.layer_masks` says what the result has to be.
"""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from minidalle.masks import mask_of


def factored(q: Tensor, k: Tensor, v: Tensor, kind: str, text_len: int, width: int, kernel: int) -> Tensor:
    """What `attention` gives for the mask of this kind: q, k, v (B, H, T + N, d) → (B, H, T + N, d).

    The image has to be whole: N = h · width.
    """
    T, N = text_len, q.shape[2] - text_len
    text = F.scaled_dot_product_attention(q[:, :, :T], k[:, :, :T], v[:, :, :T], is_causal=True)
    seen = local_mask(kind, N // width, width, kernel).to(q.device)  # (G, Q, M)
    queries, keys, values = (x[:, :, T:].unflatten(2, (-1, width)) for x in (q / math.sqrt(q.shape[-1]), k, v))
    if kind == "column":
        queries, keys, values = (x.transpose(2, 3) for x in (queries, keys, values))
    else:
        above = seen.shape[2] // width - 1
        keys, values = (with_rows_above(x, above) for x in (keys, values))
    to_text = queries.flatten(2, 3) @ k[:, :, :T].transpose(-1, -2)  # (B, H, N, T)
    to_image = (queries @ keys.transpose(-1, -2)).masked_fill(~seen, -math.inf)  # (B, H, G, Q, M)
    weights = torch.cat([to_text.view(*to_image.shape[:-1], T), to_image], -1).softmax(-1)
    found = (weights[..., :T].flatten(2, 3) @ v[:, :, :T]).view_as(queries) + weights[..., T:] @ values
    if kind == "column":
        found = found.transpose(2, 3)
    return torch.cat([text, found.flatten(2, 3)], 2)


def with_rows_above(x: Tensor, above: int) -> Tensor:
    """Each row of a grid (B, H, h, w, d) behind the `above` rows before it: (B, H, h, (above + 1) · w, d).

    Rows above the first one are zeros, and hidden by the mask.
    """
    x = F.pad(x, (0, 0, 0, 0, above, 0)).unfold(2, above + 1, 1)  # (B, H, h, w, d, above + 1)
    return x.permute(0, 1, 2, 5, 3, 4).flatten(3, 4)


@lru_cache
def local_mask(kind: str, height: int, width: int, kernel: int) -> Tensor:
    """The part of the mask that each group needs, (G groups, Q queries, M keys), cut out of the whole.

    >>> local_mask("column", 3, 2, 3).int()[0].tolist()  # three rows, one below the other
    [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    """
    with torch.device("cpu"):
        mask = mask_of(kind, 0, height, width, kernel).view(height, width, height, width)
        if kind == "column":
            return torch.stack([mask[:, c, :, c] for c in range(width)])
        rows = mask.any(3).any(1).nonzero()  # which row looks at which
        above = int((rows[:, 0] - rows[:, 1]).max())
        padded = F.pad(mask.flatten(2), (above * width, 0))
        return torch.stack([padded[r, :, r * width : (r + above + 1) * width] for r in range(height)])
