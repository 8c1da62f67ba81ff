"""The encoder–decoder: one network reads the caption, another writes the picture's codes.

B batch, T text tokens, N image tokens, K codebook, D width, H heads, d = D / H.

    encoder:  t0 t1 … t(T-1)        every token sees every other one
                  ↓                 (cross-attention: each image position sees the whole caption)
    decoder:  start  i1  i2 …  i(N-1)      each position sees those before it
    predicts  i1     i2  i3 …  iN

It is BART (Lewis et al. 2019, arXiv 1910.13461) with the changes of DALL·E Mini: a layer norm after
each attention as well as before it (NormFormer, Shleifer et al. 2021, arXiv 2110.09456), gated
MLPs (GLU, Shazeer 2020, arXiv 2002.05202), and no biases in dense layers. In one stream a layer
has to read and to write with the same matrices; here reading and writing have their own, and the
caption is read once, in both directions.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidalle.dalle_mini.config import Seq2SeqConfig
from minidalle.transformer import attention, initial

KeysAndValues = tuple[Tensor, Tensor]


class NormBefore(nn.Module):
    """A layer norm with a bias and no gain: the dense layers behind it can learn one."""

    def __init__(self, width: int):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """(…, D) → (…, D)."""
        return F.layer_norm(x, x.shape[-1:], None, self.bias)


def dense(n_in: int, n_out: int) -> nn.Linear:
    """A dense layer without bias."""
    return nn.Linear(n_in, n_out, bias=False)


class Attention(nn.Module):
    """Norm, attention to the same or another sequence, norm."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm_before, self.norm_after = NormBefore(width), nn.LayerNorm(width)
        self.q, self.k, self.v, self.out = (dense(width, width) for _ in range(4))
        self.attend: Callable[..., Tensor] = attention  # scale/attention.py has a faster one

    def split(self, x: Tensor) -> Tensor:
        """(B, S, D) → (B, H, S, d)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def keys_and_values(self, source: Tensor) -> KeysAndValues:
        """Of what is looked at, (B, S, D): each (B, H, S, d)."""
        return self.split(self.k(source)), self.split(self.v(source))

    def forward(
        self, x: Tensor, mask: Tensor, source: Tensor | None = None,
        told: KeysAndValues | None = None, attend: Callable[..., Tensor] | None = None,
    ) -> Tensor:  # fmt: skip
        """x (B, n, D), mask (…, n, S) → (B, n, D).

        It looks at another sequence if there is one, source (B, S, D), or at keys and values that
        were kept of it; else x looks at itself.
        """
        x = self.norm_before(x)
        k, v = told or self.keys_and_values(x if source is None else source)
        mixed = (attend or self.attend)(self.split(self.q(x)), k, v, mask)  # (B, H, n, d)
        return self.norm_after(self.out(mixed.transpose(1, 2).flatten(2)))


class GLU(nn.Module):
    """A gated MLP: what one dense layer computes, multiplied by the GELU of another."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.norm_before, self.norm_hidden = NormBefore(width), NormBefore(hidden)
        self.gate, self.up, self.down = (
            dense(width, hidden),
            dense(width, hidden),
            dense(hidden, width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, S, D) → (B, S, D)."""
        x = self.norm_before(x)
        return self.down(self.norm_hidden(F.gelu(self.gate(x)) * self.up(x)))


class Layer(nn.Module):
    """Attention and GLU; a layer of the decoder also looks at the caption, between the two."""

    def __init__(self, width: int, heads: int, hidden: int, looks_at_caption: bool):
        super().__init__()
        self.attention = Attention(width, heads)
        self.to_caption = Attention(width, heads) if looks_at_caption else None
        self.glu = GLU(width, hidden)

    def forward(
        self, x: Tensor, mask: Tensor, caption: Tensor | None = None, seen: Tensor | None = None,
        told: KeysAndValues | None = None, attend: Callable[..., Tensor] | None = None,
    ) -> Tensor:  # fmt: skip
        """x (B, n, D), mask (…, n, S) → (B, n, D).

        caption (B, T, D), or its keys and values; seen (B, 1, 1, T): which tokens are no pads.
        """
        x = x + self.attention(x, mask, attend=attend)
        if self.to_caption is not None:
            x = x + self.to_caption(x, seen, caption, told)
        return x + self.glu(x)


class Seq2Seq(nn.Module):
    """The encoder and the decoder: 202.6 M and 235.1 M parameters at the size of `mini`."""

    config_class = Seq2SeqConfig

    def __init__(self, config: Seq2SeqConfig):
        super().__init__()
        self.config = config
        D, sizes = config.width, (config.width, config.heads, config.hidden)
        self.text_embedding = nn.Embedding(config.vocab_size, D)
        self.text_position = nn.Embedding(config.text_len, D)
        self.text_norm_embedding = nn.LayerNorm(D)
        self.text_blocks = nn.ModuleList(Layer(*sizes, False) for _ in range(config.depth))
        self.text_norm = nn.LayerNorm(D)
        self.code_embedding = nn.Embedding(config.codebook_size + 1, D)  # the last one: start
        self.position = nn.Embedding(config.image_len, D)
        self.norm_embedding = nn.LayerNorm(D)
        self.blocks = nn.ModuleList(Layer(*sizes, True) for _ in range(config.depth))
        self.norm = nn.LayerNorm(D)
        self.image_head = dense(D, config.codebook_size)
        for name, parameter in self.named_parameters():
            parameter.data = initial(name, parameter.shape, config)
        causal = torch.ones(config.image_len, config.image_len, dtype=torch.bool).tril()
        self.register_buffer("mask", causal, persistent=False)

    # ---- reading

    def seen(self, text: Tensor) -> Tensor:
        """Which tokens of the captions (B, T) are no pads: (B, 1, 1, T) bool."""
        first, last = self.config.pad, self.config.pad + self.config.pads
        return ((text < first) | (text >= last))[:, None, None]

    def read(self, text: Tensor) -> Tensor:
        """Framed captions (B, T) → what the decoder looks at, (B, T, D)."""
        if text.shape[1] != self.config.text_len:
            raise ValueError(f"expected {self.config.text_len} text tokens, got {text.shape[1]}")
        x = self.text_norm_embedding(self.text_embedding(text) + self.text_position.weight)
        for block in self.text_blocks:
            x = block(x, self.seen(text))
        return self.text_norm(x)

    # ---- writing

    def places(self) -> Tensor:
        """The embedding of each image position, (N, D)."""
        return self.position.weight

    def embed_image(self, codes: Tensor) -> Tensor:
        """The first n codes (B, n) → inputs of image positions 0…n, (B, n + 1, D).

        All N codes give N inputs, not N + 1: after the last code there is nothing to predict.
        """
        start = codes.new_full((len(codes), 1), self.config.codebook_size)
        codes = torch.cat([start, codes[:, : self.config.image_len - 1]], dim=1)
        return self.code_embedding(codes) + self.places()[: codes.shape[1]]

    def logits(self, text: Tensor, image: Tensor) -> Tensor:
        """Logits of the next code: text (B, T), image (B, n ≤ N) → (B, n', K)."""
        caption, seen = self.read(text), self.seen(text)
        x = self.norm_embedding(self.embed_image(image))
        S = x.shape[1]
        for block in self.blocks:
            x = block(x, self.mask[:S, :S], caption, seen)
        return self.image_head(self.norm(x))

    def forward(self, text: Tensor, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss: mean cross-entropy of the codes, in nats; text (B, T), image (B, N)."""
        loss = F.cross_entropy(self.logits(text, image).flatten(0, 1), image.flatten())
        return loss, {"image": loss.detach()}
