"""VQGAN: a codebook for pictures whose codes are chosen by distance.

B batch, E channels of a code's vector, K codebook, h w grid, N = h·w image tokens.

The encoder outputs a vector for each place of a coarse grid, the quantiser replaces it by the
nearest of K codes, and the decoder paints a picture from these. The dVAE draws its codes at random
and relaxes the draw (Gumbel-softmax); here the choice is hard from the first step, and the gradient
jumps over it, from the code's vector to the encoder's ("straight-through"). Two terms bring the
two vectors together: one moves the code to the vector, the other, β times as strong, the vector to
the code ("commitment").

The VQ is van den Oord et al. 2017 (arXiv 1711.00937). Esser et al. 2021 (arXiv 2012.09841) added
the networks and a discriminator (discriminator.py), which made it the VQGAN.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidalle.dalle_mini.config import VQGANConfig
from minidalle.dalle_mini.discriminator import (
    Discriminator,
    adaptive_weight,
    adversarial_losses,
)

SHARPNESS = 10.0  # of the probabilities by which the use of codes is judged: of the mean distance

# ---- choosing a code --------------------------------------------------------------------


def distances(x: Tensor, codebook: Tensor) -> Tensor:
    """Squared distance of each vector (B, E, h, w) from each of K codes (K, E): (B, K, h, w).

    |x - c|² = |x|² - 2 x·c + |c|², of which the middle one is a 1×1 convolution.
    """
    cross = F.conv2d(x, codebook[:, :, None, None])
    return x.square().sum(1, keepdim=True) - 2 * cross + codebook.square().sum(1)[:, None, None]


def straight_through(x: Tensor, code: Tensor) -> Tensor:
    """The value of `code` with the gradient of x, both of any one shape.

    >>> x, code = torch.tensor([0.9], requires_grad=True), torch.tensor([1.0])
    >>> straight_through(x, code).backward(); x.grad
    tensor([1.])
    """
    return x + (code - x).detach()


# ---- the networks -----------------------------------------------------------------------


def conv(n_in: int, n_out: int, kernel: int = 3) -> nn.Conv2d:
    """A padded convolution."""
    return nn.Conv2d(n_in, n_out, kernel, padding=kernel // 2)


class ResBlock(nn.Module):
    """x + conv(swish(norm(conv(swish(norm(x)))))."""

    def __init__(self, n_in: int, n_out: int, groups: int):
        super().__init__()
        self.norm_1, self.norm_2 = (nn.GroupNorm(groups, n, eps=1e-6) for n in (n_in, n_out))
        self.conv_1, self.conv_2 = conv(n_in, n_out), conv(n_out, n_out)
        self.skip = conv(n_in, n_out, 1) if n_in != n_out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, n_in, h, w) → (B, n_out, h, w)."""
        y = self.conv_1(F.silu(self.norm_1(x)))
        return self.skip(x) + self.conv_2(F.silu(self.norm_2(y)))


class Attention(nn.Module):
    """Every place looks at every other one, with a single head."""

    def __init__(self, width: int, groups: int):
        super().__init__()
        self.norm = nn.GroupNorm(groups, width, eps=1e-6)
        self.q, self.k, self.v, self.out = (conv(width, width, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) → the same."""
        y = self.norm(x)
        q, k, v = (layer(y).flatten(2).mT for layer in (self.q, self.k, self.v))  # (B, hw, C)
        weights = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)
        return x + self.out((weights @ v).mT.unflatten(2, x.shape[2:]))


class Halve(nn.Module):
    """A convolution with stride 2; half as many places a side."""

    def __init__(self, width: int):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) → (B, C, h/2, w/2); padded on the right and below only, as published."""
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Double(nn.Module):
    """Every place four times, then a convolution."""

    def __init__(self, width: int):
        super().__init__()
        self.conv = conv(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) → (B, C, 2h, 2w)."""
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


def middle(width: int, groups: int) -> list[nn.Module]:
    """What is done at the coarsest grid, in both networks."""
    return [
        ResBlock(width, width, groups),
        Attention(width, groups),
        ResBlock(width, width, groups),
    ]


def leave(width: int, channels: int, groups: int) -> list[nn.Module]:
    """The last layers of both networks."""
    return [nn.GroupNorm(groups, width, eps=1e-6), nn.SiLU(), conv(width, channels)]


def make_encoder(config: VQGANConfig) -> nn.Sequential:
    """Pixels (B, 3, H, W) → vectors (B, E, h, w)."""
    widths, groups, grid = config.widths, config.groups, config.image_size // config.patch
    layers: list[nn.Module] = [nn.PixelUnshuffle(config.patch)] if config.patch > 1 else []
    layers.append(conv(3 * config.patch**2, widths[0]))
    x = widths[0]
    for level, width in enumerate(widths):
        layers += [Halve(x)] if level else []
        for _ in range(config.blocks):
            layers.append(ResBlock(x, width, groups))
            layers += [Attention(width, groups)] if grid >> level in config.attention else []
            x = width
    E = config.code_width
    return nn.Sequential(*layers, *middle(x, groups), *leave(x, E, groups), conv(E, E, 1))


def make_decoder(config: VQGANConfig) -> nn.Sequential:
    """Vectors (B, E, h, w) → pixels (B, 3, H, W): the encoder, mirrored."""
    widths, groups, grid = config.widths, config.groups, config.image_size // config.patch
    x, E, channels = widths[-1], config.code_width, 3 * config.patch**2
    layers = [conv(E, E, 1), conv(E, x), *middle(x, groups)]
    for level in range(len(widths) - 1, -1, -1):
        for _ in range(config.blocks + 1):
            layers.append(ResBlock(x, widths[level], groups))
            x = widths[level]
            layers += [Attention(x, groups)] if grid >> level in config.attention else []
        layers += [Double(x)] if level else []
    layers += leave(x, channels, groups)
    return nn.Sequential(*layers, *([nn.PixelShuffle(config.patch)] if config.patch > 1 else []))


class VQGAN(nn.Module):
    """Pictures ↔ grids of codes."""

    config_class = VQGANConfig

    def __init__(self, config: VQGANConfig):
        super().__init__()
        self.config = config
        self.encoder_blocks = make_encoder(config) if config.encodes else None
        self.decoder_blocks = make_decoder(config)
        self.codebook = nn.Embedding(config.codebook_size, config.code_width)
        self.discriminator = Discriminator(config.discriminator) if config.discriminator else None
        self.to(memory_format=torch.channels_last)  # the same numbers, faster on a CPU

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """The nearest code per place, (B, h, w) int64, for pictures (B, 3, H, W) in [0, 1]."""
        wanted = (3, self.config.image_size, self.config.image_size)
        if not images.is_floating_point() or images.ndim != 4 or images.shape[1:] != wanted:
            raise ValueError(
                f"expected pictures (B, {', '.join(map(str, wanted))}) in [0, 1], "
                f"got {images.dtype} {tuple(images.shape)}"
            )
        return distances(self.see(images), self.codebook.weight).argmin(1)

    def see(self, images: Tensor) -> Tensor:
        """The encoder's vectors of pictures (B, 3, H, W): (B, E, h, w)."""
        if self.encoder_blocks is None:
            raise ValueError("this VQGAN has no encoder: it can only decode")
        return self.encoder_blocks(images)

    def vectors(self, codes: Tensor) -> Tensor:
        """The codebook's vectors for codes (B, h, w): (B, E, h, w)."""
        return self.codebook(codes).permute(0, 3, 1, 2)

    @torch.no_grad()
    def begin(self, images: Tensor, generator: torch.Generator) -> None:
        """Set the codes to vectors of some places of pictures (B, 3, H, W), at least K places.

        Codes far from all vectors are never chosen and so never move: they are dead from the first
        step.
        """
        found = self.see(images).permute(0, 2, 3, 1).flatten(0, 2)  # (B · h · w, E)
        K = self.config.codebook_size
        chosen = torch.randperm(len(found), generator=generator)[:K]
        self.codebook.weight.copy_(found[chosen])

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, h, w) → pictures (B, 3, H, W) in [0, 1]."""
        return self.decoder_blocks(self.vectors(codes)).clamp(0, 1)

    def forward(
        self, images: Tensor, adversarial: bool = False,
        compare: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:  # fmt: skip
        """The loss of pictures (B, 3, H, W) in [0, 1], and its parts.

        Loss: |x - x̂| + |sg(z) - c|² + β |z - sg(c)|², each a mean, for the vectors z and the codes
        c; sg ("stop gradient") passes a value on as a constant. With a discriminator, its own loss
        comes on top, and, if `adversarial`, the decoder's; compare(x, x̂) is a perceptual distance.
        Parts, detached: these terms, the distance |z - c|² and how often each code was chosen
        ("counts", (K,)); and the mean probability of each code ("probabilities", (K,)), with
        gradient, for a term on how evenly codes are used.
        """
        z = self.see(images)
        found = distances(z, self.codebook.weight)  # (B, K, h, w)
        codes = found.argmin(1)
        c = self.vectors(codes)
        painted = self.decoder_blocks(straight_through(z, c))
        reconstruction = (images - painted).abs().mean()
        learn, commit = F.mse_loss(c, z.detach()), F.mse_loss(z, c.detach())
        parts = {"reconstruction": reconstruction.detach(), "distance": commit.detach()}
        if compare is not None:
            reconstruction = reconstruction + self.config.perceptual * compare(images, painted)
        loss = reconstruction + learn + self.config.commitment * commit
        if self.discriminator is not None:
            told, fooled = adversarial_losses(self.discriminator, images, painted)
            parts |= {"told": told.detach(), "fooled": fooled.detach()}
            loss = loss + told
            if adversarial:
                last = [layer for layer in self.decoder_blocks if isinstance(layer, nn.Conv2d)][-1]
                loss = loss + fooled * adaptive_weight(reconstruction, fooled, last.weight)
        counts = torch.bincount(codes.flatten(), minlength=len(self.codebook.weight)).float()
        near = found.detach().mean(1, keepdim=True) / SHARPNESS
        likely = (-found / near).softmax(1).mean((0, 2, 3))
        return loss, parts | {"counts": counts, "probabilities": likely}
