"""CLIP's other image encoder: a residual network (ResNet), built of convolutions.

Radford et al. 2021, section 2.4, compare five of these with the vision transformers of clip.py.
It differs from the usual ResNet in three ways. The stem has three small convolutions instead of
one large one. Where the grid shrinks, neighbours are averaged instead of every second place being
skipped. And the final pooling is by attention.

B batch, C channels, h w grid, D = 32 · width channels at the end, H heads, E shared space.
Parameters carry the names and shapes of the official package (`layer1.0.conv1.weight`, …).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv(n_in: int, n_out: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """A convolution that divides the grid by `stride`; its bias is in the batch norm after it."""
    return nn.Conv2d(n_in, n_out, kernel, stride, padding=kernel // 2, bias=False)


class Bottleneck(nn.Module):
    """x + path(x), then ReLU; the path is 1×1, 3×3, 1×1 and a quarter as wide inside."""

    def __init__(self, n_in: int, waist: int, shrink: int):
        super().__init__()
        n_out = 4 * waist
        self.conv1, self.bn1 = conv(n_in, waist, 1), nn.BatchNorm2d(waist)
        self.conv2, self.bn2 = conv(waist, waist, 3), nn.BatchNorm2d(waist)
        self.conv3, self.bn3 = conv(waist, n_out, 1), nn.BatchNorm2d(n_out)
        self.pool = nn.AvgPool2d(shrink) if shrink > 1 else nn.Identity()
        self.downsample = nn.Identity()
        if n_in != n_out:
            self.downsample = nn.Sequential(conv(n_in, n_out, 1), nn.BatchNorm2d(n_out))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) → (B, 4 · waist, h / shrink, w / shrink)."""
        path = F.relu(self.bn1(self.conv1(x)))
        path = self.pool(F.relu(self.bn2(self.conv2(path))))
        return F.relu(self.bn3(self.conv3(path)) + self.downsample(self.pool(x)))


class AttentionPool(nn.Module):
    """One query, the mean of all places, attends to every place and to itself."""

    def __init__(self, places: int, width: int, heads: int, embed: int):
        super().__init__()
        self.heads = heads
        self.positional_embedding = nn.Parameter(width**-0.5 * torch.randn(places + 1, width))
        self.q_proj, self.k_proj, self.v_proj = [nn.Linear(width, width) for _ in range(3)]
        self.c_proj = nn.Linear(width, embed)

    def forward(self, x: Tensor) -> Tensor:
        """(B, D, h, w) → (B, E)."""
        x = x.flatten(2).transpose(1, 2)  # (B, h·w, D)
        x = torch.cat([x.mean(1, keepdim=True), x], dim=1) + self.positional_embedding
        projected = self.q_proj(x[:, :1]), self.k_proj(x), self.v_proj(x)
        q, k, v = [
            y.unflatten(2, (self.heads, -1)).transpose(1, 2) for y in projected
        ]  # (B, H, ·, d)
        pooled = F.scaled_dot_product_attention(q, k, v)  # (B, H, 1, d)
        return self.c_proj(pooled.flatten(1))


class ResNet(nn.Module):
    """Three convolutions, four stages of `blocks` bottlenecks each, attention pooling."""

    def __init__(
        self, blocks: tuple[int, ...], width: int, heads: int, image_size: int, embed: int
    ):
        super().__init__()
        self.conv1, self.bn1 = conv(3, width // 2, 3, stride=2), nn.BatchNorm2d(width // 2)
        self.conv2, self.bn2 = conv(width // 2, width // 2, 3), nn.BatchNorm2d(width // 2)
        self.conv3, self.bn3 = conv(width // 2, width, 3), nn.BatchNorm2d(width)
        n_in = width
        for stage, count in enumerate(blocks):
            waist, layers = width * 2**stage, []
            for i in range(count):
                layers.append(Bottleneck(n_in, waist, shrink=2 if stage and i == 0 else 1))
                n_in = 4 * waist
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))
        self.stages = len(blocks)
        shrunk = 4 * 2 ** (
            self.stages - 1
        )  # the stem divides by four, each stage but the first by two
        self.attnpool = AttentionPool((image_size // shrunk) ** 2, n_in, heads, embed)

    def forward(self, pixels: Tensor) -> Tensor:
        """Standardised pixels (B, 3, size, size) → features (B, E)."""
        x = pixels
        for i in (1, 2, 3):
            x = F.relu(self.get_submodule(f"bn{i}")(self.get_submodule(f"conv{i}")(x)))
        x = F.avg_pool2d(x, 2)
        for stage in range(self.stages):
            x = self.get_submodule(f"layer{stage + 1}")(x)
        return self.attnpool(x)
