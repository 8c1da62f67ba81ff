"""Every size of the second DALL·E in one place.

`paper` holds the figures of Ramesh et al. 2022 (arXiv 2204.06125), appendix C, for pictures of
64×64, 256×256 and 1024×1024; `tiny` draws 32×32, 64×64 and 128×128 and trains on two CPU cores.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from minidalle.config import LONGEST, TrainConfig, at_most, multiple


@dataclass(frozen=True)
class TextConfig:
    """The decoder's own encoder of captions, as in GLIDE."""

    vocab_size: int = 50257  # all text ids, special tokens included
    end: int = 50256  # the first id ≥ this ends a caption
    text_len: int = 256  # T
    width: int = 2048
    depth: int = 24
    heads: int = 32


@dataclass(frozen=True)
class UNetConfig:
    """A U-Net that predicts what is noise in a picture."""

    image_size: int = 64
    given: Literal[0] | int = (
        0  # channels of what is known of the picture, stacked on the noisy one
    )
    patch: int = 1  # pixels a side that are one place; widths[0] must hold its 3 · patch² numbers
    widths: tuple[int, ...] = (512, 1024, 1536, 2048)  # channels at each resolution, halved between
    blocks: int = 3  # at each resolution on the way down; one more on the way up
    attention: tuple[int, ...] = (32, 16, 8)  # the grids that have it
    head_width: int = 64
    groups: int = 32  # of the group norms
    context: Literal[0] | int = 0  # channels of the tokens that attention also sees; 0: none

    def __post_init__(self) -> None:
        smallest = self.patch * 2 ** (len(self.widths) - 1)  # pixels of the picture per place
        multiple("image_size", self.image_size, smallest if self.widths else 0, "pixels")

    @property
    def channels(self) -> int:
        """Channels of a place of the noisy picture."""
        return 3 * self.patch**2


@dataclass(frozen=True)
class PriorConfig:
    """The diffusion prior, a causal transformer over T + 4 positions."""

    embed: int = 768  # E, size of CLIP's shared space
    text_width: int = 768  # of CLIP's text encoder
    text_len: int = 77  # T
    width: int = 2048  # D
    depth: int = 24
    heads: int = 32
    times: int = 1000

    def __post_init__(self) -> None:
        multiple("width", self.width, self.heads, "heads")
        at_most("text_len", self.text_len, LONGEST)


@dataclass(frozen=True)
class ARPriorConfig:
    """The autoregressive prior: T + 2 positions, then the numbers of the embedding one by one."""

    embed: int = 1024  # E
    text_width: int = 1024
    text_len: int = 256  # T
    components: int = 319  # P, of the embedding that are kept
    buckets: int = 1024  # K, values of a component
    width: int = 2048  # D
    depth: int = 24
    heads: int = 32  # of 64 channels, as in the diffusion prior

    def __post_init__(self) -> None:
        multiple("width", self.width, self.heads, "heads")
        at_most("text_len + components", self.text_len + self.components, LONGEST)


@dataclass(frozen=True)
class DecoderConfig:
    """The decoder: a U-Net that is told an embedding and a caption."""

    unet: UNetConfig = field(default_factory=lambda: UNetConfig(context=2048))
    text: TextConfig = TextConfig()
    embed: int = 768  # E, size of CLIP's shared space
    tokens: int = 4  # context tokens that the embedding becomes
    times: int = 1000
    contrast: float = 1.0  # of pictures against noise; below 1, times are noisier

    def __post_init__(self) -> None:
        if self.contrast <= 0:
            raise ValueError(f"contrast must be above 0, not {self.contrast}")


@dataclass(frozen=True)
class UpsamplerConfig:
    """A U-Net without attention that is given a small picture and draws a larger one."""

    unet: UNetConfig = field(
        default_factory=lambda: UNetConfig(256, 3, 1, (320, 640, 960, 1280), 3, ())
    )
    factor: int = 4  # sides of the large picture per side of the small one
    corruption: Literal["blur", "bsr"] = "blur"  # of the small picture, in training
    crop: int = 64  # pixels a side of the large picture that training sees
    times: int = 1000


@dataclass(frozen=True)
class Preset:
    """All models of one size, and how each is trained."""

    prior: PriorConfig
    ar_prior: ARPriorConfig
    decoder: DecoderConfig
    up64: UpsamplerConfig
    up128: UpsamplerConfig
    train: dict[str, TrainConfig]


def _tiny() -> Preset:
    """32×32 pixels, then 64×64 and 128×128; minutes on two CPU cores for each model."""
    unet = UNetConfig(32, 0, 2, (64, 128), 1, (8,), head_width=32, groups=16, context=128)
    text = TextConfig(
        vocab_size=1024 + 1 + 32, end=1024 + 1, text_len=32, width=128, depth=3, heads=4
    )
    larger = UNetConfig(64, 3, 2, (32, 64), 1, (), groups=8)
    largest = UNetConfig(128, 3, 4, (64, 64), 1, (), groups=8)
    train = partial(TrainConfig, betas=(0.9, 0.99), ema_decay=0.999)
    return Preset(
        PriorConfig(128, 128, 32, width=128, depth=4, heads=4),
        ARPriorConfig(128, 128, 32, components=64, buckets=64, width=128, depth=4, heads=4),
        DecoderConfig(unet, text, embed=128, contrast=0.25),
        UpsamplerConfig(larger, factor=2, corruption="blur", crop=16),
        UpsamplerConfig(largest, factor=2, corruption="bsr", crop=32),
        {
            "prior": train(4_000, 64, lr=4e-3, weight_decay=0.02, muon=True),
            "ar_prior": train(4_000, 64, lr=4e-3, weight_decay=0.02, muon=True),
            "decoder": train(40_000, 32, lr=4e-3, weight_decay=0.01, muon=True),
            "up64": train(6_000, 64, lr=4e-3, muon=True),
            "up128": train(6_000, 64, lr=4e-3, muon=True),
        },
    )


def _paper() -> Preset:
    """Appendix C, table 3: 64×64 pixels, then 256×256 and 1024×1024."""
    last = UNetConfig(1024, 3, 1, (192, 192, 384, 384, 768, 768), 2, ())
    unet = partial(TrainConfig, betas=(0.9, 0.999), ema_decay=0.9999)
    return Preset(
        PriorConfig(),
        ARPriorConfig(),
        DecoderConfig(),
        UpsamplerConfig(),
        UpsamplerConfig(last, factor=4, corruption="bsr", crop=256),
        {
            "prior": TrainConfig(
                600_000, 4096, 1.1e-4, betas=(0.9, 0.96), weight_decay=0.06, ema_decay=0.9999
            ),
            "ar_prior": TrainConfig(
                1_000_000, 4096, 1.6e-4, betas=(0.9, 0.91), weight_decay=0.04, ema_decay=0.999
            ),
            "decoder": unet(800_000, 2048, 1.2e-4),
            "up64": unet(1_000_000, 1024, 1.2e-4),
            "up128": unet(1_000_000, 512, 1e-4),
        },
    )


PRESETS = {"tiny": _tiny(), "paper": _paper()}
