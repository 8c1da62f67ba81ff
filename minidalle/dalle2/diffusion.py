"""Destroy with noise, learn to undo it: the equations of diffusion, as pure functions.

A picture x₀ is mixed with Gaussian noise ε, a little more at each time t = 0, 1, …, T - 1:

    x_t = √ᾱ_t x₀ + √(1 - ᾱ_t) ε                                        (Ho et al. 2020, eq. 4)

ᾱ_t is the share of the picture in the variance; it falls from almost 1 to almost 0. A network sees
x_t and t and predicts what was mixed: the noise, the picture, or a mixture of both. Any of the
three gives the other two, because x_t is known. To draw, one begins with noise and goes back, time
by time, each time mixing anew what the network believes with less noise than before.

`x` is x_t of any shape; `alpha_bar` is ᾱ_t, a number or a tensor that broadcasts to it; `before` is
the ᾱ of the time that one goes to. Times may be skipped, so no function knows "the time before":
everything follows from the two shares.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import torch
from torch import Generator, Tensor

Share: TypeAlias = "float | Tensor"  # ᾱ
KINDS = ("eps", "x0", "v")  # what a network may predict


# ---- the way to noise -------------------------------------------------------------------


def cosine_alpha_bars(times: int = 1000, s: float = 0.008, max_beta: float = 0.999) -> Tensor:
    """ᾱ of each time: float64 (times,). Nichol & Dhariwal 2021 (arXiv 2102.09672), eq. 17.

    ᾱ follows a squared cosine, which destroys evenly; `s` keeps the first steps from being too
    small to matter, `max_beta` the last from destroying everything at once.
    """
    t = torch.arange(times + 1, dtype=torch.float64) / times
    wanted = torch.cos((t + s) / (1 + s) * math.pi / 2) ** 2
    beta = (1 - wanted[1:] / wanted[:-1]).clamp(max=max_beta)
    return (1 - beta).cumprod(0)


def with_contrast(alpha_bars: Tensor, contrast: float) -> Tensor:
    """ᾱ of each time if pictures had so many times the contrast that they have: (times,).

    The ratio of signal to noise, ᾱ / (1 - ᾱ), is multiplied by contrast² at every time. What is
    easily seen through noise, such as large flat areas, wants a contrast below 1; otherwise most
    times have nothing left to decide (Chen 2023, arXiv 2301.10972; Hoogeboom et al. 2023, arXiv
    2301.11093, section 2).

    >>> with_contrast(torch.tensor([0.8, 0.2]), 0.5)
    tensor([0.5000, 0.0588])
    """
    signal = contrast**2 * alpha_bars
    return signal / (signal + 1 - alpha_bars)


def q_sample(x0: Tensor, eps: Tensor, alpha_bar: Share) -> Tensor:
    """x_t from a picture and noise, at once for any time (Ho et al. 2020, eq. 4)."""
    a, b = roots(alpha_bar)
    return a * x0 + b * eps


def noise_of(generators: Sequence[Generator], shape: Sequence[int], like: Tensor) -> Tensor:
    """Gaussian noise (B, *shape) on the device of `like`, row i drawn by generator i.

    So a picture does not depend on those that are drawn with it.
    """
    rows = [torch.randn(*shape, generator=generator) for generator in generators]
    return torch.stack(rows).to(like.device)


def roots(alpha_bar: Share) -> tuple[Share, Share]:
    """√ᾱ and √(1 - ᾱ): how much of the picture and of the noise there is.

    >>> [round(share, 6) for share in roots(0.64)]
    [0.8, 0.6]
    """
    return alpha_bar**0.5, (1 - alpha_bar) ** 0.5


# ---- three predictions that are one -----------------------------------------------------


def target(kind: str, x0: Tensor, eps: Tensor, alpha_bar: Share) -> Tensor:
    """What a network of this kind should predict.

    v = √ᾱ ε - √(1 - ᾱ) x₀ is worth predicting at every time: ε is nearly visible in x_t when there
    is much noise, x₀ when there is little (Salimans & Ho 2022, arXiv 2202.00512, appendix D).
    """
    a, b = roots(alpha_bar)
    return {"eps": eps, "x0": x0, "v": a * eps - b * x0}[kind]


def to_x0(kind: str, predicted: Tensor, x: Tensor, alpha_bar: Share) -> Tensor:
    """The picture that a prediction amounts to."""
    a, b = roots(alpha_bar)
    if kind == "x0":
        return predicted
    return a * x - b * predicted if kind == "v" else (x - b * predicted) / a


def to_eps(kind: str, predicted: Tensor, x: Tensor, alpha_bar: Share) -> Tensor:
    """The noise that a prediction amounts to."""
    a, b = roots(alpha_bar)
    if kind == "eps":
        return predicted
    return a * predicted + b * x if kind == "v" else (x - a * predicted) / b


def guided(conditional: Tensor, unconditional: Tensor, guidance: float) -> Tensor:
    """Classifier-free guidance: away from what the network would predict of any picture.

    Both are predictions of ε (Ho & Salimans 2022). 1 is no guidance.
    """
    return unconditional + guidance * (conditional - unconditional)


# ---- the way back -----------------------------------------------------------------------


def times_of(steps: int, times: int = 1000) -> list[int]:
    """The times of a drawing in few steps, evenly from the last to the first.

    >>> times_of(4)
    [999, 666, 333, 0]
    """
    if not 1 <= steps <= times:
        raise ValueError(f"expected 1 to {times} steps, got {steps}")
    return torch.linspace(times - 1, 0, steps, dtype=torch.float64).round().int().tolist()


def posterior(x0: Tensor, x: Tensor, alpha_bar: Share, before: Share) -> tuple[Tensor, Share]:
    """Mean and variance of q(x_s | x_t, x₀), the way back if x₀ is known (Ho et al. 2020, eq. 7).

    With `before` = 1 the mean is x₀ and the variance 0.
    """
    alpha = alpha_bar / before  # how much of x_s is left in x_t
    left, gone = (1 - before) / (1 - alpha_bar), 1 - alpha
    mean = before**0.5 * gone / (1 - alpha_bar) * x0 + alpha**0.5 * left * x
    return mean, left * gone


def ddim_sigma(alpha_bar: Share, before: Share, eta: float) -> Share:
    """The deviation of the fresh noise in a step; η = 1 gives that of `posterior`."""
    return eta * ((1 - before) / (1 - alpha_bar) * (1 - alpha_bar / before)) ** 0.5


def ddim_step(
    x: Tensor, eps: Tensor, alpha_bar: Share, before: Share, eta: float = 0.0, noise: Tensor = None
) -> Tensor:
    """From x_t to x_s, if `eps` is the noise in x_t (Song et al. 2021, arXiv 2010.02502, eq. 12).

    η = 0 adds no noise, so the first noise decides the picture, and the way can be gone in both
    directions: with a `before` smaller than `alpha_bar` the step leads towards the noise. η = 1 is
    a step of DDPM.
    """
    x0 = to_x0("eps", eps, x, alpha_bar)
    sigma = ddim_sigma(alpha_bar, before, eta) if eta else 0.0
    x = before**0.5 * x0 + (1 - before - sigma**2) ** 0.5 * eps
    return x + sigma * noise if eta else x


Predict = Callable[[Tensor, int], Tensor]  # of (x_t, t): ε


def denoise(
    predict: Predict,
    x: Tensor,
    times: Sequence[int],
    alpha_bars: Tensor,
    eta: float = 0.0,
    noise: Callable[[], Tensor] | None = None,
    largest: float | None = None,
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Go back from x at times[0] to a picture; yields (t, x₀ as believed, x) after each step.

    The last x is the picture. `noise` draws fresh noise like x, for η > 0. Values of x₀ beyond
    `largest`, if there is one, are cut off before each step, since no picture has them.
    """
    befores = [float(alpha_bars[t]) for t in times[1:]] + [1.0]  # in the end there is no noise
    for t, before in zip(times, befores):
        alpha_bar, eps = float(alpha_bars[t]), predict(x, t)
        x0 = to_x0("eps", eps, x, alpha_bar)
        if largest is not None:
            x0 = x0.clamp(-largest, largest)
            eps = to_eps("x0", x0, x, alpha_bar)
        x = ddim_step(x, eps, alpha_bar, before, eta, noise() if eta else None)
        yield t, x0, x


