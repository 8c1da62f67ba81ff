"""The judge of the abilities: it reads a picture back into facts, without CLIP or the caption.

How it reads: it guesses the facts, paints them, and compares. Beginning anywhere, it tries every
value of one field after the other, keeps the few guesses that come nearest the picture, and
goes through the fields again until nothing improves; if that is not near enough, it tries two
fields together. Nothing is learnt; whoever can paint can read.
If part of the picture was given, only what was drawn is compared.

A drawing is *exact* as in `judge.py`: the facts that the caption says are those that were read,
and the picture is near the painting of them: no patch differs much, and the detail is there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, product
from math import prod

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from minidalle.world.ability import Ability, Facts

GUESSES = 2  # from which every value of a field is tried, at least
OPTIONS = 60  # as many more guesses as give this many options, if a field has few values
ROUNDS = 4  # through all fields, at most
NEAR = 0.003  # mean squared error; two fields are changed together if a guess is no nearer
TOGETHER = 500  # values of two fields, at most
PATCH = 4  # pixels a side of 64


@dataclass(frozen=True)
class Limits:
    """How far a picture may be from the painting of what was read in it."""

    worst: float  # at most this
    detail: float  # at least this


# Real pictures of 64×64, sent through the dVAE of small, set these limits, as in `judge.py`.
# Made by `minidalle evaluate --split "ability limits" --captions 1000`.
LIMITS = {
    "attributes": Limits(1.151, 0.396),
    "outlines": Limits(1.176, 0.418),
    "habits": Limits(3.165, 0.309),
    "outfits": Limits(0.816, 0.656),
    "relations": Limits(1.212, 0.271),
    "rows": Limits(1.895, 0.241),
    "stacks": Limits(0.420, 0.860),
    "numbers": Limits(1.247, 0.134),
    "chairs": Limits(1.727, 0.506),
    "materials": Limits(1.403, 0.250),
    "halves": Limits(1.848, 0.505),
    "walks": Limits(1.286, 0.559),
    "eras": Limits(1.535, 0.301),
    "views": Limits(1.586, 0.279),
    "dishes": Limits(1.375, 0.424),
    "daylight": Limits(1.548, 0.215),
    "rooms": Limits(0.555, 0.785),
    "words": Limits(0.538, 0.902),
    "copies": Limits(1.260, 0.132),
    "matrices": Limits(1.100, 0.182),
}


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
    limits = limits or LIMITS.get(ability.name)
    if limits is None:
        raise ValueError(f"the judge of {ability.name} has no limits yet: see `reader.LIMITS`")
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
    size, seen = len(picture), _coarse(_read_part(ability, picture))
    fields = [*ability.free, *ability.fields]
    guesses = [ability.canonical(start) for start in ability.starts]

    def error(settled: tuple) -> float:
        return _error(ability, settled, size, seen)

    guesses = _search(ability, guesses, fields, error)
    if error(_key(guesses[0])) > NEAR * seen.size:  # perhaps two guesses are wrong together
        for pair in combinations(fields, 2):
            if prod(len(ability.choices(field)) for field in pair) <= TOGETHER:
                guesses = _try(ability, guesses[:1], pair, error)
        guesses = _search(ability, guesses[:1], fields, error)
    painted = ability.paint(guesses[0], size)
    drawn, right = _drawn(ability, picture), _drawn(ability, painted)
    return Reading(guesses[0], *compare(drawn, right, patch=PATCH * size // 64))


def _search(
    ability: Ability, guesses: list[Facts], fields: list[str], error: Callable
) -> list[Facts]:
    """Guesses, the best first, that no change of one field makes better."""
    for _ in range(ROUNDS):
        before = guesses[0]
        for field in fields:
            few = OPTIONS // len(ability.choices(field))
            guesses = _try(ability, guesses[: max(GUESSES, few)], (field,), error)
        if guesses[0] == before:
            break
    return guesses


def _try(
    ability: Ability, guesses: list[Facts], fields: tuple[str, ...], error: Callable
) -> list[Facts]:
    """The guesses with every value of these fields, the best first."""
    options = {}
    for guess in guesses:
        for values in product(*map(ability.choices, fields)):
            option = guess | dict(zip(fields, values))
            option = ability.canonical({k: v for k, v in option.items() if v is not None})
            options[_key(option)] = option
    valid = [key for key, option in options.items() if ability.can_paint(option)]
    return [options[key] for key in sorted(valid, key=error)]


def _key(facts: Facts) -> tuple:
    return tuple(sorted(facts.items()))


def _read_part(ability: Ability, picture: np.ndarray) -> np.ndarray:
    """All of a picture; of a puzzle, whose given part would tell the answer, what was drawn."""
    return _drawn(ability, picture) if ability.given else picture


def _drawn(ability: Ability, picture: np.ndarray) -> np.ndarray:
    """The part of a picture that was not given."""
    top, left = (side * len(picture) // 64 for side in ability.box or (0, 0))
    return picture[top:, left:]


def _error(ability: Ability, settled: tuple, size: int, seen: np.ndarray) -> float:
    difference = (_coarse_painting(ability, settled, size) - seen).ravel()
    return float(difference @ difference)


@lru_cache(maxsize=10_000)
def _coarse_painting(ability: Ability, settled: tuple, size: int) -> np.ndarray:
    return _coarse(_read_part(ability, ability.paint(dict(settled), size)))


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
