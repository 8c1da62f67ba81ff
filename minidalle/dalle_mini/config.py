"""Every size of DALL·E Mini in one place.

`mini` and `mega` hold the published figures; `tiny` draws 32×32 and trains on two CPU cores.
"""

from dataclasses import dataclass
from math import inf
from typing import Literal

from minidalle.config import LONGEST, CLIPConfig, TrainConfig, at_most, multiple
from minidalle.config import PRESETS as PRESETS_1


@dataclass(frozen=True)
class VQGANConfig:
    """The image tokenizer: pixels ↔ grid² codes."""

    image_size: int = 256
    codebook_size: int = 16384  # K
    code_width: int = 256  # E, channels of a code's vector
    widths: tuple[int, ...] = (128, 128, 256, 256, 512)  # channels at each resolution
    patch: int = 1  # pixels a side that are one place at the first resolution
    blocks: int = 2  # at each resolution on the way down; one more on the way up
    attention: tuple[int, ...] = (16,)  # the grids that have it
    groups: int = 32  # of the group norms
    commitment: float = 0.25  # β, the weight of the term that ties the encoder to its codes
    evenness: float = 0.0  # weight of a term against dead codes; if not 0, codes begin as vectors
    encodes: bool = True  # False: what was published for drawing, without an encoder
    discriminator: Literal[0] | int = 0  # channels of its first layer; 0: none
    adversarial_from: float = 0.5  # the share of the run after which it is listened to
    perceptual: float = 0.0  # weight of the distance between CLIP's features

    def __post_init__(self) -> None:
        smallest = self.patch * 2 ** (len(self.widths) - 1) if self.widths else 0
        multiple("image_size", self.image_size, smallest, "pixels")

    @property
    def grid(self) -> int:
        """Codes per side, h = w."""
        return self.image_size // (self.patch * 2 ** (len(self.widths) - 1))


@dataclass(frozen=True)
class Seq2SeqConfig:
    """The encoder of T text tokens and the decoder of N = grid² image tokens."""

    vocab_size: int = 50264  # all text ids, special tokens included
    pad: int = 1  # the first id that fills up a frame
    pads: int = 1  # how many such ids there are
    text_len: int = 64  # T
    codebook_size: int = 16384  # K
    grid: int = 16  # h = w
    width: int = 1024  # D
    depth: int = 12  # layers of the encoder, and as many of the decoder
    heads: int = 16  # H
    hidden: int = 2730  # channels inside a GLU

    def __post_init__(self) -> None:
        multiple("width", self.width, self.heads, "heads")
        at_most("text_len", self.text_len, LONGEST)
        at_most("grid²", self.image_len, LONGEST)

    @property
    def image_len(self) -> int:
        """N, the number of image tokens."""
        return self.grid**2


@dataclass(frozen=True)
class Preset:
    """The models of one size, and how each is trained."""

    vqgan: VQGANConfig
    mini: Seq2SeqConfig
    clip: CLIPConfig
    train: dict[str, TrainConfig]


def _tiny(depth: int = 3, **ablation) -> Preset:
    """32×32 pixels, 8×8 codes of 512, as the first DALL·E's tiny: minutes on two CPU cores."""
    clip = PRESETS_1["tiny"].clip
    vqgan = VQGANConfig(
        image_size=32, codebook_size=512, code_width=16, widths=(64,), patch=4, blocks=1,
        attention=(), groups=16, evenness=0.03, **ablation,
    )  # fmt: skip
    mini = Seq2SeqConfig(
        clip.vocab_size, clip.end, clip.text_len, clip.text_len, vqgan.codebook_size, vqgan.grid,
        width=128, depth=depth, heads=4, hidden=341,
    )  # fmt: skip
    train = {
        "vqgan": TrainConfig(12_000, 16, lr=4e-3, betas=(0.9, 0.99), ema_decay=0.995, muon=True),
        "mini": PRESETS_1["tiny"].train["dalle"],
    }
    return Preset(vqgan, mini, clip, train)


def _published(mini: Seq2SeqConfig) -> Preset:
    """256×256 pixels. The training is that of mega, from its journal, with AdamW for Shampoo.

    1.8 billion examples, after which the learning rate fell. The VQGAN was taken from Esser et al.
    and only refined.
    """
    run = TrainConfig(
        426_000, 4224, lr=1e-4, final_lr=1e-4, warmup=10_000, betas=(0.9, 0.99), grad_clip=inf
    )
    return Preset(VQGANConfig(), mini, CLIPConfig(), {"mini": run})


_MEGA = Seq2SeqConfig(vocab_size=50272, width=2048, depth=24, heads=32, hidden=4096)
PRESETS = {
    "tiny": _tiny(),
    "tiny-shallow": _tiny(depth=2),  # as many parameters as the first DALL·E's tiny
    "tiny-adversarial": _tiny(discriminator=32),  # two ablations of its VQGAN
    "tiny-perceptual": _tiny(perceptual=1.0),
    "mini": _published(Seq2SeqConfig()),
    "mega": _published(_MEGA),
}
