"""A codebook for pictures: the discrete variational autoencoder (dVAE).

B batch, K codebook, h w grid, N = h·w image tokens.

The encoder scores, for each place of a coarse grid, how well each of K codes fits there. The
decoder paints a picture from one code per place. Choosing a code has no gradient, so training
uses a differentiable relaxation (Gumbel-softmax), whose temperature falls until the soft choices
are nearly hard.

The decoder begins with a 1×1 convolution on a one-hot image of K channels. Its K columns *are*
the codebook.

There are two pairs of networks: the paper's (Ramesh et al. 2021, section 2.1 and appendix A),
which pools a picture step by step, and one for small pictures, whose codes are patches.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidalle.config import DVAEConfig

EPSILON = 0.1  # pixels are mapped to [ε, 1 - ε], where the logit is finite

# ---- pixels and their likelihood --------------------------------------------------------


def map_pixels(images: Tensor) -> Tensor:
    """Map pixels from [0, 1] to [0.1, 0.9], where their logits are finite (the paper's φ)."""
    return (1 - 2 * EPSILON) * images + EPSILON


def unmap_pixels(x: Tensor) -> Tensor:
    """The inverse of `map_pixels`, clamped to [0, 1]."""
    return ((x - EPSILON) / (1 - 2 * EPSILON)).clamp(0, 1)


def logit_laplace(x: Tensor, mu: Tensor, ln_b: Tensor, blur: float = 0.0) -> Tensor:
    """Log-density of x in (0, 1) whose logit is Laplace(μ, b) (paper, equation 2).

    A Laplace density on logit x, times |d logit x / dx| = 1 / (x (1 - x)): unlike the densities
    behind L1 and L2 losses, it has all its mass on valid pixel values. `blur` is the standard
    deviation of Gaussian noise on logit x, over which |logit x - μ| is averaged. (The paper has
    none. Flat pictures need it: where a value never varies, the density of a narrow Laplace grows
    without bound.)
    """
    distance = mean_distance(torch.logit(x) - mu, blur) / ln_b.exp()
    return -distance - math.log(2) - ln_b - torch.log(x * (1 - x))


def mean_distance(d: Tensor, blur: float) -> Tensor:
    """E|d + blur · n| for a standard normal n: close to |d| far from 0, to a parabola near 0.

    >>> round(mean_distance(torch.tensor(0.0), 1.0).item(), 4)  # √(2/π)
    0.7979
    """
    if blur == 0:
        return d.abs()
    z = d / blur
    return d * torch.erf(z / math.sqrt(2)) + blur * math.sqrt(2 / math.pi) * torch.exp(-(z**2) / 2)


# ---- choosing softly --------------------------------------------------------------------


def gumbel_noise(shape: tuple[int, ...], generator: torch.Generator | None = None) -> Tensor:
    """Standard Gumbel noise, -ln(-ln u) of uniform u, on the generator's device."""
    device = generator.device if generator else None
    u = torch.rand(shape, generator=generator, device=device)
    return -torch.log(-torch.log(u.clamp(1e-10, 1 - 1e-7)))


def gumbel_softmax(
    logits: Tensor,
    temperature: float,
    generator: torch.Generator | None = None,
    noise: Tensor | None = None,
) -> Tensor:
    """Soft one-hot samples of the categorical over dim 1; harder as the temperature falls.

    The argmax of logits plus Gumbel noise is an exact sample from their softmax. Dividing by the
    temperature and taking a softmax relaxes that argmax. `noise`, of the logits' shape, is drawn
    from the generator if it is not given.
    """
    noise = gumbel_noise(logits.shape, generator) if noise is None else noise
    return F.softmax((logits + noise.to(logits.device)) / temperature, dim=1)


def kl_from_uniform(logits: Tensor) -> Tensor:
    """KL(softmax(logits) ‖ uniform) in nats for each place: (B, K, h, w) → (B, h, w).

    It is ln K minus the entropy: 0 when all codes are equally likely, ln K when one is certain.
    """
    log_q = F.log_softmax(logits, dim=1)
    return (log_q.exp() * log_q).sum(1) + math.log(logits.shape[1])


def codebook_use(counts: Tensor) -> tuple[float, int]:
    """Perplexity of the codes' frequencies (the effective number of codes), and how many are dead.

    >>> codebook_use(torch.tensor([5, 5, 0, 0]))
    (2.0, 2)
    """
    p = counts.double() / counts.sum()
    return round(torch.special.entr(p).sum().exp().item(), 6), int((counts == 0).sum())


# ---- the networks -----------------------------------------------------------------------


def conv(n_in: int, n_out: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """A padded convolution, initialised as in the paper: N(0, 1/√(n_in·k²)), bias 0."""
    layer = nn.Conv2d(n_in, n_out, kernel, stride, padding=kernel // 2)
    nn.init.normal_(layer.weight, std=1 / math.sqrt(n_in * kernel**2))
    nn.init.zeros_(layer.bias)
    return layer


class ChannelLayerNorm(nn.LayerNorm):
    """Layer norm over the channels of each place separately, (B, C, h, w)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ResBlock(nn.Module):
    """x + gain · path(x); the path is four ReLU-convolutions, a quarter as wide inside."""

    def __init__(self, n_in: int, n_out: int, kernels: tuple[int, ...], gain: float = 1.0):
        super().__init__()
        widths, layers = [n_in] + 3 * [n_out // 4] + [n_out], []
        for i, kernel in enumerate(kernels):
            layers += [nn.ReLU(), conv(widths[i], widths[i + 1], kernel)]
        self.path = nn.Sequential(*layers)
        self.skip = conv(n_in, n_out, 1) if n_in != n_out else nn.Identity()
        self.gain = gain

    def forward(self, x: Tensor) -> Tensor:
        return self.skip(x) + self.gain * self.path(x)


def groups(config: DVAEConfig, n_in: int, widths: list[int], kernels, between) -> list[nn.Module]:
    """The paper's groups of residual blocks, with a `between()` layer between groups."""
    gain, layers = 1 / (config.groups * config.blocks) ** 2, []
    for g, n_out in enumerate(widths):
        layers += [between()] if g else []
        for _ in range(config.blocks):
            layers.append(ResBlock(n_in, n_out, kernels, gain))
            n_in = n_out
    return layers


def paper_encoder(config: DVAEConfig) -> nn.Sequential:
    """Pixels (B, 3, H, W) → K logits for each place: 53.8 M parameters at the paper's size."""
    widths = [config.width * 2**g for g in range(config.groups)]
    return nn.Sequential(
        conv(3, widths[0], 7),
        *groups(config, widths[0], widths, (3, 3, 3, 1), lambda: nn.MaxPool2d(2)),
        nn.ReLU(),
        conv(widths[-1], config.codebook_size, 1),
    )


def paper_decoder(config: DVAEConfig) -> nn.Sequential:
    """Embedded codes (B, code width, h, w) → μ of red, green, blue, then ln b of each: 43.8 M."""
    widths = [config.width * 2**g for g in reversed(range(config.groups))]
    return nn.Sequential(
        *groups(
            config, config.code_width, widths, (1, 3, 3, 3), lambda: nn.Upsample(scale_factor=2)
        ),
        nn.ReLU(),
        conv(widths[-1], 6, 1),
    )


class PatchBlock(ResBlock):
    """A pre-norm residual block with gain 1."""

    def __init__(self, n_in: int, n_out: int, kernels: tuple[int, ...]):
        super().__init__(n_in, n_out, kernels)
        self.path.insert(0, ChannelLayerNorm(n_in))


def patch_encoder(config: DVAEConfig) -> nn.Sequential:
    """Pixels (B, 3, H, W) → a vector for each patch, (B, code width, h, w).

    A vector depends on little but its own patch, so a code means the same everywhere. The 7×7
    convolution reaches a little beyond the patch, the blocks see their own place only.
    """
    D, blocks = config.width, range(config.blocks)
    return nn.Sequential(
        conv(3, D, 7, stride=config.patch),
        *(PatchBlock(D, D, (1, 1, 1, 1)) for _ in blocks),
        nn.ReLU(),
        conv(D, config.code_width, 1),
    )


def patch_decoder(config: DVAEConfig) -> nn.Sequential:
    """The same as `paper_decoder`, with each place painting a patch."""
    widths = [config.code_width] + config.blocks * [config.width]
    return nn.Sequential(
        *(PatchBlock(n_in, n_out, (1, 3, 3, 3)) for n_in, n_out in zip(widths, widths[1:])),
        nn.ReLU(),
        conv(config.width, 6 * config.patch**2, 1),
        nn.PixelShuffle(config.patch),
    )


class DVAE(nn.Module):
    """Pictures ↔ grids of codes, with the paper's networks or the patch networks."""

    config_class = DVAEConfig

    def __init__(self, config: DVAEConfig):
        super().__init__()
        self.config = config
        self.encoder = patch_encoder(config) if config.patch else paper_encoder(config)
        self.codebook = conv(config.codebook_size, config.code_width, 1)
        self.decoder = patch_decoder(config) if config.patch else paper_decoder(config)
        if config.patch:
            nn.init.normal_(self.codebook.weight)  # std 1: a one-hot input has fan-in 1
            self.ln_sharpness = nn.Parameter(
                torch.tensor(math.log(2 / math.sqrt(config.code_width)))
            )
        # The same numbers, up to a quarter faster on a CPU.
        self.to(memory_format=torch.channels_last)

    def logits(self, images: Tensor) -> Tensor:
        """How well each code fits each place: (B, 3, H, W) in [0, 1] → (B, K, h, w).

        The paper's encoder outputs the logits. The patch encoder outputs a vector x, and the
        logit of a code with the vector c falls with its distance: -sharpness · |x - c|² / 2.
        """
        x = self.encoder(map_pixels(images))
        if not self.config.patch:
            return x
        codes = self.codebook.weight.transpose(0, 1)  # (K, code width, 1, 1)
        # |x|² / 2 is left out: it is the same for all codes.
        fit = F.conv2d(x, codes, bias=-codes.square().sum((1, 2, 3)) / 2)
        return self.ln_sharpness.exp() * fit

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """The likeliest code per place, (B, h, w) int64, for pictures (B, 3, H, W) in [0, 1]."""
        wanted = (3, self.config.image_size, self.config.image_size)
        if not images.is_floating_point() or images.ndim != 4 or images.shape[1:] != wanted:
            raise ValueError(
                f"expected pictures (B, {', '.join(map(str, wanted))}) in [0, 1], "
                f"got {images.dtype} {tuple(images.shape)}"
            )
        return self.logits(images).argmax(1)

    def vectors(self, codes: Tensor) -> Tensor:
        """The codebook's vectors for codes (B, h, w): (B, code width, h, w), without gradient."""
        columns = self.codebook.weight.detach()[:, :, 0, 0].T  # (K, code width)
        return (F.embedding(codes, columns) + self.codebook.bias).permute(0, 3, 1, 2)

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, h, w) → pictures (B, 3, H, W) in [0, 1]."""
        mu, _ = self.decoder(self.vectors(codes)).chunk(2, dim=1)
        return unmap_pixels(torch.sigmoid(mu))

    def forward(
        self, images: Tensor, temperature: float, kl_weight: float, noise: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss: the negative ELBO (evidence lower bound) per colour value of the picture.

        images (B, 3, H, W) in [0, 1]; kl_weight is the paper's β; noise (B, K, h, w) is Gumbel
        noise, drawn here if not given. At temperature 0 each place takes its likeliest code, and
        only the decoder learns. Returns (loss, parts): reconstruction and KL in nats, how often
        each code was the likeliest ("counts"), all detached; and the mean probability of each code
        ("probabilities", (K,)), with gradient, for a term on how evenly codes are used.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and temperature > 0):
            logits = self.logits(images)
        if temperature > 0:
            vectors = self.codebook(gumbel_softmax(logits, temperature, noise=noise))
        else:
            vectors = self.vectors(logits.argmax(1))
        mu, ln_b = self.decoder(vectors).chunk(2, dim=1)
        blur = 1.0 if self.config.patch else 0.0
        reconstruction = -logit_laplace(map_pixels(images), mu, ln_b, blur).mean()
        kl = kl_from_uniform(logits).mean()
        # The ELBO sums the KL over h·w places and the likelihood over 3·H·W colour values.
        places_per_value = logits[0, 0].numel() / images[0].numel()
        loss = reconstruction + kl_weight * places_per_value * kl
        counts = torch.bincount(logits.argmax(1).flatten(), minlength=logits.shape[1]).float()
        parts = {"reconstruction": reconstruction.detach(), "kl": kl.detach(), "counts": counts}
        return loss, parts | {"probabilities": F.softmax(logits, dim=1).mean((0, 2, 3))}
