"""The fast twin of `transformer.attention`: it skips scores that the masks hide.

B batch, H heads, G = B · H, T text tokens, N = h·w image tokens, S = T + N, d width of a head.

A masked score takes as long as any other: at the paper's size a row layer computes 1 280 scores
per position and uses about 290. The masks are regular, so the picture can be cut into lines that
attend only to the text, to themselves and to a few lines before:

    row             lines are the rows of the grid; each sees the one above
    column          lines are the columns; each sees itself only
    convolutional   lines are rows; each sees as many above as the kernel reaches

So one product compares the picture with the text, one compares each line with its window (itself
and the lines before that it sees), and one softmax covers both. The n = G · L lines of all
pictures are stored one after another, and windows overlap in memory: those of a picture's first
lines reach into the picture before, which the mask hides. The gradient is written out, because it
is faster to take a few heads at a time, so that their scores stay in the processor's cache:

    P = softmax(S)    O = P V    dS = P ∘ (dO Vᵀ - rowsum(dO ∘ O))
    dQ = dS K         dK = dSᵀ Q     dV = Pᵀ dO
"""

import math
from collections.abc import Iterator
from functools import lru_cache, partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidalle.dalle_mini.seq2seq import Attention as MiniAttention
from minidalle.masks import mask_of
from minidalle.transformer import DALLE

SMALL = 128  # image tokens; up to here computing all scores is faster
AT_A_TIME = 2**21  # scores computed at a time, 8 MB


class Pattern(NamedTuple):
    """The parameters of a layer's mask; the picture is `width` codes wide."""

    kind: str
    text_len: int
    width: int
    kernel: int


def fast_attention(model: nn.Module) -> None:
    """Make the layers of a DALLE, or of DALL·E Mini, use `attend`, with the same result.

    Other models are left unchanged.
    """
    for layer in model.modules():
        if isinstance(layer, MiniAttention):
            layer.attend = attend
    if not isinstance(model, DALLE):
        return
    c = model.config
    patterns = [Pattern(kind, c.text_len, c.grid, c.kernel) for kind in model.kinds]
    model.attends = [partial(attend, pattern=pattern) for pattern in patterns]


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, pattern: Pattern | None = None) -> Tensor:
    """Attention with a mask (S, S), the fastest way: q, k, v (B, H, S, d) → (B, H, S, d).

    On a CPU, large pictures with a known pattern are cut into lines.
    """
    fits = q.device.type == "cpu" and q.dtype in (torch.float32, torch.bfloat16)
    if pattern and pattern.kind != "causal" and fits:
        N = q.shape[2] - pattern.text_len
        if N > SMALL and N % pattern.width == 0:
            with torch.autocast("cpu", enabled=False):  # float32 is faster for such small products
                return factored(q.float(), k.float(), v.float(), pattern).to(q.dtype)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def factored(q: Tensor, k: Tensor, v: Tensor, pattern: Pattern) -> Tensor:
    """Attention with the mask of a pattern: q, k, v (B, H, S, d) → (B, H, S, d).

    The rows of the image must be complete: N = h · width.
    """
    kind, T, width, kernel = pattern
    (text_q, q), (text_k, k), (text_v, v) = (x.split([T, x.shape[2] - T], 2) for x in (q, k, v))
    text = F.scaled_dot_product_attention(text_q, text_k, text_v, is_causal=True)
    grids = [
        x.unflatten(2, (-1, width)) for x in (q / math.sqrt(q.shape[-1]), k, v)
    ]  # (B, H, h, w, d)
    hidden = hidden_in_windows(kind, *grids[0].shape[2:4], kernel)
    if kind == "column":
        grids = [grid.transpose(2, 3) for grid in grids]
    lines = (grid.flatten(0, 2).contiguous() for grid in grids)  # (n, length, d)
    image = Lines.apply(*lines, text_k.flatten(0, 1), text_v.flatten(0, 1), hidden).view(
        grids[0].shape
    )
    if kind == "column":
        image = image.transpose(2, 3)
    return torch.cat([text.transpose(1, 2), image.flatten(2, 3).transpose(1, 2)], 1).transpose(1, 2)


