"""The upsamplers: from a small picture to one of twice the side (four times in the paper).

A diffusion model again, whose U-Net is given the small picture, enlarged, besides the noisy large
one. It decides only on details, which are local: it needs no caption and no attention, and what it
learns from small crops holds for whole pictures (Ramesh et al. 2022, section 2.1). Nearly all of
the large picture is known beforehand, so the network predicts what the enlarged one lacks of x₀.

In training the small picture is the large one, shrunk. In use it comes from a decoder, which errs.
So that the upsampler does not trust it too much, it is corrupted in training: blurred, or blurred,
resized and made noisy in random order (as BSRGAN does; Zhang et al. 2021, arXiv 2103.14006).
"""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from minidalle.dalle2 import diffusion
from minidalle.dalle2.config import UpsamplerConfig
from minidalle.dalle2.unet import UNet

BLUR = 0.8  # pixels, the largest deviation of the blur
NOISE = 0.03  # the largest deviation of the noise, of pixels from 0 to 1


class Upsampler(nn.Module):
    """A U-Net that is given a small picture."""

    config_class = UpsamplerConfig

    def __init__(self, config: UpsamplerConfig):
        super().__init__()
        self.config, self.unet = config, UNet(config.unet)
        alpha_bars = diffusion.cosine_alpha_bars(config.times).float()
        self.register_buffer("alpha_bars", alpha_bars, persistent=False)

    @property
    def blocks(self) -> list[nn.Module]:
        """The layers of the U-Net."""
        return self.unet.layers

    def predict(self, x: Tensor, t: Tensor, given: Tensor) -> Tensor:
        """Noisy large pictures at times (B,), and small ones enlarged, all in [-1, 1] → x₀."""
        return given + self.unet(x, t, given=given)

    def forward(
        self, large: Tensor, small: Tensor, eps: Tensor, t: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Pictures (B, 3, H, W) and the small ones, in [0, 1], noise, times (B,) → MSE of x₀."""
        x0, alpha_bar = 2 * large - 1, self.alpha_bars[t].view(-1, 1, 1, 1)
        x = diffusion.q_sample(x0, eps, alpha_bar)
        given = 2 * enlarged(small, self.config.factor) - 1
        return F.mse_loss(self.predict(x, t, given), x0), {}


def enlarged(small: Tensor, factor: int) -> Tensor:
    """Pictures (B, 3, h, w) in [0, 1] by bicubic interpolation: (B, 3, factor · h, factor · w)."""
    large = F.interpolate(small, scale_factor=float(factor), mode="bicubic", antialias=False)
    return large.clamp(0, 1)


@torch.no_grad()
def upsample(
    model: Upsampler,
    small: Tensor,
    generators: list[Generator],
    steps: int = 15,
    eta: float = 0.0,
) -> Tensor:
    """Large pictures of small ones (B, 3, h, w) in [0, 1]: (B, 3, factor · h, factor · w).

    All randomness of picture i comes from generator i.
    """
    given = 2 * enlarged(small, model.config.factor) - 1

    def noise() -> Tensor:
        return diffusion.noise_of(generators, given.shape[1:], given)

    def predict(x: Tensor, t: int) -> Tensor:
        times = torch.full((len(x),), t, device=x.device)
        x0 = model.predict(x, times, given)
        return diffusion.to_eps("x0", x0, x, float(model.alpha_bars[t]))

    times = diffusion.times_of(steps, model.config.times)
    way = diffusion.denoise(predict, noise(), times, model.alpha_bars, eta, noise, largest=1.0)
    *_, (_, _, x) = way
    return ((x + 1) / 2).clamp(0, 1)


# ---- corruption -------------------------------------------------------------------------


def corrupted(small: Tensor, kind: str, generators: list[Generator]) -> Tensor:
    """Small pictures (B, 3, h, w) in [0, 1], each spoilt a little, by its own generator."""
    return torch.cat([_corrupted(one[None], kind, g) for one, g in zip(small, generators)])


def _corrupted(small: Tensor, kind: str, generator: Generator) -> Tensor:
    steps = {"blur": ["blur"], "bsr": ["blur", "resize", "noise"]}[kind]
    for i in torch.randperm(len(steps), generator=generator).tolist():
        strength = float(torch.rand((), generator=generator))
        if steps[i] == "blur":
            small = blurred(small, torch.full((1,), BLUR * strength, device=small.device))
        elif steps[i] == "resize":
            half = F.interpolate(F.avg_pool2d(small, 2), scale_factor=2.0, mode="bilinear")
            small = torch.lerp(small, half, 0.5 * strength)
        else:
            noise = torch.randn(small.shape, generator=generator).to(small.device)
            small = small + NOISE * strength * noise
    return small.clamp(0, 1)


def blurred(pictures: Tensor, sigma: Tensor) -> Tensor:
    """Pictures (B, 3, h, w) under Gaussian blurs of deviations sigma (B,), in pixels.

    5×5 pixels are enough for deviations up to 1.
    """
    reach = torch.arange(-2, 3, device=pictures.device)
    line = torch.exp(-(reach**2) / (2 * sigma[:, None].clamp(min=1e-3) ** 2))
    line = line / line.sum(1, keepdim=True)  # (B, 5)
    B, C, h, w = pictures.shape
    x = F.pad(pictures, (2, 2, 2, 2), mode="replicate").reshape(1, B * C, h + 4, w + 4)
    kernel = line.repeat_interleave(C, 0)
    x = F.conv2d(x, kernel.view(B * C, 1, 5, 1), groups=B * C)
    return F.conv2d(x, kernel.view(B * C, 1, 1, 5), groups=B * C).view(B, C, h, w)
