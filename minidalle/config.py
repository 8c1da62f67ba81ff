"""Every size in one place: frozen dataclasses and the presets tiny, small and paper.

B batch, T text tokens, N image tokens, S = T + N, V text vocabulary, K codebook,
D width, H heads, h w grid.

`paper` holds the figures of Ramesh et al. 2021 (arXiv 2102.12092) and, for CLIP, ViT-B/32 of
Radford et al. 2021 (arXiv 2103.00020). `tiny` trains on two CPU cores in minutes, `small`
in hours.
"""

from dataclasses import dataclass
from typing import Literal

LONGEST = 4096  # positions, whose mask takes 16 MB; the paper has 1280


def multiple(name: str, whole: int, part: int, of: str) -> None:
    """Raise ValueError, in one sentence, unless a size can be shared evenly."""
    if not part or whole % part:
        raise ValueError(f"{name} {whole} is not a multiple of the {part} {of}")


def at_most(name: str, value: int, limit: int) -> None:
    """Raise ValueError, in one sentence, if a size is above its limit."""
    if value > limit:
        raise ValueError(f"{name} is at most {limit}, not {value}")


@dataclass(frozen=True)
class DVAEConfig:
    """The image tokenizer: pixels ↔ grid² codes."""

    image_size: int = 256
    codebook_size: int = 8192  # K
    width: int = 256  # channels of the first group; group g has 2^g times as many
    groups: int = 4  # with 2×2 pooling between them, so 4 groups shrink the picture 8 times
    blocks: int = 2  # residual blocks per group
    code_width: int = 128  # channels of a code's embedding
    patch: Literal[0] | int = 0  # if not 0, a code stands for patch² pixels; no groups then

    def __post_init__(self) -> None:
        multiple("image_size", self.image_size, self.patch or 2 ** (self.groups - 1), "pixels")

    @property
    def grid(self) -> int:
        """Codes per side, h = w."""
        return self.image_size // (self.patch or 2 ** (self.groups - 1))


@dataclass(frozen=True)
class DALLEConfig:
    """The transformer over one stream of T text tokens and N = grid² image tokens."""

    vocab_size: int = 16384  # V, bytes and merges; start-of-text and pads come on top
    text_len: int = 256  # T, including start-of-text
    codebook_size: int = 8192  # K
    grid: int = 32  # h = w
    width: int = 3968  # D
    depth: int = 64
    heads: int = 62  # H
    attention: Literal["sparse", "dense"] = "sparse"  # row, column, convolutional layers; or causal
    kernel: int = 11  # side of the convolutional mask

    def __post_init__(self) -> None:
        multiple("width", self.width, self.heads, "heads")
        at_most("kernel", self.kernel, 128)
        at_most("text_len + grid²", self.text_len + self.image_len, LONGEST)

    @property
    def image_len(self) -> int:
        """N, the number of image tokens."""
        return self.grid**2

    @property
    def text_vocab_size(self) -> int:
        """Rows of the text embedding: V, start-of-text, and one pad per text position."""
        return self.vocab_size + 1 + self.text_len


@dataclass(frozen=True)
class CLIPConfig:
    """Two encoders that map a picture and its caption to nearby points of one space."""

    embed: int = 512  # size of the shared space
    image_size: int = 224
    patch: Literal[0] | int = 32  # pixels per side; 0 for a ResNet
    vision_width: int = 768
    vision_depth: int | tuple[int, ...] = 12  # for a ResNet, the blocks in each of its four stages
    vision_heads: int = 12
    vocab_size: int = 49408  # all text ids, special tokens included
    text_len: int = 77
    text_width: int = 512
    text_depth: int = 12
    text_heads: int = 8
    end: int = 49407  # the first id ≥ this ends a caption; its feature is the caption's

    def __post_init__(self) -> None:
        multiple("text_width", self.text_width, self.text_heads, "heads")
        stages = self.vision_depth if isinstance(self.vision_depth, tuple) else ()
        if bool(stages) == bool(self.patch):
            raise ValueError("patch must be 0 if vision_depth is a tuple, and only then")
        last = self.vision_width * (2 * 2 ** len(stages) if stages else 1)
        multiple("vision_width", last, self.vision_heads, "heads")


@dataclass(frozen=True)
class Ramp:
    """A half-cosine schedule from `start` at t = 0 to `end` from t = `until` on.

    t runs from 0 to 1 over the training.
    """

    start: float
    end: float
    until: float = 1.0


@dataclass(frozen=True)
class DVAELoss:
    """The schedules of the terms in the dVAE's loss."""

    temperature: Ramp = Ramp(1, 1 / 16, 150_000 / 3_000_000)  # τ of Gumbel-softmax
    kl: Ramp = Ramp(0, 6.6, 5_000 / 3_000_000)  # β
    evenness: Ramp = Ramp(0, 0)  # weight of a term for even use of the codes; not in the paper
    hard_from: float = 1.0  # after this share of the run only the decoder learns, from hard codes


@dataclass(frozen=True)
class TrainConfig:
    """The optimiser's settings for one model."""

    steps: int
    batch_size: int
    lr: float
    final_lr: float = 0.0  # reached after the share `lr_until` of the run
    lr_until: float = 1.0
    warmup: Literal[0] | int = 100  # steps of linear warm-up
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8
    weight_decay: float = 0.0  # on matrices only
    grad_clip: float = 1.0  # the largest gradient norm
    ema_decay: float = 0.99  # of the exponential moving average of the weights, per step
    muon: bool = False  # Muon instead of AdamW for the matrices inside the blocks


