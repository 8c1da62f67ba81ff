"""A judge that reads a picture back into a scene, without CLIP and without the caption.

It compares the picture with every thing of the world at every place. Nothing is learnt: the
templates are the sprites that `painting.draw` paints with, and the reading is the one that
leaves the smallest squared difference (so it is the likeliest one under Gaussian noise).

How: the border tells the background B. What differs from it, J = picture - B, must be made of
sprites; a sprite D at some place explains

    |J|² - |J - D|² = 2 <J, D> - |D|²

of it, for all sprites and places at once a correlation. The sprite that explains most is
taken, everything that would overlap it is ruled out, and so on until nothing is left.

About 150 pictures of 32×32 a second on one core.
"""

from collections.abc import Iterator
from functools import lru_cache
from itertools import permutations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from minidalle.world.painting import sprite
from minidalle.world.scenes import BACKGROUNDS, COLOURS, FILLS, OBJECTS, SHAPES, SIZES, Scene, Thing, canonical

LEAST = 0.4  # a thing counts as seen if it explains this share of its own sprite
UNCLEAR = 0.5  # a picture is unclear if more than this share of it stays unexplained


def read(pictures: np.ndarray) -> list[Scene | None]:
    """The scene in each picture of uint8 (B, H, W, 3), or None where it is not clear."""
    pictures = torch.from_numpy(np.ascontiguousarray(pictures)).float() / 255
    grounds = _backgrounds(pictures)
    seen: list[Scene | None] = [None] * len(pictures)
    for name in set(grounds):
        here = [i for i, ground in enumerate(grounds) if ground == name]
        for chunk in torch.tensor(here).split(32):
            for i, scene in zip(chunk.tolist(), _read_on(pictures[chunk], name)):
                seen[i] = scene
    return seen


def differences(wanted: Scene, seen: Scene | None) -> list[str]:
    """What is wrong with a picture: [] if it is exact, else the attributes that differ.

    >>> red, blue = Thing("star", "red", "filled"), Thing("star", "blue", "filled")
    >>> differences(Scene((red,)), Scene((blue,), background="grey"))
    ['background', 'colour']
    """
    if seen is None:
        return ["unclear"]
    wanted, seen = canonical(wanted), canonical(seen)
    wrong = ["background"] * (wanted.background not in (None, seen.background))
    if len(wanted.things) != len(seen.things):
        return wrong + ["number of things"]
    orders = [
        (sum(map(_wrong_in, wanted.things, order), []), order) for order in permutations(seen.things)
    ]
    attributes, order = min(orders, key=lambda o: len(o[0]))
    moved = wanted.relation != seen.relation or (order != seen.things and _wrong_order(wanted, seen))
    return wrong + ["relation"] * bool(moved) + list(dict.fromkeys(attributes))


def _wrong_in(wanted: Thing, seen: Thing) -> list[str]:
    fields = ("name", "colour", "fill", "size", "count")
    return [field for field in fields if getattr(wanted, field) != getattr(seen, field)]


def _wrong_order(wanted: Scene, seen: Scene) -> bool:
    return any(map(_wrong_in, wanted.things, seen.things))


# ---- reading ----------------------------------------------------------------------------


def _backgrounds(pictures: Tensor) -> list[str]:
    """The background to which most of the border's pixels are nearest, for each picture."""
    edge = torch.cat([pictures[:, 0], pictures[:, -1], pictures[:, :, 0], pictures[:, :, -1]], 1)
    colours = torch.tensor(list(BACKGROUNDS.values())) / 255
    votes = torch.cdist(edge, colours.expand(len(edge), -1, -1)).argmin(-1).mode().values
    return [list(BACKGROUNDS)[v] for v in votes]


@lru_cache(maxsize=None)
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


def _read_on(pictures: Tensor, background: str) -> list[Scene | None]:
    """Read pictures (B, H, W, 3) that have the same background."""
    size = pictures.shape[1]
    things, templates = _templates(background, size)
    largest, smallest = templates.shape[-1], min(side for _, side in things)
    difference = pictures.permute(0, 3, 1, 2) - torch.tensor(BACKGROUNDS[background])[:, None, None] / 255
    room = F.pad(difference, (0, largest - smallest, 0, largest - smallest))
    energy = templates.square().sum((1, 2, 3))
    explained = 2 * F.conv2d(room, templates) - energy[:, None, None]  # (B, n, places, places)
    sides = torch.tensor([side for _, side in things])
    best, which = explained.max(1)  # over things, (B, places, places)
    total = difference.square().sum((1, 2, 3))
    return [
        _assemble(*_pick(best[i], which[i], things, energy, sides), background, float(total[i]))
        for i in range(len(pictures))
    ]


def _pick(best, which, things, energy, sides) -> tuple[list, float]:
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
        found.append((things[thing][0], float(down[place]), float(right[place])))
        explained += float(best[place])
        distance = torch.maximum((down - down[place]).abs(), (right - right[place]).abs())
        best[distance < 0.95 * (side + side[place]) / 2] = -1  # it would overlap
    return found, explained


def _assemble(found: list, explained: float, background: str, total: float) -> Scene | None:
    """Make a scene of the things found and where they lie."""
    if not found or total - explained > UNCLEAR * total:
        return None
    things = [thing for thing, _, _ in found]
    if len(set(things)) == 1:
        one = things[0]
        return Scene((Thing(one.name, one.colour, one.fill, one.size, len(found)),), None, background)
    downs, rights = [down for _, down, _ in found], [right for _, _, right in found]
    stacked = max(downs) - min(downs) > max(rights) - min(rights)
    ordered = sorted(found, key=lambda f: f[1] if stacked else f[2])
    relation = "above" if stacked else "to the left of"
    return Scene(tuple(thing for thing, _, _ in ordered), relation, background)
