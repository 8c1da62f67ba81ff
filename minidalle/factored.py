"""Attention that leaves out what the masks hide, and not only forbids it.

B batch, H heads, G = B · H, T text tokens, N = h·w image tokens, S = T + N, d width of a head.

A masked score costs as much as any other: at the paper's size a row layer computes 1 280 scores
for each position and uses about 290. The masks are regular, so the picture can be cut into lines
that look at nothing but the text, themselves, and a few lines before:

    row             lines are the rows of the grid; each looks at the one above
    column          lines are the columns; each looks at itself only
    convolutional   lines are rows; each looks at as many above as the kernel reaches

So there is one product of the picture with the text, one of the lines with themselves, and one for
each distance between lines that see each other. One softmax joins them all. On a CPU it counts how
often numbers are read and written, so its gradient is written out, and most is done in place:

    P = softmax(S),  O = P V,  dS = P ∘ (dO Vᵀ - rowsum(dO ∘ O)),  dQ = dS K,  dK = dSᵀ Q,  dV = Pᵀ dO

`transformer.attention` with `masks.layer_masks` says what the result has to be.
"""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from minidalle.masks import mask_of

SMALL = 128  # image tokens: up to here, it is faster to compute all scores


def factored(q: Tensor, k: Tensor, v: Tensor, kind: str, text_len: int, width: int, kernel: int) -> Tensor:
    """What `attention` gives for the mask of this kind: q, k, v (B, H, T + N, d) → (B, H, T + N, d).

    The image has to be whole: N = h · width.
    """
    T, N = text_len, q.shape[2] - text_len
    if N <= SMALL:
        mask = whole_mask(kind, T, N // width, width, kernel).to(q.device)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    (text_q, q), (text_k, k), (text_v, v) = (x.split([T, N], 2) for x in (q, k, v))
    text = F.scaled_dot_product_attention(text_q, text_k, text_v, is_causal=True)
    q = q / math.sqrt(q.shape[-1])
    image = Image.apply(*(x.flatten(0, 1) for x in (q, k, v, text_k, text_v)), kind, width, kernel)
    return torch.cat([text, image.view_as(q)], 2)


class Image(torch.autograd.Function):
    """What the picture's positions find in the text and in each other."""

    @staticmethod
    def forward(ctx, q, k, v, text_k, text_v, kind, width, kernel):
        """q, k, v (G, N, d), text_k, text_v (G, T, d) → (G, N, d). q is already divided by √d."""
        ctx.lines = lines = Lines(kind, width)
        masks = line_masks(kind, q.shape[1] // width, width, kernel)
        q_lines, k_lines, v_lines = map(lines.cut, (q, k, v))
        in_text = q @ text_k.mT  # (G, N, T)
        most = lines.cut(in_text.amax(-1, keepdim=True))
        parts = {}  # how many lines before → scores, then weights (lines, G, length, length)
        for back, mask in masks.items():
            parts[back] = (q_lines[back:] @ until(k_lines, back).mT).masked_fill_(~mask.to(q.device), -math.inf)
            torch.maximum(most[back:], parts[back].amax(-1, keepdim=True), out=most[back:])
        # A softmax does not mind what is taken away from all scores; the largest makes exp safe.
        total = lines.cut(in_text.sub_(lines.join(most)).exp_().sum(-1, keepdim=True))
        for back, part in parts.items():
            total[back:] += part.sub_(most[back:]).exp_().sum(-1, keepdim=True)
        found = torch.zeros_like(v_lines)
        for back, part in parts.items():
            found[back:] += part.div_(total[back:]) @ until(v_lines, back)
        found = lines.join(found).baddbmm_(in_text.div_(lines.join(total)), text_v)
        ctx.backs = list(parts)
        ctx.save_for_backward(q, q_lines, k_lines, v_lines, text_k, text_v, found, in_text, *parts.values())
        return found

    @staticmethod
    def backward(ctx, slope):
        """The formulas at the top of this file, for the text and then for the lines."""
        q, q_lines, k_lines, v_lines, text_k, text_v, found, in_text, *parts = ctx.saved_tensors
        lines, mean = ctx.lines, (slope * found).sum(-1, keepdim=True)
        text_dv = in_text.mT @ slope
        ds = (slope @ text_v.mT).sub_(mean).mul_(in_text)
        dq, text_dk = ds @ text_k, ds.mT @ q
        slope, mean = lines.cut(slope), lines.cut(mean)
        dq_lines, dk_lines, dv_lines = (torch.zeros_like(x) for x in (q_lines, k_lines, v_lines))
        for back, part in zip(ctx.backs, parts):
            until(dv_lines, back).add_(part.mT @ slope[back:])
            ds = (slope[back:] @ until(v_lines, back).mT).sub_(mean[back:]).mul_(part)
            dq_lines[back:] += ds @ until(k_lines, back)
            until(dk_lines, back).add_(ds.mT @ q_lines[back:])
        dq, dk, dv = dq.add_(lines.join(dq_lines)), lines.join(dk_lines), lines.join(dv_lines)
        return dq, dk, dv, text_dk, text_dv, None, None, None


class Lines:
    """The picture's positions in raster order, (G, N, …), cut into lines, (lines, G, length, …), and joined."""

    def __init__(self, kind: str, width: int):
        self.width, self.order = width, (2, 0, 1, 3) if kind == "column" else (1, 0, 2, 3)

    def cut(self, x: Tensor) -> Tensor:
        return x.unflatten(1, (-1, self.width)).permute(self.order).contiguous()

    def join(self, x: Tensor) -> Tensor:
        back = (1, 2, 0, 3) if self.order[0] == 2 else (1, 0, 2, 3)
        return x.permute(back).flatten(1, 2)


def until(x: Tensor, back: int) -> Tensor:
    """All lines but the last `back`."""
    return x[: len(x) - back]


@lru_cache
def line_masks(kind: str, height: int, width: int, kernel: int) -> dict[int, Tensor]:
    """How many lines before lie those that a line sees → which of their positions each position sees.

    >>> {back: mask.int().tolist() for back, mask in line_masks("row", 3, 2, 3).items()}
    {0: [[1, 0], [1, 1]], 1: [[1, 1], [0, 1]]}
    """
    mask = whole_mask(kind, 0, height, width, kernel).view(height, width, height, width)
    if kind == "column":
        mask = mask.permute(1, 0, 3, 2)
    last = mask[-1].transpose(0, 1).flip(0)  # what the last line sees of itself, of the one before, …
    return {back: seen for back, seen in enumerate(last) if seen.any()}


@lru_cache
def whole_mask(kind: str, text_len: int, height: int, width: int, kernel: int) -> Tensor:
    """The whole mask, made once."""
    with torch.device("cpu"):
        return mask_of(kind, text_len, height, width, kernel)
