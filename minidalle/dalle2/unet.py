"""The U-Net: down to a coarse grid, where places see each other, and up again to every pixel.

B batch, C channels, h w grid, D channels of the condition, M context tokens of E channels.

Residual blocks at each resolution, attention at the coarse ones. What the way down saw at a
resolution is handed to the way up at the same one ("skips"), so that edges are not lost. Two
inputs say what to draw: a condition (B, D), the time above all, sets gain and offset in every
block; context tokens (B, M, E), such as a caption's, are looked at by attention. It is the network
of Dhariwal & Nichol 2021 (arXiv 2105.05233) with the context of GLIDE (Nichol et al. 2021, arXiv
2112.10741), which DALL·E 2 has as well.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidalle.config import multiple
from minidalle.dalle2.config import UNetConfig


def time_features(t: Tensor, width: int) -> Tensor:
    """Cosines and sines of times (B,) at `width` / 2 frequencies from 1 to 1/10 000: (B, width)."""
    half = width // 2
    frequencies = torch.exp(-math.log(10_000) * torch.arange(half, device=t.device) / half)
    angles = t[:, None].float() * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def halved(x: Tensor) -> Tensor:
    """(B, C, h, w) → (B, C, h/2, w/2): means of 2×2."""
    return F.avg_pool2d(x, 2)


def doubled(x: Tensor) -> Tensor:
    """(B, C, h, w) → (B, C, 2h, 2w): every place four times."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def unchanged(x: Tensor) -> Tensor:
    """x itself."""
    return x


RESIZE = {"same": unchanged, "down": halved, "up": doubled}


