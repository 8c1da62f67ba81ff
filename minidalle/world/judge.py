"""A judge that reads a picture back into a scene, without CLIP and without the caption.

A drawing is *exact* if three things hold:

    reading   the scene read from it is the one that was asked for, attribute by attribute;
    worst     when that scene is painted again, at the places where it was found, no patch of the
              picture differs much from the repainting: no corner is missing, nothing is smeared;
    detail    the picture has most of the detail of the repainting: it is not merely blurred.

How it reads: nothing is learnt, the templates are the sprites that `painting.paint` paints with.
The border tells the background B. What differs from it, J = picture - B, must be made of
sprites; a sprite D at some place explains

    |J|² - |J - D|² = 2 <J, D> - |D|²

of it, for all sprites and places at once a correlation. The sprite that explains most is
taken, everything that would overlap it is ruled out, and so on until nothing is left. Both J and
D are softened first, so that a thin line half a pixel off is still recognised: the reading may
be generous, as the repainting is then compared strictly.

About 130 pictures of 32×32 a second on one core.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import permutations
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from minidalle.world.painting import SQUARES, sprite
from minidalle.world.scenes import (
    BACKGROUNDS,
    COLOURS,
    FILLS,
    OBJECTS,
    SHAPES,
    SIZES,
    Scene,
    Thing,
    canonical,
)  # fmt: skip

LEAST = 0.3  # a thing counts as seen if it explains this share of its own sprite
UNCLEAR = 0.4  # a picture is unclear if more than this share of it stays unexplained
PLAUSIBLE = 0.2  # a colour that this share of the border has may be the background


@dataclass(frozen=True)
class Limits:
    """How far a picture may be from the repainting of what was read from it."""

    worst: float  # at most this, see `_worst`
    detail: float  # at least this, see `_detail`


# Real pictures of 32×32, sent through the dVAE that is shipped, set these limits: one in two
# hundred has a worse patch, and one in a hundred has less detail. They are constants, so that a
# weaker dVAE does not get laxer ones. Made by
# `minidalle evaluate --preset tiny --split limits --captions 10000`.
LIMITS = Limits(worst=0.883, detail=0.290)


@dataclass(frozen=True)
class Reading:
    """What is seen in a picture, and how near the picture is to the repainting of it."""

    scene: Scene | None  # None: it is not clear
    places: tuple[tuple[int, int, int], ...] = ()  # (top, left, side) of each thing, in pixels
    worst: float = float("inf")  # 0 in a picture that is its repainting
    detail: float = 0.0  # 1 in a picture that is its repainting


def examine(pictures: np.ndarray) -> list[Reading]:
    """Read each picture of uint8 (B, H, W, 3), and compare it with the repainted reading."""
    floats = torch.from_numpy(np.ascontiguousarray(pictures)).float().permute(0, 3, 1, 2) / 255
    best = [(float("inf"), Reading(None))] * len(floats)
    for background, here in _backgrounds(floats).items():
        for chunk in here.split(32):
            for i, found in zip(chunk.tolist(), _read_on(floats[chunk], background)):
                best[i] = min(best[i], found, key=lambda f: f[0])
    return [reading for _, reading in best]


def read(pictures: np.ndarray) -> list[Scene | None]:
    """The scene in each picture of uint8 (B, H, W, 3), or None where it is not clear."""
    return [reading.scene for reading in examine(pictures)]


def exact(wanted: Scene, pictures: np.ndarray, limits: Limits = LIMITS) -> list[bool]:
    """For each picture of uint8 (B, H, W, 3): is it what was asked for, and well drawn?"""
    return [not faults(wanted, reading, limits) for reading in examine(pictures)]


def faults(wanted: Scene, seen: Reading, limits: Limits = LIMITS) -> list[str]:
    """What is wrong with a picture: [] if it is exact, else `differences`, "smeared", "blurred".

    >>> faults(Scene((Thing("owl"),)), Reading(Scene((Thing("owl"),)), worst=0.0, detail=0.1))
    ['blurred']
    """
    wrong = differences(wanted, seen.scene)
    if seen.scene is not None:
        wrong += ["smeared"] * (seen.worst > limits.worst)
        wrong += ["blurred"] * (seen.detail < limits.detail)
    return wrong


def differences(wanted: Scene, seen: Scene | None) -> list[str]:
    """What is wrong with a scene: [] if it is the one wanted, else the attributes that differ.

    >>> red, blue = Thing("star", "red", "filled"), Thing("star", "blue", "filled")
    >>> differences(Scene((red,), background="white"), Scene((blue,), background="grey"))
    ['background', 'colour']
    """
    if seen is None:
        return ["unclear"]
    wanted, seen = canonical(wanted), canonical(seen)
    wrong = ["background"] * (wanted.background not in (None, seen.background))
    if len(wanted.things) != len(seen.things):
        return wrong + ["number of things"]
    orders = [
        (sum(map(_wrong_in, wanted.things, order), []), order)
        for order in permutations(seen.things)
    ]
    attributes, order = min(orders, key=lambda o: len(o[0]))
    moved = order != seen.things and _wrong_order(wanted, seen)
    moved = moved or wanted.relation != seen.relation
    return wrong + ["relation"] * bool(moved) + list(dict.fromkeys(attributes))


def _wrong_in(wanted: Thing, seen: Thing) -> list[str]:
    fields = ("name", "colour", "fill", "size", "count")
    return [field for field in fields if getattr(wanted, field) != getattr(seen, field)]


def _wrong_order(wanted: Scene, seen: Scene) -> bool:
    return any(map(_wrong_in, wanted.things, seen.things))


# ---- reading ----------------------------------------------------------------------------


class Found(NamedTuple):
    """A thing that was seen, and the square in which it stands, in pixels."""

    thing: Thing
    top: int
    left: int
    side: int
    template: int  # its number

    @property
    def middle(self) -> tuple[float, float]:
        """How far it is down and to the right."""
        return self.top + self.side / 2, self.left + self.side / 2


def _backgrounds(pictures: Tensor) -> dict[str, Tensor]:
    """Each background, and which of the pictures (B, 3, H, W) may have it, by their borders."""
    edges = pictures[:, :, 0], pictures[:, :, -1], pictures[..., 0], pictures[..., -1]
    edge = torch.cat(edges, 2).transpose(1, 2)  # (B, pixels, 3)
    colours = torch.tensor(list(BACKGROUNDS.values())) / 255
    nearest = torch.cdist(edge, colours.expand(len(edge), -1, -1)).argmin(-1)
    shares = F.one_hot(nearest, len(colours)).float().mean(1)  # (B, backgrounds)
    may = shares >= PLAUSIBLE
    return {name: may[:, i].nonzero()[:, 0] for i, name in enumerate(BACKGROUNDS)}


def _soften(pictures: Tensor) -> Tensor:
    """Each pixel mixed with its neighbours, (1 2 1) / 4 across and down, with zeros around."""
    kernel = torch.tensor([1.0, 2.0, 1.0]) / 4
    kernel = (kernel[:, None] * kernel).expand(3, 1, 3, 3)
    return F.conv2d(pictures, kernel, padding=1, groups=3)


@cache
def _templates(background: str, image_size: int) -> tuple[list[tuple[Thing, int]], Tensor]:
    """Every thing at every size, and what it adds to the background: (n, 3, side, side)."""
    things, sprites = [], []
    ground = np.float32(BACKGROUNDS[background])
    for thing, side in _every_look(image_size):
        colour, cover = sprite(thing.name, thing.colour, thing.fill, side)
        things.append((thing, side))
        sprites.append(torch.from_numpy(colour - cover * ground).permute(2, 0, 1) / 255)
    largest = max(side for _, side in things)
    padded = [F.pad(s, (0, largest - s.shape[2], 0, largest - s.shape[1])) for s in sprites]
    return things, torch.stack(padded)


def _every_look(image_size: int) -> Iterator[tuple[Thing, int]]:
    """Each thing in each colour, fill and size, and how many pixels a side it has."""
    shares = (1, 0.75) if image_size >= 64 else (1,)
    for size, pixels in SIZES.items():
        for side in [round(pixels * image_size / 32 * share) for share in shares]:
            for name in SHAPES:
                yield from ((Thing(name, c, f, size), side) for c in COLOURS for f in FILLS)
            yield from ((Thing(name, size=size), side) for name in OBJECTS)


def _read_on(pictures: Tensor, background: str) -> Iterator[tuple[float, Reading]]:
    """Read pictures (B, 3, H, W) on a background; each with what the reading leaves unexplained."""
    things, templates = _templates(background, pictures.shape[-1])
    ground = torch.tensor(BACKGROUNDS[background])[:, None, None] / 255
    sides = torch.tensor([side for _, side in things])
    soft = _soften(F.pad(templates, (1, 1, 1, 1)))
    room = int(sides.max() - sides.min())
    difference = _soften(F.pad(pictures - ground, (1, 1 + room, 1, 1 + room)))
    energy = soft.square().sum((1, 2, 3))
    explained = 2 * F.conv2d(difference, soft) - energy[:, None, None]  # (B, n, places, places)
    best, which = explained.max(1)  # over things, (B, places, places)
    total = difference.square().sum((1, 2, 3))
    for i, picture in enumerate(pictures):
        found, share = _pick(best[i], which[i], things, energy, sides)
        added = _repaint(found, templates, picture)
        left = float((picture - ground - added).square().sum())
        if share > (1 - UNCLEAR) * float(total[i]):
            near = _worst(picture - ground, added), _detail(picture - ground, added)
            yield left, Reading(*_assemble(found, background), *near)
        else:
            yield left, Reading(None)


def _pick(best, which, things, energy, sides) -> tuple[list[Found], float]:
    """The things that explain most, at most four and not too near each other."""
    found, explained, best = [], 0.0, best.clone()
    side = sides[which]  # of the best thing at each place, (places, places)
    down = torch.arange(len(best))[:, None] + side / 2  # where its middle is
    right = torch.arange(len(best)) + side / 2
    while len(found) < 4:
        place = divmod(int(best.argmax()), len(best))
        thing = int(which[place])
        if best[place] < LEAST * energy[thing]:
            break
        found.append(Found(things[thing][0], *place, things[thing][1], thing))
        explained += float(best[place])
        distance = torch.maximum((down - down[place]).abs(), (right - right[place]).abs())
        best[distance < 0.95 * (side + side[place]) / 2] = -1  # it would overlap
    return found, explained


def _assemble(found: list[Found], background: str) -> tuple[Scene, tuple]:
    """Make a scene of the things found and where they lie."""
    downs, rights = zip(*(f.middle for f in found))
    stacked = max(downs) - min(downs) > max(rights) - min(rights)
    found = sorted(found, key=lambda f: f.middle[0] if stacked else f.middle[1])
    things, places = tuple(f.thing for f in found), tuple((f.top, f.left, f.side) for f in found)
    if len(set(things)) == 1:
        return Scene((replace(things[0], count=len(found)),), None, background), places
    return Scene(things, "above" if stacked else "to the left of", background), places


# ---- comparing with the repainting ------------------------------------------------------


def _repaint(found: list[Found], templates: Tensor, like: Tensor) -> Tensor:
    """What the things found add to the background: (3, H, W)."""
    added = torch.zeros_like(like)
    for thing in found:
        place = added[:, thing.top : thing.top + thing.side, thing.left : thing.left + thing.side]
        place += templates[thing.template, :, : place.shape[1], : place.shape[2]]
    return added


def _worst(seen: Tensor, repainted: Tensor) -> float:
    """The largest squared difference of a patch, relative to what a dVAE may be forgiven there.

    Picture and repainting are (3, H, W), from 0 to 1, both less the background.
    A patch is a square of the paper on which things stand, 4×4 of 32×32 pixels. A dVAE errs at
    edges, less where a thing differs from the background, and little on the background itself.
    """
    difference = (seen - repainted).square().mean(0)
    edges, contrast = _fine(repainted).square().mean(0), repainted.square().mean(0)
    forgiven = edges + 0.2 * contrast + 0.01
    patch = len(difference) // SQUARES
    each = [F.avg_pool2d(x[None], patch) for x in (difference, forgiven)]
    return float((each[0] / each[1]).max())


def _detail(seen: Tensor, repainted: Tensor) -> float:
    """How much of the repainting's detail the picture has: 1 all of it, 0 none.

    The detail is what a 3×3 blur takes away; blurred like that, a picture keeps a sixth of it.
    """
    fine = _fine(repainted)
    return float((_fine(seen) * fine).sum() / fine.square().sum())


def _fine(picture: Tensor) -> Tensor:
    """A picture (3, H, W) less its 3×3 blur."""
    around = F.pad(picture[None], (1, 1, 1, 1), mode="replicate")
    return picture - F.avg_pool2d(around, 3, stride=1)[0]