def invert(
    predict: Predict, x0: Tensor, times: Sequence[int], alpha_bars: Tensor
) -> Iterator[tuple[int, Tensor]]:
    """DDIM backwards: from a picture to the noise that would be drawn as this picture.

    `times` as in `denoise`; yields (t, x) of each, the noisiest last. A step needs the noise in its
    end; that in its beginning is taken instead, so more steps are more exact.
    """
    x, alpha_bar, upwards = x0, 1.0, list(reversed(times))
    for t, here in zip(upwards, [upwards[0], *upwards]):  # x₀ itself has no time: take the first
        after = float(alpha_bars[t])
        x, alpha_bar = ddim_step(x, predict(x, here), alpha_bar, after), after
        yield t, x


def renoise(x: Tensor, noise: Tensor, alpha_bar: Share, after: Share) -> Tensor:
    """From x_s forward to x_t by fresh noise: q(x_t | x_s), whose ᾱ are `alpha_bar` and `after`.

    Its deviation is √(1 - ᾱ_t/ᾱ_s), so that of the whole becomes √(1 - ᾱ_t) (Lugmayr et al. 2022,
    RePaint, arXiv 2201.09865).
    """
    a, b = roots(after / alpha_bar)
    return a * x + b * noise


# ---- learned variance -------------------------------------------------------------------


def log_variance(fraction: Tensor, alpha_bar: Share, before: Share) -> Tensor:
    """The log variance of a step that a network chose between its two bounds.

    fraction is -1 for that of `posterior` and 1 for β, the variance of the way to noise (Nichol &
    Dhariwal 2021, eq. 15). `before` < 1.
    """
    beta = 1 - alpha_bar / before
    small, large = (math.log(value) for value in (beta * (1 - before) / (1 - alpha_bar), beta))
    f = (fraction + 1) / 2
    return f * large + (1 - f) * small


def step_kl(
    kind: str, predicted: Tensor, fraction: Tensor, x0: Tensor, x: Tensor, alpha_bar: Share,
    before: Share,
) -> Tensor:  # fmt: skip
    """KL(q(x_s | x_t, x₀) ‖ p(x_s | x_t)) in nats, element by element: what teaches the variance.

    Only the fraction gets a gradient, since the simple loss is the better teacher of the mean.
    """
    mean, variance = posterior(x0, x, alpha_bar, before)
    believed = to_x0(kind, predicted.detach(), x, alpha_bar)
    ours, _ = posterior(believed, x, alpha_bar, before)
    log_ours = log_variance(fraction, alpha_bar, before)
    ratio = (math.log(variance) - log_ours).exp()
    return (ratio - 1 - ratio.log() + (mean - ours) ** 2 * (-log_ours).exp()) / 2
