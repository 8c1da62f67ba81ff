"""What the second DALL·E is given: the frozen CLIP's view of captions and pictures.

B batch, T text tokens, D' width of CLIP's text encoder, E size of CLIP's shared space.

Embeddings have length 1 here. All of them point roughly the same way, and they differ far more in
some directions than in others, so a network sees them whitened: less their mean, over the standard
deviation, number by number. Users of open priors report that without this nothing is learnt.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidalle.clip import CLIP, end_positions


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
    """Embeddings (…, E) with mean 0 and deviation 1 in each number, and back."""

    def __init__(self, size: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))

    @torch.no_grad()
    def fit(self, embeddings: Tensor) -> None:
        """Take mean and deviation from embeddings (M, E)."""
        self.mean.copy_(embeddings.mean(0))
        self.std.copy_(embeddings.std(0))

    def forward(self, embedding: Tensor) -> Tensor:
        """Whitened."""
        return (embedding - self.mean) / self.std

    def back(self, white: Tensor) -> Tensor:
        """An embedding of length 1 again."""
        return F.normalize(white * self.std + self.mean, dim=-1)
