"""Things of the emoji pack from inside, by rules: a cut through a fruit, an x-ray of anything.

The fruits of `fruits.py` are drawn from inside; of these only the outside is drawn. A cut has its
outline, a skin of its commonest colour and flesh that follows from that, and a filling as far
within as the fruit is thick. Stalks and leaves, which have another hue, stay as they are.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from minidalle.world.canvas import Colour, Drawing
from minidalle.world.fruits import X_RAYED, cut
from minidalle.world.objects import emoji

FINE = 2  # sub-pixels per pixel and side
SKIN, PITH = 0.06, 0.1  # how deep they reach, as shares of a box


@dataclass(frozen=True)
class Filling:
    """What is in a fruit."""

    share: float  # of its thickness: where the filling begins, from 0 to 1
    tone: str = "pale"  # of `Tones`
    seeds: bool = False  # in rows
    colour: Colour | None = None  # when cut, if it has one of its own


SEEDS, CORE, STONE = Filling(0.4, seeds=True), Filling(0.45), Filling(0.45, "stone")
FILLINGS = {
    "apple": Filling(0.55, seeds=True),
    "baguette": CORE,
    "bell pepper": SEEDS,
    "cactus": CORE,
    "carrot": CORE,
    "chestnut": CORE,
    "chili": SEEDS,
    "cookie": Filling(0.5, "stone", colour=(90, 50, 30)),
    "croissant": STONE,
    "cucumber": SEEDS,
    "dumpling": STONE,
    "egg": Filling(0.4, "stone", colour=(255, 190, 30)),
    "eggplant": SEEDS,
    "melon": SEEDS,
    "pea pod": SEEDS,
    "peanut": STONE,
    "pineapple": CORE,
    "potato": Filling(1),  # nothing
    "rice ball": Filling(0.5, "stone", colour=(215, 60, 90)),
    "strawberry": CORE,
}


def cut_open(slug: str, filling: Filling, x_rayed: bool) -> Drawing:
    """A fruit of the pack, cut through the middle or x-rayed."""
    return Drawing(_cut_open, (slug, filling, x_rayed))


def _cut_open(height: int, width: int, slug: str, filling: Filling, x_rayed: bool) -> np.ndarray:
    art = emoji(slug).art(FINE * height, FINE * width)
    straight = art[..., :3] / np.maximum(art[..., 3:], 0.01)
    inside = art[..., 3] > 0.5
    skin = _commonest(straight[inside])
    body = _body(straight, inside, skin)
    tones = X_RAYED if x_rayed else cut(skin)
    depth = _depth(body)
    colours = np.where(inside[..., None], tones.green if x_rayed else straight, 0)
    colours[body] = tones.skin
    colours[depth > SKIN * FINE * height] = tones.pale
    colours[depth > PITH * FINE * height] = tones.flesh
    within = depth > max(filling.share * depth.max(), PITH * FINE * height)
    colours[within] = (not x_rayed and filling.colour) or getattr(tones, filling.tone)
    if filling.seeds:
        colours[_seeds(FINE * height) & (depth > (filling.share + 0.1) * depth.max())] = tones.seed
    return _averaged(colours, inside)


def x_rayed(slug: str) -> Drawing:
    """Any thing of the pack: what is dark is hard."""
    return Drawing(_x_rayed, (slug,))


def _x_rayed(height: int, width: int, slug: str) -> np.ndarray:
    art = emoji(slug).art(FINE * height, FINE * width)
    inside = art[..., 3] > 0.5
    brightness = art[..., :3].mean(2) / np.maximum(art[..., 3], 0.01)
    low, high = brightness[inside].min(), brightness[inside].max() + 40
    hard = ((high - brightness) / (high - low)).clip(0, 1)[..., None]
    colours = hard * X_RAYED.seed + (1 - hard) * X_RAYED.flesh
    colours[inside & (_depth(inside) <= 0.03 * FINE * height)] = X_RAYED.skin
    return _averaged(colours, inside)


def _commonest(colours: np.ndarray) -> Colour:
    """The mean of the colours (n, 3) that agree about the most frequent one."""
    bins = (colours // 32).astype(int) @ (64, 8, 1)
    red, green, blue = colours[bins == np.bincount(bins).argmax()].mean(0)
    return round(red), round(green), round(blue)


def _body(straight: np.ndarray, inside: np.ndarray, skin: Colour) -> np.ndarray:
    """Where a fruit has the hue of its skin; spots and thin parts do not count."""
    hue = np.float32(skin) / np.linalg.norm(skin)
    like = straight @ hue > 0.93 * np.linalg.norm(straight, axis=2)
    image = Image.fromarray(inside & like).convert("L")
    for kind, share in (
        (ImageFilter.MaxFilter, 0.034),
        (ImageFilter.MinFilter, 0.09),
        (ImageFilter.MaxFilter, 0.06),
    ):
        image = image.filter(kind(2 * round(share * len(inside)) + 1))
    return (np.asarray(image) > 0) & inside


def _depth(inside: np.ndarray) -> np.ndarray:
    """How many sub-pixels lie between each one and the outline."""
    depth, left = np.zeros(inside.shape, int), np.pad(inside, 1)
    while left.any():
        depth += left[1:-1, 1:-1]
        upright = left[:-2, 1:-1] & left[2:, 1:-1] & left[1:-1, 1:-1]
        left[1:-1, 1:-1] = upright & left[1:-1, :-2] & left[1:-1, 2:]
    return depth


def _seeds(side: int) -> np.ndarray:
    """Seeds in rows, every other row moved by half a step."""
    y, x = (np.indices((side, side)) + 0.5) / side
    across = (x + y // 0.1 % 2 * 0.07) % 0.14
    return np.hypot(across - 0.07, y % 0.1 - 0.05) < 0.035


def _averaged(colours: np.ndarray, inside: np.ndarray) -> np.ndarray:
    cover = inside[..., None].astype(np.float32)
    art = np.concatenate([colours * cover, cover], 2)
    height, width = (side // FINE for side in inside.shape)
    return art.reshape(height, FINE, width, FINE, 4).mean((1, 3))
