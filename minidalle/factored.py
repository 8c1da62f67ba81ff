"""Attention that leaves out what the masks hide, and not only forbids it.

B batch, H heads, T text tokens, N = h·w image tokens, S = T + N, d width of a head.

A masked score costs as much as any other: at the paper's size a row layer computes 1 280 scores
for each position and uses about 290. The masks are regular, so the picture can be cut into lines
that look at nothing but the text, themselves, and a few lines before:

    row             lines are the rows of the grid; each needs the one above
    column          lines are the columns; each needs itself only
    convolutional   lines are rows; each needs as many above as the kernel reaches

A few lines together are then a small attention of their own, whose keys are those of the text, of
the lines before, and their own. More lines together means fewer copies of keys, and more scores
that are computed for nothing. `transformer.attention` with `masks.layer_masks` says what the
result has to be.
"""

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from minidalle.masks import mask_of

TOGETHER = 128  # positions of a group, at least


def factored(q: Tensor, k: Tensor, v: Tensor, kind: str, text_len: int, width: int, kernel: int) -> Tensor:
    """What `attention` gives for the mask of this kind: q, k, v (B, H, T + N, d) → (B, H, T + N, d).

    The image has to be whole: N = h · width.
    """
    T, height = text_len, (q.shape[2] - text_len) // width
    mask, before = group_mask(kind, T, height, width, kernel)
    G, Q, _ = mask.shape  # groups, positions in each

    def groups(x: Tensor) -> Tensor:
        x = x[:, :, T:].unflatten(2, (height, width))
        return (x.transpose(2, 3) if kind == "column" else x).flatten(2, 3).unflatten(2, (G, Q))  # (B, H, G, Q, d)

    def behind(x: Tensor) -> Tensor:
        text, lines = x[:, :, None, :T].expand(-1, -1, G, -1, -1), groups(x)
        earlier = F.pad(lines[:, :, :-1, Q - before :], (0, 0, 0, 0, 1, 0))  # none before the first: the mask hides them
        return torch.cat([text, earlier, lines], 3)  # (B, H, G, T + before + Q, d)

    text = F.scaled_dot_product_attention(q[:, :, :T], k[:, :, :T], v[:, :, :T], is_causal=True)
    image = [x.flatten(0, 1) for x in (groups(q), behind(k), behind(v))]
    found = F.scaled_dot_product_attention(*image, attn_mask=mask.to(q.device)).view(*q.shape[:2], -1, q.shape[3])
    if kind == "column":
        found = found.unflatten(2, (width, height)).transpose(2, 3).flatten(2, 3)
    return torch.cat([text, found], 2)


@lru_cache
def group_mask(kind: str, text_len: int, height: int, width: int, kernel: int) -> tuple[Tensor, int]:
    """What the positions of each group see of the text, of what is before them, and of themselves.

    Returns the mask (G groups, Q positions, T + before + Q keys) and how many positions before.
    """
    with torch.device("cpu"):
        lines, length = (width, height) if kind == "column" else (height, width)
        order = torch.arange(height * width).view(height, width)
        order = order.T.flatten() if kind == "column" else order.flatten()
        seen = mask_of(kind, 0, height, width, kernel)[order][:, order]
        pairs = seen.view(lines, length, lines, length).any(3).any(1).nonzero()  # which line looks at which
        above = int((pairs[:, 0] - pairs[:, 1]).max())
        fits = [n for n in range(1, lines + 1) if lines % n == 0 and n >= above and n * length >= TOGETHER]
        Q = min(fits, default=lines) * length
        before = above * length if Q < len(seen) else 0
        seen = F.pad(seen, (before, 0))
        cut = torch.stack([seen[first : first + Q, first : first + before + Q] for first in range(0, len(seen), Q)])
        return F.pad(cut, (text_len, 0), value=True), before
