"""Edits, variations, and ways from one picture to another.

All of them use a trained decoder as it is. What a picture *means* is its embedding; everything else
about it, such as the place of each thing, is the noise that DDIM inversion finds (Ramesh et al.
2022, section 3). B batch, E size of CLIP's space, T text tokens.
"""

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from minidalle.clip import CLIP
from minidalle.dalle2 import diffusion, meaning
from minidalle.dalle2.decoder import Decoder, drawn_from, noise_in

CLEAR = 0.97  # inversion begins where ᾱ is no larger


@torch.no_grad()
def redraw(
    decoder: Decoder,
    pictures: Tensor,
    mask: Tensor,
    embedding: Tensor | None,
    text: Tensor | None,
    generators: list[Generator],
    steps: int = 25,
    guidance: float = 2.0,
    resamples: int = 4,
) -> Tensor:
    """Draw the masked part of pictures (B, 3, H, W) in [0, 1] anew; the rest stays as it is.

    mask (B, 1, H, W) bool: True where to draw. At every time the known pixels are put in, as noisy
    as they would be then, and the step is repeated `resamples` times, so that the new part can
    adapt to the old (Lugmayr et al. 2022, RePaint, algorithm 1). Best told the caption of the whole
    picture alone: an embedding that the prior has drawn places things where they are not.
    """
    known = 2 * pictures - 1
    predict = noise_in(decoder, embedding, text, guidance)

    def noise() -> Tensor:
        return diffusion.noise_of(generators, known.shape[1:], known)

    times = diffusion.times_of(steps, decoder.config.times)
    shares = [float(decoder.alpha_bars[t]) for t in times] + [1.0]
    x = noise()
    for t, alpha_bar, before in zip(times, shares, shares[1:]):
        for i in range(resamples):
            eps = predict(x, t)
            x0 = diffusion.to_x0("eps", eps, x, alpha_bar).clamp(-1, 1)
            eps = diffusion.to_eps("x0", x0, x, alpha_bar)
            x = diffusion.ddim_step(x, eps, alpha_bar, before, 1.0, noise())
            x = torch.where(mask, x, diffusion.q_sample(known, noise(), before))
            if before == 1:
                break
            if i + 1 < resamples:
                x = diffusion.renoise(x, noise(), before, alpha_bar)
    return torch.where(mask, (x + 1) / 2, pictures).clamp(0, 1)


@torch.no_grad()
def inverted(
    decoder: Decoder,
    pictures: Tensor,
    embedding: Tensor | None,
    text: Tensor | None,
    steps: int = 50,
) -> Tensor:
    """The noise (B, 3, H, W) from which the decoder would draw these pictures.

    The noise in a picture that has none yet cannot be predicted well, so the first times are left
    out: they hold no more than the last detail.
    """
    predict = noise_in(decoder, embedding, text)
    all_times = diffusion.times_of(steps, decoder.config.times)
    times = [t for t in all_times if decoder.alpha_bars[t] <= CLEAR]
    *_, (_, x) = diffusion.invert(predict, 2 * pictures - 1, times, decoder.alpha_bars)
    return x


@torch.no_grad()
def variations(
    clip: CLIP,
    decoder: Decoder,
    picture: Tensor,
    generators: list[Generator],
    eta: float = 1.0,
    steps: int = 50,
) -> Tensor:
    """Other pictures of what a picture (3, H, W) means, one from each generator: (B, 3, H, W).

    With η = 0 each is the picture itself; the larger η, the less of its accidents is kept.
    """
    alike = picture.expand(len(generators), -1, -1, -1)
    embedding = meaning.look(clip, picture[None]).expand(len(generators), -1)
    noise = inverted(decoder, alike, embedding, None, steps)
    return drawn_from(decoder, noise, embedding, None, generators, steps, eta=eta)


@torch.no_grad()
def between(
    clip: CLIP, decoder: Decoder, first: Tensor, second: Tensor, count: int, steps: int = 50
) -> Tensor:
    """Pictures on the way from one (3, H, W) to another, both included: (count, 3, H, W).

    Both what they mean and their noise go along great circles (section 3.2).
    """
    pictures = torch.stack([first, second])
    embedding = meaning.look(clip, pictures)
    noise = inverted(decoder, pictures, embedding, None, steps)
    shares = [i / max(1, count - 1) for i in range(count)]
    along = torch.stack([slerp(embedding[0], embedding[1], share) for share in shares])
    flat = noise.flatten(1)
    noises = torch.stack([slerp(flat[0], flat[1], share) for share in shares])
    return drawn_from(decoder, noises.view(count, *first.shape), along, None, steps=steps)


def slerp(a: Tensor, b: Tensor, share: float) -> Tensor:
    """The point at a share of the way from a to b (…, E) along a great circle, not a chord.

    Halfway along a chord two noises would have √½ of the length that noise has.

    >>> a, b = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    >>> slerp(a, b, 1 / 3)
    tensor([0.8660, 0.5000])
    """
    cosine = F.cosine_similarity(a, b, dim=-1).clamp(-1 + 1e-6, 1 - 1e-6)[..., None]
    angle = cosine.acos()
    return (((1 - share) * angle).sin() * a + (share * angle).sin() * b) / angle.sin()


def text_diff(embedding: Tensor, before: Tensor, after: Tensor, share: float) -> Tensor:
    """Turn an embedding (B, E) of a picture as its caption was changed (section 3.3).

    before, after (B, E): embeddings of the caption that describes the picture and of another one;
    where CLIP's captions lie elsewhere than its pictures, what a prior draws for them from the same
    noise. The share of the way to their difference; the paper goes as far as a quarter to a half.
    """
    return slerp(embedding, F.normalize(after - before, dim=-1), share)


def angle_between(a: Tensor, b: Tensor) -> Tensor:
    """In degrees, of (…, E): (…)."""
    return F.cosine_similarity(a, b, dim=-1).clamp(-1, 1).acos() * 180 / math.pi
