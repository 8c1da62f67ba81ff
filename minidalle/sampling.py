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
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidalle.transformer import DALLE


class Cache:
    """The keys and values of every layer for the positions that have gone through.

    Those of a caption are kept once and shared by all its candidates. A new position reads only
    the image positions that its layer's mask lets it see. A row layer sees the last W + 1, and
    keeps no more: a new position takes the place of the one that has gone out of sight, and a
    softmax does not mind the order. At the paper's size that leaves 0.30 of 1.04 GB in 16 bits
    for each candidate.

    C captions, M candidates of each, B = C · M, d width of a head. Candidates of a caption stand
    side by side within each head, so one product compares all of them with their caption.
    """

    def __init__(self, model: DALLE, text: Tensor):
        """Send captions (C, T) through the model."""
        self.model, self.text, x = model, [], model.embed_text(text)
        for layer, block in enumerate(model.blocks):
            q, k, v = block.split_heads(x)
            mask = model.mask(layer)[: text.shape[1], : text.shape[1]]
            x = block.finish(x, F.scaled_dot_product_attention(q, k, v, attn_mask=mask))
            self.text.append((k.flatten(0, 1).transpose(1, 2), v.flatten(0, 1)))  # (C · H, d, T), (C · H, T, d)
        self.windows = [
            [at if isinstance(at, slice) else at.to(x.device) for at in model.windows(layer)]
            for layer in range(len(model.blocks))
        ]
        self.repeat(1)

    def repeat(self, copies: int) -> "Cache":
        """Make room for M = `copies` candidates of each caption."""
        self.length, config = 0, self.model.config
        places = [config.grid + 1 if kind == "row" else config.image_len for kind in self.model.kinds]
        self.image = [  # keys and values, each (C, H, M, places, d)
            v.new_empty(2, len(v) // config.heads, config.heads, copies, n, v.shape[2])
            for (_, v), n in zip(self.text, places)
        ]
        return self

    def append(self, x: Tensor) -> Tensor:
        """Send the next image positions, x (B, n, D), through all layers; returns them, (B, n, D).

        They come one by one (n = 1), but for the first ones.
        """
        place, (B, n, D), T = self.length, x.shape, self.model.config.text_len
        C, H, M, _, d = self.image[0].shape[1:]
        if place and n > 1:
            raise ValueError(f"after the first positions they come one by one, not {n} at a time")
        x = x.reshape(C, M * n, D)
        for layer, block in enumerate(self.model.blocks):
            kept = self.image[layer]
            size = kept.shape[4]
            new = block.qkv(block.norm_1(x)).view(C, M, n, 3, H, d).permute(3, 0, 4, 1, 2, 5)  # (3, C, H, M, n, d)
            for p in range(max(place, place + n - size), place + n):
                kept.select(4, p % size).copy_(new.select(4, p - place)[1:])
            if n > 1:
                seen, mask = new[1:].flatten(1, 3), self.model.mask(layer)[T : T + n, T : T + n]
            else:
                seen, mask = self.seen(layer), None
            x = block.finish(x, self.attend(layer, new[0], *seen, mask).view(C, H, M * n, d))
        self.length += n
        return x.view(B, n, D)

    def seen(self, layer: int) -> Tensor:
        """The keys and values of what the next position sees of the image: (2, C · H · M, seen, d)."""
        kept = self.image[layer].flatten(1, 3)
        if self.model.kinds[layer] == "row":
            return kept[:, :, : self.length + 1]  # (no more are kept)
        window = self.windows[layer][self.length]
        return kept[:, :, window] if isinstance(window, slice) else kept.index_select(2, window)

    def attend(self, layer: int, q: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """One softmax over the caption and what is seen of the image.

        q (C, H, M, n, d), keys and values (C · H · M, seen, d); returns (C · H · M, n, d).
        """
        (text_keys, text_values), (n, d) = self.text[layer], q.shape[-2:]
        G, T = text_values.shape[:2]  # C · H, and the length of a caption
        q = (q * d**-0.5).reshape(-1, n, d)
        to_image = torch.bmm(q, keys.transpose(1, 2))
        if mask is not None:
            to_image = to_image.masked_fill(~mask, -math.inf)
        to_text = torch.bmm(q.view(G, -1, d), text_keys).view(-1, n, T)
        weights = torch.cat([to_text, to_image], -1).softmax(-1)  # (C · H · M, n, T + seen)
        found = torch.bmm(weights[..., :T].view(G, -1, T), text_values).view(-1, n, d)
        return found.baddbmm_(weights[..., T:], values)


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
    return torch.searchsorted(cdf, u[:, None] * cdf[:, -1:], right=True)[:, 0]


def uniforms(seed: int, first: int, count: int, n: int) -> Tensor:
    """The random numbers in [0, 1) of candidates first, first + 1, …: (count, n) float64."""
    return torch.stack([
        torch.rand(n, generator=torch.Generator().manual_seed(seed * 1_000_003 + i), dtype=torch.float64)
        for i in range(first, first + count)
    ])  # fmt: skip


@contextmanager
def for_few_rows(model: DALLE):
    """On a CPU, let linear layers and GELU be computed in the way that is fastest for few rows.

    The matrices lie transposed in memory, their values as they were: products are up to 1.7 times
    as fast. And oneDNN, which takes longer to prepare a GELU of one row than to compute it, rests.
    """
    weights = [layer.weight for layer in model.modules() if isinstance(layer, nn.Linear)]
    before, onednn = [weight.data for weight in weights], torch.backends.mkldnn.enabled
    try:
        if weights[0].device.type == "cpu" and weights[0].dtype == torch.float32:
            torch.backends.mkldnn.enabled = False
            for weight in weights:
                weight.data = weight.data.T.contiguous().T
        yield
    finally:
        torch.backends.mkldnn.enabled = onednn
        for weight, data in zip(weights, before):
            weight.data = data


def sample(model: DALLE, text: Tensor, copies: int = 1, seed: int = 0, first: int = 0, **how) -> Tensor:
    """Draw `copies` pictures for each framed caption of text (B, T): codes (B · copies, N).

    Candidates are numbered from `first` on, over the whole result. `how` is passed on to
    `complete`: temperature, top_k, top_p, guidance and unsaid, progress.
    """
    nothing = text.new_zeros(len(text) * copies, model.config.image_len, dtype=torch.long)
    return complete(model, text, nothing, (0, 0), seed, first, **how)


@torch.no_grad()
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
    # Inference mode is a tenth faster than no_grad; the codes are made before, for later training.
    with for_few_rows(model), torch.inference_mode():
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
