"""From a scene to its picture.

A `Scene` says what there is; `arrange` decides where each thing stands and what else is left open,
and `paint_at` computes the pixels. A thing stands on squared paper, so that a small autoencoder,
which sees a picture in patches, meets it in few guises.

Several thousand pictures of 32×32 a second on one core: each thing is painted once, eight times
too large, averaged down to its size (that is the anti-aliasing) and kept.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache, lru_cache
from random import Random

import numpy as np

from minidalle.world import objects
from minidalle.world.emoji import OBJECTS, EmojiPack, load_pack, object_sprite
from minidalle.world.scenes import BACKGROUNDS, COLOURS, RELATIONS, SHAPES, SIZES, Scene, Thing

SQUARES = 8  # of the paper, a side
_pack = lru_cache(load_pack)


@cache
def _large_pack() -> EmojiPack:
    """The same with pictures of 64×64."""
    return replace(_pack(), pixels=objects.pixels())


def paint(scene: Scene, rng: Random, image_size: int = 32) -> np.ndarray:
    """Paint a scene; `rng` says where in its region each thing stands, and what is left open.

    Returns uint8 (image_size, image_size, 3). Raises ValueError where three things are asked
    of a picture under 64 pixels a side: they would be too small to tell apart.
    """
    return paint_at(*arrange(scene, rng, image_size), image_size)


def arrange(scene: Scene, rng: Random, image_size: int = 32) -> tuple[Scene, tuple]:
    """Decide what the scene leaves open: its background, and (top, left, side) of each thing."""
    if scene.background is None:
        coloured = [thing.colour for thing in scene.things]
        scene = replace(scene, background=rng.choice([b for b in BACKGROUNDS if b not in coloured]))
    if len(scene.things) > 2 and image_size < 64:
        raise ValueError("three things need a picture of at least 64×64 pixels")
    places, square = [], image_size / SQUARES
    for thing, (top, left, height, width) in _regions(scene):
        share = 0.75 if len(scene.things) > 2 else 1
        side = round(SIZES[thing.size] * image_size / 32 * share)
        top = round(image_size * top + _stand(side, image_size * height, square, rng))
        left = round(image_size * left + _stand(side, image_size * width, square, rng))
        places.append((top, left, side))
    return scene, tuple(places)


def paint_at(
    scene: Scene, places: tuple[tuple[int, int, int], ...], image_size: int = 32, zoom: int = 1
) -> np.ndarray:
    """The picture of a scene whose things stand at these places, uint8 (size, size, 3).

    With `zoom`, the same picture that many times as large, with the finer detail that it then has.
    """
    canvas = np.empty((zoom * image_size, zoom * image_size, 3), np.float32)
    canvas[:] = BACKGROUNDS[scene.background]
    for (thing, _), place in zip(_regions(scene), places):
        colour, cover = sprite(thing.name, thing.colour, thing.fill, place[2], zoom)
        top, left, side = (zoom * pixels for pixels in place)
        patch = canvas[top : top + side, left : left + side]
        patch *= 1 - cover
        patch += colour
    return (canvas + 0.5).astype(np.uint8)


def _stand(side: int, room: float, square: float, rng: Random) -> float:
    """Where in `room` pixels a thing begins: a whole number of squares, plus half its margin."""
    box = min(room, -(-side // square) * square)
    return square * rng.randint(0, int((room - box) // square)) + (box - side) / 2


def square_of(place: tuple[int, int, int], image_size: int = 32) -> tuple[int, int]:
    """On which square of the paper a thing stands, even if it is a pixel off: (down, right)."""
    top, left, side = place
    square = image_size / SQUARES
    margin = (-(-side // square) * square - side) / 2
    return round((top - margin) / square), round((left - margin) / square)


# The regions of 1, 2, 3 or 4 equal things: (top, left, height, width) in shares of the side.
_COUNTED = {
    1: [(1 / 8, 1 / 8, 3 / 4, 3 / 4)],
    2: [(1 / 4, 0, 1 / 2, 1 / 2), (1 / 4, 1 / 2, 1 / 2, 1 / 2)],
    3: [(0, 1 / 4, 1 / 2, 1 / 2), (1 / 2, 0, 1 / 2, 1 / 2), (1 / 2, 1 / 2, 1 / 2, 1 / 2)],
    4: [(top, left, 1 / 2, 1 / 2) for top in (0, 1 / 2) for left in (0, 1 / 2)],
}


def _regions(scene: Scene) -> Iterator[tuple[Thing, tuple[float, float, float, float]]]:
    """Each thing to paint and the region in which it may stand."""
    if len(scene.things) == 1:
        for region in _COUNTED[scene.things[0].count]:
            yield scene.things[0], region
        return
    n, (down, right) = len(scene.things), RELATIONS[scene.relation]
    for i, thing in enumerate(scene.things[:: -1 if down + right > 0 else 1]):
        yield thing, (i / n, 1 / 4, 1 / n, 1 / 2) if down else (1 / 4, i / n, 1 / 2, 1 / n)


@cache
def sprite(name: str, colour: str | None, fill: str | None, side: int, zoom: int = 1) -> tuple:
    """A thing's colour, already multiplied by its cover, and its cover: (side, side, 3 and 1).

    With `zoom`, both are that many times as large.
    """
    if name in OBJECTS:
        pack = _pack() if zoom == 1 else _large_pack()
        rgba = object_sprite(pack, name, zoom * side) * np.float32([255, 255, 255, 1])
        return rgba[..., :3], rgba[..., 3:]
    fine = 8 * zoom  # sub-pixels per pixel and side, before it is zoomed
    axis = (np.arange(side * fine) + 0.5) / (side * fine / 2) - 1
    inside = np.broadcast_to(SHAPES[name](axis[None, :], axis[:, None]), (side * fine,) * 2)
    if fill == "outlined":
        inside = inside & ~_shrink(inside, round(side * fine / 9))
    cover = _average(inside[..., None], fine // zoom)
    rgb = np.float32(COLOURS[colour])
    if fill != "striped":
        return cover * rgb, cover
    # Bands two pixels high at 32×32 (a sixth of the thing): the colour, a pale tint of it, …
    dark = inside & (np.arange(side * fine)[:, None] // (round(side / 6) * fine) % 2 == 0)
    dark = _average(dark[..., None], fine // zoom)
    return dark * rgb + (cover - dark) * (0.25 * rgb + 0.75 * 255), cover


def _average(inside: np.ndarray, fine: int) -> np.ndarray:
    """Share of each pixel's fine × fine sub-pixels that are inside: (side, side, 1)."""
    side = len(inside) // fine
    return inside.reshape(side, fine, side, fine, 1).mean((1, 3), dtype=np.float32)


def _shrink(inside: np.ndarray, steps: int) -> np.ndarray:
    """Take `steps` layers off a region, square and diagonal by turns, which is nearly round."""
    for step in range(steps):
        padded = np.pad(inside, 1)
        inside = (
            inside & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
        )
        if step % 2:
            inside = inside & padded[:-2, :-2] & padded[2:, 2:] & padded[:-2, 2:] & padded[2:, :-2]
    return inside
