"""The judge of the abilities: it reads a picture back into facts, without CLIP or the caption.

How it reads: it guesses the facts, paints them, and compares. Beginning anywhere, it tries every
value of one field after the other, keeps the few guesses that come nearest the picture, and
goes through the fields again until nothing improves. Nothing is learnt; whoever can paint can read.
If part of the picture was given, only what was drawn is read and compared.

A drawing is *exact* as in `judge.py`: the facts that the caption says are those that were read,
and the picture is near the painting of them: no patch differs much, and the detail is there.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from minidalle.world.ability import Ability, Facts

GUESSES = 2  # from which every value of a field is tried, at least
OPTIONS = 60  # as many more guesses as give this many options, if a field has few values
ROUNDS = 4  # through all fields, at most
PATCH = 4  # pixels a side of 64


@dataclass(frozen=True)
class Limits:
    """How far a picture may be from the painting of what was read in it."""

    worst: float  # at most this
    detail: float  # at least this


# Real pictures of 64×64, sent through the dVAE of small, set these limits, as in `judge.py`.
# Made by `minidalle evaluate --preset small --split "ability limits" --captions 2000`.
LIMITS: dict[str, Limits] = {}


@dataclass(frozen=True)
class Reading:
    """What is seen in a picture, and how near the picture is to a painting of it."""

    facts: Facts  # everything: also what a caption may leave open
    worst: float  # difference of the worst patch; 0 in a picture that is its painting
    detail: float  # 1 in a picture that is its painting


def examine(ability: Ability, pictures: np.ndarray) -> list[Reading]:
    """Read each picture of uint8 (B, size, size, 3), and compare it with its painting."""
    return [_read(ability, picture) for picture in pictures]


def faults(
    ability: Ability, wanted: Facts, seen: Reading, limits: Limits | None = None
) -> list[str]:
    """What is wrong: [] if the drawing is exact, else fields, "smeared" or "blurred"."""
    limits = limits or LIMITS[ability.name]
    wrong = differences(ability, wanted, seen.facts)
    wrong += ["smeared"] * (seen.worst > limits.worst)
    return wrong + ["blurred"] * (seen.detail < limits.detail)


def differences(ability: Ability, wanted: Facts, seen: Facts) -> list[str]:
    """The fields in which a picture differs from its caption; what is left open cannot."""
    fields = [*ability.fields, *(field for field in ability.free if field in wanted)]
    wanted, seen = ability.canonical(wanted), ability.canonical(seen)
    return [field for field in fields if wanted.get(field) != seen.get(field)]


# ---- reading ----------------------------------------------------------------------------


def _read(ability: Ability, picture: np.ndarray) -> Reading:
    size, seen = len(picture), _coarse(_drawn(ability, picture))
    guesses = [ability.canonical(start) for start in ability.starts]
    for _ in range(ROUNDS):
        before = guesses[0]
        for field in [*ability.free, *ability.fields]:
            options, values = {}, ability.choices(field)
            for guess in guesses[: max(GUESSES, OPTIONS // len(values))]:
                for value in values:
                    option = {k: v for k, v in guess.items() if k != field}
                    option |= {} if value is None else {field: value}
                    option = ability.canonical(option)
                    options[tuple(sorted(option.items()))] = option
            valid = [key for key, option in options.items() if ability.can_paint(option)]
            errors = {key: _error(ability, key, size, seen) for key in valid}
            guesses = [options[key] for key in sorted(valid, key=errors.get)]
        if guesses[0] == before:
            break
    painted = ability.paint(guesses[0], size)
    pair = _drawn(ability, picture), _drawn(ability, painted)
    return Reading(guesses[0], *compare(*pair, patch=PATCH * size // 64))


def _drawn(ability: Ability, picture: np.ndarray) -> np.ndarray:
    """The part of a picture that was not given."""
    top, left = (side * len(picture) // 64 for side in ability.box or (0, 0))
    return picture[top:, left:]


def _error(ability: Ability, settled: tuple, size: int, seen: np.ndarray) -> float:
    difference = (_coarse_painting(ability, settled, size) - seen).ravel()
    return float(difference @ difference)


@lru_cache(maxsize=10_000)
def _coarse_painting(ability: Ability, settled: tuple, size: int) -> np.ndarray:
    return _coarse(_drawn(ability, ability.paint(dict(settled), size)))


def _coarse(picture: np.ndarray) -> np.ndarray:
    """Means of 2×2 pixels, so that an edge half a pixel off counts little: from 0 to 1."""
    rows = picture[0::2].astype(np.float32) + picture[1::2]
    return (rows[:, 0::2] + rows[:, 1::2]) / (4 * 255)


# ---- comparing --------------------------------------------------------------------------


def compare(picture: np.ndarray, painted: np.ndarray, patch: int) -> tuple[float, float]:
    """How far the worst patch of a picture is from its painting, and how much detail it has.

    A patch is that many pixels a side.

    The difference of a patch, squared, is relative to what a dVAE may be forgiven there: it errs
    at edges, less on an even thing, and little on the background, which is the commonest colour.
    """
    seen, right = (
        torch.from_numpy(p.copy()).float().permute(2, 0, 1) / 255 for p in (picture, painted)
    )
    ground = right.flatten(1).median(1).values[:, None, None]
    fine = _fine(right)
    forgiven = fine.square().mean(0) + 0.2 * (right - ground).square().mean(0) + 0.01
    difference = (seen - right).square().mean(0)
    each = [F.avg_pool2d(x[None], patch) for x in (difference, forgiven)]
    worst = float((each[0] / each[1]).max())
    return worst, float((_fine(seen) * fine).sum() / fine.square().sum())


def _fine(picture: Tensor) -> Tensor:
    """A picture (3, H, W) less its 3×3 blur."""
    around = F.pad(picture[None], (1, 1, 1, 1), mode="replicate")
    return picture - F.avg_pool2d(around, 3, stride=1)[0]