@dataclass(frozen=True)
class Preset:
    """The three models of one size, and how each is trained."""

    dvae: DVAEConfig
    dalle: DALLEConfig
    clip: CLIPConfig
    train: dict[str, TrainConfig]
    dvae_loss: DVAELoss = DVAELoss()
    bpe_dropout: float = 0.1  # probability of skipping a merge while the transformer trains


def _tiny() -> Preset:
    """32×32 pixels, 8×8 codes: minutes on two CPU cores."""
    vocab_size, text_len = 1024, 32
    dvae = DVAEConfig(image_size=32, codebook_size=512, width=256, blocks=2, code_width=64, patch=4)
    dalle = DALLEConfig(
        vocab_size, text_len, dvae.codebook_size, dvae.grid, width=128, depth=4, heads=4, kernel=5
    )
    clip = CLIPConfig(
        embed=128,
        image_size=32,
        patch=4,
        vision_width=128,
        vision_depth=4,
        vision_heads=4,
        vocab_size=vocab_size + 1 + text_len,
        text_len=text_len,
        text_width=128,
        text_depth=3,
        text_heads=4,
        end=vocab_size + 1,
    )
    train = {
        "dvae": TrainConfig(
            12_000,
            16,
            lr=6e-3,
            final_lr=6e-5,
            betas=(0.9, 0.99),
            weight_decay=1e-4,
            ema_decay=0.995,
        ),
        "clip": TrainConfig(7_000, 64, lr=1e-3, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.1),
        "dalle": TrainConfig(
            64_000, 8, lr=1.5e-3, betas=(0.9, 0.96), weight_decay=0.1, ema_decay=0.999
        ),
    }
    loss = DVAELoss(Ramp(1, 0.4), Ramp(0.03, 0.03), Ramp(0.03, 0.01, 0.6), hard_from=0.8)
    return Preset(dvae, dalle, clip, train, loss, bpe_dropout=0.0)


def _small() -> Preset:
    """64×64 pixels, 16×16 codes: hours on two CPU cores."""
    vocab_size, text_len = 2048, 32
    dvae = DVAEConfig(
        image_size=64, codebook_size=1024, width=256, blocks=2, code_width=64, patch=4
    )
    dalle = DALLEConfig(
        vocab_size, text_len, dvae.codebook_size, dvae.grid, width=192, depth=8, heads=6, kernel=7
    )
    clip = CLIPConfig(
        embed=128,
        image_size=64,
        patch=8,
        vision_width=128,
        vision_depth=4,
        vision_heads=4,
        vocab_size=vocab_size + 1 + text_len,
        text_len=text_len,
        text_width=128,
        text_depth=3,
        text_heads=4,
        end=vocab_size + 1,
    )
    train = {
        "dvae": TrainConfig(
            12_000,
            8,
            lr=6e-3,
            final_lr=6e-5,
            betas=(0.9, 0.99),
            weight_decay=1e-4,
            ema_decay=0.995,
        ),
        "clip": TrainConfig(
            7_000, 64, lr=3e-3, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.1, muon=True
        ),
        "dalle": TrainConfig(
            32_000, 16, lr=6e-3, betas=(0.9, 0.96), weight_decay=0.1, ema_decay=0.999, muon=True
        ),
    }
    loss = DVAELoss(Ramp(1, 0.4), Ramp(0.03, 0.03), Ramp(0.03, 0.01, 0.6), hard_from=0.8)
    return Preset(dvae, dalle, clip, train, loss, bpe_dropout=0.0)


def _paper() -> Preset:
    """256×256 pixels, 32×32 codes, 12 billion parameters: the published figures."""
    train = {
        "dvae": TrainConfig(
            3_000_000,
            512,
            lr=1e-4,
            final_lr=1.25e-6,
            lr_until=1.2 / 3,
            warmup=1,
            betas=(0.9, 0.999),
            weight_decay=1e-4,
            ema_decay=0.999,
        ),
        "clip": TrainConfig(
            390_000, 32_768, lr=5e-4, warmup=2000, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.2
        ),
        "dalle": TrainConfig(
            430_000,
            1024,
            lr=4.5e-4,
            warmup=5000,
            betas=(0.9, 0.96),
            weight_decay=0.045,
            grad_clip=4.0,
        ),
    }
    return Preset(DVAEConfig(), DALLEConfig(), CLIPConfig(), train)


# The nine CLIP models that OpenAI published, by name.
OPENAI_CLIP = {
    "RN50": CLIPConfig(1024, 224, 0, 64, (3, 4, 6, 3), 32),
    "RN101": CLIPConfig(512, 224, 0, 64, (3, 4, 23, 3), 32),
    "RN50x4": CLIPConfig(640, 288, 0, 80, (4, 6, 10, 6), 40, text_width=640, text_heads=10),
    "RN50x16": CLIPConfig(768, 384, 0, 96, (6, 8, 18, 8), 48, text_width=768, text_heads=12),
    "RN50x64": CLIPConfig(1024, 448, 0, 128, (3, 15, 36, 10), 64, text_width=1024, text_heads=16),
    "ViT-B/32": CLIPConfig(),
    "ViT-B/16": CLIPConfig(patch=16),
    "ViT-L/14": CLIPConfig(768, 224, 14, 1024, 24, 16, text_width=768, text_heads=12),
    "ViT-L/14@336px": CLIPConfig(768, 336, 14, 1024, 24, 16, text_width=768, text_heads=12),
}

PRESETS = {"tiny": _tiny(), "small": _small(), "paper": _paper()}