class Lines(torch.autograd.Function):
    """Attention of the lines of pictures to the text and to their windows."""

    @staticmethod
    def forward(ctx, q, k, v, text_k, text_v, hidden):
        """q, k, v (n, length, d), text_k, text_v (G, T, d), hidden (L, length, window).

        Returns (n, length, d).
        """
        (T, d), (L, length, window) = text_k.shape[1:], hidden.shape
        k, v = (with_lines_before(x, window // length) for x in (k, v))
        found, weights = torch.empty_like(q), []
        for heads, lines in some_at_a_time(len(text_k), hidden, T):
            P = q.new_empty(len(text_k[heads]), L * length, T + window)
            torch.bmm(q[lines].view(-1, L * length, d), text_k[heads].mT, out=P[..., :T])
            in_window = (q[lines] @ k[lines].mT).view(-1, L, length, window)
            torch.add(in_window, hidden, out=P[..., T:].unflatten(1, (L, length)))
            P = P.softmax(-1)
            torch.bmm(P[..., :T], text_v[heads], out=found[lines].view(-1, L * length, d))
            found[lines].baddbmm_(P.view(-1, length, T + window)[..., T:], v[lines])
            weights.append(P)
        ctx.save_for_backward(q, k, v, text_k, text_v, hidden, found, *weights)
        return found

    @staticmethod
    def backward(ctx, gradient):
        """The formulas at the top of this module, for the text and for the windows."""
        q, k, v, text_k, text_v, hidden, found, *weights = ctx.saved_tensors
        (T, d), (L, length, window) = text_k.shape[1:], hidden.shape
        gradient, reach = gradient.contiguous(), window // length
        mean = (gradient * found).sum(-1, keepdim=True)
        dq, text_dk, text_dv = (torch.empty_like(x) for x in (q, text_k, text_v))
        dk, dv = q.new_zeros(2, reach - 1 + len(q), length, d)

        def pictures(x: Tensor) -> Tensor:
            return x.view(-1, L * length, x.shape[-1])

        for (heads, lines), P in zip(some_at_a_time(len(text_k), hidden, T), weights):
            in_text, in_window = P[..., :T], P.view(-1, length, T + window)[..., T:]
            ds = (
                (pictures(gradient[lines]) @ text_v[heads].mT)
                .sub_(pictures(mean[lines]))
                .mul_(in_text)
            )
            torch.bmm(ds, text_k[heads], out=pictures(dq[lines]))
            torch.bmm(ds.mT, pictures(q[lines]), out=text_dk[heads])
            torch.bmm(in_text.mT, pictures(gradient[lines]), out=text_dv[heads])
            ds = (gradient[lines] @ v[lines].mT).sub_(mean[lines]).mul_(in_window)
            dq[lines].baddbmm_(ds, k[lines])
            for line, (part, weight) in enumerate(
                zip(ds.split(length, -1), in_window.split(length, -1))
            ):
                dk[line : line + len(q)][lines].baddbmm_(part.mT, q[lines])
                dv[line : line + len(q)][lines].baddbmm_(weight.mT, gradient[lines])
        return dq, dk[reach - 1 :], dv[reach - 1 :], text_dk, text_dv, None


def some_at_a_time(heads: int, hidden: Tensor, text_len: int) -> Iterator[tuple[slice, slice]]:
    """Slices of the G heads whose scores fit into the cache, and of the lines of these heads."""
    L, length, window = hidden.shape
    step = max(1, AT_A_TIME // (L * length * (text_len + window)))
    for first in range(0, heads, step):
        yield slice(first, first + step), slice(first * L, (first + step) * L)


def with_lines_before(lines: Tensor, reach: int) -> Tensor:
    """Each line and the reach - 1 before it, as a view: (n, length, d) → (n, reach · length, d).

    >>> with_lines_before(torch.arange(4.0).view(4, 1, 1), 2).flatten(1).tolist()
    [[0.0, 0.0], [0.0, 1.0], [1.0, 2.0], [2.0, 3.0]]
    """
    n, length, d = lines.shape
    lines = F.pad(lines, (0, 0, 0, 0, reach - 1, 0))
    return lines.as_strided((n, reach * length, d), (length * d, d, 1))


@lru_cache
@torch.inference_mode(False)  # cached for later calls, which may need gradients
def hidden_in_windows(kind: str, height: int, width: int, kernel: int) -> Tensor:
    """The mask to add to the scores of each line with its window, (L, length, window): 0 or -∞.

    >>> hidden_in_windows("row", 3, 2, 3)[1].tolist()
    [[0.0, 0.0, 0.0, -inf], [-inf, 0.0, 0.0, 0.0]]
    """
    with torch.device("cpu"):
        seen = mask_of(kind, 0, height, width, kernel).view(height, width, height, width)
        seen = (
            seen.permute(1, 3, 0, 2) if kind == "column" else seen.transpose(1, 2)
        )  # (L, L, length, length)
        reach = int(seen[-1].any(-1).any(-1).sum())  # the last line sees the most
        nothing = torch.zeros_like(seen[:, : reach - 1])
        seen = torch.cat([nothing, seen], 1)  # before the first line
        own = [
            lines[line : line + reach].transpose(0, 1).flatten(1) for line, lines in enumerate(seen)
        ]
        return torch.zeros(len(own), *own[0].shape).masked_fill_(~torch.stack(own), -math.inf)
