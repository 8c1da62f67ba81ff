"""The discriminator: it learns to tell painted pictures from real ones, the decoder to fool it.

B batch, h w grid of patches.

A pixel loss makes edges soft where the decoder is not sure of their place. A soft edge is easy to
recognise as painted, so the decoder learns to choose a place instead. The same pressure invents
details that are not in the picture, and may set in before the picture is right; so it starts late,
and its weight is such that its gradient is as large as that of the pixel loss.

Patches are judged, not pictures (Isola et al. 2017, arXiv 1611.07004); the loss and its weight are
those of Esser et al. 2021 (arXiv 2012.09841, section 3.1).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

WEIGHT = 0.8  # of the adversarial gradient relative to that of the reconstruction
MOST_WEIGHT = 1e4


class Discriminator(nn.Module):
    """One logit for each patch: positive if it looks real."""

    def __init__(self, width: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False),
            nn.GroupNorm(8, 2 * width),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 1, 4, padding=1),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) in [0, 1] → logits (B, 1, h, w)."""
        return self.layers(2 * images - 1)


def hinge_loss(real: Tensor, painted: Tensor) -> Tensor:
    """What the discriminator minimises: logits of real ones above 1, of painted ones below -1.

    >>> hinge_loss(torch.tensor([2.0]), torch.tensor([0.5])).item()
    0.75
    """
    return (F.relu(1 - real).mean() + F.relu(1 + painted).mean()) / 2


def adaptive_weight(reconstruction: Tensor, fooled: Tensor, last: Tensor) -> Tensor:
    """λ: how much larger the first loss's gradient is than the second's, at the last layer."""
    norms = [
        torch.autograd.grad(loss, last, retain_graph=True)[0].norm()
        for loss in (reconstruction, fooled)
    ]
    return WEIGHT * (norms[0] / (norms[1] + 1e-4)).clamp(0, MOST_WEIGHT)


def adversarial_losses(
    discriminator: Discriminator, images: Tensor, painted: Tensor
) -> tuple[Tensor, Tensor]:
    """The discriminator's loss and the decoder's, each with a gradient for its own side only."""
    told = hinge_loss(discriminator(images), discriminator(painted.detach()))
    frozen = {name: parameter.detach() for name, parameter in discriminator.named_parameters()}
    return told, -functional_call(discriminator, frozen, (painted,)).mean()
