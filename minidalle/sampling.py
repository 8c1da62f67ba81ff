"""Drawing: one code after another, each chosen from what the model thinks comes next.

B batch, T text tokens, N = h·w image tokens, S = T + N, K codebook.

Position p needs the keys and values of everything before it, and those do not change: they
are computed once and kept (`Cache`). The caption goes through the model once, however many
candidates are drawn from it. Without the cache, drawing N codes would push about N²/2 image
positions through the model, instead of N.

Every candidate has a random stream of its own, made from the seed and its number, so picture
i of a seed is the same in a batch of one and in a batch of 512.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from minidalle.transformer import DALLE


class Cache:
    """The keys and values of every layer for the positions that have gone through.

    Those of a caption are kept once and shared by all its candidates. A new position reads only
    the image positions that its layer's mask lets it see. A row layer sees the last W + 1, and
    keeps no more: a new position takes the place of the one that has gone out of sight, and a
    softmax does not mind the order. At the paper's size that leaves 0.30 of 1.04 GB in 16 bits
    for each candidate.
    """

    def __init__(self, model: DALLE, text: Tensor):
        """Send captions (C, T) through the model."""
        self.model, self.text, x = model, [], model.embed_text(text)
        for layer, block in enumerate(model.blocks):
            q, k, v = block.split_heads(x)
            mask = model.mask(layer)[: text.shape[1], : text.shape[1]]
            x = block.finish(x, F.scaled_dot_product_attention(q, k, v, attn_mask=mask))
            self.text.append((k, v))  # each (C, H, T, d)
        self.repeat(1)

    def repeat(self, copies: int) -> "Cache":
        """Make room for `copies` candidates of each caption: B = C · copies."""
        self.copies, self.length, config = copies, 0, self.model.config
        C, H, _, d = self.text[0][0].shape
        places = [config.grid + 1 if kind == "row" else config.image_len for kind in self.model.kinds]
        self.image = [[k.new_empty(C * copies, H, n, d) for _ in "kv"] for (k, _), n in zip(self.text, places)]
        return self

    def append(self, x: Tensor) -> Tensor:
        """Send the next image positions, x (B, n, D), through all layers; returns them, (B, n, D).

        They come one by one (n = 1), but for the first ones.
        """
        place, n, T = self.length, x.shape[1], self.model.config.text_len
        if place and n > 1:
            raise ValueError(f"after the first positions they come one by one, not {n} at a time")
        for layer, block in enumerate(self.model.blocks):
            q, k, v = block.split_heads(x)
            for kept, new in zip(self.image[layer], (k, v)):
                size = kept.shape[2]
                for p in range(max(place, place + n - size), place + n):
                    kept[:, :, p % size] = new[:, :, p - place]
            if n > 1:
                mask = self.model.mask(layer)[T : T + n, T : T + n]
            else:
                mask, (k, v) = None, [kept[:, :, self.window(layer)] for kept in self.image[layer]]
            x = block.finish(x, self.attend(layer, q, k, v, mask))
        self.length += n
        return x

    def window(self, layer: int) -> slice | Tensor:
        """Where the keys lie that the next position sees."""
        if self.model.kinds[layer] == "row":
            return slice(0, min(self.length, self.model.config.grid) + 1)
        return self.model.windows(layer)[self.length]

    def attend(self, layer: int, q: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """One softmax over the caption and what is seen of the image: q (B, H, n, d) → the same."""
        T, (text_keys, text_values) = self.model.config.text_len, self.text[layer]
        q = q / math.sqrt(q.shape[-1])
        to_text = self.apart(self.joined(q) @ text_keys.transpose(-1, -2))
        to_image = q @ keys.transpose(-1, -2)
        if mask is not None:
            to_image = to_image.masked_fill(~mask, -math.inf)
        weights = torch.cat([to_text, to_image], -1).softmax(-1)  # (B, H, n, T + seen)
        return self.apart(self.joined(weights[..., :T]) @ text_values) + weights[..., T:] @ values

    def joined(self, x: Tensor) -> Tensor:
        """Candidates of a caption side by side, for one product: (B, H, n, …) → (C, H, copies · n, …)."""
        B, H, n, size = x.shape
        return x.view(-1, self.copies, H, n, size).transpose(1, 2).reshape(-1, H, self.copies * n, size)

    def apart(self, x: Tensor) -> Tensor:
        """Undo `joined`."""
        C, H, rows, size = x.shape
        return x.view(C, H, self.copies, -1, size).transpose(1, 2).reshape(C * self.copies, H, -1, size)


def choose(logits: Tensor, u: Tensor, temperature: float = 1.0, top_k: int | None = None,
           top_p: float | None = None) -> Tensor:
    """One code per row of logits (B, K), given one uniform number u (B,) for each.

    The codes' probabilities are laid end to end from 0 to 1, and u falls into one of them.
    top_k keeps the k likeliest codes; top_p the smallest set whose probabilities reach p.
    Temperature 0 takes the likeliest.

    >>> choose(torch.tensor([[0.0, 0.0]]), torch.tensor([0.7])).item()
    1
    """
    if temperature == 0:
        return logits.argmax(-1)
    p = (logits.double() / temperature).softmax(-1)
    if top_k is not None or top_p is not None:
        ranked, code = p.sort(dim=-1, descending=True, stable=True)
        if top_k is not None:
            ranked[:, top_k:] = 0
        if top_p is not None:  # a code stays if those before it do not reach p yet
            ranked[ranked.cumsum(-1) - ranked >= top_p * ranked.sum(-1, keepdim=True)] = 0
        p = torch.zeros_like(p).scatter(-1, code, ranked)
    cdf = p.cumsum(-1)
    return (cdf <= u[:, None] * cdf[:, -1:]).sum(-1)


def uniforms(seed: int, first: int, count: int, n: int) -> Tensor:
    """The random numbers in [0, 1) of candidates first, first + 1, …: (count, n) float64."""
    return torch.stack([
        torch.rand(n, generator=torch.Generator().manual_seed(seed * 1_000_003 + i), dtype=torch.float64)
        for i in range(first, first + count)
    ])  # fmt: skip


def sample(model: DALLE, text: Tensor, copies: int = 1, seed: int = 0, first: int = 0, **how) -> Tensor:
    """Draw `copies` pictures for each framed caption of text (B, T): codes (B · copies, N).

    Candidates are numbered from `first` on, over the whole result. `how` is passed on to
    `complete`: temperature, top_k, top_p, guidance and unsaid, progress.
    """
    nothing = text.new_zeros(len(text) * copies, model.config.image_len, dtype=torch.long)
    return complete(model, text, nothing, (0, 0), seed, first, **how)


@torch.no_grad()  # (tensors made in inference mode could not be trained on afterwards)
def complete(model: DALLE, text: Tensor, codes: Tensor, box: tuple[int, int] = (0, 0), seed: int = 0,
             first: int = 0, temperature: float = 1.0, top_k: int | None = None,
             top_p: float | None = None, guidance: float = 1.0, unsaid: Tensor | None = None,
             progress=lambda positions: positions) -> Tensor:
    """Redraw the rectangle of codes from box = (top, left) to the bottom-right corner.

    text (B, T), codes (B · copies, N): the copies of a caption stand together. Everything above
    and to the left of the box is kept. With guidance g ≠ 1 the caption's influence is
    exaggerated: logits = those without caption + g · (with − without); `unsaid` (T,) is the
    frame of the empty caption. Each branch has a cache of its own. `progress` may wrap the
    iterator over positions. Returns new codes; what was passed in is not changed.
    """
    check(model, text, codes, box, temperature, top_k, top_p, guidance, unsaid)
    config, codes = model.config, codes.clone()
    copies = len(codes) // len(text)
    caches = [Cache(model, text).repeat(copies)]
    if guidance != 1:
        caches.append(Cache(model, unsaid[None]).repeat(len(codes)))
    place = torch.arange(config.image_len)
    redraw = (place // config.grid >= box[0]) & (place % config.grid >= box[1])
    start = int(redraw.nonzero()[0])
    u = uniforms(seed, first, len(codes), config.image_len).to(codes.device)

    places, x = model.places(), model.embed_image(codes[:, :start])
    for p in progress(range(start, config.image_len)):
        logits = [model.image_head(model.norm(cache.append(x)[:, -1])) for cache in caches]
        if redraw[p]:
            mixed = logits[-1] + guidance * (logits[0] - logits[-1]) if guidance != 1 else logits[0]
            codes[:, p] = choose(mixed, u[:, p], temperature, top_k, top_p)
        x = (model.code_embedding(codes[:, p]) + places[(p + 1) % len(places)])[:, None]
    return codes


def check(model, text, codes, box, temperature, top_k, top_p, guidance, unsaid) -> None:
    """One sentence about the first thing that is wrong with what `complete` was given."""
    config = model.config
    if codes.ndim != 2 or codes.shape[1] != config.image_len or len(codes) % len(text):
        raise ValueError(
            f"expected codes (a multiple of {len(text)}, {config.image_len}), got {tuple(codes.shape)}"
        )
    if not all(0 <= side < config.grid for side in box):
        raise ValueError(f"the box must begin inside the {config.grid}×{config.grid} grid, not at {box}")
    if not 0 <= temperature < float("inf"):
        raise ValueError(f"temperature must be 0 or more, not {temperature}")
    if top_k is not None and not 1 <= top_k <= config.codebook:
        raise ValueError(f"top-k must be from 1 to {config.codebook} image codes, not {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top-p must be over 0 and at most 1, not {top_p}")
    if guidance != 1 and unsaid is None:
        raise ValueError("guidance needs `unsaid`, the frame of the empty caption")
