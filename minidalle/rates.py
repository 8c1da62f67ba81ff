"""What the figures of evaluate.py and understanding.py are made of: rates and their errors."""

import math
from collections import Counter

import numpy as np
import torch
from torch import Tensor, nn

from minidalle.datasets import to_tensor
from minidalle.plots import to_uint8

Figures = dict[str, float]


def mean(name: str, values) -> Figures:
    """The mean of the values, one for each caption, and its standard error, if there are several.

    Of no values, as where no caption fits the question, there is no mean: {}.

    >>> mean("heads", [1, 0, 1, 0])
    {'heads': 0.5, 'heads ±': 0.28867513459481287}
    """
    values = np.asarray(values, float)
    if not len(values):
        return {}
    found = {name: float(values.mean())}
    if len(values) > 1:
        found[f"{name} ±"] = float(values.std(ddof=1) / math.sqrt(len(values)))
    return found


def entropy(outcomes: list) -> float:
    """How varied the outcomes are, in bits: log₂ k if k are equally frequent.

    A small sample looks less varied than what it was drawn from; Miller and Madow's (1955)
    correction adds what is missing on average.

    >>> entropy(["left"] * 8)
    0.0
    """
    counts = np.array(list(Counter(outcomes).values()))
    p = counts / counts.sum()
    correction = (len(p) - 1) / (2 * counts.sum() * math.log(2))
    return float(-(p * np.log2(p)).sum() + correction)


def psnr(pictures: Tensor, originals: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each picture (B, 3, H, W) in [0, 1], in dB: (B,)."""
    return -10 * (pictures - originals).square().mean((1, 2, 3)).log10()


def gradient(pictures: Tensor) -> Tensor:
    """The mean squared difference of neighbouring pixels of (B, 3, H, W): (B,)."""
    across, down = pictures.diff(dim=3).square(), pictures.diff(dim=2).square()
    return across.mean((1, 2, 3)) + down.mean((1, 2, 3))


@torch.no_grad()
def through(dvae: nn.Module, pictures: np.ndarray) -> np.ndarray:
    """Encode and decode pictures, uint8 (B, H, W, 3)."""
    device = next(dvae.parameters()).device
    chunks = [chunk.to(device) for chunk in to_tensor(pictures).split(64)]
    decoded = [to_uint8(dvae.decode(dvae.encode(chunk))).cpu() for chunk in chunks]
    return torch.cat(decoded).numpy()


def favourites(order: np.ndarray, n: int) -> np.ndarray:
    """CLIP's favourite among the first n candidates of each caption, from its order of all.

    order (captions, candidates), best first → (captions,)

    >>> favourites(np.array([[2, 0, 1], [0, 1, 2]]), 2)
    array([0, 0])
    """
    return np.take_along_axis(order, (order < n).argmax(1)[:, None], 1)[:, 0]


def summary(exact: np.ndarray, read: np.ndarray, order: np.ndarray, judged: int) -> Figures:
    """Rates of drawings, and of CLIP's favourite among the first n; each (captions, candidates).

    exact: which are right in every respect; read: in what they show; order: CLIP's, best first.
    Single samples are the first `judged` candidates. Of the others only favourites need be judged.
    """
    count, captions = exact.shape[1], np.arange(len(exact))
    first = exact[:, :judged]
    figures = mean("single samples", first.mean(1))
    figures |= mean("single samples, reading only", read[:, :judged].mean(1))
    picked = {n: exact[captions, favourites(order, n)] for n in powers(count)}
    for n, right in picked.items():
        figures |= mean(f"best of {n}", right)
    figures |= mean(f"any of {first.shape[1]}", first.any(1))
    most = max(picked)
    if most > 8:  # the same captions: their differences vary less than either rate
        figures |= mean(f"best of {most} - best of 8", picked[most].astype(float) - picked[8])
    return figures


def powers(count: int) -> list[int]:
    """The powers of two up to `count`.

    >>> powers(12)
    [1, 2, 4, 8]
    """
    return [2**i for i in range(count.bit_length())]
