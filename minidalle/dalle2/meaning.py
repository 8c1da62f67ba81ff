"""What the second DALL·E is given: the frozen CLIP's view of captions and pictures.

B batch, T text tokens, D' width of CLIP's text encoder, E size of CLIP's shared space.

Embeddings have length 1 here. All of them point roughly the same way, and a dozen directions hold
nearly all of their variance, while what tells a heart from a star may lie in those that hardly
vary. Networks learn first what varies most, so they see embeddings whitened, and what CLIP's text
encoder made of a caption as well.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidalle.clip import CLIP, end_positions

LEAST = 0.01  # deviations, in that of the first axis, that are told from rounding


class Said(NamedTuple):
    """Captions, as CLIP understands them."""

    states: Tensor  # (B, T, D') what its text encoder made of each token
    inside: Tensor  # (B, T) bool: not after the caption's end
    meaning: Tensor  # (B, E) the caption's embedding, of length 1


@torch.no_grad()
def read(clip: CLIP, text: Tensor) -> Said:
    """Framed captions (B, T) of ids."""
    ends = end_positions(text, clip.config.end)
    states = clip.text_states(text)
    meaning = states[torch.arange(len(text), device=text.device), ends] @ clip.text_projection
    inside = torch.arange(text.shape[1], device=text.device) <= ends[:, None]
    return Said(states, inside, F.normalize(meaning, dim=-1))


@torch.no_grad()
def look(clip: CLIP, images: Tensor) -> Tensor:
    """The embeddings, of length 1, of pictures (B, 3, H, W) in [0, 1]: (B, E)."""
    return F.normalize(clip.encode_image(images), dim=-1)


class Whitening(nn.Module):
    """Embeddings (…, E) turned to their principal axes, with deviation 1 along each, and back.

    Along axes where they hardly vary at all (LEAST), the deviation stays below 1.
    """

    def __init__(self, size: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("axes", torch.eye(size))  # in columns, of length 1
        self.register_buffer("std", torch.ones(size))

    @torch.no_grad()
    def fit(self, embeddings: Tensor) -> None:
        """Take mean, axes and deviations from embeddings (M, E)."""
        self.mean.copy_(embeddings.mean(0))
        centred = (embeddings - self.mean).double()
        variances, axes = torch.linalg.eigh(centred.T @ centred / (len(embeddings) - 1))
        self.axes.copy_(axes.flip(1))  # eigh begins with the smallest
        std = variances.flip(0).clamp(min=0).sqrt()
        self.std.copy_(std.clamp(min=LEAST * std[0]))

    def forward(self, embedding: Tensor) -> Tensor:
        """Whitened."""
        return (embedding - self.mean) @ self.axes / self.std

    def back(self, white: Tensor) -> Tensor:
        """An embedding of length 1 again."""
        return F.normalize((white * self.std) @ self.axes.T + self.mean, dim=-1)
