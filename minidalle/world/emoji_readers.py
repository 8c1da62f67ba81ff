"""Two readers of emoji drawings: what is drawn, and in whose style?

B pictures, C concepts, 5 styles.

The nearest picture of the pack (`emoji_judge.py`) names real pictures well, but of a drawing that
is in no pack it sees only what it resembles pixel by pixel. These two are small convolutional
networks, fitted on the pack (`python data/fit_readers.py`), less the pairs of concept and style
that no model is trained on. How well they read is measured on these: real pictures of concepts
that they know, in a style in which they have never seen them. Neither is CLIP, nor shares
anything with it.
"""

from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from minidalle import DATA
from minidalle.world.emoji import DRAWN_AT_64, EmojiPack, load_pack

READERS = DATA / "emoji_readers.safetensors"


class ConceptReader(nn.Module):
    """Four strided convolutions, mean and maximum over all places, and a linear layer."""

    def __init__(self, classes: int, width: int = 32):
        super().__init__()
        widths = (3, width, 2 * width, 4 * width, 8 * width)
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in zip(widths, widths[1:])
        )
        self.norms = nn.ModuleList(nn.GroupNorm(8, b) for b in widths[1:])
        self.head = nn.Linear(2 * widths[-1], classes)

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, 3, 64, 64) from 0 to 1 → logits (B, classes)."""
        x = pictures * 2 - 1
        for conv, norm in zip(self.convs, self.norms):
            x = F.gelu(norm(conv(x)))
        return self.head(torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1))


class StyleReader(nn.Module):
    """Filters that see 13 pixels across, their mean and spread over all places, a linear layer.

    A vendor shows in outlines, shades and corners. A reader that sees whole things learns the
    things, and asks which of its own pictures is nearest: it named 78 % of new pairs' styles.
    """

    def __init__(self, classes: int, width: int = 32):
        super().__init__()
        widths = (3, width, 2 * width, 2 * width, 4 * width)
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride, padding=1)
            for a, b, stride in zip(widths, widths[1:], (1, 2, 1, 2))
        )
        self.norms = nn.ModuleList(nn.GroupNorm(8, b) for b in widths[1:])
        self.head = nn.Linear(2 * widths[-1], classes)

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, 3, h, w) from 0 to 1, of any size → logits (B, classes)."""
        x = pictures * 2 - 1
        for conv, norm in zip(self.convs, self.norms):
            x = F.gelu(norm(conv(x)))
        return self.head(torch.cat([x.mean((2, 3)), x.std((2, 3))], 1))


def concepts_drawn(pack: EmojiPack) -> np.ndarray:
    """The concepts that a model of 64×64 draws, as indices (C,) into the pack's names."""
    return np.flatnonzero(np.isin(np.array(pack.groups), DRAWN_AT_64))


@cache
def readers(path: Path = READERS) -> tuple[ConceptReader, StyleReader]:
    """The fitted readers of concepts and of styles."""
    if not path.exists():
        raise FileNotFoundError(f"No readers at {path}: fit them with data/fit_readers.py.")
    pack, tensors = load_pack(), load_file(path)
    both: tuple = ConceptReader(len(concepts_drawn(pack))), StyleReader(len(pack.styles))
    for name, reader in zip(("concept", "style"), both):
        own = {k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(name)}
        reader.load_state_dict({key: value.float() for key, value in own.items()})
        reader.requires_grad_(False).eval()
    return both


def read(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The concept and the style, as the pack numbers them, of uint8 (B, 64, 64, 3): (B,), (B,)."""
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    both = ([name_by(reader, part) for part in x.split(256)] for reader in readers())
    concept, style = map(torch.cat, both)
    return concepts_drawn(load_pack())[concept.numpy()], style.numpy()


def name_by(reader: nn.Module, pictures: Tensor) -> Tensor:
    """The class that is likeliest in the pictures and their mirror images together: (B,)."""
    return sum(reader(x).log_softmax(1) for x in (pictures, pictures.flip(3))).argmax(1)
