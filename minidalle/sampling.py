"""Sampling: the codes of a picture are drawn one after another, each given all before it.

B batch, T text tokens, N = h·w image tokens, S = T + N, K codebook, D width, H heads, d = D / H.

Position p needs the keys and values of all positions before it. These do not change, so they are
computed once and kept (`Cache`). Without this cache, drawing N codes would send about N²/2 image
positions through the model instead of N.

Every candidate has its own random stream, derived from the seed and its number, so picture i of
a seed is the same in a batch of 1 and in a batch of 512.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from minidalle.transformer import DALLE, attention

MOST_GUIDANCE = 1e6  # larger values could overflow
MOST_CANDIDATES = 100_000  # of 32×32 pixels they take a gigabyte


class Writer(Protocol):
    """What drawing needs of a model: a DALLE, or the one that takes its place in DALL·E Mini."""

    @property
    def config(self) -> Any: ...  # image_len, grid, codebook_size

    def places(self) -> Tensor: ...

    def embed_image(self, codes: Tensor) -> Tensor: ...

    code_embedding: Any
    norm: Any
    image_head: Any


class Cache:
    """The keys and values of every layer (a KV cache); each step adds one position."""

    def __init__(self, model: DALLE, text: Tensor, num_samples: int = 1):
        """Run captions (B, T) through the model, each repeated for `num_samples` pictures."""
        c, text = model.config, text.repeat_interleave(num_samples, 0)
        shape = len(text), c.heads, c.text_len + c.image_len, c.width // c.heads  # (B, H, S, d)
        x = model.embed_text(text)
        self.model, self.length = model, 0
        self.keys, self.values = x.new_zeros(2, c.depth, *shape)
        self.append(x)

    def append(self, x: Tensor) -> Tensor:
        """Run the next n positions, (B, n, D), through all layers → (B, n, D)."""
        new = slice(self.length, self.length + x.shape[1])
        for layer, block in enumerate(self.model.blocks):
            mask = self.model.mask(layer)[new, : new.stop]
            x = block(x, mask, partial(self.attend, layer, new))
        self.length = new.stop
        return x

    def attend(
        self, layer: int, new: slice, q: Tensor, k: Tensor, v: Tensor, mask: Tensor
    ) -> Tensor:
        """Append k and v, (B, H, n, d), and let the queries attend to everything cached."""
        keys, values = self.keys[layer][:, :, : new.stop], self.values[layer][:, :, : new.stop]
        keys[:, :, new], values[:, :, new] = k, v
        return attention(q, keys, values, mask)


def choose(
    logits: Tensor,
    u: Tensor,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Tensor:
    """Sample one code per row of logits (B, K), from a uniform random number u (B,) for each.

    This is inverse transform sampling: the first code whose cumulative probability exceeds u.
    top_k keeps the k likeliest codes; top_p (nucleus sampling) keeps the smallest set whose
    probabilities sum to p. Temperature 0 takes the likeliest code.

    >>> choose(torch.tensor([[0.0, 0.0]]), torch.tensor([0.7])).item()
    1
    """
    if temperature == 0:
        return logits.argmax(-1)
    logits = logits.double()
    # The largest logit becomes 0, so that dividing by a small temperature cannot overflow.
    p = ((logits - logits.amax(-1, keepdim=True)) / temperature).softmax(-1)
    if top_k is not None or top_p is not None:
        ranked, code = p.sort(dim=-1, descending=True, stable=True)
        if top_k is not None:
            ranked[:, top_k:] = 0
        if top_p is not None:  # a code stays if those before it sum to less than p
            ranked[ranked.cumsum(-1) - ranked >= top_p * ranked.sum(-1, keepdim=True)] = 0
        p = torch.zeros_like(p).scatter(-1, code, ranked)
    cdf = p.cumsum(-1)
    return torch.searchsorted(cdf, u[:, None] * cdf[:, -1:], right=True)[:, 0]


def uniforms(seed: int, first: int, count: int, n: int) -> Tensor:
    """Uniform numbers in [0, 1) for candidates first, first + 1, …: (count, n) float64."""
    streams = [
        torch.Generator().manual_seed(seed * 1_000_003 + i) for i in range(first, first + count)
    ]
    return torch.stack([torch.rand(n, generator=stream, dtype=torch.float64) for stream in streams])


def sample(
    model: Writer, text: Tensor, num_samples: int = 1, seed: int = 0, first: int = 0, **how
) -> Tensor:
    """Draw `num_samples` pictures for each framed caption (B, T): codes (B · num_samples, N).

    Candidates are numbered from `first`, over the whole result. `how` is passed on to
    `complete`: temperature, top_k, top_p, guidance with null_text, cache, progress.
    """
    blank = text.new_zeros(len(text) * num_samples, model.config.image_len, dtype=torch.long)
    return complete(model, text, blank, (0, 0), seed, first, **how)


@torch.no_grad()
def complete(
    model: Writer,
    text: Tensor,
    codes: Tensor,
    box: tuple[int, int] = (0, 0),
    seed: int | Sequence[int] = 0,
    first: int = 0,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    guidance: float = 1.0,
    null_text: Tensor | None = None,
    cache: type = Cache,
    progress: Callable[[Iterable], Iterable] = lambda positions: positions,
) -> Tensor:
    """Redraw the rectangle of codes from box = (top, left) to the bottom-right corner.

    text (B, T), codes (B · num_samples, N), with the samples of each caption adjacent; `seed` may
    be one for each caption. Codes above and to the left of the box are kept. Classifier-free
    guidance g ≠ 1 strengthens the caption: logits = unconditional + g · (conditional -
    unconditional), where `null_text` (T,), the frame of the empty caption, gives the unconditional
    ones; each branch has its own cache. `progress` may wrap the iterator over positions; `cache`
    may be a faster one (scale/cache.py). Returns new codes and leaves the given ones unchanged.
    """
    check(model, text, codes, box, temperature, top_k, top_p, guidance, null_text)
    config, codes = model.config, codes.clone()
    caches = [cache(model, text, len(codes) // len(text))]
    if guidance != 1:
        caches.append(cache(model, null_text[None], len(codes)))
    place = torch.arange(config.image_len)
    redraw = (place // config.grid >= box[0]) & (place % config.grid >= box[1])
    start = int(redraw.nonzero()[0])
    seeds = [seed] if isinstance(seed, int) else seed  # or one for each caption
    each = len(codes) // len(seeds)
    u = torch.cat([uniforms(one, first, each, config.image_len) for one in seeds]).to(codes.device)

    places, x = model.places(), model.embed_image(codes[:, :start])
    for p in progress(range(start, config.image_len)):
        logits = [model.image_head(model.norm(kept.append(x)[:, -1])) for kept in caches]
        if redraw[p]:
            mixed = logits[-1] + guidance * (logits[0] - logits[-1]) if guidance != 1 else logits[0]
            codes[:, p] = choose(mixed, u[:, p], temperature, top_k, top_p)
        x = (model.code_embedding(codes[:, p]) + places[(p + 1) % len(places)])[:, None]
    return codes


def check(model, text, codes, box, temperature, top_k, top_p, guidance, null_text) -> None:
    """Raise ValueError, in one sentence, about the first bad argument of `complete`."""
    N, K, side = model.config.image_len, model.config.codebook_size, model.config.grid
    if codes.ndim != 2 or codes.shape[1] != N or len(codes) % len(text):
        raise ValueError(
            f"expected codes (a multiple of {len(text)}, {N}), got {tuple(codes.shape)}"
        )
    if not all(0 <= edge < side for edge in box):
        raise ValueError(f"the box must begin inside the {side}×{side} grid, not at {box}")
    if not 0 <= temperature < math.inf:
        raise ValueError(f"temperature must be 0 or more, not {temperature}")
    if top_k is not None and not 1 <= top_k <= K:
        raise ValueError(f"top-k must be from 1 to {K} image codes, not {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top-p must be over 0 and at most 1, not {top_p}")
    if not 0 <= guidance <= MOST_GUIDANCE:
        raise ValueError(f"guidance must be from 0 to {MOST_GUIDANCE:g}, not {guidance}")
    if guidance != 1 and null_text is None:
        raise ValueError("guidance needs `null_text`, the frame of the empty caption")


def check_numbers(candidates: int, keep: int, seed: int) -> None:
    """Raise ValueError about the first bad number of what is drawn and ranked."""
    if not 1 <= candidates <= MOST_CANDIDATES:
        raise ValueError(
            f"the number of candidates must be from 1 to {MOST_CANDIDATES}, not {candidates}"
        )
    if not 1 <= keep <= candidates:
        raise ValueError(
            f"of {candidates} candidates between 1 and {candidates} can be kept, "
            f"not {keep}: lower --keep or raise --candidates"
        )
    if not 0 <= seed < 2**32:
        raise ValueError(f"the seed must be from 0 to {2**32 - 1}, not {seed}")


def check_finite(what: str, numbers: Tensor) -> None:
    """Raise FloatingPointError, about `what`, unless they all are."""
    if not numbers.isfinite().all():
        raise not_finite(what)


def not_finite(what: str) -> FloatingPointError:
    """The error that says so: trained weights compute numbers."""
    return FloatingPointError(f"{what} are not finite: the weights are damaged, or never trained")
