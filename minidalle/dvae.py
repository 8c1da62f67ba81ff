"""A codebook for pictures: the discrete variational autoencoder (dVAE).

B batch, K codebook, h w grid, N = h·w image tokens.

The encoder looks at a picture and says, for each place of a coarse grid, how well each of K
codes fits there. The decoder paints a picture from one code per place. In between one has to
*choose*, and a choice has no gradient; so training chooses softly (Gumbel-softmax) and the
temperature falls until soft and hard choices are nearly the same.

Where is the codebook? The decoder begins with a 1×1 convolution on a one-hot picture of K
channels: its K columns *are* the codebook.

Ramesh et al. 2021, section 2.1 and appendix A. What the small sizes do differently is off by
default in `DVAEConfig`: stride, norm, local, tied, noise.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidalle.config import DVAEConfig

EPSILON = 0.1  # pixels are squeezed into [ε, 1 - ε], where the logit is finite

# ---- pixels and their likelihood --------------------------------------------------------


def map_pixels(images: Tensor) -> Tensor:
    """Squeeze pixels from [0, 1] into [0.1, 0.9], so that their logits stay finite (φ)."""
    return (1 - 2 * EPSILON) * images + EPSILON


def unmap_pixels(x: Tensor) -> Tensor:
    """Undo `map_pixels`; what lies outside is clamped to [0, 1]."""
    return ((x - EPSILON) / (1 - 2 * EPSILON)).clamp(0, 1)


def logit_laplace(x: Tensor, mu: Tensor, ln_b: Tensor, noise: float = 0.0) -> Tensor:
    """Log-density of x in (0, 1) whose logit is Laplace(μ, b) (paper, equation 2).

    A Laplace density on logit x, times |d logit x / dx| = 1 / (x (1 - x)): unlike L1 or L2,
    all of its mass lies on values that a pixel can have. With `noise`, logit x is taken to be
    blurred by Gaussian noise of that standard deviation: |logit x - μ| is replaced by its mean.
    """
    distance = mean_distance(torch.logit(x) - mu, noise) / ln_b.exp()
    return -distance - math.log(2) - ln_b - torch.log(x * (1 - x))


def mean_distance(d: Tensor, noise: float) -> Tensor:
    """E|d + noise · n| for a standard normal n: |d| far away, a parabola near 0.

    >>> round(mean_distance(torch.tensor(0.0), 1.0).item(), 4)  # √(2/π)
    0.7979
    """
    if noise == 0:
        return d.abs()
    z = d / noise
    return d * torch.erf(z / math.sqrt(2)) + noise * math.sqrt(2 / math.pi) * torch.exp(-(z**2) / 2)


# ---- choosing softly --------------------------------------------------------------------


def gumbel_softmax(logits: Tensor, temperature: float, generator: torch.Generator | None = None,
                   first: int = 0) -> Tensor:
    """Soft one-hot samples of the categorical over dim 1; harder as the temperature falls.

    -ln(-ln u) is Gumbel noise, and the argmax of logits plus Gumbel noise is an exact sample
    of their softmax. Dividing by the temperature and taking a softmax makes that argmax soft.
    Where logits (B, K, …) are part of a larger batch, `first` is the number of their first row:
    the noise of the rows before it is drawn and left, so a row's noise depends on its number.
    """
    B, K, *grid = logits.shape
    device = generator.device if generator else logits.device
    u = torch.rand(first + B, *grid, K, generator=generator, device=device)[first:]
    u = u.movedim(-1, 1).to(logits.device)  # (B, K, …), like the logits
    noise = -torch.log(-torch.log(u.clamp(1e-10, 1 - 1e-7)))
    return F.softmax((logits + noise) / temperature, dim=1)


def kl_from_uniform(logits: Tensor) -> Tensor:
    """KL(softmax(logits) ‖ uniform) in nats for each place: (B, K, h, w) → (B, h, w).

    It is ln K minus the entropy: 0 when every code is as likely, ln K when one is certain.
    """
    log_q = F.log_softmax(logits, dim=1)
    return (log_q.exp() * log_q).sum(1) + math.log(logits.shape[1])


def codebook_use(counts: Tensor) -> tuple[float, int]:
    """Perplexity of the codes' frequencies (K if all are as frequent), and how many are dead.

    >>> codebook_use(torch.tensor([5, 5, 0, 0]))
    (2.0, 2)
    """
    p = counts.double() / counts.sum()
    return round(torch.special.entr(p).sum().exp().item(), 6), int((counts == 0).sum())


# ---- the network ------------------------------------------------------------------------


def conv(n_in: int, n_out: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """A convolution, padded, with the paper's init: N(0, 1/√(n_in·k²)), bias 0."""
    layer = nn.Conv2d(n_in, n_out, kernel, stride, padding=kernel // 2)
    nn.init.normal_(layer.weight, std=1 / math.sqrt(n_in * kernel**2))
    nn.init.zeros_(layer.bias)
    return layer


class PlaceNorm(nn.LayerNorm):
    """Layer norm over the channels of each place, (B, C, h, w), blind to all other places."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ResBlock(nn.Module):
    """x + gain · path(x); the path is four ReLU-convolutions through a narrow waist."""

    def __init__(self, n_in: int, n_out: int, kernels: tuple[int, ...], gain: float, norm: bool):
        super().__init__()
        widths = [n_in] + 3 * [n_out // 4] + [n_out]
        path = [PlaceNorm(n_in)] if norm else []
        for i, kernel in enumerate(kernels):
            path += [nn.ReLU(), conv(widths[i], widths[i + 1], kernel)]
        self.path = nn.Sequential(*path)
        self.skip = conv(n_in, n_out, 1) if n_in != n_out else nn.Identity()
        self.gain = gain

    def forward(self, x: Tensor) -> Tensor:
        return self.skip(x) + self.gain * self.path(x)


def groups(config: DVAEConfig, n_in: int, widths: list[int], kernels, between) -> list[nn.Module]:
    """Groups of residual blocks with `between()` (pooling or upsampling) between groups."""
    gain = 1 if config.norm else 1 / (config.groups * config.blocks) ** 2
    layers = []
    for g, n_out in enumerate(widths):
        layers += [between()] if g else []
        for _ in range(config.blocks):
            layers.append(ResBlock(n_in, n_out, kernels, gain, config.norm))
            n_in = n_out
    return layers


class DVAE(nn.Module):
    """Pictures ↔ grids of codes. 53.8 M + 43.8 M parameters at the paper's size."""

    config_class = DVAEConfig

    def __init__(self, config: DVAEConfig):
        super().__init__()
        self.config = config
        widths = [config.width * 2**g for g in range(config.groups)]
        kernels = (1, 1, 1, 1) if config.local else (3, 3, 3, 1)
        self.encoder = nn.Sequential(
            conv(3, widths[0], 7, config.stride),
            *groups(config, widths[0], widths, kernels, lambda: nn.MaxPool2d(2)),
            nn.ReLU(),
            conv(widths[-1], config.code_width if config.tied else config.codebook, 1),
        )
        self.codebook = conv(config.codebook, config.code_width, 1)
        # Six channels: μ for red, green and blue, then ln b for each.
        self.decoder = nn.Sequential(
            *groups(
                config, config.code_width, widths[::-1], (1, 3, 3, 3), lambda: nn.Upsample(scale_factor=2)
            ),
            nn.ReLU(),
            conv(widths[0], 6 * config.stride**2, 1),
            nn.PixelShuffle(config.stride),  # (with stride 1 it does nothing)
        )
        if config.tied:
            nn.init.normal_(self.codebook.weight)  # a one-hot picture has one input per place
            self.ln_sharpness = nn.Parameter(torch.tensor(math.log(2 / math.sqrt(config.code_width))))
        self.to(memory_format=torch.channels_last)  # the same numbers, up to a quarter faster on a CPU

    def logits(self, images: Tensor) -> Tensor:
        """How well each code fits each place: (B, 3, H, W) in [0, 1] → (B, K, h, w)."""
        x = self.encoder(map_pixels(images))
        if not self.config.tied:
            return x
        # -|x - code|² / 2, without |x|² / 2, which is the same for all codes
        codes = self.codebook.weight.transpose(0, 1)  # (K, code width, 1, 1)
        fit = F.conv2d(x, codes, bias=-codes.square().sum((1, 2, 3)) / 2)
        return self.ln_sharpness.exp() * fit

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """The best code of each place, (B, h, w) int64, for pictures (B, 3, H, W) in [0, 1]."""
        size = self.config.image_size
        if not images.is_floating_point() or images.ndim != 4 or images.shape[1:] != (3, size, size):
            raise ValueError(f"expected pictures (B, 3, {size}, {size}) in [0, 1], "
                             f"got {images.dtype} {tuple(images.shape)}")
        return self.logits(images).argmax(1)

    def vectors(self, codes: Tensor) -> Tensor:
        """The codebook's vectors for codes (B, h, w), (B, code width, h, w); they learn nothing."""
        found = F.embedding(codes, self.codebook.weight.detach()[:, :, 0, 0].T) + self.codebook.bias
        return found.permute(0, 3, 1, 2)

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """Paint codes (B, h, w): pictures (B, 3, H, W) in [0, 1]."""
        mu, _ = self.decoder(self.vectors(codes)).chunk(2, dim=1)
        return unmap_pixels(torch.sigmoid(mu))

    def forward(self, images: Tensor, temperature: float, kl_weight: float,
                generator: torch.Generator | None = None, use_weight: float = 0.0,
                first: int = 0, gather: Callable[[Tensor], Tensor] = lambda rows: rows,
                hard: bool = False):
        """-ELBO per colour value of the picture, to be minimised.

        images (B, 3, H, W) in [0, 1]; kl_weight is the paper's β; use_weight, which the paper
        does not have, asks that over the whole batch all codes are used alike. Returns (loss,
        parts); the parts are detached: reconstruction, KL and unevenness in nats, and how
        often each code was the best. With `hard` the decoder alone learns, from each place's
        best code, which is what it will be given to draw. Where processes share a batch, `first` is the number of
        this one's first picture and `gather` joins the rows of all.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not hard):
            logits = self.logits(images)
        if hard:
            vectors = self.vectors(logits.argmax(1))
        else:
            vectors = self.codebook(gumbel_softmax(logits, temperature, generator, first))
        mu, ln_b = self.decoder(vectors).chunk(2, dim=1)
        reconstruction = -logit_laplace(map_pixels(images), mu, ln_b, self.config.noise).mean()
        kl = kl_from_uniform(logits).mean()
        used = F.softmax(logits, dim=1).mean((0, 2, 3))
        used = gather(used[None]).mean(0).clamp(min=1e-30)  # ln 0 would make it NaN
        uneven = kl_from_uniform(used.log()[None]).mean()
        # The ELBO sums the KL over h·w places and the likelihood over 3·H·W colour values.
        places_per_value = logits[0, 0].numel() / images[0].numel()
        loss = reconstruction + kl_weight * places_per_value * kl + use_weight * uneven
        use = torch.bincount(logits.detach().argmax(1).flatten(), minlength=logits.shape[1])
        parts = {"reconstruction": reconstruction, "kl": kl, "uneven": uneven, "use": use.float()}
        return loss, {name: value.detach() for name, value in parts.items()}
