"""The transformer: one stream of tokens, first the caption, then the picture, code by code.

B batch, T text tokens, N image tokens, S = T + N, V text vocabulary, K codebook, D width,
H heads, d = D / H.

    input     start  t1  t2 … t(T-1) │ start-of-image  i1  i2 … i(N-1)
    predicts  t1     t2  t3 …   –    │ i1              i2  i3 … iN

An image position receives the code before it, plus a row and a column embedding of the place
whose code it predicts. Captions are framed by `BPE.frame`: start-of-text, the caption, then a
learned pad for each empty position. Pads are ordinary tokens: they are attended to and predicted,
so the model learns where captions end. Ramesh et al. 2021, section 2.2 and appendix B.
"""

import math
from collections.abc import Callable
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidalle.config import DALLEConfig
from minidalle.masks import layer_kinds, layer_masks


def attention_weights(q: Tensor, k: Tensor, mask: Tensor) -> Tensor:
    """The weight of each key for each query: q, k (B, H, S, d), mask (S, S) → (B, H, S, S)."""
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    return scores.masked_fill(~mask, -math.inf).softmax(-1)


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Softmax attention: q, k, v (B, H, S, d), mask (S, S) → mixed values (B, H, S, d)."""
    return attention_weights(q, k, mask) @ v


class Block(nn.Module):
    """Pre-norm attention, then a pre-norm MLP four times as wide."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x: Tensor, mask: Tensor, attend: Callable[..., Tensor] = attention) -> Tensor:
        """x (B, S, D), mask (S, S) → (B, S, D); `attend` may be a faster `attention`."""
        B, S, D = x.shape  # batch, positions, width
        qkv = self.qkv(self.norm_1(x)).view(B, S, 3, self.heads, D // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, H, S, d)
        mixed = attend(q, k, v, mask).transpose(1, 2).flatten(2)  # (B, S, D)
        x = x + self.out(mixed)
        return x + self.down(F.gelu(self.up(self.norm_2(x))))


class DALLE(nn.Module):
    """The transformer; 12.3 B parameters at the paper's size."""

    config_class = DALLEConfig

    def __init__(self, config: DALLEConfig):
        super().__init__()
        self.config, self.kinds = config, layer_kinds(config)
        D = config.width
        self.text_embedding = nn.Embedding(config.text_vocab_size, D)
        self.text_position = nn.Embedding(config.text_len, D)
        self.code_embedding = nn.Embedding(config.codebook_size, D)
        self.row = nn.Embedding(config.grid, D)
        self.column = nn.Embedding(config.grid, D)
        self.start_of_image = nn.Parameter(torch.zeros(D))
        self.blocks = nn.ModuleList(Block(D, config.heads) for _ in range(config.depth))
        self.norm = nn.LayerNorm(D)
        self.text_head = nn.Linear(D, config.text_vocab_size)
        self.image_head = nn.Linear(D, config.codebook_size)
        self.attends = [attention] * config.depth  # scale/attention.py has faster ones
        for name, parameter in self.named_parameters():
            parameter.data = initial(name, parameter.shape, config)
        self.make_masks()

    def make_masks(self) -> None:
        """Register the masks as buffers, one for each kind of layer."""
        for kind, mask in zip(self.kinds, layer_masks(self.config)):
            self.register_buffer(f"mask_{kind}", mask, persistent=False)

    def mask(self, layer: int) -> Tensor:
        """The (S, S) mask of a layer."""
        return getattr(self, f"mask_{self.kinds[layer]}")

    def embed_text(self, text: Tensor) -> Tensor:
        """Framed captions (B, T) → (B, T, D)."""
        if text.shape[1] != self.config.text_len:
            raise ValueError(f"expected {self.config.text_len} text tokens, got {text.shape[1]}")
        return self.text_embedding(text) + self.text_position.weight

    def embed_image(self, codes: Tensor) -> Tensor:
        """The first n codes (B, n) → inputs of image positions 0…n, (B, n + 1, D).

        All N codes give N inputs, not N + 1: after the last code there is nothing to predict.
        """
        codes = codes[:, : self.config.image_len - 1]
        start = self.start_of_image.expand(len(codes), 1, -1)
        inputs = torch.cat([start, self.code_embedding(codes)], dim=1)
        return inputs + self.places()[: inputs.shape[1]]

    def places(self) -> Tensor:
        """Row plus column embedding of each image position, (N, D)."""
        return (self.row.weight[:, None] + self.column.weight[None, :]).flatten(0, 1)

    def hidden(self, text: Tensor, image: Tensor) -> Tensor:
        """The stream after the last norm: text (B, T), image (B, n ≤ N) → (B, T + n', D)."""
        x = torch.cat([self.embed_text(text), self.embed_image(image)], dim=1)
        S = x.shape[1]
        for layer, block in enumerate(self.blocks):
            x = block(x, self.mask(layer)[:S, :S], self.attends[layer])
        return self.norm(x)

    def logits(self, text: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the next token: text (B, T - 1, text vocabulary), codes (B, n', K).

        There are two heads, because the position determines which kind of token comes next.
        """
        x, T = self.hidden(text, image), self.config.text_len
        return self.text_head(x[:, : T - 1]), self.image_head(x[:, T:])

    def forward(self, text: Tensor, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss: mean cross-entropy in nats, text weighted 1/8 and image 7/8 (section 2.2).

        text (B, T) framed captions, image (B, N) codes. Returns (loss, parts).
        """
        text_logits, image_logits = self.logits(text, image)
        text_loss = F.cross_entropy(text_logits.flatten(0, 1), text[:, 1:].flatten())
        image_loss = F.cross_entropy(image_logits.flatten(0, 1), image.flatten())
        parts = {"text": text_loss.detach(), "image": image_loss.detach()}
        return text_loss / 8 + image_loss * 7 / 8, parts


class Sizes(Protocol):
    """What a configuration says about its stack of blocks."""

    @property
    def width(self) -> int: ...

    @property
    def depth(self) -> int: ...


def initial(
    name: str, shape: torch.Size, config: Sizes, generator: torch.Generator | None = None
) -> Tensor:
    """The initial values of a parameter, by its name.

    | parameter                                | initial values              | weight decay |
    |------------------------------------------|-----------------------------|--------------|
    | embeddings (text, code, row, column)     | N(0, 1/√D)                  | no           |
    | linear layers that end a residual branch | N(0, 1/√D / √(2 · layers))  | yes          |
    | the other linear layers, the heads       | N(0, 1/√D)                  | yes          |
    | biases                                   | 0                           | no           |
    | gains of the layer norms                 | 1                           | no           |

    The standard deviation 1/√D preserves the scale of activations. It is 0.016 at the paper's
    width; GPT's conventional 0.02 suits GPT's widths and is five times too small for tiny's.
    """
    if name.endswith("bias"):
        return torch.zeros(shape)
    if "norm" in name:
        return torch.ones(shape)
    std = 1 / math.sqrt(config.width)
    if name.endswith(("out.weight", "down.weight")):
        std /= math.sqrt(2 * config.depth)
    return std * torch.randn(shape, generator=generator)