class ResBlock(nn.Module):
    """Two convolutions about which the condition decides; may halve or double the grid between."""

    def __init__(self, into: int, out: int, condition: int, groups: int, resize: str = "same"):
        super().__init__()
        self.resize = resize
        self.norm_1, self.norm_2 = nn.GroupNorm(groups, into), nn.GroupNorm(groups, out)
        self.conv_1 = nn.Conv2d(into, out, 3, padding=1)
        self.conv_2 = nn.Conv2d(out, out, 3, padding=1)
        self.condition = nn.Linear(condition, 2 * out)  # a gain and an offset of each channel
        self.skip = nn.Conv2d(into, out, 1) if into != out else nn.Identity()
        for parameter in self.conv_2.parameters():
            nn.init.zeros_(parameter)  # a new block passes its input on

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x (B, into, h, w), condition (B, D) → (B, out, h', w')."""
        resize = RESIZE[self.resize]
        y = self.conv_1(resize(F.silu(self.norm_1(x))))
        gain, offset = self.condition(F.silu(condition))[..., None, None].chunk(2, dim=1)
        y = self.norm_2(y) * (1 + gain) + offset
        return self.skip(resize(x)) + self.conv_2(F.silu(y))


class Attention(nn.Module):
    """Every place looks at every other one, and at the context tokens."""

    def __init__(self, width: int, head_width: int, context: int, groups: int):
        super().__init__()
        self.heads = max(1, width // head_width)
        multiple("width", width, self.heads, "heads")
        self.norm = nn.GroupNorm(groups, width)
        self.qkv = nn.Linear(width, 3 * width)
        self.context = nn.Linear(context, 2 * width) if context else None
        self.out = nn.Linear(width, width)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        """x (B, C, h, w), context (B, M, E) or None → (B, C, h, w)."""
        B, C, h, w = x.shape
        q, k, v = self.qkv(self.norm(x).flatten(2).mT).chunk(3, dim=-1)  # each (B, hw, C)
        if self.context is not None:
            keys, values = self.context(context).chunk(2, dim=-1)
            k, v = torch.cat([keys, k], dim=1), torch.cat([values, v], dim=1)  # (B, M + hw, C)
        q, k, v = (y.unflatten(-1, (self.heads, -1)).transpose(1, 2) for y in (q, k, v))
        scores = q @ k.mT / q.shape[-1] ** 0.5  # (B, H, hw, M + hw)
        y = scores.softmax(-1) @ v  # (B, H, hw, d)
        return x + self.out(y.transpose(1, 2).flatten(2)).mT.unflatten(2, (h, w))


class Layer(nn.Module):
    """A residual block, and attention if this resolution has it."""

    def __init__(
        self, config: UNetConfig, into: int, out: int, condition: int,
        attend: bool = False, resize: str = "same",
    ):  # fmt: skip
        super().__init__()
        self.block = ResBlock(into, out, condition, config.groups, resize)
        how = config.head_width, config.context, config.groups
        self.attention = Attention(out, *how) if attend else None

    def forward(self, x: Tensor, condition: Tensor, context: Tensor | None) -> Tensor:
        """x (B, into, h, w), condition (B, D), context (B, M, E) → (B, out, h', w')."""
        x = self.block(x, condition)
        return x if self.attention is None else self.attention(x, context)


class UNet(nn.Module):
    """Predicts ε, x₀ or v of a noisy picture."""

    def __init__(self, config: UNetConfig):
        super().__init__()
        self.config = config
        widths, first = config.widths, config.widths[0]
        D, last = 4 * first, len(widths) - 1
        self.time = nn.Sequential(nn.Linear(first, D), nn.SiLU(), nn.Linear(D, D))
        self.enter = nn.Conv2d(
            config.channels + config.given * config.patch**2, first, 3, padding=1
        )
        grids = [config.image_size // config.patch >> level for level in range(len(widths))]
        attend = [grid in config.attention for grid in grids]
        self.down_blocks, self.up_blocks = nn.ModuleList(), nn.ModuleList()
        x, skips = first, [first]
        for level, width in enumerate(widths):
            for _ in range(config.blocks):
                self.down_blocks.append(Layer(config, x, width, D, attend[level]))
                x = width
                skips.append(x)
            if level < last:
                self.down_blocks.append(Layer(config, x, x, D, resize="down"))
                skips.append(x)
        self.middle_blocks = nn.ModuleList(
            [Layer(config, x, x, D, attend[last]), Layer(config, x, x, D)]
        )
        for level in range(last, -1, -1):
            for _ in range(config.blocks + 1):
                self.up_blocks.append(
                    Layer(config, x + skips.pop(), widths[level], D, attend[level])
                )
                x = widths[level]
            if level:
                self.up_blocks.append(Layer(config, x, x, D, resize="up"))
        self.norm = nn.GroupNorm(config.groups, x)
        self.leave = nn.Conv2d(x, config.channels, 3, padding=1)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    @property
    def layers(self) -> list[Layer]:
        """All of them, in the order in which a picture passes them."""
        return [*self.down_blocks, *self.middle_blocks, *self.up_blocks]

    def forward(
        self, x: Tensor, t: Tensor, condition: Tensor | float = 0.0, context: Tensor | None = None,
        given: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """A noisy picture (B, 3, H, W) at times (B,) → a prediction (B, 3, H, W).

        condition (B, D), D = 4 · widths[0], is added to what is made of the time; context
        (B, M, E); given (B, G, H, W) is what is known of the picture.
        """
        condition = self.time(time_features(t, self.config.widths[0])) + condition
        x = x if given is None else torch.cat([x, given], dim=1)
        x = self.enter(F.pixel_unshuffle(x, self.config.patch))
        skips = [x]
        for layer in self.down_blocks:
            x = layer(x, condition, context)
            skips.append(x)
        for layer in self.middle_blocks:
            x = layer(x, condition, context)
        for layer in self.up_blocks:
            if layer.block.resize == "same":
                x = torch.cat([x, skips.pop()], dim=1)
            x = layer(x, condition, context)
        x = self.leave(F.silu(self.norm(x.float())))  # the layers may compute in bfloat16
        return F.pixel_shuffle(x, self.config.patch)
