"""One stream: a transformer that reads a caption and then writes a picture, code by code.

B batch, T text tokens, N image tokens, S = T + N, V text vocabulary, K codebook, D width,
H heads, d = D / H.

    input     start  t1  t2 … t(T-1) │ start-of-image  i1  i2 … i(N-1)
    predicts  t1     t2  t3 …   –    │ i1              i2  i3 … iN

A position of the image part holds the code before it and is told, by a row and a column
embedding, where the code it has to predict will lie. Captions are framed by `BPE.frame`:
start-of-text, the caption, then one learned pad for each empty position. The pads are
ordinary tokens: they are attended to, and predicting them counts in the loss, which is how
the model learns where captions end. Ramesh et al. 2021, section 2.2 and appendix B.

| parameter                             | init                        | weight decay |
|---------------------------------------|-----------------------------|--------------|
| embeddings (text, code, row, column)  | N(0, 1/√D)                  | no           |
| linear layers that end a residual path| N(0, 1/√D / √(2 · layers))  | yes          |
| the other linear layers, the heads    | N(0, 1/√D)                  | yes          |
| biases                                | 0                           | no           |
| gains of the layer norms              | 1                           | no           |

The standard deviation 1/√D keeps the size of what passes through. It is 0.016 at the paper's
width; the 0.02 that GPT made a custom is right for its widths and five times too small at ours.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from minidalle.config import DALLEConfig
from minidalle.scale.attention import Pattern, attend
from minidalle.masks import layer_kinds, layer_masks, windows


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

    def split_heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of x (B, S, D), each (B, H, S, d)."""
        B, S, D = x.shape
        qkv = self.qkv(self.norm_1(x)).view(B, S, 3, self.heads, D // self.heads)
        return tuple(part.transpose(1, 2) for part in qkv.unbind(2))

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """Add what attention found, (B, H, S, d), to x (B, S, D), then the MLP."""
        x = x + self.out(attended.transpose(1, 2).flatten(2))  # (B, S, D)
        return x + self.down(F.gelu(self.up(self.norm_2(x))))

    def forward(self, x: Tensor, mask: Tensor, pattern: Pattern | None = None) -> Tensor:
        return self.finish(x, attend(*self.split_heads(x), mask, pattern))


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Attention in plain sight: what `factored.attend` computes in faster ways.

    q, k, v (B, H, S, d), mask (S, S). Returns the mixed values (B, H, S, d) and the weights
    (B, H, S, S), which the notebooks draw.
    """
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    weights = scores.masked_fill(~mask, -math.inf).softmax(-1)
    return weights @ v, weights


class DALLE(nn.Module):
    """12.3 B parameters at the paper's size; the same lines at every size."""

    config_class = DALLEConfig

    def __init__(self, config: DALLEConfig, codes: Tensor | None = None):
        """codes: the dVAE's vectors (K, any width), from which the codes' embeddings may begin."""
        super().__init__()
        self.config, self.kinds = config, layer_kinds(config)
        self.recompute = False  # activations of blocks in the backward pass, instead of keeping them
        D = config.width
        with torch.device("meta"):  # shapes only: the numbers are init_weights'
            self.text_embedding = nn.Embedding(config.text_vocab, D)
            self.text_position = nn.Embedding(config.text_len, D)
            self.code_embedding = nn.Embedding(config.codebook, D)
            self.row = nn.Embedding(config.grid, D)
            self.column = nn.Embedding(config.grid, D)
            self.start_of_image = nn.Parameter(torch.empty(D))
            self.blocks = nn.ModuleList(Block(D, config.heads) for _ in range(config.depth))
            self.norm = nn.LayerNorm(D)
            self.text_head = nn.Linear(D, config.text_vocab)
            self.image_head = nn.Linear(D, config.codebook)
        self.codes, device = codes, torch.get_default_device()
        if device.type != "meta":
            self.to_empty(device=device)
            self.init_weights()
        self.make_masks()

    @torch.no_grad()
    def init_weights(self, put: Callable[[Tensor, Tensor], Tensor] = Tensor.copy_) -> None:
        """The table at the top of this file.

        `put(tensor, numbers)` fills a tensor; another one can fill those of which only a part lies
        in this process. If the model was made with codes, their embeddings begin as those: a random
        matrix turns them to width D and leaves the angles between them nearly as they are, so
        codes that look alike are alike from the first step. The paper begins at random.
        """
        std = 1 / math.sqrt(self.config.width)
        last = [layer for block in self.blocks for layer in (block.out, block.down)]
        for module in self.modules():
            if isinstance(module, nn.LayerNorm):
                module.reset_parameters()
            if isinstance(module, (nn.Linear, nn.Embedding)):
                size = std / math.sqrt(len(last)) if module in last else std
                put(module.weight, torch.empty(module.weight.shape).normal_(std=size))
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
        put(self.start_of_image, torch.empty(self.config.width).normal_(std=std))
        if self.codes is not None:
            turned = (self.codes - self.codes.mean(0)) @ torch.randn(self.codes.shape[1], self.config.width)
            put(self.code_embedding.weight, turned * std / turned.std())

    def make_masks(self) -> None:
        """The masks of the layers, one for each kind."""
        for kind, mask in dict(zip(self.kinds, layer_masks(self.config))).items():
            self.register_buffer(f"mask_{kind}", mask, persistent=False)

    def mask(self, layer: int) -> Tensor:
        """The (S, S) mask of a layer."""
        return getattr(self, f"mask_{self.kinds[layer]}")

    def pattern(self, layer: int) -> Pattern:
        """What the mask of a layer is made of."""
        return Pattern(self.kinds[layer], self.config.text_len, self.config.grid, self.config.kernel)

    def windows(self, layer: int) -> tuple[slice | Tensor, ...]:
        """Which image positions each image position of a layer sees."""
        return windows(self.kinds[layer], self.config.grid, self.config.grid, self.config.kernel)

    def embed_text(self, text: Tensor) -> Tensor:
        """Framed captions (B, T) → (B, T, D)."""
        if text.shape[1] != self.config.text_len:
            raise ValueError(f"expected {self.config.text_len} text tokens, got {text.shape[1]}")
        return self.text_embedding(text) + self.text_position.weight

    def embed_image(self, codes: Tensor) -> Tensor:
        """The first n codes (B, n) → inputs of image positions 0…n, (B, n + 1, D).

        All N codes give N inputs, not N + 1: nothing is left for the last one to predict.
        """
        codes = codes[:, : self.config.image_len - 1]
        start = self.start_of_image.expand(len(codes), 1, -1)
        inputs = torch.cat([start, self.code_embedding(codes)], dim=1)
        return inputs + self.places()[: inputs.shape[1]]

    def places(self) -> Tensor:
        """Row plus column embedding of each image position, (N, D)."""
        return (self.row.weight[:, None] + self.column.weight[None, :]).flatten(0, 1)

    def hidden(self, text: Tensor, image: Tensor) -> Tensor:
        """The stream after the last block: text (B, T), image (B, n ≤ N) → (B, T + n', D)."""
        x = torch.cat([self.embed_text(text), self.embed_image(image)], dim=1)
        S = x.shape[1]
        for layer, block in enumerate(self.blocks):
            inputs = x, self.mask(layer)[:S, :S], self.pattern(layer)
            x = checkpoint(block, *inputs, use_reentrant=False) if self.recompute else block(*inputs)
        return self.norm(x)

    def logits(self, text: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of the next token: of text (B, T - 1, text vocabulary), of codes (B, n', K).

        Two heads, because a position knows which kind of token comes next.
        """
        x, T = self.hidden(text, image), self.config.text_len
        return self.text_head(x[:, : T - 1]), self.image_head(x[:, T:])

    def forward(self, text: Tensor, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean cross-entropies in nats, text weighted 1/8 and image 7/8 (paper, section 2.2).

        text (B, T) framed captions, image (B, N) codes. Returns (loss, parts).
        """
        text_logits, image_logits = self.logits(text, image)
        text_loss = F.cross_entropy(text_logits.flatten(0, 1), text[:, 1:].flatten())
        image_loss = F.cross_entropy(image_logits.flatten(0, 1), image.flatten())
        parts = {"text": text_loss.detach(), "image": image_loss.detach()}
        return text_loss / 8 + image_loss * 7 / 8, parts
